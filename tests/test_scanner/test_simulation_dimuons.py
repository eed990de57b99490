"""Two muons and missing energy: the dark Higgsstrahlung signal and its backgrounds."""

import math

import numpy as np
import pytest
from scipy.integrate import dblquad

from scanner import definition
from scanner.constants import ALPHA, MASS_ELECTRON, MASS_MUON, MASS_TAU
from scanner.errors import InputError
from scanner.models import get as model
from scanner.simulation import expected_events, generate_chunk, kinematics, radiated_pairs
from scanner.simulation.calibrate_windows import measure
from scanner.simulation.dark_higgs import decay_events
from scanner.simulation.dimuon_backgrounds import TwoPhotonDimuon, _michel, two_photon_spectrum

SQRT_S = 10.58


@pytest.mark.parametrize(("m_aprime", "m_hprime"), [(1.7, 0.5), (4.0, 1.0), (8.0, 2.0)])
def test_the_signal_has_the_masses_and_angles_of_the_paper(m_aprime, m_hprime):
    muons = decay_events(np.random.default_rng(3), 100_000, m_aprime, m_hprime, SQRT_S)
    pair = muons.sum(axis=0)
    assert kinematics.mass(pair) == pytest.approx(np.full(100_000, m_aprime))
    recoil = np.array([[SQRT_S], [0.0], [0.0], [0.0]]) - pair
    assert kinematics.mass(recoil) == pytest.approx(np.full(100_000, m_hprime), rel=1e-6)
    cosine = np.sum(pair[1:] * kinematics.BEAM_AXIS[:, None], axis=0) / kinematics.momentum(pair)
    # dσ/dcosθ ∝ 8m²/s + λ sin²θ, whose integral is that of 0903.0363, eq. 16.
    x, y = (m_aprime / SQRT_S) ** 2, (m_hprime / SQRT_S) ** 2
    phase = (1 - x - y) ** 2 - 4 * x * y
    expected = ((8 * x + phase) / 3 - phase / 5) / (8 * x + phase - phase / 3)
    assert np.mean(cosine**2) == pytest.approx(expected, abs=5 * 0.3 / math.sqrt(100_000))
    # Along the flight the polarisation is mixed as E²/m² sin²θ against 1 + cos²θ: ∫ is 4γ² to 8.
    rest = kinematics.boost_with(muons[0], pair * np.array([[1], [-1], [-1], [-1]]), m_aprime)
    along = np.sum(rest[1:] * pair[1:], axis=0) / (kinematics.momentum(rest) * kinematics.momentum(pair))
    gamma2 = 1 + kinematics.two_body_momentum(SQRT_S, m_aprime, m_hprime) ** 2 / m_aprime**2
    beta2 = 1 - 4 * MASS_MUON**2 / m_aprime**2
    longitudinal, transverse = gamma2 * 2 / 3, 4 / 3

    def second_moment(a, b):
        return (a / 3 + b / 5) / (a + b / 3)

    # δ_ab − β² d_a d_b: 1 − β²c² along the flight, 1 − β²(1 − c²)/2 across.
    norm = longitudinal * (1 - beta2 / 3) + transverse * (1 - beta2 / 3)
    mean = longitudinal * (1 - beta2 / 3) / norm * second_moment(1, -beta2)
    mean += transverse * (1 - beta2 / 3) / norm * second_moment(1 - beta2 / 2, beta2 / 2)
    assert np.mean(along**2) == pytest.approx(mean, abs=5 * 0.3 / math.sqrt(100_000))


def test_the_coupling_gives_the_cross_section_of_the_model():
    given = {"mass": 4.0, "m_hprime": 1.0, "coupling": 1e-7}
    sigma = expected_events("dark_higgs_dimuon", sqrt_s=SQRT_S, luminosity=1.0, parameters=given)
    share = model("dark_higgsstrahlung").branching_fraction(4.0, "mu_mu")
    assert sigma == pytest.approx(7.43 * share, rel=2e-3)
    with pytest.raises(InputError, match="m_hprime"):
        generate_chunk(
            "dark_higgs_dimuon", 10, (1,), sqrt_s=SQRT_S, parameters={"mass": 4.0, "coupling": 1.0}
        )


