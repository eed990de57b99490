"""Three dark photons in six tracks: kinematics, pairing, and what the definitions hold of them."""

from itertools import permutations

import numpy as np
import pytest

from scanner import definition
from scanner.errors import InputError
from scanner.models import get as model
from scanner.schema.interpolation import interpolate
from scanner.simulation import calibrate_tables, expected_events, generate_chunk, kinematics
from scanner.simulation.calibrate_windows import measure
from scanner.simulation.three_pairs import DarkHiggsSix, DarkoniumSix, decay, join, pair_shares
from scanner.windows.channels import rate

SQRT_S = 10.58
BEAMS = np.array([SQRT_S, 0.0, 0.0, 0.0])


def test_dark_photons_come_from_the_production_and_from_the_dark_higgs():
    photons = DarkHiggsSix().photons(np.random.default_rng(1), 5000, SQRT_S, (0.5, 3.0))
    for photon in photons:
        assert kinematics.mass(photon) == pytest.approx(np.full(5000, 0.5), rel=1e-6)
    assert kinematics.mass(photons[1] + photons[2]) == pytest.approx(np.full(5000, 3.0))
    assert photons.sum(axis=0) == pytest.approx(np.broadcast_to(BEAMS[:, None], (4, 5000)), abs=1e-9)


def test_a_bound_state_leaves_a_photon():
    photons = DarkoniumSix().photons(np.random.default_rng(1), 5000, SQRT_S, (0.5, 5.0))
    total = photons.sum(axis=0)
    assert kinematics.mass(total) == pytest.approx(np.full(5000, 5.0))
    photon = BEAMS[:, None] - total
    assert kinematics.minkowski(photon, photon) == pytest.approx(np.zeros(5000), abs=1e-9)
    for light in photons:
        assert kinematics.mass(light) == pytest.approx(np.full(5000, 0.5), rel=1e-6)


def test_pairs_are_joined_as_an_exhaustive_search_does():
    rng = np.random.default_rng(2)
    p = rng.normal(0.0, 1.0, (6, 3, 40))
    tracks = np.concatenate([np.sqrt(0.1 + np.sum(p**2, axis=1))[:, None], p], axis=1)
    pairs, masses = join(tracks)
    for n in range(40):
        found = []
        for order in permutations((1, 3, 5)):
            two = [tracks[i, :, n] + tracks[j, :, n] for i, j in zip((0, 2, 4), order, strict=True)]
            found.append([np.sqrt(v[0] ** 2 - np.sum(v[1:] ** 2)) for v in two])
        best = min(found, key=lambda m: max(m) - min(m))
        assert masses[:, n] == pytest.approx(best)
    assert kinematics.mass(pairs[1]) == pytest.approx(masses[1])


def test_decays_follow_the_branching_fractions_of_the_model():
    parents = np.tile(np.array([[2.0], [0.0], [0.0], [np.sqrt(3.0)]]), 40_000)
    tracks, masses = decay(np.random.default_rng(3), parents, 1.0)
    shares = [np.mean(masses == mass) for mass in (0.51099895e-3, 0.1056583755, 0.13957039, 0.0)]
    expected = [*pair_shares(1.0), 1.0 - pair_shares(1.0).sum()]
    assert shares == pytest.approx(expected, abs=5 * 0.5 / np.sqrt(40_000))
    assert pair_shares(1.0)[0] == pytest.approx(model("dark_photon").branching_fraction(1.0, "e_e"))
    seen = masses > 0.0
    assert kinematics.mass(tracks[0, :, seen].T + tracks[1, :, seen].T) == pytest.approx(np.ones(seen.sum()))


def test_the_coupling_gives_the_cross_section_of_the_model():
    given = {"mass": 0.5, "m_hprime": 3.0, "coupling": 1e-9}
    sigma = expected_events("dark_higgs_six", sqrt_s=SQRT_S, luminosity=1.0, parameters=given)
    production = type(model("dark_higgsstrahlung"))(m_hprime=3.0).production(0.5, SQRT_S)
    assert sigma == pytest.approx(1e-9 * production)
    with pytest.raises(InputError, match="not possible"):
        generate_chunk("dark_higgs_six", 10, (1,), sqrt_s=SQRT_S, parameters=given | {"m_hprime": 0.9})


