"""Signal shapes that are measured in the observable."""

import numpy as np
import pytest
from scipy.stats import norm

from scanner import definition, engine, runnable
from scanner.errors import InputError
from scanner.windows.coordinates import straightened
from scanner.windows.templates import signal_templates

TEXT = """
extends: ap_inv
name: gaussian
signal: {shape: gaussian, parameters: {alpha: , n: }}
"""


def templates(text):
    search = definition.parse(text, where="x.yaml")
    grid = engine.grids(search)["low"]
    return search, grid, signal_templates(search, grid, slice(None), {})


def test_the_squared_mass_is_gaussian_down_to_zero():
    """σ(M²) = 1.617 − 0.01408 m² GeV² around m², for masses below their resolution as well."""
    _, grid, found = templates(TEXT)
    edges = grid.edges[grid.edge_indices()]
    m2 = grid.mass[:, None] ** 2
    expected = np.diff(norm.cdf((edges - m2) / (1.617 - 0.01408 * m2)), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert grid.mass[0] == 0.1
    assert edges[0, 0] < -3.0


def test_in_the_mass_it_would_be_another_shape():
    _, grid, found = templates(TEXT.replace("shape: gaussian", "shape: gaussian, measured_in: mass"))
    _, _, straight = templates(TEXT)
    assert np.abs(found[0] - straight[0]).max() > 0.01
    far = np.searchsorted(grid.mass, 5.0)
    assert np.abs(found[far] - straight[far]).max() < 0.01


def test_the_axis_is_linear_in_the_observable():
    search = definition.load("ap_inv")
    mass = np.array([2.0, 4.0])
    values = straightened(search, search.regions[0], np.array([[4.0, 5.0], [16.0, 17.0]]), mass)
    np.testing.assert_allclose(values, [[2.0, 2.25], [4.0, 4.125]], rtol=1e-7)


def test_an_unbinned_likelihood_with_it_is_refused():
    search = definition.parse(TEXT + "method: {likelihood: unbinned}\n", where="x.yaml")
    with pytest.raises(InputError, match="measured in the observable with an unbinned likelihood"):
        runnable.check_runnable(search)
