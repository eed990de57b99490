"""Backgrounds of two muons that are made where a search keeps them, against all of phase space."""

import numpy as np
import pytest

from scanner import definition
from scanner.constants import SQRT_S
from scanner.simulation import (
    expected_events,
    generate_chunk,
    kinematics,
    radiative_events,
    recoil_lost,
    single_photon,
    two_photons,
)
from scanner.simulation.sampling import generator

POINTS = 1 << 18


def mean(weights):
    return np.mean(weights), np.std(weights) / np.sqrt(weights.size)


def recoil(pair):
    """Return the squared missing mass and the transverse momentum of pairs (2, 4, n)."""
    total = kinematics.turn_from_beam(pair.sum(axis=0))
    missing = np.array([[SQRT_S], [0.0], [0.0], [0.0]]) - total
    return kinematics.minkowski(missing, missing), np.hypot(total[1], total[2])


def polar(photon):
    return np.degrees(kinematics.polar_angle(kinematics.to_laboratory(photon)))


def everywhere(draw):
    """Return muons, electrons and weights of two virtual photons in all of phase space."""
    found = two_photons.points(draw, SQRT_S, two_photons.Electrons())
    return *two_photons.momenta(found, 4 * np.pi * draw[7], SQRT_S), found.weight


def test_muons_of_two_photons_have_the_total_of_the_collinear_generator():
    """18.7 nb above 0.5 GeV: transverse momenta move events, and make or lose none."""
    draw = np.random.default_rng(2).random((8, POINTS))
    pair, electrons, weight = everywhere(draw)
    value, error = mean(weight)
    assert error < 0.01 * value
    assert value == pytest.approx(18.7e6, abs=4 * error)
    total = pair.sum(axis=0) + electrons.sum(axis=0)
    np.testing.assert_allclose(total[1:3], 0.0, atol=1e-9)
    q2, share = kinematics.minkowski(pair.sum(axis=0), pair.sum(axis=0)), weight / weight.sum()
    assert np.sum(share[q2 > 1.0]) == pytest.approx(4.18 / 18.7, rel=0.03)


def test_electrons_that_are_made_are_those_of_all_phase_space_that_pass():
    """Sizes and shapes of the filtered generation, beside a cut on points of all of phase space."""
    rng, sums = np.random.default_rng(3), []
    for _ in range(4):
        pair, electrons, weight = everywhere(rng.random((8, POINTS)))
        turned = kinematics.turn_to_beam(pair)
        kept = recoil_lost.kept(turned, SQRT_S) & recoil_lost.unseen(kinematics.turn_to_beam(electrons))
        mass2, push = recoil(turned[:, :, kept])
        sums.append((weight * kept, weight[kept], mass2, push))
    value, error = mean(np.concatenate([each[0] for each in sums]))
    integral = recoil_lost.EEMuMuLost.reaction.integral(SQRT_S)
    assert integral.cross_section == pytest.approx(value, abs=4 * np.hypot(error, integral.error))
    weight, mass2, push = (np.concatenate([each[n] for each in sums]) for n in (1, 2, 3))
    drawn = recoil(recoil_lost.EEMuMuLost.reaction.draw(generator("t", (1,)), 1500, SQRT_S))
    for all_of_it, made in zip((mass2, push), drawn, strict=True):
        average = np.average(all_of_it, weights=weight)
        spread = np.sqrt(np.sum((weight * (all_of_it - average)) ** 2)) / weight.sum()
        assert np.mean(made) == pytest.approx(average, abs=4 * np.hypot(spread, np.std(made) / np.sqrt(1500)))


def test_angles_of_lost_electrons_hold_all_that_the_calorimeter_misses():
    """Massless electrons in all directions: none is lost at a larger angle, one at nearly as large a one."""
    flight = kinematics.isotropic(np.random.default_rng(6), POINTS)
    turned = np.concatenate([np.ones((1, POINTS)), flight])
    inside = kinematics.turn_to_beam(turned)
    for sign, widest in zip((1, -1), recoil_lost.LOST.widest, strict=True):
        along = np.where(sign * flight[2] > 0, 1.0, np.nan)
        lost = recoil_lost.unseen(np.stack([inside, inside]))
        angle = np.nanmax(np.where(lost, np.arccos(sign * flight[2]), np.nan) * along)
        assert 0.98 * widest < angle < widest


def test_photons_between_parts_of_the_calorimeter_are_those_of_the_generator_of_seen_ones():
    """The same matrix element with points by rapidity; behind the gap there is the muon detector."""
    low, high = 128.7, 130.7
    wide = radiative_events.Region(0.8, (120.0, 140.0), 0.0, (0.5, 0.5, 0.0, 0.0))
    rng = np.random.default_rng(4)
    momenta, weight = radiative_events.reaction("mu_mu", wide).trial(rng.random((7, POINTS)), SQRT_S)
    gap = (polar(momenta[2]) > low) & (polar(momenta[2]) < high)
    expected = mean(weight * (gap & recoil_lost.kept(momenta[:2], SQRT_S)))
    draw = rng.random((8, POINTS))
    photon = kinematics.turn_to_beam(recoil_lost.lost_photons(draw, SQRT_S)[0][2])
    _, weight = recoil_lost.lost_photon(draw, SQRT_S)
    ours = mean(weight * ((polar(photon) > low) & (polar(photon) < high)))
    assert ours[1] < 0.01 * ours[0]
    assert ours[0] == pytest.approx(
        single_photon.UNVETOED * expected[0], abs=4 * np.hypot(ours[1], single_photon.UNVETOED * expected[1])
    )


@pytest.mark.parametrize(
    ("process", "share"), [("mu_mu_photon_lost", (-1.0, 4.0)), ("e_e_mu_mu_lost", (16.0, 79.0))]
)
def test_two_percent_of_the_luminosity_fill_a_template_with_hundreds_of_rows(process, share):
    """Tenfold, by the cuts of `zp_inv`, and where they are expected along the squared recoil mass."""
    luminosity = 0.02 * definition.load("zp_inv").luminosity * 10
    produced = expected_events(process, sqrt_s=SQRT_S, luminosity=luminosity)
    events = 1500
    found = generate_chunk(process, events, (5,), sqrt_s=SQRT_S)
    kept = (found["n_muons"] > 1.5) & (found["p_t"] > 1)
    kept &= (found["theta_recoil"] > 0.56) & (found["theta_recoil"] < 2.25)
    assert kept.sum() / events * produced > 100
    low, high = np.quantile(found["m2_recoil"][kept], [0.01, 0.99])
    assert share[0] < low < high < share[1]
