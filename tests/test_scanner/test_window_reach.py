"""Windows at the border of two regions use the spectrum beyond it."""

import numpy as np
import pytest

from scanner import definition, engine
from scanner.errors import InputError
from scanner.windows import grid as windows

COMMON = {
    "resolution": lambda m: 0.02 + 0.0 * m,
    "peak": lambda m: m**2,
    "half_width": lambda m: 10.0 + 0.0 * m,
    "bins": 100,
}


def centres(grid):
    """Return the mass in the middle of every window."""
    indices = grid.edge_indices()
    return 0.5 * (grid.edges_mass[indices[:, 0]] + grid.edges_mass[indices[:, -1]])


def test_the_masses_are_the_same_and_every_window_is_centred():
    narrow = windows.build("all", 2.0, 4.0, **COMMON)
    wide = windows.build("all", 2.0, 4.0, **COMMON, reach=(1.7, 4.3))
    np.testing.assert_allclose(wide.mass, narrow.mass, rtol=1e-12)
    assert np.abs(centres(narrow) - narrow.mass).max() > 0.15
    assert np.abs(centres(wide) - wide.mass).max() < 0.005
    assert wide.edges_mass[0] >= 1.7
    assert wide.edges_mass[-1] <= 4.3
    assert {2.0, 4.0} <= set(wide.edges_mass)


def test_a_reach_on_one_side_moves_only_that_side():
    wide = windows.build("all", 2.0, 4.0, **COMMON, reach=(2.0, 4.3))
    assert wide.edges_mass[0] == 2.0
    assert np.abs(centres(wide) - wide.mass)[wide.mass > 2.3].max() < 0.005
    assert centres(wide)[0] > 2.15


def test_a_reach_of_the_region_itself_changes_nothing():
    plain = windows.build("all", 2.0, 4.0, **COMMON)
    stated = windows.build("all", 2.0, 4.0, **COMMON, reach=(2.0, 4.0))
    for name in ("mass", "edges_mass", "edges", "first", "stride"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(stated, name))


def test_the_definition_states_it_and_keeps_it():
    search = definition.load("alp_gg")
    assert [region.reach for region in search.regions] == [(0.2, 8.2), (5.5, 9.7)]
    assert definition.from_json(search.canonical).regions == search.regions
    grids = engine.grids(search)
    assert grids["diphoton"].mass[-1] == grids["recoil"].mass[0] == 6.85
    assert grids["diphoton"].edges_mass[-1] > 8.0
    assert grids["recoil"].edges_mass[0] < 5.7


@pytest.mark.parametrize("reach", ["[1 GeV, 3 GeV]", "[0.3 GeV, 9 GeV]"])
def test_a_reach_that_leaves_masses_out_is_refused(reach):
    with pytest.raises(InputError, match=r"reach: the reach must contain the masses, 0.2 to 6.85 GeV"):
        definition.parse(f"extends: alp_gg\nregions: {{diphoton: {{reach: {reach}}}}}\n", where="x.yaml")