@pytest.mark.parametrize(("lowest", "nanobarn"), [(0.5, 18.7), (1.0, 4.18), (4.0, 0.072)])
def test_two_photons_make_as_many_muons_as_an_independent_computation(lowest, nanobarn):
    # Equivalent photons with Q²max = W²/4 + m², computed by itself.
    assert two_photon_spectrum(SQRT_S, lowest).integral == pytest.approx(1e6 * nanobarn, rel=5e-3)


def test_two_photon_pairs_have_little_transverse_momentum():
    muons, _ = TwoPhotonDimuon()._draw(np.random.default_rng(2), 20_000, SQRT_S)
    pair = muons.sum(axis=0)
    along = np.sum(pair[1:] * kinematics.BEAM_AXIS[:, None], axis=0)
    across = np.sqrt(np.maximum(kinematics.momentum(pair) ** 2 - along**2, 0.0))
    assert np.median(across) < 0.2
    assert abs(np.mean(along)) < 0.1
    assert kinematics.mass(pair).min() > 1.49


def structure(z):
    half = ALPHA / math.pi * (math.log(SQRT_S**2 / MASS_ELECTRON**2) - 1)
    return half * z ** (half - 1) * (1 - z + z**2 / 2)


def test_radiated_pairs_are_those_of_the_structure_functions():
    """The collinear cross section between two masses, by quadrature over both fractions."""
    s, low, high = SQRT_S**2, 3.0, 8.0

    def collinear(z2, z1):
        sigma = radiated_pairs.pair_cross_section(np.array(math.sqrt(s * (1 - z1) * (1 - z2))), MASS_MUON)
        return structure(z1) * structure(z2) * float(sigma)

    def most(z1, mass):
        return max(1 - (mass / SQRT_S) ** 2 / (1 - z1), 0.0)

    found = 0.0
    for mass, sign in ((low, 1), (high, -1)):
        # In v = z^{β/2} both soft ends are flat.
        half = ALPHA / math.pi * (math.log(s / MASS_ELECTRON**2) - 1)

        def in_v(v2, v1, power=1 / half):
            z1, z2 = v1**power, v2**power
            return collinear(z2, z1) * power**2 * v1 ** (power - 1) * v2 ** (power - 1)

        end = (1 - (mass / SQRT_S) ** 2) ** half
        value, _ = dblquad(
            in_v, 1e-9, end, 1e-9, lambda v, m=mass, h=half: most(v ** (1 / h), m) ** h, epsrel=1e-4
        )
        found += sign * value
    leptons, photons = radiated_pairs.pairs(
        np.random.default_rng(4), 100_000, SQRT_S, MASS_MUON, lowest=1.5, energy=0.1
    )
    mass = kinematics.mass(leptons.sum(axis=0))
    total = leptons.sum(axis=0) + photons.sum(axis=0)
    assert total[0] == pytest.approx(np.full(100_000, SQRT_S))
    assert np.abs(total[1:]).max() < 1e-9
    between = np.mean((mass > low) & (mass < high))
    sigma = between * radiated_pairs.cross_section(SQRT_S, MASS_MUON, 1.5, 0.1)
    # Wide angles of both photons at once move the mass: by less than two percent.
    assert sigma == pytest.approx(found, rel=0.02)


def test_muons_of_taus_have_the_michel_spectrum():
    rest = np.tile(np.array([[MASS_TAU], [0.0], [0.0], [0.0]]), 50_000)
    muons = _michel(np.random.default_rng(5), rest)
    assert np.mean(2 * muons[0] / MASS_TAU) == pytest.approx(0.7, abs=5 * 0.22 / math.sqrt(50_000) + 1e-3)


def test_the_definition_holds_what_the_generator_gives():
    search = definition.load("dark_higgsstrahlung")
    for m_aprime, m_hprime in ((4.0, 1.0), (8.0, 2.0), (2.5, 2.0)):
        point = {"m_aprime": m_aprime, "m_hprime": m_hprime}
        found = measure(search, "dark_higgs_dimuon", point, 20_000, 77)
        stated = float(search.signal.efficiency(m_aprime, **point))
        # The tables have three digits and the statistics of 40 000 events.
        assert found.efficiency == pytest.approx(stated, abs=5 * found.efficiency_error)
        assert found.resolutions[0] == pytest.approx(float(search.signal.resolution(m_aprime)), rel=0.05)
