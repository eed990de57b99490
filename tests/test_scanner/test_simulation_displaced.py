"""Displaced pairs: lifetimes, kinematics and the tables of their definitions, against closed forms."""

import math

import numpy as np
import pytest

from scanner import definition
from scanner.constants import MASS_B, MASS_KAON, MASS_MUON, MASS_TAU, SQRT_S
from scanner.decays import effective_events, flight_probability, lifetime_weights
from scanner.engine import EVERYWHERE
from scanner.errors import InputError
from scanner.models import MODELS
from scanner.reading.channel import ChannelPlan
from scanner.reading.lived import LivedSelection
from scanner.simulation import (
    displaced,
    expected_events,
    flight,
    generate_chunk,
    inelastic,
    kinematics,
    phase_space,
    tau_pairs,
)
from scanner.windows.lived import Lived, flights

EVENTS = 20_000


@pytest.fixture
def rng():
    return np.random.default_rng(10)


def chunk(name, key=1, events=EVENTS, **parameters):
    return generate_chunk(name, events, (key,), sqrt_s=SQRT_S, parameters=parameters)


@pytest.mark.parametrize("star", [False, True])
def test_scalars_decay_between_radii_as_the_closed_form_says(rng, star):
    mass, ctau = 1.0, 2.0
    _, boson, _ = displaced.prompt_hadrons(rng, EVENTS, mass, star, SQRT_S)
    assert kinematics.mass(boson) == pytest.approx(mass, rel=1e-7)
    _, vertex = flight.vertices(boson, mass, ctau, rng)
    boost = kinematics.momentum(boson) / mass
    sine = np.sin(kinematics.polar_angle(boson))
    for inner, outer in ((0.05, 1.0), (1.0, 5.0), (5.0, 60.0)):
        expected = np.mean(flight_probability(inner, outer, boost, ctau, sine))
        found = np.mean((flight.radius(vertex) > inner) & (flight.radius(vertex) < outer))
        assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / EVENTS))


@pytest.mark.parametrize(
    ("name", "parameters", "proper"),
    [
        ("b_kaon_scalar", {"mass": 1.0, "mode": 1.0}, "l_proper"),
        ("tau_heavy_neutrino", {"mass": 1.0}, "l_proper"),
    ],
)
def test_weights_turn_one_lifetime_into_another(name, parameters, proper):
    """Efficiencies and distances of reweighted events are those of events generated with that lifetime."""
    long, short = 20.0, 8.0
    first = chunk(name, 1, ctau=long, **parameters, branching_fraction=1.0)
    direct = chunk(name, 2, ctau=short, **parameters, branching_fraction=1.0)
    weights = lifetime_weights(first[proper], long, short)
    assert np.all(first["ctau"] == np.float32(long))
    assert effective_events(weights) < len(weights)
    for radius in (0.05, 1.0, 5.0, 15.0):
        seen, again = first["r_vertex"] > radius, direct["r_vertex"] > radius
        found, expected = np.sum(weights[seen]), np.count_nonzero(again)
        error = math.sqrt(np.sum(weights[seen] ** 2) + expected)
        assert abs(found - expected) < 4 * error
        assert error < 0.12 * expected


def test_the_mass_resolution_is_that_of_the_paper():
    """Twice the steps of the published limits in the mass of two muons (arXiv:2306.02830)."""
    published = {1.0: 3.2e-3, 2.0: 4.2e-3, 3.0: 6.4e-3, 4.0: 8.8e-3}
    resolution = definition.load("b_ks_llp").signal.resolution
    for mass, expected in published.items():
        assert float(resolution(mass)) == pytest.approx(expected, rel=0.2)
    columns = chunk("b_kaon_scalar", mass=2.0, mode=1.0, ctau=0.1)
    low, high = np.quantile(columns["m_pair"], [0.16, 0.84])
    assert (high - low) / 2 == pytest.approx(float(resolution(2.0)), rel=0.05)


def test_columns_of_a_scalar_agree_with_each_other():
    columns = chunk("b_kaon_scalar", events=4000, mass=1.0, mode=2.0, ctau=0.5)
    assert columns["m_pair"] == pytest.approx(columns["m_pipi"], rel=1e-5)
    reduced = np.sqrt(columns["m_pair"].astype(np.float64) ** 2 - 4 * 0.13957039**2)
    assert columns["m_reduced"] == pytest.approx(reduced, rel=1e-5)
    assert np.median(columns["m_bc"]) == pytest.approx(MASS_B, abs=1e-3)
    assert abs(np.median(columns["delta_e"])) < 5e-3


