"""Every built-in search from generated events to limits: in full, or reduced to see that each runs."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from jobs.blocks import IncompleteError
from jobs.executors import Executor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scan import scan
from scanner import definition, engine, plots, simulation
from scanner.definition import Search
from scanner.errors import InputError
from scanner.plots import overlays
from scanner.schema.axes import ScanAxis
from scanner.schema.statistics import SimulatedProcess
from scanner.windows.axes import outer_axes, window_axes
from storage.errors import StorageError

SEED = 20
FULL_EVENTS = 1e8
"""Produced events of a search at most; `ap_vis` alone has more at its luminosity, 1.5·10⁹."""
QUICK_EVENTS = 2e5
"""Produced events of a reduced search, all processes together."""
QUICK_SIGNALS = 8000
QUICK_ROWS = 600
"""Events of a signal that tells an efficiency, in a reduced search, and rows where few are selected."""
QUICK_MASSES, QUICK_PLANE, QUICK_OUTER, QUICK_CONFIGURATIONS = 7, 5, 3, 2
"""Points on the mass axis, on each of two, on every other axis, and configurations of a reduced search."""

PICTURE_MASSES, PICTURE_PLANE = 61, 25
"""Points on the mass axis, or on each of two, of the pictures on the pages."""
PICTURE_SIGNALS = 6
"""Factor on the events of signals that tell an efficiency, since all lifetimes are drawn from them."""


@dataclass(frozen=True)
class Outcome:
    """What became of one search: its cube and plot, or why there is none; a defect leaves its traceback."""

    name: str
    title: str
    seconds: float
    windows: int = 0
    limits: int = 0
    cube: str = ""
    plot: str = ""
    error: str = ""
    traceback: str = ""


def runnable() -> tuple[str, ...]:
    """Return the names of the built-in searches that make their own events, or need none."""
    found = {name: definition.load(name) for name in definition.names()}
    return tuple(name for name, search in found.items() if search.simulation or engine.stated(search))


def run_all(
    folder: Path,
    executor: Executor,
    *,
    names: Sequence[str] = (),
    quick: bool = False,
    events: float = FULL_EVENTS,
    say: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Run searches one after the other; one that fails does not keep the others from running.

    Parameters
    ----------
    folder : Path
        Gets a store, a cube and a plot of each; stores and scans that are there already are gone on with.
    names : sequence of str
        Searches; all that are `runnable` if empty.
    quick : bool
        Whether to take few events and few points of each grid.
    events : float
        Produced events of a search at most, all processes together, where it is not `quick`.
    say : callable
        Gets a sentence before each search.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names or runnable():
        search = definition.load(name)
        say(f"{name}: {search.title}")
        found.append(_outcome(search, folder, executor, quick, events))
    return found


def _outcome(search: Search, folder: Path, executor: Executor, quick: bool, events: float) -> Outcome:
    begun = time.monotonic()
    try:
        small = reduced(search) if quick else search
        cube = run(small, folder, executor, QUICK_EVENTS if quick else events)
        picture = folder / f"{search.name}.png"
        plots.save(plots.overview_plot(drawn(cube)), picture)
    except (InputError, StorageError, IncompleteError) as error:
        return Outcome(search.name, search.title, time.monotonic() - begun, error=f"{error}")
    except Exception as error:  # noqa: BLE001 - a defect: the others run, and it is reported as such
        text = f"{type(error).__name__}: {error}"
        passed = time.monotonic() - begun
        return Outcome(search.name, search.title, passed, error=text, traceback=traceback.format_exc())
    limits = int(np.isfinite(cube["yield_limit"]).sum())
    return Outcome(
        search.name,
        search.title,
        time.monotonic() - begun,
        int(cube["yield_limit"].size),
        limits,
        str(folder / f"{search.name}.zarr"),
        picture.name,
        "" if limits else "no window has a limit",
    )


def picture(search: Search, image: Path, executor: Executor) -> None:
    """Draw the limits of a search from a reduced run into a small image."""
    with TemporaryDirectory() as folder:
        small = reduced(search, PICTURE_MASSES, PICTURE_PLANE, outer=None, signals=PICTURE_SIGNALS)
        cube = run(small, Path(folder), executor, QUICK_EVENTS)
        plots.save_small(plots.overview_plot(drawn(cube)), image)


def run(search: Search, folder: Path, executor: Executor, events: float) -> xr.Dataset:
    """Generate the events of a search, at most so many, and scan them; what is there already is taken."""
    store, cube = str(folder / f"{search.name}_events.zarr"), str(folder / f"{search.name}.zarr")
    options = Options(search.method.limit)
    if not engine.reads(search):
        return scan(search, "", cube, executor=executor, options=options, overwrite=True)
    if not Path(store).exists() or Path(f"{store}.run").exists():
        luminosity = quick_luminosity(search, events)
        generate(search, store, executor=executor, luminosity=luminosity, seed=SEED)
    return scan(search, store, cube, executor=executor, options=options, overwrite=True)


def quick_luminosity(search: Search, events: float = QUICK_EVENTS) -> float:
    """Return the luminosity [fb⁻¹] at which a search has a number of produced events, at most its own.

    Raises
    ------
    InputError
        If it states no luminosity.
    """
    if search.luminosity is None:
        raise InputError(f"search {search.name!r} states no luminosity: there is nothing to reduce")
    produced = sum(
        simulation.expected_events(
            process.process,
            sqrt_s=search.sqrt_s,
            luminosity=search.luminosity * process.times,
            parameters=process.parameters,
        )
        for process in search.simulation
        if process.role in ("background", "template") and process.events is None
    )
    return search.luminosity * min(1.0, events / max(produced, 1.0))


def reduced(
    search: Search,
    masses: int = QUICK_MASSES,
    plane: int = QUICK_PLANE,
    outer: int | None = QUICK_OUTER,
    signals: int = 1,
) -> Search:
    """Return a search with few points on every axis, all of outer ones by None, and few configurations."""
    most = masses if len(window_axes(search)) == 1 else plane
    beside = {axis.name for axis in outer_axes(search)}
    axes = {name: _few(axis, outer if name in beside else most) for name, axis in search.scan.items()}
    small = {"scan": axes, "configurations": search.configurations[:QUICK_CONFIGURATIONS]}
    few = search.changed(**small, simulation=tuple(_small(process, signals) for process in search.simulation))
    return definition.from_json(few.canonical)


def _small(process: SimulatedProcess, signals: int) -> SimulatedProcess:
    """Return a process with few events of each signal that tells an efficiency."""
    if process.role != "efficiency" or process.events is None:
        return process
    rows = None if process.rows is None else min(process.rows, signals * QUICK_ROWS)
    return process.model_copy(update={"events": min(process.events, signals * QUICK_SIGNALS), "rows": rows})


def _few(axis: ScanAxis, most: int | None) -> ScanAxis:
    if most is None:
        return axis
    if axis.values is not None:
        chosen = np.unique(np.linspace(0, len(axis.values) - 1, most).round().astype(int))
        values = tuple(axis.values[number] for number in chosen)
    else:
        values = tuple(np.linspace(axis.low, axis.high, most).tolist())
    return axis.model_copy(update={"values": values, "step": None, "step_of": None})


def drawn(cube: xr.Dataset) -> xr.Dataset:
    """Return what a plot shows of a cube: the first configuration, and one point of every other axis."""
    return cube.isel(point_drawn(cube))


def point_drawn(cube: xr.Dataset) -> dict[str, int]:
    """Return which configuration and which points of the axes beside the masses a plot shows, by number.

    It is the nearest to where limits are published, or the middle of the axis; none of what is selected
    already.
    """
    if "definition" not in cube.attrs:
        return {}
    search = definition.from_json(cube.attrs["definition"])
    places = ({},) if search.published is None else search.published.places
    place = places[len(places) // 2]
    points = {axis.name: cube.sizes[axis.name] // 2 for axis in outer_axes(search) if axis.name in cube.dims}
    points |= {name: int(overlays.apart(cube[name], place[name]).argmin()) for name in points.keys() & place}
    first = {"configuration": 0} if "configuration" in cube.dims else {}
    return points | first


def compared(cube: xr.Dataset) -> list[dict[str, Any]]:
    """Return mass, median expected limit, published limit and their ratio where a search states some.

    Limits that are published for several lifetimes are those of the nearest of the scanned ones.
    """
    search = definition.from_json(cube.attrs["definition"])
    published, single = search.published, drawn(cube)
    name = "" if published is None else f"{published.quantity}_limit_expected"
    others = [axis.name for axis in window_axes(search)[1:]]
    if published is None or name not in single or any(cube.sizes[other] > 1 for other in others):
        return []
    single = single.isel(dict.fromkeys(others, 0))
    place = min(published.places, key=lambda each: overlays.distance(single, each))
    axis = search.scan_axis.name
    median = single[name].sel(quantile=0.5).dropna(axis)
    rows = []
    for mass, value in zip(published.mass, published.curve(place), strict=True):
        if median.size == 0 or not median[axis].min() <= mass <= median[axis].max():
            continue
        ours = float(median.sel({axis: mass}, method="nearest"))
        rows.append({"mass": mass, "expected": ours, "published": value, "ratio": ours / value})
    return rows


def page(outcomes: Sequence[Outcome]) -> str:
    """Return a page of HTML with the plots of all searches."""
    blocks = [
        f"<h2>{each.name}: {each.title}</h2>"
        + (f'<img src="{each.plot}" width="640">' if each.plot else f"<p>no limits: {each.error}</p>")
        for each in outcomes
    ]
    head = '<!doctype html><meta charset="utf-8"><title>darkscan: all searches</title>'
    return "\n".join([head, "<h1>All searches, from generated events</h1>", *blocks, ""])
