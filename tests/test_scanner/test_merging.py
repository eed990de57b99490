"""Bins of templates with few simulated rows: which are merged, and that fits of them are unbiased."""

import numpy as np
import pytest

from scanner import definition, engine
from scanner.likelihoods.fit import fit
from scanner.limits import window_problem
from scanner.windows.filled import Filled, filled_grid
from scanner.windows.merging import effective_rows, merged_bounds, merged_spans


@pytest.mark.parametrize(
    ("rows", "bounds"),
    [
        ([12, 30, 10], [0, 1, 2, 3]),
        ([12, 0, 0, 30, 10], [0, 3, 4, 5]),  # empty bins join the neighbour that has fewer
        ([0, 12, 30, 2], [0, 2, 4]),
        ([4, 3, 4, 50], [0, 3, 4]),
        ([50, 3, 3, 3, 50], [0, 4, 5]),  # of two alike the lower one
        ([1, 2, 3], [0, 3]),
        ([5], [0, 1]),
    ],
)
def test_bins_of_few_rows_join_the_poorer_neighbour(rows, bounds):
    content = np.asarray(rows, dtype=float)
    assert merged_bounds(content, content, 10.0).tolist() == bounds
    assert merged_bounds(0.2 * content, 0.04 * content, 10.0).tolist() == bounds


@pytest.mark.parametrize("seed", range(20))
def test_every_bin_has_enough_rows_and_merging_loses_none(seed):
    rng = np.random.default_rng(seed)
    mean = 40.0 * np.exp(-np.linspace(0.0, 8.0, 60)) + (seed % 3) * 20.0 * (np.arange(60) > 50)
    counts = rng.poisson(np.stack([mean, 0.3 * mean[::-1]])).astype(float)
    scale = np.array([[0.2], [0.01]])
    content, variance = (scale * counts).sum(axis=0), (scale**2 * counts).sum(axis=0)
    bounds = merged_bounds(content, variance, 10.0)
    kept, errors = (np.add.reduceat(array, bounds[:-1]) for array in (content, variance))
    assert (kept / np.sqrt(errors) >= np.sqrt(10.0) * (1 - 1e-8)).all()
    assert kept.sum() == pytest.approx(content.sum())
    assert (effective_rows(content, variance) < 10.0).any()
    spans = merged_spans(bounds, np.arange(61.0))
    assert len(bounds) - 1 == 60 - sum(count - 1 for _, _, count in spans)


TIMES = {"tautau": 5.0, "mumu": 100.0, "eemumu": 5.0}


def truths(bins):
    """Return expected events that fall to nothing at the ends of both halves, like those of `zp_inv`."""
    x = np.tile(np.arange(bins // 2) - 1.5, 2)
    return {
        "tautau": 12.0 * np.exp(-0.5 * ((x - 25.0) / 11.0) ** 2),
        "mumu": 1.0 * np.exp(-0.5 * (x / 0.6) ** 2),
        "eemumu": 6.0 * np.exp(-0.5 * ((x - 62.0) / 7.0) ** 2),
    }


def test_signals_come_back_where_data_and_templates_fluctuate_in_sparse_bins():
    """Without merging, every fifth of these has events where none are possible."""
    search = definition.load("zp_inv")
    grid = engine.grids(search)["all"].select(np.array([3]))
    expected, injected = truths(grid.bins), 60.0
    total = np.sum(list(expected.values()), axis=0)
    shape = np.zeros(grid.bins)
    shape[[4, 5, 6, 85, 86, 87]] = 0.05, 0.2, 0.05, 0.1, 0.5, 0.1
    rng, pulls, impossible = np.random.default_rng(7), [], 0
    for _ in range(200):
        thrown = {name: rng.poisson(TIMES[name] * mean) for name, mean in expected.items()}
        samples = [
            Filled(n, {}, 1 / TIMES[n], c[None] * 1.0, c[None] * 1.0, c.sum(keepdims=True))
            for n, c in thrown.items()
        ]
        rows = 1e4 * shape[None]
        samples.append(Filled("zprime", {"mass": 2.0}, 1.0, rows, rows, np.array([1e4])))
        data = rng.poisson(total + injected * shape)
        impossible += bool(data[(sum(thrown.values()) == 0) & (shape == 0.0)].any())
        merged = filled_grid(search, grid, samples, 0)
        problem, _ = window_problem(
            search, merged, merged.counts(data), slice(0, 1), configuration=0, include="everything"
        )
        assert problem.counts.sum() == data.sum()
        found = fit(problem)
        pulls.append((found.yields[0] - injected) / found.errors[0])
    assert impossible > 20
    assert len(pulls) == np.isfinite(pulls).sum()
    assert abs(np.mean(pulls)) < 0.2  # 200 toys tell it to 0.07
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
