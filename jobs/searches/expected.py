"""Expected limits from generated events beside the published ones, at a few masses of every search.

Where all events of the published luminosity are too many, a part of them is generated. The backgrounds that
fits find in it, templates and simulated backgrounds are then scaled to the whole, and taken for the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jobs import scan
from jobs.executors import Executor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scanning import counted, fits, planning
from jobs.scanning.run import Run
from jobs.searches import catalogue
from jobs.searches.points import Cell, Spot, choose, find, narrowed
from scanner import definition, engine
from scanner.definition import Search
from scanner.interpretation import Exposure, quantity
from scanner.likelihoods.binned import BinnedProblem, Floats
from scanner.limits import scan_block, window_problem
from scanner.schema.statistics import Published
from scanner.studies.injected import at_point, expectation
from scanner.windows.axes import outer_axes
from scanner.windows.channels import view
from scanner.windows.counted import count_block
from scanner.windows.joint_counted import count_channels

MASSES = 5
"""Masses of a search that is compared."""
EVENTS = 1e6
"""Events that are generated at most, all processes together."""


@dataclass(frozen=True)
class Abstract:
    """A range of limits that a paper states, over a range of the first mass [GeV]."""

    quantity: str
    low: float
    high: float
    unit: str
    masses: tuple[float, float]
    source: str


ABSTRACTS = {
    "zp_tautau": Abstract("cross_section", 0.7, 24.0, "fb", (3.6, 10.0), "arXiv:2306.12294"),
    "s_mumu": Abstract("cross_section", 0.055, 1.3, "fb", (0.212, 9.0), "arXiv:2403.02841"),
    "dark_higgsstrahlung": Abstract("cross_section", 1.7, 5.0, "fb", (4.0, 9.7), "arXiv:2207.00509"),
    "zp_inv": Abstract("coupling", 3e-3, 1.0, "", (0.0, 8.0), "arXiv:2212.03066"),
    "b_lambda_inv": Abstract("branching_fraction", 2.1e-5, 3.8e-5, "", (1.0, 3.9), "arXiv:2110.14086"),
}
"""Ranges of published limits of searches whose curves are not at hand."""
ONE_CHANNEL = {"b_ks_llp": "kplus_mumu"}
"""Searches of several channels whose published limits are on the branching fraction into one of them."""


@dataclass(frozen=True)
class Compared:
    """An expected limit at one point, and what is published there; NaN where nothing is.

    `published` to `published_high` is the range of an abstract; both are the same for a point of a curve.
    """

    search: str
    configuration: str
    point: dict[str, float]
    quantity: str
    expected: float
    published: float
    published_high: float
    source: str
    generated: float
    """Part of the published luminosity that is generated."""

    @property
    def ratio(self) -> float:
        """Expected over published limit; to the nearest end of a range, and 1 inside of it."""
        if self.published <= self.expected <= self.published_high:
            return 1.0 if self.published < self.published_high else self.expected / self.published
        end = self.published if self.expected < self.published else self.published_high
        return self.expected / end


def compare(search: Search, folder: Path, executor: Executor, events: float = EVENTS) -> tuple[Compared, ...]:
    """Return the expected limits of a search at its published luminosity, at masses where others are known.

    Parameters
    ----------
    search : Search
        One with processes to generate, or with published counts.
    folder : Path
        Gets a store and a cube.
    executor : Executor
    events : float
        Events to generate at most.

    Raises
    ------
    InputError, StorageError, IncompleteError
    """
    folder.mkdir(parents=True, exist_ok=True)
    search = alone(search)
    single = search.changed(configurations=search.configurations[:1])
    spots = places(definition.from_json(single.canonical))
    few = narrowed(search, spots)
    luminosity = few.luminosity or 0.0
    produced = luminosity if engine.stated(few) else catalogue.quick_luminosity(few, events)
    run = _passed(few, folder, executor, produced)
    return tuple(_one(run, spot, produced / luminosity) for spot in spots)


def alone(search: Search) -> Search:
    """Return a search of the channel that limits are published of, on the branching fraction into it."""
    name = ONE_CHANNEL.get(search.name)
    if name is None:
        return search
    channel = search.channels[name].model_copy(update={"branching_fraction": None})
    single = view(search.changed(channels={**search.channels, name: channel}), name)
    return definition.from_json(single.canonical)


def places(search: Search) -> tuple[Spot, ...]:
    """Return the points that are compared: masses of a published curve, or spread over the windows.

    Curves that are published for several lifetimes are compared at all of these.
    """
    spots, known = choose(search, MASSES), _curve(search)
    axis = search.scan_axis
    within = [] if known is None else [m for m in known.mass if axis.low <= m <= axis.high]
    within = [m for m, out in zip(within, engine.vetoed(search, np.array(within)), strict=True) if not out]
    if not within or len(spots[0].values) - len(outer_axes(search)) > 1:
        return spots
    kept = np.unique(np.linspace(0, len(within) - 1, MASSES).round().astype(int))
    outer = {name: value for name, value in spots[len(spots) // 2].values.items() if name != axis.name}
    several = known.places if known is not None else ({},)
    return tuple(
        Spot(spots[0].configuration, {axis.name: within[k], **outer, **place})
        for k in kept
        for place in several
    )


def _curve(search: Search) -> Published | None:
    """Return the published curve, but none of an earlier search where the paper itself states a range."""
    return None if search.name in ABSTRACTS else search.published


def _passed(search: Search, folder: Path, executor: Executor, luminosity: float) -> Run:
    """Generate the backgrounds of a search, and read them."""
    store, cube = str(folder / "events.zarr"), str(folder / "limits.zarr")
    if not engine.reads(search):
        store = ""
    else:
        generate(search, store, executor=executor, luminosity=luminosity, seed=catalogue.SEED)
    plan = planning.plan_of(search, store, Options(search.method.limit))
    run = scan.start(plan, cube, resume=False, overwrite=False)
    if store:
        scan.run_passes(run, executor)
    return run


def _one(run: Run, spot: Spot, part: float) -> Compared:
    cell, search = find(run.search, spot), run.search
    results = _limits(run, cell, part)
    abstract, own = ABSTRACTS.get(search.name), _curve(search)
    name = own.quantity if own else abstract.quantity if abstract else str(quantity(search))
    expected = float(results[f"{name}_limit_expected"][0, 2])
    mass = spot.values[search.scan_axis.name]
    low, high, source = np.nan, np.nan, ""
    if own is not None:
        low, source = _at(own, mass, spot.values), own.source
        high = low
    elif abstract is not None and abstract.masses[0] <= mass <= abstract.masses[1]:
        low, high, source = abstract.low, abstract.high, abstract.source
    return Compared(
        search.name, spot.configuration, dict(spot.values), name, expected, low, high, source, part
    )


def _at(known: Published, mass: float, point: Mapping[str, float]) -> float:
    """Return a published limit at a mass [GeV] and a place that has one, NaN beyond its curve."""
    inside = min(known.mass) - 1e-9 <= mass <= max(known.mass) + 1e-9
    (place,) = [each for each in known.places if all(point[name] == each[name] for name in each)]
    return float(np.interp(mass, known.mass, known.curve(place))) if inside else np.nan


def _limits(run: Run, cell: Cell, part: float) -> dict[str, Any]:
    """Set the limits of one window, its data scaled to the published luminosity."""
    windows, luminosity = slice(cell.window, cell.window + 1), run.search.luminosity
    whole = run if part == 1.0 else replace(run, plan=replace(run.plan, luminosity=luminosity))
    if engine.stated(run.search):
        return _stated(run, cell)
    how: dict[str, Any] = {
        "configuration": cell.configuration,
        "exposure": Exposure(luminosity),
        "method": run.plan.method,
        "point": cell.point,
    }
    search = whole.at(cell.configuration, cell.index)
    if run.counting:
        return _counted(run, whole, cell, part, how)
    counts = _data(run, cell) if part == 1.0 else expectation(_likelihood(run, cell)) / part
    fitted = whole.grid(cell.region, cell.configuration)
    candidates = fits.region_candidates(run, cell.region, cell.configuration) if part == 1.0 else None
    how |= {"identity": run.plan.scan_identity, "candidates": candidates}
    return scan_block(search, fitted, counts, windows, **how)


def _counted(run: Run, whole: Run, cell: Cell, part: float, how: Mapping[str, Any]) -> dict[str, Any]:
    windows, grid = slice(cell.window, cell.window + 1), run.counting[cell.region]
    search, names = whole.at(cell.configuration, cell.index), engine.pass_names(run.search, cell.region)
    counts = [run.histograms[name].counts[cell.configuration][windows] / part for name in names]
    rows = [np.rint(each).astype(np.int64) for each in counts]
    place = (run.store.samples, run.histograms, cell.configuration, windows, whole.plan.luminosity)
    simulated = [counted.simulated(name, *place) for name in names]
    if len(names) == 1:
        return count_block(search, grid, rows[0], simulated[0], windows, **how)
    return count_channels(search, grid, rows, simulated, windows, identity=run.plan.scan_identity, **how)


def _data(run: Run, cell: Cell) -> Floats:
    window = slice(cell.window, cell.window + 1)
    found: Floats = fits.region_counts(run, cell.region, cell.configuration, window)
    return found


def _likelihood(run: Run, cell: Cell) -> BinnedProblem:
    """Return the likelihood of the generated data of a window."""
    search = at_point(run.at(cell.configuration, cell.index), cell.configuration, cell.point)
    windows, grid = slice(cell.window, cell.window + 1), run.grid(cell.region, cell.configuration)
    data = _data(run, cell)
    return window_problem(search, grid, data, windows, configuration=0, include="everything")[0]


def _stated(run: Run, cell: Cell) -> dict[str, Any]:
    """Set the limits of a mass of published counts, as the scan does."""
    (block,) = [b for b in run.plan.fits if b.region == cell.region and b.first <= cell.window < b.last]
    prefix, row = f"{cell.configuration}.{cell.index}.", cell.window - block.first
    arrays = fits.run_stated(run, block)
    return {
        name.removeprefix(prefix): values[row : row + 1]
        for name, values in arrays.items()
        if name.startswith(prefix)
    }
