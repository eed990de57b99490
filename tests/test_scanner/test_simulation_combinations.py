"""Combinations of K⁺γγ: the estimates from true particles, and what is drawn from their table."""

import numpy as np
import pytest

from scanner.constants import MASS_B, MASS_KAON, MASS_PION0, SQRT_S
from scanner.simulation import b_mesons, calibrate_combinations, generate_chunk, get, kinematics
from scanner.simulation.b_to_kaon_photons import BC_RANGE, COMBINATIONS, DE_RANGE, argus
from scanner.simulation.sampling import InverseCDF

EVENTS = 40_000


@pytest.fixture(scope="module")
def drawn():
    return generate_chunk("kaon_photon_combinations", EVENTS, (3,), sqrt_s=SQRT_S)


def test_the_table_says_where_it_is_from():
    assert COMBINATIONS["source"] == "computed with PYTHIA 8.317"
    assert get("kaon_photon_combinations").size == COMBINATIONS["cross_section"]["value"]
    nodes, density = COMBINATIONS["mass"]["values"], COMBINATIONS["density"]
    assert np.trapezoid(density, nodes) == pytest.approx(1.0, abs=1e-3)
    assert nodes[-1] == pytest.approx(MASS_B - MASS_KAON)


def test_masses_are_those_of_the_table(drawn):
    nodes, density = np.array(COMBINATIONS["mass"]["values"]), np.array(COMBINATIONS["density"])
    share, edges = COMBINATIONS["pi0_share"], nodes[4:]
    parts = np.diff(np.concatenate([[0], np.cumsum(np.diff(nodes) * (density[1:] + density[:-1]) / 2)]))
    expected = EVENTS * (1 - share) * parts[4:]
    found = np.histogram(drawn["m_gg"], edges)[0]
    assert np.abs((found - expected) / np.sqrt(expected)).max() < 4.5
    width = 3 * COMBINATIONS["pi0_resolution"]["value"]
    near = np.count_nonzero(np.abs(drawn["m_gg"] - MASS_PION0) < width)
    assert near > 0.99 * share * EVENTS


def test_energies_and_beam_constrained_masses_are_those_of_the_table(drawn):
    mean = COMBINATIONS["delta_e_slope"] * DE_RANGE / 3
    assert np.mean(drawn["delta_e"]) == pytest.approx(mean, abs=4 * DE_RANGE / np.sqrt(3 * EVENTS))
    assert calibrate_combinations.curvature(drawn["m_bc"].astype(float)) == pytest.approx(
        COMBINATIONS["argus_curvature"], abs=6
    )
    assert np.all((drawn["m_bc"] >= BC_RANGE[0]) & (drawn["m_bc"] <= BC_RANGE[1]))


def test_a_density_at_nodes_is_the_one_that_was_drawn_from():
    nodes, density = np.array([0.0, 0.1, 0.3, 0.7, 1.0]), np.array([0.2, 1.6, 1.4, 0.8, 0.6])
    sample = InverseCDF.through(nodes, density).sample(np.random.default_rng(1), 200_000)
    # Hats take the mean of the slopes beside a node: on a line they give the line.
    line = InverseCDF.of(lambda x: 1 + x, 0.0, 1.0, 2).sample(np.random.default_rng(2), 200_000)
    estimate = calibrate_combinations.polygon(line, np.linspace(0, 1, 6))
    assert estimate[1:-1] == pytest.approx((1 + np.linspace(0, 1, 6)[1:-1]) / 1.5, rel=0.02)
    widths = np.diff(nodes, prepend=0, append=1)
    total = np.sum(calibrate_combinations.polygon(sample, nodes) * (widths[1:] + widths[:-1]) / 2)
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("exponent", [0.0, 60.0])
def test_the_curvature_of_an_argus_shape_is_found(exponent):
    shape = InverseCDF.of(lambda m: argus(m, exponent), *BC_RANGE, 2001)
    sample = shape.sample(np.random.default_rng(3), 50_000)
    assert calibrate_combinations.curvature(sample) == pytest.approx(exponent, abs=6)


def test_true_decays_are_no_combinations():
    """B⁺ → K⁺π⁰ is another process: it goes through the detector, and is not counted twice."""
    rng = np.random.default_rng(4)
    parent = kinematics.turn_from_beam(b_mesons.mesons(rng, 50, SQRT_S))
    parent[0] = SQRT_S / 2
    parent[1:] *= np.sqrt(SQRT_S**2 / 4 - MASS_B**2) / kinematics.momentum(parent)
    decay = kinematics.two_body(MASS_B, MASS_KAON, MASS_PION0, kinematics.isotropic(rng, 50))
    kaon, pion = (kinematics.boost_with(k, parent, MASS_B) for k in decay)
    photons = kinematics.two_body(MASS_PION0, 0.0, 0.0, kinematics.isotropic(rng, 50))
    whole = np.stack([kaon, *(kinematics.boost_with(k, pion, MASS_PION0) for k in photons)])
    assert calibrate_combinations._whole_decays(whole).all()
    whole[2] *= 1.02
    assert not calibrate_combinations._whole_decays(whole)[whole[2][0] > 0.3].any()
