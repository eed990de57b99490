"""Three dark photons in six tracks: kinematics, pairing, and what the definitions hold of them."""

from itertools import permutations

import numpy as np
import pytest

from scanner import definition
from scanner.errors import InputError
from scanner.models import get as model
from scanner.simulation import expected_events, generate_chunk, kinematics
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


@pytest.mark.parametrize(
    ("name", "process", "point"),
    [
        ("dark_higgsstrahlung_6", "dark_higgs_six", {"m_aprime": 0.5, "m_hprime": 3.0}),
        ("dark_higgsstrahlung_6", "dark_higgs_six", {"m_aprime": 2.0, "m_hprime": 6.0}),
        ("dark_higgsstrahlung_6", "dark_higgs_six", {"m_aprime": 1.02, "m_hprime": 3.5}),
        ("dark_higgsstrahlung_6", "dark_higgs_six", {"m_aprime": 1.133, "m_hprime": 3.518}),
        ("dark_higgsstrahlung_6", "dark_higgs_six", {"m_aprime": 1.4, "m_hprime": 3.5}),
        ("darkonium", "darkonium_six", {"m_aprime": 0.3, "m_upsilon": 4.0}),
        ("darkonium", "darkonium_six", {"m_aprime": 2.0, "m_upsilon": 8.0}),
        ("darkonium", "darkonium_six", {"m_aprime": 0.081, "m_upsilon": 2.5}),
        ("darkonium", "darkonium_six", {"m_aprime": 1.02, "m_upsilon": 6.5}),
    ],
)
def test_the_definitions_hold_what_the_generator_gives(name, process, point):
    search = definition.load(name)
    found = measure(search, process, point, 20_000, 77)
    stated = float(rate(search, np.array([point["m_aprime"]]), point)[0])
    assert found.efficiency == pytest.approx(stated, abs=7 * found.efficiency_error)
    assert found.resolutions[0] == pytest.approx(float(search.signal.resolution(point["m_aprime"])), rel=0.25)
