"""Identities that formulas of models keep: dimensions, limits, widths from amplitudes, switches of a model.

Tables of form factors and branching fractions are those of `DARKSCAN_REFERENCE`, and skipped where absent.
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from scanner import definition
from scanner.constants import (
    ALPHA,
    FERMI_CONSTANT,
    HBARC2,
    HBARC_CM,
    MASS_ELECTRON,
    MASS_KAON,
    MASS_MUON,
    MASS_PION,
    MASS_TAU,
    SQRT_S,
)
from scanner.interpretation import Exposure, Place, bound_model, interpretations, physics_limits
from scanner.models import MODELS, b_decays
from scanner.models.alp_photon import ALPPhoton
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.dark_photon import DarkPhoton
from scanner.models.dark_scalar import DarkScalar
from scanner.models.hadrons import r_ratio
from scanner.models.heavy_neutral_lepton import HeavyNeutralLepton
from scanner.models.inelastic import InelasticDarkMatter
from scanner.models.leptophilic_scalar import LeptophilicScalar

TABLES = Path(
    os.environ.get("DARKSCAN_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference")
)


def published(name):
    path = TABLES / "tables" / name
    if not path.is_file():
        pytest.skip(f"no {name} in {TABLES}: set DARKSCAN_REFERENCE to the folder of the published tables")
    return np.loadtxt(path).T


@pytest.mark.parametrize(
    ("model", "heavier", "power"),
    [
        (DarkPhoton(), DarkPhoton(), -2),
        (DarkHiggsstrahlung(m_hprime=1.0), DarkHiggsstrahlung(m_hprime=2.0), -2),
        (ALPPhoton(), ALPPhoton(), 0),
    ],
)
def test_cross_sections_scale_with_all_energies(model, heavier, power):
    """As 1/E² where the coupling is a number, not at all where it is an inverse energy."""
    assert heavier.production(4.0, 2 * SQRT_S) == pytest.approx(2.0**power * model.production(2.0, SQRT_S))


CLOSING = {
    name: MODELS[name]
    for name in ("zprime_lmu_ltau", "muonphilic_scalar", "alp_photon", "dark_scalar", "leptophilic_scalar",
                 "alp_w", "alp_lepton", "heavy_neutral_lepton", "idm_dark_higgs")
} | {"dark_higgsstrahlung": DarkHiggsstrahlung(m_hprime=1.0)}  # fmt: skip
"""Not the dark photon, whose partner is soft at the end, and not τ → lα, which neglects the lepton's mass."""


@pytest.mark.parametrize("name", CLOSING)
def test_production_closes_smoothly_at_the_end_of_the_masses(name):
    model = CLOSING[name]
    low, high = model.mass_range(SQRT_S)
    near, middle = model.production([high - 1e-9, (low + high) / 2], SQRT_S)
    assert 0 <= near < 0.01 * middle


def test_widths_of_the_dark_photon_are_those_of_a_virtual_photon():
    m = np.array([0.05, 0.5, 1.5, 3.0, 9.0])
    widths, massless = DarkPhoton().widths(m), ALPHA * m / 3
    for state, lepton in (("e_e", MASS_ELECTRON), ("mu_mu", MASS_MUON), ("tau_tau", MASS_TAU)):
        r = np.minimum(lepton / m, 0.5) ** 2
        np.testing.assert_allclose(widths[state], massless * (1 + 2 * r) * np.sqrt(1 - 4 * r), rtol=1e-12)
    np.testing.assert_allclose(widths["hadrons"], massless * r_ratio(m), rtol=1e-12)


def test_dark_higgsstrahlung_of_light_particles_is_that_of_scalar_pairs():
    """Without masses a Higgs boson and the mode that a photon eats are a pair of charged scalars."""
    scalars = math.pi * ALPHA / (3 * SQRT_S**2) * HBARC2
    assert DarkHiggsstrahlung(m_hprime=1e-4).production(1e-3, SQRT_S) == pytest.approx(scalars, rel=1e-6)


def test_form_factors_without_momentum():
    """0.330 for K and 1.364 − 0.990 for K* (hep-ph/0406232, hep-ph/0412079)."""
    assert b_decays.f0(np.array(0.0)) == pytest.approx(0.330)
    assert b_decays.a0(np.array(0.0)) == pytest.approx(0.374)


@pytest.mark.parametrize(("name", "mass", "state", "charges"), [("2Pi", MASS_PION, "pi_pi", 1.0),
                                                               ("2K", MASS_KAON, "K_K", 4 / 3)])  # fmt: skip
def test_hadrons_of_the_dark_scalar_follow_from_its_form_factors(name, mass, state, charges):
    """1809.01876, eq. 12: Γ = 3G/(16√2 π m) β |2/9 Θ + 7/9 (Γ + Δ)|², and 4/3 of it for kaons.

    Curves are read off a figure, an amplitude to a few percent; they are steep at the f₀(980), which is left
    out.
    """
    m = np.concatenate([np.linspace(2 * mass + 0.02, 0.9, 20), np.linspace(1.1, 1.8, 20)])
    m = m[m > 2 * mass + 0.01]
    factors = {}
    for letter in ("theta", "gamma", "delta"):
        size, phase = (
            published(f"winkler_S_formfactors/{letter}_{name}_{end}.csv") for end in ("Mod", "Ang")
        )
        factors[letter] = np.interp(m, *size) * np.exp(1j * np.interp(m, phase[0], np.unwrap(phase[1])))
    total = 2 / 9 * factors["theta"] + 7 / 9 * (factors["gamma"] + factors["delta"])
    width = 3 * FERMI_CONSTANT / (16 * math.sqrt(2) * math.pi * m) * np.sqrt(1 - (2 * mass / m) ** 2)
    ratio = charges * width * np.abs(total) ** 2 / DarkScalar().widths(m)[state]
    print(np.round(ratio, 2))
    assert np.median(ratio) == pytest.approx(1.0, abs=0.08)
    assert np.mean(np.abs(ratio - 1) < 0.16) > 0.75


