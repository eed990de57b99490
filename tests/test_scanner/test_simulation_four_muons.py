"""Generated four-muon events: conservation laws, matrix element, peaks and acceptance."""

import numpy as np
import pytest

from scanner.constants import MASS_MUON, SQRT_S
from scanner.models import radiation
from scanner.simulation import conversions, four_muons, generate_chunk, kinematics, network
from scanner.simulation.radiated import dalitz_point, density_bound, radiated_events
from scanner.simulation.sampling import generator

KINDS = pytest.mark.parametrize("kind", ["vector", "scalar"])


def signal(kind, mass, events, seed=1):
    rng = generator(kind, (seed,))
    return radiated_events(rng, kind, np.full(events, mass), SQRT_S)


def assert_conserved(muons):
    total = muons.sum(axis=0)
    np.testing.assert_allclose(total[0], SQRT_S, atol=1e-9)
    np.testing.assert_allclose(total[1:], 0.0, atol=1e-9)
    for k in muons:
        np.testing.assert_allclose(kinematics.mass(k), MASS_MUON, atol=1e-9)


@KINDS
@pytest.mark.parametrize("mass", [0.2114, 1.0, 10.3])
def test_signal_conserves_energy_momentum_and_masses(kind, mass):
    muons = signal(kind, mass, 500)
    assert_conserved(muons)
    np.testing.assert_allclose(kinematics.mass(muons[2] + muons[3]), mass, atol=1e-9)


def test_conversions_conserve_energy_momentum_and_masses():
    assert_conserved(conversions.conversion_events(generator("c", (1,)), 2000, SQRT_S))


@KINDS
@pytest.mark.parametrize("mass", [0.3, 3.0, 8.0])
def test_energy_spectrum_follows_the_matrix_element(kind, mass):
    muons = signal(kind, mass, 20_000)
    energy = (muons[2] + muons[3])[0]
    d1, d2, weights = radiation.dalitz_nodes(np.array([mass]), SQRT_S**2, 64)
    density = radiation.MATRIX_ELEMENTS[kind](d1, d2, SQRT_S**2, mass**2, MASS_MUON**2) * weights
    expected = np.sum(density * (d1 + d2)) / np.sum(density) / (2 * SQRT_S)
    assert abs(energy.mean() - expected) < 4 * energy.std() / np.sqrt(len(energy))


@KINDS
@pytest.mark.parametrize("mass", [0.22, 0.9, 5.3, 9.9])
def test_dalitz_density_stays_below_its_bound(kind, mass):
    z, u = np.random.default_rng(2).random((2, 100_000))
    density = dalitz_point(kind, np.full(100_000, mass), SQRT_S, z, u).density
    bound = density_bound(kind, np.array(mass), SQRT_S)
    assert 0.8 * bound < density.max() < bound


def test_conversion_density_stays_below_its_bound():
    m = np.geomspace(2 * MASS_MUON, SQRT_S - 2 * MASS_MUON, 300)
    density, _ = conversions.pair_density(m[:, None, None], m[None, :, None], np.linspace(0, 1, 31), SQRT_S)
    assert density.max() < conversions.bound(SQRT_S)
    assert density.min() == 0


def test_soft_vectors_leave_the_muons_with_1_plus_cos2():
    prompt = signal("vector", 0.22, 30_000)[0]
    cosine = kinematics.BEAM_AXIS @ prompt[1:] / kinematics.momentum(prompt)
    assert np.mean(cosine**2) == pytest.approx(0.4, abs=0.015)


def test_scalar_decays_isotropically_and_the_vector_does_not():
    def helicity(kind):
        muons = signal(kind, 1.0, 30_000)
        parent = muons[2] + muons[3]
        back = np.concatenate([parent[:1], -parent[1:]])
        inside = kinematics.boost_with(muons[2], back, 1.0)
        return np.sum(inside[1:] * parent[1:], axis=0) / (
            kinematics.momentum(inside) * kinematics.momentum(parent)
        )

    error = np.sqrt(4 / 45 / 30_000)
    assert abs(np.mean(helicity("scalar") ** 2) - 1 / 3) < 4 * error
    assert np.mean(helicity("vector") ** 2) - 1 / 3 > 8 * error


WIDTHS = [(1, 2.8), (2, 4.8), (3, 7.4), (4, 10), (5, 13), (6, 17), (7, 21), (8, 26)]
LIGHT = [(0.25, 0.8), (0.5, 1.8)]


