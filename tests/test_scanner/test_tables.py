"""Tables of several axes against scipy's interpolation on a grid."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from scanner import definition
from scanner.schema.interpolation import interpolate

SIZES = (3, 2, 4, 5)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["linear", "log"])
def test_tables_of_any_number_of_axes_are_those_of_scipy(axes, kind):
    rng = np.random.default_rng(axes)
    grids = tuple(np.sort(rng.uniform(0.0, 4.0, size)) for size in SIZES[:axes])
    values = rng.uniform(0.5, 9.0, SIZES[:axes])
    points = tuple(rng.uniform(grid[0], grid[-1], 50) for grid in grids)
    expected = RegularGridInterpolator(grids, values if kind == "linear" else np.log(values))(
        np.stack(points, 1)
    )
    found = interpolate(kind, grids, values, points)
    assert found == pytest.approx(expected if kind == "linear" else np.exp(expected), rel=1e-12)
    corner = tuple(grid[-1:] for grid in grids)
    last = interpolate("linear", grids, values, corner)
    assert last[0] == values[(-1,) * axes]


def test_rows_of_a_definition_run_along_the_last_axis():
    table = (
        "{m_x: '1, 2 GeV', a: [0, 1], b: [0, 1, 2], value: ['1, 2, 3', '4, 5, 6', '7, 8, 9', '10, 11, 12']}"
    )
    search = definition.parse(
        "name: three\nbeam: {sqrt_s: 10.58 GeV}\ncolumns: {x: GeV}\n"
        "configurations: {product: {a: [0, 1], b: [0, 1, 2]}}\nscan: {m_x: {values: '1, 2 GeV'}}\n"
        "channels: {only: {observable: x}}\n"
        f"signal: {{resolution: 1 MeV, source: user, parameters: {{k: {{table: {table}, source: user}}}}}}\n"
    )
    found = search.signal.parameters["k"]
    assert found(np.array([1.0]), a=1.0, b=2.0) == 6.0
    assert found(np.array([2.0]), a=0.0, b=1.0) == 8.0
