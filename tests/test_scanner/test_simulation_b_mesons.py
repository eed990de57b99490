"""B mesons, decays in flight and the fit to mass and energy, against closed forms."""

import math

import numpy as np
import pytest

from scanner import definition
from scanner.constants import MASS_B, MASS_KAON, SQRT_S
from scanner.errors import InputError
from scanner.simulation import (
    b_mesons,
    constrained,
    detector,
    expected_events,
    flight,
    generate_chunk,
    kinematics,
)
from scanner.simulation.b_to_kaon_photons import MASS_ETA_C, MESONS

EVENTS = 20_000


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def test_b_mesons_have_the_momentum_and_angles_of_a_vector_decay(rng):
    p = b_mesons.mesons(rng, EVENTS, SQRT_S)
    assert np.median(kinematics.momentum(p)) == pytest.approx(math.sqrt(SQRT_S**2 / 4 - MASS_B**2), rel=0.02)
    assert kinematics.mass(p) == pytest.approx(MASS_B, rel=1e-9)
    cosine = kinematics.BEAM_AXIS @ p[1:] / kinematics.momentum(p)
    # ⟨c²⟩ = 1/5 of sin²θ, and ⟨c⁴⟩ = 3/35.
    assert np.mean(cosine**2) == pytest.approx(0.2, abs=4 * math.sqrt((3 / 35 - 1 / 25) / EVENTS))
    assert np.mean(cosine) == pytest.approx(0.0, abs=4 * math.sqrt(0.2 / EVENTS))


def test_no_b_mesons_below_their_threshold(rng):
    with pytest.raises(InputError, match="below the threshold of two B mesons"):
        b_mesons.mesons(rng, 3, 10.5)


@pytest.mark.parametrize("mass", [0.2, 2.0, 4.7])
def test_products_of_a_b_meson_have_the_momentum_of_two_bodies(rng, mass):
    kaon, boson = b_mesons.to_kaon(rng, 2000, mass, SQRT_S)
    parent = kaon + boson
    assert kinematics.mass(parent) == pytest.approx(MASS_B, rel=1e-9)
    energy = kinematics.minkowski(kaon, parent) / MASS_B
    expected = (MASS_B**2 + MASS_KAON**2 - mass**2) / (2 * MASS_B)
    assert energy == pytest.approx(expected, rel=1e-9)
    m_bc, delta_e = b_mesons.beam_constrained(parent, SQRT_S)
    assert np.median(m_bc) == pytest.approx(MASS_B, abs=5e-4)
    assert np.std(delta_e) == pytest.approx(b_mesons.ENERGY_SPREAD / 2, rel=0.1)


def test_decay_lengths_are_exponential_and_along_the_flight(rng):
    p = kinematics.to_laboratory(b_mesons.mesons(rng, EVENTS, SQRT_S))
    proper, vertex = flight.vertices(p, MASS_B, 0.7, rng)
    assert np.mean(proper) == pytest.approx(0.7, rel=4 / math.sqrt(EVENTS))
    assert np.mean(proper > 1.4) == pytest.approx(math.exp(-2), abs=4 * math.sqrt(0.12 / EVENTS))
    distance = np.sqrt(np.sum(vertex**2, axis=0))
    assert distance == pytest.approx(kinematics.momentum(p) / MASS_B * proper, rel=1e-12)
    assert flight.displacement_angle(p, vertex) == pytest.approx(0.0, abs=1e-6)


def test_photons_enter_the_calorimeter_on_its_surface(rng):
    vertex = rng.uniform(-60, 60, (3, 500))
    direction = kinematics.isotropic(rng, 500)
    entry = flight.calorimeter_entry(vertex, direction)
    back, front = flight.CALORIMETER_ENDS
    radius = flight.radius(entry)
    on_barrel = np.isclose(radius, flight.CALORIMETER_RADIUS)
    on_end = np.isclose(entry[2], front) | np.isclose(entry[2], back)
    assert np.all(on_barrel | on_end)
    assert np.all(radius < flight.CALORIMETER_RADIUS + 1e-6)
    assert np.all((entry[2] > back - 1e-6) & (entry[2] < front + 1e-6))
    assert np.all(np.sum((entry - vertex) * direction, axis=0) > 0)
    across = np.cross((entry - vertex).T, direction.T)
    assert across == pytest.approx(0.0, abs=1e-9 * 300)
    outside = np.array([[0.0, 130.0], [0.0, 0.0], [200.0, 0.0]])
    assert np.all(np.isnan(flight.calorimeter_entry(outside, direction[:, :2])))


