"""Models against independently computed values, published tables, and identities of their formulas."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from scanner.constants import (
    ALPHA,
    FERMI_CONSTANT,
    HBAR,
    HBARC2,
    LIFETIME_B,
    LIFETIME_TAU,
    MASS_B,
    MASS_KAON,
    MASS_MUON,
    MASS_TAU,
    MASS_TOP,
    MASS_W,
    SIN2_THETA_W,
    SQRT_S,
    V_TB,
    V_TS,
    VACUUM_EXPECTATION,
)
from scanner.errors import InputError
from scanner.models import MODELS, radiation
from scanner.models.alp_lepton import ALPLepton, loop
from scanner.models.alp_w import ALPW
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.dark_photon import DarkPhoton
from scanner.models.dark_scalar import DarkScalar
from scanner.models.hadrons import r_ratio, strong_coupling
from scanner.models.heavy_neutral_lepton import HeavyNeutralLepton
from scanner.models.inelastic import InelasticDarkMatter
from scanner.models.kinematics import momentum
from scanner.models.leptophilic_scalar import LeptophilicScalar
from scanner.models.tau_alpha import TauAlpha
from scanner.models.upsilon_invisible import ELECTRONS, neutrino_ratio

TABLES = Path(
    os.environ.get("DARKSCAN_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference")
)


def published(name):
    path = TABLES / name
    if not path.is_file():
        pytest.skip(f"no {name} in {TABLES}: set DARKSCAN_REFERENCE to the folder of the published tables")
    return np.loadtxt(path).T


@pytest.mark.parametrize(
    ("value", "expected", "digits"),
    [
        (1e-6 * DarkPhoton(cos_max=0.9).production(2.0, SQRT_S), 5.10, 0.005),
        (1e-7 * DarkHiggsstrahlung(m_hprime=1.0).production(4.0, SQRT_S), 7.43, 0.005),
        (4e-7 * DarkHiggsstrahlung(m_hprime=1.0).production(4.0, SQRT_S), 4 * 7.43, 0.02),
        (DarkScalar().production(2.0, SQRT_S), 0.520, 0.005),
        (1e-10 * ALPW().production(2.0, SQRT_S), 2.1e-7, 0.05e-7),
        (1e10 * 10 * ALPW().decay_length(2.0), 0.93, 0.005),
        (1e6 * InelasticDarkMatter(1.0, 3.0, 0.4, 0.5).chi2_decay_length(), 0.50, 0.005),
        (1e-3 * HeavyNeutralLepton().production(1.0, SQRT_S), 3.3e-5, 0.05e-5),
        (HeavyNeutralLepton(majorana=False).widths(1.0)["nu_mu_mu"], 2.3e-15, 0.05e-15),
        (1e-14 * TauAlpha().production(1e-6, SQRT_S), 4.9e-4, 0.05e-4),
        (neutrino_ratio() * ELECTRONS, 9.96e-6, 0.005e-6),
    ],
)
def test_check_values(value, expected, digits):
    assert float(value) == pytest.approx(expected, abs=digits)


def test_dark_photon_is_the_integral_over_its_angle():
    m, s, c0 = 3.0, SQRT_S**2, 0.8

    def density(c):
        gap = s - m**2
        angles = (1 + c * c + 4 * s * m**2 / gap**2) / (1 - c * c)
        return 2 * math.pi * ALPHA**2 / s * (1 - m**2 / s) * angles * HBARC2

    exact = quad(density, -c0, c0, epsrel=1e-12)[0]
    assert DarkPhoton(cos_max=c0).production(m, SQRT_S) == pytest.approx(exact, rel=1e-10)


def test_dark_photon_at_small_mass_is_the_photon_pair():
    """At m = 0 and ε = 1 the dark photon is a photon: σ is twice that of two identical photons."""
    born = 2 * math.pi * ALPHA**2 / SQRT_S**2 * (2 * math.log(1.9 / 0.1) - 2 * 0.9) * HBARC2 / 2
    assert DarkPhoton(cos_max=0.9).production(1e-6, SQRT_S) == pytest.approx(2 * born, rel=1e-9)


def test_dark_higgsstrahlung_grows_by_the_charge_squared():
    one, two = (DarkHiggsstrahlung(m_hprime=0.5, charge=q).production(2.0, SQRT_S) for q in (1.0, 2.0))
    assert two == 4 * one


def test_dark_photon_lifetime_follows_the_published_table():
    mass, ctau = published("tables/foresee/DarkPhoton/ctau.txt")
    chosen = (mass > 0.02) & (mass < 1.6) & (np.abs(mass - 0.78) > 0.06) & (np.abs(mass - 1.02) > 0.05)
    ours = DarkPhoton().decay_length(mass[chosen]) / 100.0
    np.testing.assert_allclose(ours, ctau[chosen], rtol=0.25)


def test_dark_scalar_lifetime_and_muons_follow_the_published_table():
    mass, ctau = published("tables/foresee/DarkHiggs/ctau.txt")
    chosen = (mass > 0.23) & (mass < 4.7)
    ours = DarkScalar().decay_length(mass[chosen]) / 100.0
    assert np.median(np.abs(ours / ctau[chosen] - 1)) < 0.01
    assert np.mean(np.abs(ours / ctau[chosen] - 1) < 0.1) > 0.95
    mass, muons = published("tables/foresee/DarkHiggs/br/mu_mu.txt")
    chosen = (mass > 0.3) & (mass < 3.5)
    ours = DarkScalar().branching_fraction(mass[chosen], "mu_mu")
    assert np.median(np.abs(ours / muons[chosen] - 1)) < 0.03


def test_dark_scalar_in_b_decays_of_both_kinds():
    """The K* rate vanishes as p³ at the end of the decay, that of the K as p."""
    model = DarkScalar(parent="B0 -> K*0")
    end = model.mass_range(SQRT_S)[1]
    near, nearer = model.production([end - 2e-4, end - 1e-4], SQRT_S)
    assert near / nearer == pytest.approx(2**1.5, rel=1e-2)
    plus = DarkScalar()
    end = plus.mass_range(SQRT_S)[1]
    near, nearer = plus.production([end - 2e-4, end - 1e-4], SQRT_S)
    assert near / nearer == pytest.approx(2**0.5, rel=1e-2)


def test_alp_in_b_decays_has_the_closed_form_of_its_paper():
    """1611.09355, eq. 8, written out: Γ = m_B³/64π g² (1−m_K²/m_B²)² f₀² √λ."""
    x, m = (MASS_TOP / MASS_W) ** 2, 1.5
    loop = x * (1 + x * (math.log(x) - 1)) / (1 - x) ** 2
    g = 3 * math.sqrt(2) * FERMI_CONSTANT * MASS_W**2 / (16 * math.pi**2) * V_TB * V_TS * loop
    phase = 2 * float(momentum(MASS_B, MASS_KAON, m)) / MASS_B
    width = MASS_B**3 / (64 * math.pi) * g**2 * (1 - (MASS_KAON / MASS_B) ** 2) ** 2
    width *= (0.330 / (1 - m**2 / 37.46)) ** 2 * phase
    assert ALPW().production(m, SQRT_S) == pytest.approx(width * LIFETIME_B / HBAR, rel=1e-12)


def test_heavy_lepton_to_muons_is_the_integral_of_its_spectrum():
    """Neutral-current N → νμμ with massless muons: the fraction C₁ of G²m⁵/192π³, and less with mass."""
    model = HeavyNeutralLepton(majorana=False)
    point = FERMI_CONSTANT**2 / (192 * math.pi**3)
    left, right = SIN2_THETA_W - 0.5, SIN2_THETA_W
    heavy = 1e3
    assert model.widths(heavy)["nu_mu_mu"] / (point * heavy**5) == pytest.approx(left**2 + right**2, rel=1e-4)


def test_heavy_lepton_to_massive_muons_against_the_matrix_element():
    """The three-body width from |M|², left- and right-handed couplings and their interference."""
    m, u = 0.6, MASS_MUON
    left, right = SIN2_THETA_W - 0.5, SIN2_THETA_W

    def element(s13, s12):
        # s12: neutrino and muon, s13: neutrino and antimuon; products of four-momenta.
        n2, n3 = (s12 - u * u) / 2, (s13 - u * u) / 2
        p2, p3 = (m * m + u * u - s13) / 2, (m * m + u * u - s12) / 2
        p1 = n2 + n3
        return left**2 * 2 * p3 * n2 * 2 + right**2 * 2 * p2 * n3 * 2 + 4 * left * right * u * u * p1

    def ends(s12):
        e1, e3 = (s12 - u * u) / (2 * math.sqrt(s12)), (m * m - s12 - u * u) / (2 * math.sqrt(s12))
        p3 = math.sqrt(max(e3 * e3 - u * u, 0.0))
        middle = u * u + 2 * e1 * e3
        return middle - 2 * e1 * p3, middle + 2 * e1 * p3

    dalitz = dblquad(element, u * u, (m - u) ** 2, lambda s: ends(s)[0], lambda s: ends(s)[1], epsrel=1e-8)[0]
    massless = dblquad(
        lambda b, a: left**2 * (m * m - a) * a + right**2 * (m * m - b) * b,
        0.0,
        m * m,
        0.0,
        lambda a: m * m - a,
        epsrel=1e-10,
    )[0]
    scale = FERMI_CONSTANT**2 * m**5 / (192 * math.pi**3) * (left**2 + right**2) / massless
    width = HeavyNeutralLepton(majorana=False).widths(m)["nu_mu_mu"]
    assert width == pytest.approx(scale * dalitz, rel=1e-5)


def test_majorana_widths_are_twice_those_of_dirac():
    dirac, majorana = (HeavyNeutralLepton(majorana=kind).width([0.4, 1.2]) for kind in (False, True))
    np.testing.assert_array_equal(majorana, 2 * dirac)


def test_massless_heavy_lepton_gives_the_standard_tau_to_pion():
    """At m_N = 0 and full mixing τ → πN is τ → πν: (10.82 ± 0.05)% (PDG 2024).

    Of this the electroweak correction, 2.01% at short distances (W. Marciano, A. Sirlin, PRL 61, 1815
    (1988)), is not part of the tree-level formula.
    """
    assert HeavyNeutralLepton().production(1e-6, SQRT_S) == pytest.approx(0.1082 / 1.0201, rel=0.005)


def test_tau_to_alpha_is_the_width_of_a_two_body_decay():
    """A derivative coupling 1/F to the vector current gives |M|² = ½ (m_τ/F)² Tr[p̸_l (p̸_τ + m_τ)]."""
    m, f = 1.0, 1e7
    p = (MASS_TAU**2 - m**2) / (2 * MASS_TAU)
    products = (MASS_TAU**2 - m**2) / 2
    width = p / (8 * math.pi * MASS_TAU**2) * (MASS_TAU / f) ** 2 / 2 * 4 * products
    fraction = TauAlpha().production(m, SQRT_S) / f**2
    assert fraction == pytest.approx(width * LIFETIME_TAU / HBAR, rel=1e-9)


def test_leptophilic_scalar_off_muons_is_the_muonphilic_one():
    m = np.array([0.5, 3.0])
    ours = LeptophilicScalar(radiator="mu_mu").production(m, SQRT_S)
    unit = MODELS["muonphilic_scalar"].production(m, SQRT_S)
    np.testing.assert_allclose(ours, (MASS_MUON / VACUUM_EXPECTATION) ** 2 * unit, rtol=1e-5)


def test_an_alp_off_light_muons_is_a_scalar_off_light_muons():
    """Chirality makes both alike where the leptons have no mass."""
    light = 1e-4
    scalar, pseudoscalar = (
        radiation.cross_section(kind, 3.0, SQRT_S, lepton=light) for kind in ("scalar", "pseudoscalar")
    )
    assert float(pseudoscalar) == pytest.approx(float(scalar), rel=1e-6)


def test_an_alp_off_muons_is_less_than_a_scalar_where_it_is_soft():
    """A slow scalar couples to the mass of a fermion, a slow pseudoscalar to its spin: σ ∝ m² ln, not ln."""
    scalar, pseudoscalar = (
        radiation.cross_section(kind, [0.001, 0.002], SQRT_S) for kind in ("scalar", "pseudoscalar")
    )
    assert (pseudoscalar < scalar).all()
    # The soft region is missing: going to half of the mass adds next to nothing.
    assert pseudoscalar[0] / pseudoscalar[1] == pytest.approx(1.0, rel=1e-3)
    assert scalar[0] / scalar[1] > 1.003


def test_widths_of_an_alp_that_couples_to_leptons():
    """1708.00443, eq. 17; its loop function B₁ is 1 for light leptons and −m²/12m_l² for heavy ones."""
    model, m = ALPLepton(), 5.0
    ratio = (MASS_TAU / MASS_MUON) ** 2 * math.sqrt(1 - 4 * MASS_TAU**2 / m**2)
    widths = model.widths(m)
    assert widths["tau_tau"] / widths["mu_mu"] == pytest.approx(ratio, rel=2e-3)
    assert widths["tau_tau"] == pytest.approx(
        m * MASS_TAU**2 / (8 * math.pi) * math.sqrt(1 - 4 * MASS_TAU**2 / m**2)
    )
    assert loop(np.array(9.0), 1e-6) == pytest.approx(1.0, abs=1e-10)
    assert loop(np.array(0.05), 1.0) == pytest.approx(-(0.05**2) / 12, rel=1e-3)
    below, above = loop(np.array([2 * MASS_TAU * (1 - 1e-9), 2 * MASS_TAU * (1 + 1e-9)]), MASS_TAU)
    assert below == pytest.approx(above, abs=1e-3)
    assert below == pytest.approx(1 - math.pi**2 / 4, abs=1e-3)
    assert model.branching_fraction(m, "tau_tau") > 0.99


def test_inelastic_production_is_dark_higgsstrahlung():
    model = InelasticDarkMatter(m_chi1=1.0, ratio=4.0, splitting=0.4, alpha_d=0.1)
    assert 1e-6 * model.production(1.0, SQRT_S) == pytest.approx(7.43, abs=0.005)
    assert model.production(6.6, SQRT_S) == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: InelasticDarkMatter(ratio=2.2, splitting=0.4), "A′ → χ₁χ₂ is closed"),
        (lambda: InelasticDarkMatter(splitting=0.0), "no room for two electrons"),
        (lambda: InelasticDarkMatter(alpha_d=-1.0), "must be positive"),
        (lambda: DarkPhoton(cos_max=1.0), "between 0 and 1"),
        (lambda: DarkScalar(parent="B+ -> K*+"), "unknown decay"),
        (lambda: LeptophilicScalar(radiator="e_e"), "take tau_tau or mu_mu"),
        (lambda: ALPLepton(radiator="e_e"), "take mu_mu or tau_tau"),
        (lambda: TauAlpha(lepton="tau"), "unknown lepton"),
    ],
)
def test_parameters_outside_of_a_model_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        wrong()


def test_r_ratio_above_and_below_charm():
    """Measured averages: 2.2 from 2 to 3.7 GeV, 3.6 at 10.5 GeV (PDG 2024, section 53), within 4%."""
    assert r_ratio([2.2, 3.0, 3.6]) == pytest.approx(2.2, rel=0.04)
    assert r_ratio(10.52) == pytest.approx(3.6, rel=0.04)
    assert r_ratio([0.1, 0.27]).tolist() == [0, 0]


def test_strong_coupling_at_the_tau_and_the_z():
    assert strong_coupling(91.1880) == pytest.approx(0.118)
    assert strong_coupling(5.0) == pytest.approx(0.21, rel=0.06)
