"""Single photons: signals, and backgrounds whose other particles are lost."""

import math

import numpy as np
import pytest

from scanner import definition
from scanner.constants import ALPHA, HBARC2, MASS_MUON, SQRT_S
from scanner.errors import InputError
from scanner.simulation import (
    calibrate,
    detector,
    generate_chunk,
    get,
    initial_state,
    kinematics,
    single_photon,
)
from scanner.simulation.sampling import generator

NARROW = {"theta_low": 0.85, "theta_high": 2.03}
S = SQRT_S**2


def test_structure_functions_keep_the_number_of_electrons():
    """∫ D dx = 1, and ∫∫ DD over both beams is the draw's mean weight."""
    half = initial_state.exponent(SQRT_S) / 2
    y = np.linspace(0, 1, 200_001)  # z = y^(1/half) makes the soft peak flat
    z = np.maximum(y, 1e-9) ** (1 / half)
    flat = initial_state.structure_function(z, SQRT_S) / (half * z ** (half - 1))
    assert np.trapezoid(flat, y) == pytest.approx(1.0, abs=1e-4)
    legs = initial_state.legs(np.random.default_rng(2).random((4, 400_000)), SQRT_S)
    assert legs.weight.mean() / initial_state.VIRTUAL == pytest.approx(1.0, abs=0.01)


def test_mu_mu_with_radiation_and_vacuum_polarisation_has_the_cross_section_of_full_generators():
    """1.148 nb of e⁺e⁻ → μμ(γ), of which radiation makes a quarter; the leading logarithm is near it."""
    legs = initial_state.legs(np.random.default_rng(3).random((4, 1_000_000)), SQRT_S)
    s1 = S * legs.x[0] * legs.x[1]
    some = s1 > 4.0001 * MASS_MUON**2
    s1 = np.where(some, s1, S)
    beta = np.sqrt(1 - 4 * MASS_MUON**2 / s1)
    born = 4 * math.pi * ALPHA**2 / (3 * s1) * HBARC2 * beta * (3 - beta**2) / 2
    sigma = np.mean(np.where(some, legs.weight * born * initial_state.vacuum_polarisation(s1), 0.0))
    assert sigma == pytest.approx(1.148e6, rel=0.05)


def test_one_photon_of_two_is_in_the_range_and_the_other_one_where_it_can_be_lost():
    reaction = single_photon.two_photons((0.85, 2.03))
    seen, lost = reaction.draw(generator("gg", (1,)), 500, SQRT_S)
    angle = kinematics.polar_angle(kinematics.to_laboratory(seen))
    assert angle.min() > 0.85
    assert angle.max() < 2.03
    assert seen[0].min() > single_photon.LOWEST
    theta = np.degrees(kinematics.polar_angle(kinematics.to_laboratory(lost)))
    inside = np.zeros(500, dtype=bool)
    for low, high in detector.CALORIMETER.theta:
        inside |= (theta > low) & (theta < high)
    assert 0.001 < inside.mean() < 0.2
    np.testing.assert_allclose(np.hypot(seen[1], seen[2]) > 0.0, True)
    np.testing.assert_allclose(kinematics.minkowski(lost, lost), 0.0, atol=1e-9)
    # The beams' remains go along z of the generator's frame.
    total = kinematics.turn_from_beam(seen + lost)
    np.testing.assert_allclose(total[1:3], 0.0, atol=1e-9)


def test_rate_of_photons_lost_in_a_crack():
    """Without radiation: 2πα²/s (1+c²)/(1−c²) times the crack's width, times what is not vetoed."""
    angles = np.linspace(*np.radians([128.7, 130.7]), 400)
    phi = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    theta, turn = (grid.ravel() for grid in np.meshgrid(angles, phi))
    there = np.concatenate([np.ones((1, theta.size)), kinematics.direction(np.cos(theta), turn)])
    back = kinematics.to_centre_of_mass(there)
    c = kinematics.BEAM_AXIS @ back[1:] / back[0]
    density = ALPHA**2 / S * (1 + c * c) / (1 - c * c) * HBARC2 * np.sin(theta) / back[0] ** 2
    opposite = np.concatenate([back[:1], -back[1:]])
    seen = np.degrees(kinematics.polar_angle(kinematics.to_laboratory(opposite))) > 32.0
    exact = single_photon.UNVETOED * np.mean(np.where(seen, density, 0)) * np.radians(2.0) * 2 * math.pi
    reaction = single_photon.two_photons(tuple(np.radians(single_photon.BARREL)))
    photons, weight = reaction.trial(np.random.default_rng(4).random((7, 1 << 19)), SQRT_S)
    lost = np.degrees(kinematics.polar_angle(kinematics.to_laboratory(photons[1])))
    hard = photons[0, 0] > 0.99 * SQRT_S / 2
    crack = (lost > 128.7) & (lost < 130.7) & hard
    # Soft radiation keeps 80% of the events within 1% of the beam energy.
    assert np.mean(np.where(crack, weight, 0)) == pytest.approx(exact, rel=0.35)