@pytest.mark.parametrize(("state", "low", "high"), [("pi_pi", 0.3, 0.95), ("K_K", 1.05, 1.95),
                                                   ("tau_tau", 3.7, 4.7)])  # fmt: skip
def test_branching_fractions_of_the_dark_scalar_are_those_of_foresee(state, low, high):
    mass, fraction = published(f"foresee/DarkHiggs/br/{state}.txt")
    chosen = (mass > low) & (mass < high)
    ratio = DarkScalar().branching_fraction(mass[chosen], state) / fraction[chosen]
    print(np.round(ratio, 2))
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)
    assert np.mean(np.abs(ratio - 1) < 0.15) > 0.8


def test_hadrons_of_the_dark_photon_are_those_of_foresee():
    mass, fraction = published("foresee/DarkPhoton/bfrac_qcd.txt")
    chosen = (mass > 0.4) & (mass < 1.9) & (np.abs(mass - 0.78) > 0.06) & (np.abs(mass - 1.02) > 0.05)
    ratio = DarkPhoton().branching_fraction(mass[chosen], "hadrons") / fraction[chosen]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    assert np.mean(np.abs(ratio - 1) < 0.15) > 0.9


def test_leptons_of_the_leptophilic_scalar_go_as_their_masses_squared():
    widths, beta = LeptophilicScalar().widths(6.0), math.sqrt(1 - (2 * MASS_TAU / 6.0) ** 2)
    muon = math.sqrt(1 - (2 * MASS_MUON / 6.0) ** 2)
    assert widths["tau_tau"] / widths["mu_mu"] == pytest.approx(
        (MASS_TAU / MASS_MUON) ** 2 * (beta / muon) ** 3
    )


def test_the_heavier_state_of_inelastic_dark_matter_decays_as_a_neutron_would():
    """By a contact of two vector currents, G = e ε g_D/m_A′²: Γ = G²/2π³ ∫ E² (Δ − E)² dE, 3.9e-14 GeV."""
    model, epsilon = InelasticDarkMatter(m_chi1=1.0, ratio=3.0, splitting=0.4, alpha_d=0.5), 1e-3
    contact = 4 * math.pi * math.sqrt(ALPHA * 0.5) * epsilon / 3.0**2
    width = contact**2 / (2 * math.pi**3) * quad(lambda e: e**2 * (0.4 - e) ** 2, 0.0, 0.4)[0]
    assert width == pytest.approx(3.9e-14, abs=0.05e-14)
    assert model.chi2_decay_length() / epsilon**2 == pytest.approx(HBARC_CM / width, rel=1e-9)


def test_neutrinos_of_a_heavy_neutral_lepton_are_the_point_interaction():
    model, m = HeavyNeutralLepton(majorana=False), 1.0
    widths = model.widths(m)
    assert widths["nu_nu_nu"] == pytest.approx(FERMI_CONSTANT**2 * m**5 / (192 * math.pi**3))
    assert model.widths(50.0)["nu_e_e"] == pytest.approx(model.widths(50.0)["nu_mu_mu"], rel=2e-4)
    below = model.widths(0.2)
    assert below["nu_mu_mu"] == below["nu_rho"] == below["nu_eta"] == 0.0


def limits(text):
    """Return the limits of a search on the yield of ten events, at 2 GeV."""
    search = definition.parse(text)
    mass, one = np.array([2.0]), np.array([0.5])
    values = {"m_hprime": np.array([1.0])}
    counts = np.array([10.0])
    return search, physics_limits(
        search, Place(mass, values), counts, np.full((1, 5), 10.0), one, Exposure(10.0)
    )


def test_a_zprime_that_is_never_seen_has_the_smaller_limit():
    """The two interpretations of `zp_inv`: σ B is limited, so that g′ goes as 1/√B."""
    search, found = limits("extends: zp_inv\nname: own")
    assert [name for name, _ in interpretations(search)] == ["coupling_limit", "coupling_limit_all_invisible"]
    share = MODELS["zprime_lmu_ltau"].branching_fraction(2.0, "invisible")
    ratio = found["coupling_limit_all_invisible"] / found["coupling_limit"]
    assert ratio == pytest.approx(math.sqrt(share))
    assert 0.6 < ratio[0] < 0.8


def test_a_model_switches_by_its_parameters():
    """Twice the dark charge of h′ is a quarter of the limit; a Dirac lepton lives twice as long."""
    both = [
        limits(
            "extends: dark_higgsstrahlung\nname: own\nmodel: {name: dark_higgsstrahlung, final_state: mu_mu, "
            f"parameters: {{charge: {charge}}}}}"
        )[1]["coupling_limit"]
        for charge in (1, 2)
    ]
    assert both[0] == pytest.approx(4 * both[1])
    lives = []
    for majorana in (0, 1):
        search = definition.parse(
            "extends: hnl_tau\nname: own\nmodel: {name: heavy_neutral_lepton, final_state: nu_mu_mu, "
            f"parameters: {{majorana: {majorana}}}}}"
        )
        lives.append(bound_model(search.model).decay_length(1.0))
    assert lives[0] == pytest.approx(2 * lives[1])