def test_prompt_photons_are_seen_as_they_are(rng):
    p = np.concatenate([np.full((1, 100), 2.0), 2.0 * kinematics.isotropic(rng, 100)])
    assert flight.seen_from_origin(p, np.zeros((3, 100))) == pytest.approx(p, rel=1e-12)


def true_candidates(rng, mass, events=4000):
    kaon, boson = b_mesons.to_kaon(rng, events, mass, SQRT_S)
    pair = kinematics.two_body(mass, 0.0, 0.0, kinematics.isotropic(rng, events))
    return np.stack([kaon, *(kinematics.boost_with(k, boson, mass) for k in pair)])


def test_the_fit_meets_its_constraints_and_improves_the_mass(rng):
    true = true_candidates(rng, 2.0)
    measured = np.stack(
        [detector.smear_tracks(true[0], MASS_KAON, rng), *(detector.smear_photons(k, rng) for k in true[1:])]
    )
    fitted = constrained.fit(measured, (MASS_KAON, 0.0, 0.0), SQRT_S / 2, MASS_B)
    total = kinematics.to_centre_of_mass(fitted.sum(axis=0))
    # Far below the resolution; a few candidates in the tails are still on their way after the last step.
    for off in (np.abs(total[0] - SQRT_S / 2), np.abs(kinematics.mass(total) - MASS_B)):
        assert np.quantile(off, 0.99) < 2e-4
        assert np.max(off) < 0.01
    before, after = (
        np.subtract(*np.quantile(kinematics.mass(p[1] + p[2]), [0.84, 0.16])) for p in (measured, fitted)
    )
    assert after < 0.7 * before


def test_the_fit_leaves_what_meets_the_constraints(rng):
    true = true_candidates(rng, 1.0, 50)
    total = kinematics.to_centre_of_mass(true.sum(axis=0))
    for i in range(50):
        one = true[:, :, i : i + 1]
        fitted = constrained.fit(one, (MASS_KAON, 0.0, 0.0), float(total[0, i]), MASS_B)
        assert fitted == pytest.approx(one, abs=1e-8)


def test_a_slow_particle_lowers_the_mass_of_its_photons():
    prompt, late = (
        generate_chunk("b_kaon_alp", 4000, (1,), sqrt_s=SQRT_S, parameters={"mass": 1.0, "ctau": ctau})[
            "m_gg"
        ]
        for ctau in (0.0, 1.0)
    )
    assert np.median(prompt) == pytest.approx(1.0, abs=0.003)
    # The opening angle seen from the origin shrinks by flight over distance to the crystals; a mean
    # flight of 2.5 cm in about 130 to 200 cm is 1 to 2%.
    assert 0.98 < np.median(late) < 0.993


def test_known_mesons_come_at_their_rates_and_masses():
    columns = generate_chunk("b_kaon_mesons", 60_000, (2,), sqrt_s=SQRT_S)
    expected = 1.11e6 * (1.275e-5 + 9.45e-7 + 1.624e-6 + 1.85e-7)
    assert expected_events("b_kaon_mesons", sqrt_s=SQRT_S, luminosity=1.0) == pytest.approx(
        expected, rel=2e-3
    )
    for name, meson in MESONS.items():
        near = columns["m_gg"][np.abs(columns["m_gg"] - meson.mass) < 0.1]
        assert np.median(near) == pytest.approx(meson.mass, abs=0.006), name
    share = np.mean(np.abs(columns["m_gg"] - MASS_ETA_C) < 0.1)
    assert share == pytest.approx(1.85e-7 / 1.55e-5, rel=0.25)


def test_b_ka_has_the_resolution_of_the_paper():
    search = definition.load("b_ka")
    assert search.signal.resolution([0.175, 2.0]) == pytest.approx([0.008, 0.014], rel=0.2)


def test_a_signal_by_branching_fraction_or_coupling():
    def events(**strength):
        parameters = {"mass": 2.0, **strength}
        return expected_events("b_kaon_alp", sqrt_s=SQRT_S, luminosity=424.0, parameters=parameters)

    assert events(branching_fraction=1e-6) == pytest.approx(424 * 1.11e6 * 1e-6)
    assert events(coupling=1e-5) == pytest.approx(424 * 1.11e6 * 2.1e-7, rel=0.03)
    with pytest.raises(InputError, match=r"either cross_section \[fb\] or branching_fraction or coupling"):
        events(coupling=1.0, branching_fraction=1.0)
    with pytest.raises(InputError, match="must not be negative"):
        generate_chunk("b_kaon_alp", 3, (1,), sqrt_s=SQRT_S, parameters={"mass": 1.0, "ctau": -1.0})