@pytest.mark.parametrize(("mass", "width"), LIGHT)
def test_light_pairs_of_scalars_are_wider_than_those_of_vectors(mass, width):
    """Near the threshold the width goes with the momentum, higher for scalars; one number is stated."""
    halves = []
    for process in ("mu_mu_zprime", "mu_mu_scalar"):
        columns = generate_chunk(process, 12_000, (2,), sqrt_s=SQRT_S, parameters={"mass": mass})
        low, high = np.quantile(columns["m_mumu"][3::4], [0.1587, 0.8413])
        halves.append(1e3 * (high - low) / 2)
    assert halves[0] < width < halves[1]
    assert np.mean(halves) == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize(("mass", "width"), WIDTHS)
@pytest.mark.parametrize("process", ["mu_mu_zprime", "mu_mu_scalar"])
def test_dimuon_peak_is_unbiased_and_as_wide_as_computed_elsewhere(process, mass, width):
    columns = generate_chunk(process, 12_000, (2,), sqrt_s=SQRT_S, parameters={"mass": mass})
    low, middle, high = np.quantile(columns["m_mumu"][3::4], [0.1587, 0.5, 0.8413])
    half = (high - low) / 2
    assert 1e3 * half == pytest.approx(width, rel=0.2)
    assert abs(middle - mass) < 0.06 * half


@KINDS
def test_four_tracks_in_the_drift_chamber(kind):
    for mass in (0.5, 2.0, 5.0, 8.0):
        lab = np.stack([kinematics.to_laboratory(k) for k in signal(kind, mass, 10_000)])
        theta = np.degrees([kinematics.polar_angle(k) for k in lab])
        inside = np.all((theta > 17) & (theta < 150), axis=0).mean()
        assert 0.70 < inside < 0.86


def test_rows_of_an_event_are_its_four_pairs():
    columns = generate_chunk("four_muons", 2000, (3,), sqrt_s=SQRT_S)
    mass, other = columns["m_mumu"].reshape(-1, 4), columns["m_other"].reshape(-1, 4)
    np.testing.assert_array_equal(mass, other[:, ::-1])
    for column in ("m_4mu", "n_muons"):
        assert np.all(np.ptp(columns[column].reshape(-1, 4), axis=1) == 0)
    assert np.all(columns["n_muons"] >= 2)
    assert columns["m_mumu"].min() > 2 * MASS_MUON - 1e-6
    assert np.median(columns["m_4mu"]) == pytest.approx(SQRT_S, abs=0.005)
    # For a pair taken back from the beams the recoil is the other pair, but for resolution.
    heavy = other > 3
    assert np.median(columns["m_recoil"].reshape(-1, 4)[heavy] - other[heavy]) == pytest.approx(0, abs=0.02)


def test_soft_muons_are_not_identified():
    columns = generate_chunk("mu_mu_zprime", 3000, (3,), sqrt_s=SQRT_S, parameters={"mass": 0.3})
    three = np.mean(columns["n_muons"][::4] >= 3)
    heavy = generate_chunk("mu_mu_zprime", 3000, (3,), sqrt_s=SQRT_S, parameters={"mass": 6.0})
    assert three < np.mean(heavy["n_muons"][::4] >= 3)


def test_classifier_keeps_the_stated_fractions():
    rng = generator("network", (1,))
    signal_like = network.output(np.ones(100_000, dtype=bool), rng)
    background_like = network.output(np.zeros(100_000, dtype=bool), rng)
    assert np.all((signal_like >= 0) & (signal_like <= 1))
    assert np.mean(signal_like > 0.5) == pytest.approx(network.SIGNAL_KEPT, abs=0.006)
    assert np.mean(background_like > 0.5) == pytest.approx(network.BACKGROUND_KEPT, abs=0.0013)
    # Mirrored densities: what is above 0.5 falls by the same factor again up to 0.75 and 1.
    odds = np.sqrt(network.BACKGROUND_KEPT / (1 - network.BACKGROUND_KEPT))
    expected = network.BACKGROUND_KEPT * odds / (1 + odds)
    assert np.mean(background_like > 0.75) == pytest.approx(expected, abs=0.0004)


def test_background_masses_follow_their_spectrum():
    spectrum = four_muons.radiated_mass_spectrum(SQRT_S)
    x = spectrum.sample(generator("spectrum", (1,)), 100_000)
    expected = np.interp(np.log(1.0), spectrum.nodes, spectrum.cumulative) / spectrum.integral
    assert np.mean(x < 0) == pytest.approx(expected, abs=0.006)
