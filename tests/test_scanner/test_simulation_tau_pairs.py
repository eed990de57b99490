"""Decays of τ pairs against closed forms."""

import math

import numpy as np
import pytest

from scanner import definition
from scanner.constants import MASS_ELECTRON, MASS_MUON, MASS_PION, MASS_TAU, SQRT_S
from scanner.errors import InputError
from scanner.simulation import expected_events, generate_chunk, kinematics, tau_pairs

EVENTS = 20_000


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def test_the_michel_spectrum_of_a_light_lepton():
    """2x²(3 − 2x): ⟨x⟩ = 7/10, ⟨x²⟩ = 8/15."""
    x = np.linspace(0, 1, 100_001)
    density = tau_pairs.michel(x, "e")
    norm = np.trapezoid(density, x)
    assert np.trapezoid(density * x, x) / norm == pytest.approx(0.7, rel=1e-5)
    assert np.trapezoid(density * x * x, x) / norm == pytest.approx(8 / 15, rel=1e-5)


def test_the_integrals_of_the_michel_spectra_are_the_phase_space_of_the_widths():
    """Γ(μ)/Γ(e) = f(m_μ²/m_τ²)/f(m_e²/m_τ²), f(y) = 1 − 8y + 8y³ − y⁴ − 12y² ln y."""

    def rate(lepton):
        x = np.linspace(0, 1, 200_001)
        return tau_pairs.endpoint(lepton) ** 4 * np.trapezoid(tau_pairs.michel(x, lepton), x)

    def phase_space(mass):
        y = (mass / MASS_TAU) ** 2
        return 1 - 8 * y + 8 * y**3 - y**4 - 12 * y * y * math.log(y)

    expected = phase_space(MASS_MUON) / phase_space(MASS_ELECTRON)
    assert rate("mu") / rate("e") == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(0.9726, abs=1e-4)


def test_angles_and_masses_of_pairs(rng):
    first, second = tau_pairs.pairs(rng, EVENTS, SQRT_S)
    assert kinematics.mass(first + second) == pytest.approx(SQRT_S, rel=1e-9)
    cosine = kinematics.BEAM_AXIS @ first[1:] / kinematics.momentum(first)
    inverse = (2 * MASS_TAU / SQRT_S) ** 2
    expected = (1 / 3 + 1 / 5 + (1 / 3 - 1 / 5) * inverse) / (4 / 3 + 2 / 3 * inverse)
    assert np.mean(cosine**2) == pytest.approx(expected, abs=4 * 0.3 / math.sqrt(EVENTS))


def test_three_pions_come_from_the_tau_with_a_massless_neutrino(rng):
    tau, _ = tau_pairs.pairs(rng, 3000, SQRT_S)
    pions = tau_pairs.three_pions(rng, tau)
    for pion in pions:
        assert kinematics.mass(pion) == pytest.approx(MASS_PION, abs=1e-6)
    total = pions.sum(axis=0)
    neutrino = tau - total
    assert np.max(np.abs(kinematics.minkowski(neutrino, neutrino))) < 1e-9
    assert np.all(kinematics.mass(total) > 3 * MASS_PION)


def test_dalitz_planes_of_pions_are_flat(rng):
    """All pions are alike in phase space: the mean squared masses of the three pairs agree."""
    tau, _ = tau_pairs.pairs(rng, EVENTS, SQRT_S)
    a, b, c = tau_pairs.three_pions(rng, tau)
    ab, ac, bc = (np.mean(kinematics.mass(x + y) ** 2) for x, y in ((a, b), (a, c), (b, c)))
    assert ab == pytest.approx(ac, rel=0.03)
    assert ab == pytest.approx(bc, rel=0.03)


@pytest.mark.parametrize("mass", [0.001, 1.0, 1.6])
def test_the_pseudo_energy_is_exact_where_the_pions_fly_as_the_tau(rng, mass):
    own, other = tau_pairs.pairs(rng, 500, SQRT_S)
    lepton, _ = kinematics.two_body(MASS_TAU, MASS_MUON, mass, kinematics.isotropic(rng, 500))
    seen = kinematics.to_laboratory(kinematics.boost_with(lepton, own, MASS_TAU))
    energy = tau_pairs.pseudo_energy(seen, kinematics.to_laboratory(other), SQRT_S)
    x = 1 - (mass / MASS_TAU) ** 2 + (MASS_MUON / MASS_TAU) ** 2
    assert 2 * energy / MASS_TAU == pytest.approx(x, rel=1e-9)


def test_the_line_is_smeared_about_its_place():
    for mass in (0.7, 1.4):
        parameters = {"mass": mass, "lepton_code": 11.0}
        x = generate_chunk("tau_alpha", 6000, (1,), sqrt_s=SQRT_S, parameters=parameters)["x"]
        assert np.median(x) == pytest.approx(1 - (mass / MASS_TAU) ** 2, rel=0.1)


def test_rates():
    def events(name, **parameters):
        return expected_events(name, sqrt_s=SQRT_S, luminosity=62.8, parameters=parameters)

    pairs = 62.8 * 0.919e6
    assert events("tau_leptons") == pytest.approx(pairs * 2 * 0.0931 * (0.1782 + 0.1739))
    assert events("tau_pions") == pytest.approx(pairs * 2 * 0.0931 * 0.1082 * 0.06)
    assert events("tau_alpha", mass=1.0, branching_fraction=1e-3) == pytest.approx(pairs * 2 * 0.0931e-3)
    assert events("tau_alpha", mass=1e-3, coupling=1e-7) == pytest.approx(
        pairs * 2 * 0.0931 * 4.9e-4, rel=0.01
    )


def test_the_lepton_of_a_signal_is_one_of_two():
    parameters = {"mass": 1.0, "lepton_code": 15.0}
    with pytest.raises(InputError, match="lepton_code = 15 is neither 11"):
        generate_chunk("tau_alpha", 3, (1,), sqrt_s=SQRT_S, parameters=parameters)


@pytest.mark.parametrize(("mass", "code"), [(0.5, 11.0), (1.6, 13.0)])
def test_efficiencies_of_the_definition_are_what_the_generator_gives(mass, code):
    parameters = {"mass": mass, "lepton_code": code}
    columns = generate_chunk("tau_alpha", EVENTS, (4,), sqrt_s=SQRT_S, parameters=parameters)
    found = np.count_nonzero(columns["p_lepton"] > 0.7) / EVENTS
    stated = float(definition.load("tau_lalpha").signal.efficiency(mass, lepton_code=code))
    assert found == pytest.approx(stated, abs=4 * math.sqrt(found * (1 - found) / EVENTS))