def test_eight_final_states():
    numbers = {
        mode: len(chunk("b_kaon_scalar", events=4000, mass=1.5, mode=mode)["event"]) for mode in range(8)
    }
    assert all(numbers[mode] > numbers[mode + 4] > 600 for mode in range(4))
    with pytest.raises(InputError, match=r"is not between 0\.987354 and"):
        chunk("b_kaon_scalar", events=3, mass=0.9, mode=3.0)
    with pytest.raises(InputError, match=r"mode = 1\.5 is not a whole number"):
        chunk("b_kaon_scalar", events=3, mass=0.9, mode=1.5)


RANGE = {"ctau_least": 1e-3, "ctau": 400.0}


def test_one_sample_serves_all_lifetimes_between_radii(rng):
    """Of lifetimes even in the logarithm, the weighted share between two radii is that of the closed form."""
    mass, events = 1.0, 60_000
    _, boson, _ = displaced.prompt_hadrons(rng, events, mass, False, SQRT_S)
    means = flight.lifetimes(rng, events, RANGE["ctau_least"], RANGE["ctau"])
    proper, vertex = flight.vertices(boson, mass, means, rng)
    boost, sine = kinematics.momentum(boson) / mass, np.sin(kinematics.polar_angle(boson))
    for ctau in (0.03, 1.0, 100.0):
        weights = lifetime_weights(proper, RANGE["ctau"], ctau, RANGE["ctau_least"])
        for inner, outer in ((0.05, 1.0), (1.0, 60.0)):
            seen = (flight.radius(vertex) > inner) & (flight.radius(vertex) < outer)
            expected = np.mean(flight_probability(inner, outer, boost, ctau, sine))
            error = math.sqrt(np.sum(weights[seen] ** 2)) / events
            assert np.sum(weights[seen]) / events == pytest.approx(expected, abs=4 * error + 1e-6)
            assert error < 0.05 * expected + 1e-4


@pytest.mark.parametrize(("channel", "mode", "mass"), [("kplus_mumu", 1, 1.0), ("kstar_kk", 7, 2.0)])
def test_efficiencies_of_b_ks_llp_are_those_of_signals_with_that_lifetime(channel, mode, mass):
    search = definition.load("b_ks_llp")
    plan = ChannelPlan(search.channels[channel].select, "m_reduced", EVERYWHERE, tuple(search.columns))
    lifetimes = np.array([0.05, 0.5, 20.0])
    means = {"scalar": lifetimes, "b": np.ones(3)}
    columns = chunk("b_kaon_scalar", 5, mass=mass, mode=mode, b_lives=4.0, **RANGE)
    (sums,) = LivedSelection(plan, flights(search)).sums(
        columns, {0: [means[name] for name in search.decays]}
    )
    told = Lived(mass, EVENTS, sums)
    assert np.all(told.error < 0.06 * told.efficiency)
    for number, ctau in enumerate(lifetimes):
        direct = chunk("b_kaon_scalar", 6, mass=mass, mode=mode, ctau=ctau)
        kept = (direct["m_bc"] > 5.27) & (np.abs(direct["delta_e"]) < 0.05) & (direct["r_vertex"] > 0.05)
        found = np.count_nonzero(kept) / EVENTS
        error = math.hypot(told.error[number], math.sqrt(found * (1 - found) / EVENTS))
        assert told.efficiency[number] == pytest.approx(found, abs=4 * error)


def test_b_mesons_fly_as_far_as_their_lifetime_says(rng):
    """cτ of the Particle Data Group, 491 and 455 µm; r is exponential around (p_t/m) cτ of each B."""
    assert pytest.approx([0.0491, 0.0455], rel=2e-3) == [displaced.CTAU_B, displaced.CTAU_B0]
    ours = chunk("b_kaon_scalar", mass=2.0, mode=1, ctau=1e-9)["b_life"]
    assert np.mean(ours) == pytest.approx(1.0, abs=4 / math.sqrt(len(ours)))
    *_, one_life = displaced.prompt_hadrons(rng, EVENTS, 2.0, False, SQRT_S)
    mean = flight.radius(one_life)
    assert mean.max() < 0.14 * displaced.CTAU_B  # p/m of 0.06 to 0.09, beside 0.0415 of the Υ(4S)
    least = 0.02
    expected = np.mean(np.exp(-least / mean))
    found = np.mean(flight.radius(one_life * rng.exponential(size=EVENTS)) > least)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / EVENTS))