PLANES = {
    "dark_higgsstrahlung_6": (
        "dark_higgs_six",
        "m_hprime",
        [
            (0.11, 0.25), (0.11, 9.9), (0.16, 5.0), (0.2, 1.2), (0.215, 3.0), (0.25, 0.7), (0.25, 7.3),
            (0.45, 7.8), (0.5, 3.0), (0.58, 1.17), (1.02, 3.5), (1.133, 3.518), (1.4, 3.0), (2.0, 6.0),
            (2.0, 8.1), (2.7, 7.2), (3.3702, 6.8668),
        ],
    ),
    "darkonium": (
        "darkonium_six",
        "m_upsilon",
        [
            (0.02, 0.1), (0.05, 9.0), (0.081, 2.5), (0.16, 0.52), (0.209, 5.3), (0.209, 0.71), (0.24, 2.0),
            (0.3, 4.0), (0.6, 2.0), (0.9, 7.0), (1.02, 6.5), (1.22, 3.9), (2.0, 8.0), (3.0, 9.3),
        ],
    ),
    "dark_higgsstrahlung": (
        "dark_higgs_dimuon",
        "m_hprime",
        [
            (1.7, 0.0), (1.9, 1.8), (2.3, 0.6), (2.9, 2.7), (3.7, 0.2), (4.4, 1.1), (4.9, 4.9), (5.6, 4.4),
            (6.1, 0.05), (6.6, 2.5), (7.5, 2.8), (8.03, 2.46), (9.3, 1.17), (10.4, 0.05),
        ],
    ),
}  # fmt: skip
"""Signal, second axis and points all over the plane of searches that count in it."""
ROUNDED = 0.015
"""Relative error of the tables: of the signals that they are fitted to, and of what is between the nodes."""


@pytest.mark.parametrize("name", PLANES)
def test_the_definitions_hold_what_the_generator_gives(name):
    search = definition.load(name)
    process, second, points = PLANES[name]
    for number, (mass, other) in enumerate(points):
        point = {"m_aprime": mass, second: other}
        stated = float(rate(search, np.array([mass]), point)[0])
        found = measure(search, process, point, int(5_000 / stated), 77 + number)
        error = np.hypot(found.efficiency_error, ROUNDED * stated)
        assert found.efficiency == pytest.approx(stated, abs=3.5 * error), point


def test_resolutions_follow_pairs_across_the_threshold_of_muons():
    for name, other in (("dark_higgsstrahlung_6", 3.0), ("darkonium", 5.0)):
        search, (process, second, _) = definition.load(name), PLANES[name]
        for mass in (0.15, 0.21, 0.25, 0.35, 0.5):
            found = measure(search, process, {"m_aprime": mass, second: other}, 10_000, 5)
            stated = float(search.signal.resolution(mass))
            assert found.resolutions[0] == pytest.approx(stated, rel=0.08), (name, mass)


def test_a_table_meets_signals_where_some_nodes_are_outside_of_the_plane():
    """A plane of a triangle, with efficiencies that a bilinear table holds exactly: every point is met."""
    rng = np.random.default_rng(8)
    grids = [np.linspace(0.0, 1.0, 4), np.linspace(0.0, 1.0, 6)]
    places = rng.random((600, 2))
    places = places[places[:, 1] > places[:, 0]]
    truth = 0.3 + 0.2 * places[:, 0] + 0.4 * places[:, 1] - 0.3 * places[:, 0] * places[:, 1]
    error = np.full(len(places), 1e-3)
    design = calibrate_tables.weights(grids, places)
    values = calibrate_tables.solved(design, truth + rng.normal(0.0, error), error, (4, 6))
    stated = interpolate("linear", tuple(grids), values, (places[:, 0], places[:, 1]))
    assert stated == pytest.approx(truth, abs=2e-3)
    assert design @ values.ravel() == pytest.approx(stated, rel=1e-12)
