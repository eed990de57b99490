"""Templates from samples: signals and backgrounds whose densities are histograms of simulated rows.

The bins are those that the definition states, merged where few rows are simulated, and the same for every
mass. A template of a signal belongs to the mass, and to the configuration, that its sample was generated
with.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.schema.axes import Region
from scanner.windows.channels import views
from scanner.windows.grid import Templates, WindowGrid
from scanner.windows.merging import merged_bounds
from scanner.windows.templates import WindowModel

Floats = NDArray[np.float64]

SAME_MASS = 1e-6
"""Difference of the masses of a window and of a sample [GeV], at most."""
TEMPLATE = "template"
"""Shape of a signal or background that comes from samples."""
TEMPLATE_METHODS = ("auto", "asymptotic")
"""Methods that know the statistics of templates."""
CORE_HEIGHT = 0.5
"""Share of the highest bin of a signal from which a bin counts as under the signal."""


@dataclass(frozen=True)
class Filled:
    """Rows of one sample that pass the cuts, or the sums of their weights.

    Attributes
    ----------
    sample : str
        Name in the definition.
    parameters : mapping
        What it was generated with.
    scale : float
        Expected events of the data's luminosity a row.
    counts, squares : (configurations, B) float
        Σw and Σw² in the bins; rows without weights count 1 in both.
    rows : (configurations,) float
        Σw inside and outside of the bins.
    """

    sample: str
    parameters: Mapping[str, float]
    scale: float
    counts: Floats
    squares: Floats
    rows: Floats


def uses_templates(search: Search) -> bool:
    """Whether signal or background of a search are histograms of samples."""
    singles = views(search).values()
    return search.signal.shape == TEMPLATE or any(s.background.shape == TEMPLATE for s in singles)


def beyond_templates(search: Search) -> dict[str, bool]:
    """Return what of templates is not possible, and whether it is asked for."""
    here, method = uses_templates(search), search.method
    backgrounds = [single.background for single in views(search).values()]
    every = search.signal.shape == TEMPLATE and all(b.shape == TEMPLATE for b in backgrounds)
    bent = [t.on for t in search.systematics.values() if t.on in ("resolution", "mass")]
    named = {name for background in backgrounds for name in background.templates}
    return {
        "explicit binning without templates": bool(search.window.binning) and not here,
        "templates on an axis of masses without 'values'": here and search.scan_axis.values is None,
        "templates of the signal or of a background alone": here and not every,
        "templates beside peaks": here and any(b.peaks for b in backgrounds),
        "templates beside vetoes": here
        and bool(search.vetoes or any(c.vetoes for c in search.channels.values())),
        "weights of simulated candidates without templates from them": not here
        and any(c.weight for c in search.channels.values()),
        f"templates with an unbinned likelihood or limits by {method.limit} (possible: auto, asymptotic)": (
            here and (method.likelihood == "unbinned" or method.limit not in TEMPLATE_METHODS)
        ),
        f"systematics on the {' and '.join(bent)} of a template": here and bool(bent),
        "systematics on one template (possible: its 'normalisation')": here
        and any(term.on in named for term in search.systematics.values()),
    }


def sample_names(search: Search) -> tuple[str, ...]:
    """Return the names of the samples that a search takes its templates from."""
    found = [t.sample for s in views(search).values() for t in s.background.templates.values()]
    if search.signal.template is not None:
        found.append(search.signal.template)
    return tuple(dict.fromkeys(found))


def template_of(sample: str, names: tuple[str, ...]) -> str | None:
    """Return which name of a definition a sample goes by: its own, or that before a number (`alpha_003`)."""
    return next((name for name in names if re.fullmatch(rf"{re.escape(name)}(_\d+)?", sample)), None)


def stated_grid(search: Search, region: Region, mass: Floats) -> WindowGrid:
    """Return windows at masses (W,) [GeV] that all have the stated bins of the region's observable.

    Raises
    ------
    InputError
        If the definition states no bins, or more than one kind of them.
    """
    stated = [binning for binning in search.window.binning if binning.observable == region.observable]
    if len(stated) != 1 or len(search.window.binning) != 1 or stated[0].where is not None:
        raise InputError(
            f"templates in {region.observable!r} need one 'window: {{binning: …}}' in it, without conditions"
        )
    edges, nothing = np.asarray(stated[0].edges, dtype=np.float64), np.zeros(len(mass), dtype=np.int64)
    resolution = np.broadcast_to(search.signal.resolution(mass), mass.shape).copy()
    return WindowGrid(region.name, mass, resolution, edges, edges, nothing, nothing + 1, len(edges) - 1)


def filled_grid(search: Search, grid: WindowGrid, filled: Iterable[Filled], configuration: int) -> WindowGrid:
    """Return the windows of one channel with their templates in one configuration.

    Stated bins in which the backgrounds have too few simulated rows are merged.

    Raises
    ------
    InputError
        If a sample is missing or has no rows in the bins.
    """
    samples = list(filled)
    background = {
        name: _one(samples, t.sample, configuration) for name, t in search.background.templates.items()
    }
    counts, squares = (
        np.stack([getattr(b, name)[configuration] for b in background.values()])
        for name in ("counts", "squares")
    )
    scale = np.array([b.scale for b in background.values()])[:, None]
    content, variance = (scale * counts).sum(axis=0), (scale**2 * squares).sum(axis=0)
    bounds = merged_bounds(content, variance, search.background.least_rows)
    starts, floating = bounds[:-1], [t.floating for t in search.background.templates.values()]
    counts, content, variance = (np.add.reduceat(a, starts, axis=-1) for a in (counts, content, variance))
    _refuse_negative(background, counts)
    signal = np.stack([_signal(search, samples, mass, configuration) for mass in grid.mass])
    found = Templates(
        signal=np.add.reduceat(signal, starts, axis=1),
        free=(counts / counts.sum(axis=1, keepdims=True))[floating],
        fixed=(scale * counts)[np.logical_not(floating)],
        statistics=_statistics(search, content, variance),
    )
    return replace(grid, templates=found, bounds=bounds, bins=len(starts))


def _refuse_negative(background: Iterable[str], counts: Floats) -> None:
    for name, inside in zip(background, counts, strict=True):
        if np.any(inside < 0.0):
            raise InputError(
                f"weights of the template {name!r} sum to less than 0 in {int(np.sum(inside < 0.0))} of "
                f"{inside.size} bins: take wider bins, or more of the sample"
            )


def _statistics(search: Search, content: Floats, variance: Floats) -> Floats:
    """Return the relative error of the expected background in the bins, (B,)."""
    if search.background.template_statistics == "none":
        return np.zeros(content.size)
    error = np.sqrt(variance)
    return np.asarray(np.divide(error, content, out=np.zeros_like(content), where=content > 0.0))


def _one(samples: list[Filled], name: str, configuration: int) -> Filled:
    found = [sample for sample in samples if sample.sample == name]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} samples {name!r} of kind simulation are in the store: a template needs one; "
            f"generate the store with this search, or ingest one with --sample {name} --kind simulation"
        )
    if not found[0].counts[configuration].sum() > 0.0:
        raise InputError(f"no row of the sample {name!r} is in the bins of its template: make it larger")
    return found[0]


def _signal(search: Search, samples: list[Filled], mass: float, configuration: int) -> Floats:
    """Return the template of a signal of unit yield at a mass."""
    own = search.configurations[configuration].parameters
    for sample in samples:
        if sample.sample != search.signal.template:
            continue
        given = sample.parameters
        alike = all(given[name] == value for name, value in own.items() if name in given)
        if alike and abs(given.get("mass", np.inf) - mass) < SAME_MASS:
            return _normalised(sample, mass, configuration)
    raise InputError(
        f"no sample {search.signal.template!r} of kind signal was generated with mass {mass:g} GeV: "
        "generate the store with this search, or scan the masses that there are"
    )


def _normalised(sample: Filled, mass: float, configuration: int) -> Floats:
    counts = sample.counts[configuration]
    if not counts.sum() > 0.0:
        raise InputError(f"no row of the sample {sample.sample!r} of mass {mass:g} GeV is in the bins")
    return np.asarray(counts / sample.rows[configuration])


def template_model(found: Templates, block: slice) -> WindowModel:
    """Return what is expected in the bins of a block of windows."""
    signal = found.signal[block]
    windows, bins = signal.shape

    def every(array: Floats) -> Floats:
        return np.ascontiguousarray(np.broadcast_to(array, (windows, *array.shape)))

    highest = signal.max(axis=1, keepdims=True)
    return WindowModel(
        signal,
        every(found.free),
        np.full(windows, len(found.free), dtype=np.int64),
        signal >= CORE_HEIGHT * highest,
        np.full((windows, 0), -1, dtype=np.int64),
        every(found.fixed),
        np.ones((windows, bins), dtype=np.bool_),
        np.ones((windows, 1)),
        statistics=every(found.statistics),
    )