def test_b_mesons_of_more_lives_tell_the_vertices_of_short_lived_scalars():
    far = {"mass": 2.0, "mode": 1, "ctau": 1e-9}
    natural, stretched = (
        chunk("b_kaon_scalar", 7, 200_000, **far),
        chunk("b_kaon_scalar", 8, b_lives=4.0, **far),
    )
    weights = lifetime_weights(stretched["b_life"], stretched["b_lives"], 1.0, 1.0)
    expected = np.count_nonzero(natural["r_vertex"] > 0.03) / 200_000
    seen = weights[stretched["r_vertex"] > 0.03]
    assert 1e-4 < expected < 1e-2
    error = math.hypot(math.sqrt(np.sum(seen**2)) / EVENTS, math.sqrt(expected / 200_000))
    assert np.sum(seen) / EVENTS == pytest.approx(expected, abs=4 * error)


def test_ranges_of_lifetimes_are_checked():
    with pytest.raises(InputError, match=r"b_lives = 0\.5 is not 1 or more"):
        chunk("b_kaon_scalar", events=3, mass=1.0, b_lives=0.5)
    with pytest.raises(InputError, match=r"ctau_least = 2\.0 cm is not between 0 and ctau = 1\.0 cm"):
        chunk("b_kaon_scalar", events=3, mass=1.0, ctau_least=2.0)
    columns = chunk("b_kaon_scalar", events=2000, mass=1.0, ctau=3.0)
    assert np.all(columns["ctau_least"] == columns["ctau"])


def test_three_bodies_share_the_mass_as_phase_space_says(rng):
    total, masses = 1.0, (MASS_MUON, MASS_MUON, 0.0)
    found = phase_space.pair_masses(rng, np.full(EVENTS, total), masses)
    m = np.linspace(2 * MASS_MUON, total, 100_001)[1:-1]
    density = (total**2 - m**2) / (2 * total) * np.sqrt(m**2 / 4 - MASS_MUON**2)
    mean = np.sum(density * m) / np.sum(density)
    spread = math.sqrt(np.sum(density * m**2) / np.sum(density) - mean**2)
    assert np.mean(found) == pytest.approx(mean, abs=4 * spread / math.sqrt(EVENTS))


def test_rates_of_heavy_neutrinos():
    model = MODELS["heavy_neutral_lepton"]
    fraction = float(model.production(1.0, SQRT_S) * model.branching_fraction(1.0, "nu_mu_mu"))
    parameters = {"mass": 1.0, "coupling": 1e-3}
    events = expected_events("tau_heavy_neutrino", sqrt_s=SQRT_S, luminosity=915.0, parameters=parameters)
    assert events == pytest.approx(2 * 915 * tau_pairs.CROSS_SECTION * 1e-3 * fraction)
    assert pytest.approx(836e6, rel=0.01) == tau_pairs.CROSS_SECTION * 915


def test_dark_higgsstrahlung_has_the_angles_of_its_amplitude(rng):
    m_a, m_h = 3.0, 1.0
    aprime, hprime = inelastic.higgsstrahlung(rng, EVENTS, m_a, m_h, SQRT_S)
    assert kinematics.mass(aprime + hprime) == pytest.approx(SQRT_S, rel=1e-9)
    a, h = (m_a / SQRT_S) ** 2, (m_h / SQRT_S) ** 2
    kallen = 1 + a * a + h * h - 2 * (a + h + a * h)
    expected = (kallen * (2 / 3 - 2 / 5) + 8 * a * 2 / 3) / (kallen * 4 / 3 + 16 * a)
    cosine = kinematics.BEAM_AXIS @ aprime[1:] / kinematics.momentum(aprime)
    assert np.mean(cosine**2) == pytest.approx(expected, abs=4 * 0.3 / math.sqrt(EVENTS))


def test_electrons_leave_the_lighter_state_behind(rng):
    aprime, _ = inelastic.higgsstrahlung(rng, 3000, 3.0, 1.0, SQRT_S)
    chi2, electrons = inelastic.dark_electrons(rng, aprime, (3.0, 1.0, 1.4))
    assert kinematics.mass(chi2) == pytest.approx(1.4, rel=1e-6)
    assert kinematics.mass(chi2 - electrons.sum(axis=0)) == pytest.approx(1.0, rel=1e-6)
    assert kinematics.mass(aprime - chi2) == pytest.approx(1.0, rel=1e-6)
    assert np.max(kinematics.mass(electrons.sum(axis=0))) < 0.4