@pytest.mark.parametrize("name", ["gamma_gamma_lost", "e_e_gamma_lost"])
def test_a_narrower_range_has_a_smaller_cross_section(name):
    process = get(name)
    assert 0 < process.cross_section(SQRT_S, NARROW) < 0.5 * process.cross_section(SQRT_S, {})
    with pytest.raises(InputError, match="are not a range within"):
        process.cross_section(SQRT_S, {"theta_low": 0.2})


def test_photons_of_gamma_gamma_in_the_cracks_are_found_by_the_angle_of_the_partner():
    columns = generate_chunk("gamma_gamma_lost", 2000, (5,), sqrt_s=SQRT_S, parameters=NARROW)
    distance = np.min(
        [abs(columns[n] - at) for n in ("theta_ahead", "theta_behind") for at in (0.555, 2.264)], axis=0
    )
    assert np.mean(distance < 0.1) > 0.7
    signal = generate_chunk(
        "gamma_aprime_invisible", 4000, (5,), sqrt_s=SQRT_S, parameters={"mass": 2.0, "cross_section": 1.0}
    )
    assert np.median(signal["m2_x"]) == pytest.approx(4.0, abs=0.4)


@pytest.mark.parametrize("mass", [0.1, 3.0, 7.0])
def test_resolution_is_that_of_the_photon_energy(mass):
    """σ(M²) = 2√s σ(E*), on the side without the calorimeter's tail."""
    given = {"mass": mass, "cross_section": 1.0}
    columns = generate_chunk("gamma_aprime_invisible", 30_000, (5,), sqrt_s=SQRT_S, parameters=given)
    barrel = (columns["theta"] > 0.873) & (columns["theta"] < 2.007)
    m2, energy = columns["m2_x"][barrel], (S - mass**2) / (2 * SQRT_S)
    sigma = 2 * SQRT_S * float(detector.energy_resolution(np.array(energy)))
    assert mass**2 - np.quantile(m2[m2 < mass**2], 1 - 0.6827) == pytest.approx(sigma, rel=0.06)


@pytest.mark.parametrize(("name", "square"), [("gamma_aprime_invisible", None), ("alp_gamma_invisible", 0.4)])
def test_angles_of_the_photon(name, square):
    process = get(name)
    cosine = process.cosine(generator(name, (1,)), 40_000, 2.0, SQRT_S)
    if square is None:
        c = np.linspace(-0.9, 0.9, 20_001)
        density = (1 + c * c + 16 * S / (S - 4) ** 2) / (1 - c * c)
        square = np.average(c * c, weights=density)
        assert np.abs(cosine).max() < 0.9
    assert np.mean(cosine**2) == pytest.approx(square, abs=0.006)


@pytest.mark.parametrize(("mass", "ctau"), [(0.03, 0.5), (0.3, 10.0), (4.0, 500.0), (7.0, 1e5)])
def test_an_axion_like_particle_is_not_seen_where_it_decays_late(mass, ctau):
    """Generated decays in flight, against the table of the definition, which is a mean of probabilities."""
    search, events = definition.load("alp_inv"), 20_000
    found = calibrate.true_masses(
        search, "alp_gamma_invisible", mass, events, seed=4, parameters={"ctau": ctau}
    )
    expected = float(search.signal.efficiency(np.array([mass]), ctau_a=ctau)[0])
    assert len(found) / events == pytest.approx(expected, abs=4 * math.sqrt(expected / events) + 0.003)
    forever = float(search.signal.efficiency(np.array([mass]), ctau_a=1e5)[0])
    assert expected < 0.9 * forever or ctau == 1e5


def test_a_particle_without_a_lifetime_never_decays():
    stable, late = (
        generate_chunk("alp_gamma_invisible", 2000, (3,), sqrt_s=SQRT_S, parameters={"mass": 1.0, **more})
        for more in ({}, {"ctau": 1e12})
    )
    assert len(stable["event"]) == pytest.approx(len(late["event"]), abs=100)
    soon = generate_chunk(
        "alp_gamma_invisible", 2000, (3,), sqrt_s=SQRT_S, parameters={"mass": 1.0, "ctau": 1e-3}
    )
    assert soon["event"].size == 0
