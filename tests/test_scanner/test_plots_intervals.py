"""Excluded intervals of a coupling over the mass: filled between their ends, with open ends marked."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection
from matplotlib.path import Path

from scanner import plots
from scanner.errors import InputError
from scanner.plots import intervals

MASS = np.linspace(1.0, 2.0, 11)
NAN = np.nan


def island_cube(low, high, *, cut=None, interpretation=""):
    """Return a cube with intervals (M, N) of one interpretation, and with a limit at some lifetime."""
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    dims = ("m_s", "interval")
    about = {"units": "1", "symbol": "sin θ", "model": "a scalar"}
    variables = {
        f"coupling_low{interpretation}": (dims, low, about),
        f"coupling_high{interpretation}": (dims, high, about),
        f"coupling_low_open{interpretation}": (dims, np.zeros(low.shape, dtype=np.int8)),
        f"coupling_high_open{interpretation}": (
            dims,
            np.zeros(low.shape, dtype=np.int8) if cut is None else np.asarray(cut, dtype=np.int8),
        ),
        "coupling_limit": ("m_s", np.full(len(low), 0.5), about),
        "cross_section_limit": ("m_s", np.full(len(low), 2.0), {"units": "fb"}),
    }
    coordinates = {"m_s": ("m_s", MASS[: len(low)], {"units": "GeV"}), "region": ("m_s", ["all"] * len(low))}
    return xr.Dataset(variables, coordinates, {"confidence_level": 0.9, "title": "S"})


def filled(axes):
    """Return the filled regions of a panel."""
    (found,) = [entry for entry in axes.collections if isinstance(entry, PolyCollection)]
    return [Path(path.vertices) for path in found.get_paths()]


def covered(axes, mass, value):
    return any(path.contains_point((mass, value)) for path in filled(axes))


def legend(axes):
    return [entry.get_text() for entry in axes.get_legend().get_texts()]


def test_the_region_between_the_ends_is_filled_and_nothing_else():
    low, high = 1e-4 * MASS[:, None], 1e-2 / MASS[:, None]
    (axes,) = plots.interval_plot(island_cube(low, high)).axes
    for mass in (1.03, 1.47, 1.98):
        assert covered(axes, mass, 1.05e-4 * mass)
        assert covered(axes, mass, 0.95e-2 / mass)
        assert not covered(axes, mass, 0.95e-4 * mass)
        assert not covered(axes, mass, 1.05e-2 / mass)
    assert legend(axes) == [intervals.REGION]
    assert axes.get_ylabel() == "sin θ"
    assert axes.get_ylim()[0] < 1e-4
    assert axes.get_ylim()[1] > 1e-2


def test_an_island_ends_where_nothing_is_excluded():
    low, high = np.full((11, 1), 1e-4), np.full((11, 1), 1e-3)
    low[4:7] = high[4:7] = NAN
    (axes,) = plots.interval_plot(island_cube(low, high)).axes
    assert covered(axes, 1.25, 5e-4)
    assert covered(axes, 1.75, 5e-4)
    assert not any(covered(axes, mass, 5e-4) for mass in (1.35, 1.5, 1.65))


def test_two_intervals_that_merge_leave_a_hole_between_them():
    low, high = np.tile([1e-5, 1e-3], (11, 1)), np.tile([1e-4, 1e-2], (11, 1))
    low[5:], high[5:] = [1e-5, NAN], [1e-2, NAN]
    (axes,) = plots.interval_plot(island_cube(low, high)).axes
    assert not covered(axes, 1.2, 3e-4)
    assert covered(axes, 1.2, 3e-5)
    assert covered(axes, 1.2, 3e-3)
    assert covered(axes, 1.7, 3e-4)


def test_ends_that_the_scan_cuts_off_are_dotted():
    low, high = np.full((11, 1), 1e-4), np.full((11, 1), 1e-3)
    cut = np.zeros((11, 1))
    cut[6:] = 1
    (axes,) = plots.interval_plot(island_cube(low, high, cut=cut)).axes
    assert legend(axes) == [intervals.REGION, intervals.CUT_OFF]
    (dotted,) = [line for line in axes.lines if line.get_label() == intervals.CUT_OFF]
    there = np.isfinite(dotted.get_ydata())
    np.testing.assert_array_equal(dotted.get_xdata()[there], MASS[6:])
    np.testing.assert_array_equal(dotted.get_ydata()[there], 1e-3)


def test_the_median_is_a_dashed_line_along_both_ends():
    low, high = 1e-4 * MASS[:, None], 1e-2 / MASS[:, None]
    cube = island_cube(low, high)
    for end, values in (("low", low), ("high", high)):
        wide = np.stack([0.5 * values, values, 2 * values])
        cube[f"coupling_{end}_expected"] = (("quantile", "m_s", "interval"), wide)
    cube = cube.assign_coords(quantile=[0.16, 0.5, 0.84])
    (axes,) = plots.interval_plot(cube).axes
    drawn = [line.get_ydata() for line in axes.lines if line.get_label() == intervals.MEDIAN]
    np.testing.assert_array_equal(drawn, [low[:, 0], high[:, 0]])


def test_an_interval_at_one_mass_alone_is_seen():
    low, high = np.full((5, 1), NAN), np.full((5, 1), NAN)
    low[2], high[2] = 1e-4, 1e-3
    (axes,) = plots.interval_plot(island_cube(low, high)).axes
    segments = [s for c in axes.collections if not isinstance(c, PolyCollection) for s in c.get_segments()]
    np.testing.assert_allclose(segments, [[[MASS[2], 1e-4], [MASS[2], 1e-3]]])


def test_nothing_excluded_is_said():
    nothing = np.full((5, 1), NAN)
    (axes,) = plots.interval_plot(island_cube(nothing, nothing)).axes
    assert "nothing is excluded" in [text.get_text() for text in axes.texts]


def test_interpretations_are_drawn_one_by_one_or_together():
    low, high = np.full((11, 1), 1e-4), np.full((11, 1), 1e-3)
    cube = island_cube(low, high).assign(island_cube(low, 2 * high, interpretation="_mixing"))
    cube.attrs = {"confidence_level": 0.9}
    assert len(plots.interval_plot(cube).axes) == 2
    (axes,) = plots.draw(cube, "excluded_mixing").axes
    assert covered(axes, 1.5, 1.5e-3)
    with pytest.raises(InputError, match="no intervals 'excluded_other': it has excluded, excluded_mixing"):
        plots.interval_plot(cube, "excluded_other")
    with pytest.raises(InputError, match="it has none"):
        plots.interval_plot(cube[["cross_section_limit"]])


def test_the_overview_has_intervals_in_place_of_the_limit_on_the_coupling():
    low, high = np.full((11, 1), 1e-4), np.full((11, 1), 1e-3)
    upper, lower = plots.overview_plot(island_cube(low, high)).axes
    assert upper.get_ylim()[0] < 2.0 < upper.get_ylim()[1]
    assert covered(lower, 1.5, 5e-4)
    assert not any(np.any(np.isclose(line.get_ydata(), 0.5)) for line in lower.lines)