def test_one_pair_points_back_and_the_other_does_not():
    columns = chunk("inelastic_dark_higgs", mass=1.0, mode=1.0, cross_section=1.0)
    assert len(columns["event"]) > 500
    assert np.median(columns["m_pair_1"]) == pytest.approx(1.0, abs=1e-3)
    far = (columns["r_vertex_1"] > 1.0) & (columns["r_vertex_2"] > 1.0)
    assert np.quantile(columns["pointing_angle_1"][far], 0.95) < 0.05
    assert np.median(columns["pointing_angle_2"][far]) > 0.1
    with pytest.raises(InputError, match="is closed"):
        chunk("inelastic_dark_higgs", events=3, mass=1.0, ratio=2.1, cross_section=1.0)


def test_thirty_two_configurations():
    search = definition.load("idm_dark_higgs")
    assert len(search.configurations) == 32
    known = set(MODELS["idm_dark_higgs"].__dataclass_fields__)
    for chosen in search.configurations:
        assert set(chosen.parameters) <= known
    mass = np.linspace(0.28, 3.0, 400)  # tables of the model have pions from 0.27 GeV on
    for name, state in (("mumu", "mu_mu"), ("pipi", "pi_pi"), ("kk", "K_K")):
        exact = MODELS["dark_scalar"].branching_fraction(mass, state)
        np.testing.assert_allclose(
            search.channels[name].branching_fraction(mass), exact, rtol=0.05, atol=0.02
        )
    assert expected_events("displaced_four_tracks", sqrt_s=SQRT_S, luminosity=365.0) == pytest.approx(9.0)


CORNERS = [  # a light h′ beside light χ, and an h′ and an A′ almost at rest
    ("mumu", {"mass": 0.35, "m_chi1": 0.5, "ratio": 4.0, "splitting": 0.4}, {"hprime": 0.1, "chi2": 0.1}),
    ("kk", {"mass": 2.05, "m_chi1": 2.0, "ratio": 4.0, "splitting": 0.4}, {"hprime": 1.0, "chi2": 10.0}),
]


@pytest.mark.parametrize(("channel", "point", "lifetimes"), CORNERS)
def test_efficiencies_of_idm_are_those_of_signals_with_these_lifetimes(channel, point, lifetimes):
    search = definition.load("idm_dark_higgs")
    single = search.channels[channel]
    plan = ChannelPlan(single.select, "m_pair_1", EVERYWHERE, tuple(search.columns))
    selection, events = LivedSelection(plan, flights(search)), 60_000
    wanted = {0: [np.array([lifetimes[name]]) for name in search.decays]}
    forced, direct = (
        Lived(
            point["mass"],
            events,
            selection.sums(
                chunk("inelastic_dark_higgs", seed, events=events, **point, **single.simulated, **how), wanted
            )[0],
        )
        for seed, how in (
            (5, {"radius_least": 0.1, "radius": 80.0}),
            (6, {"ctau_1": lifetimes["hprime"], "ctau_2": lifetimes["chi2"]}),
        )
    )
    error = math.hypot(forced.error[0], direct.error[0])
    assert forced.efficiency[0] == pytest.approx(direct.efficiency[0], abs=4 * error)
    assert error < 0.12 * direct.efficiency[0]
    assert direct.effective[0] == pytest.approx(events * direct.efficiency[0])  # each row for itself


def test_places_of_decays_are_checked():
    with pytest.raises(InputError, match=r"radius_least = 2\.0 cm is not between 0 and radius = 1\.0 cm"):
        chunk("inelastic_dark_higgs", events=99, mass=1.0, radius_least=2.0, radius=1.0)
    low, high = inelastic.InelasticDarkHiggs().mass_range({"mode": 2.0, "m_chi1": 2.0, "ratio": 4.0}, SQRT_S)
    assert (low, high) == pytest.approx((2 * MASS_KAON, SQRT_S - 8.0))


def test_kaons_of_slow_scalars_are_left_out():
    end = MASS_B - MASS_KAON
    with pytest.raises(InputError, match=f"and {end:.6g} GeV"):
        chunk("b_kaon_scalar", events=3, mass=5.0)
    with pytest.raises(InputError, match=f"and {MASS_TAU - 0.13957039:.6g} GeV"):
        chunk("tau_heavy_neutrino", events=3, mass=1.7)
