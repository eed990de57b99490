"""Injected signals of a search: as generated events, and as toys of the model of their windows.

Each signal has 200 events or more: the error of a fitted yield follows the yield, which moves the mean of
pulls by minus one half of its relative error where there is little background.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from jobs import scan
from jobs.executors import Executor
from jobs.generate import generate
from jobs.places import run_place
from jobs.plan import Options as ScanOptions
from jobs.scanning import fits
from jobs.scanning.collecting import assemble
from jobs.scanning.run import Run, open_run
from jobs.searches import catalogue
from jobs.searches.points import Cell, Spot, choose, find, narrowed
from jobs.searches.published import with_signal
from scanner import engine, simulation
from scanner.definition import Search
from scanner.interpretation import quantity
from scanner.simulation.displaced import DAUGHTERS
from scanner.studies.counts import Counters, counters
from scanner.studies.injected import (
    Pulls,
    at_point,
    counted_pulls,
    fitted_bench,
    fitted_pulls,
    stated_bench,
)
from scanner.windows.backgrounds import efficiency_error
from scanner.windows.counted import containment, experiments
from scanner.windows.joint_counted import joint_experiments

LIFETIMES = {
    "ctau_a": "ctau",
    "ctau_s": "ctau",
    "ctau_n": "ctau",
    "ctau_hprime": "ctau_1",
    "ctau_chi2": "ctau_2",
}
"""What processes call the lifetimes that are axes of scans."""
MOST_PULL, MOST_MEAN = 3.0, 0.2
"""Pull of generated events, and mean pull of toys, that a search may have."""


@dataclass(frozen=True)
class Options:
    """How signals are injected.

    Attributes
    ----------
    points : int
        Points of the grid.
    toys : int
        Pseudo-experiments at each.
    strength : float
        Injected signal in expected errors of the yield.
    least : float
        Injected events, if that is more.
    events : bool
        Whether signals are injected as generated events as well.
    seed : int
    """

    points: int = 3
    toys: int = 1000
    strength: float = 5.0
    least: float = 200.0
    events: bool = True
    seed: int = catalogue.SEED


@dataclass(frozen=True)
class Injected:
    """A signal injected at one point of a search; NaN where no events are generated."""

    search: str
    configuration: str
    point: dict[str, float]
    luminosity: float
    injected: float
    generated_yield: float
    generated_error: float
    generated_pull: float
    toys: int
    toys_failed: int
    fitted_mean: float
    pull_mean: float
    pull_mean_error: float
    pull_width: float

    @property
    def sound(self) -> bool:
        """Whether events come back within three errors, and toys on the mean within a fifth of one."""
        return not abs(self.generated_pull) > MOST_PULL and abs(self.pull_mean) < MOST_MEAN


def inject(
    search: Search, folder: Path, executor: Executor, options: Options = Options()
) -> tuple[Injected, ...]:
    """Inject signals into a search.

    Parameters
    ----------
    search : Search
        One with processes to generate, or with published counts. Its luminosity is that of a reduced search.
    folder : Path
        Gets stores and cubes.
    executor : Executor
    options : Options

    Returns
    -------
    tuple of Injected
        One for each point.

    Raises
    ------
    InputError, StorageError, IncompleteError
    """
    folder.mkdir(parents=True, exist_ok=True)
    spots = choose(search, options.points)
    few = narrowed(search, spots)
    luminosity = few.luminosity if engine.stated(few) else catalogue.quick_luminosity(few)
    bench = Workbench(few, folder, executor, options, float(luminosity or 0.0))
    bench.scan("background", ())
    return tuple(_one(bench, spot, number) for number, spot in enumerate(spots, start=1))


@dataclass(frozen=True)
class Workbench:
    """A search of a few points, and where its events and limits go."""

    search: Search
    folder: Path
    executor: Executor
    options: Options
    luminosity: float

    def scan(
        self,
        name: str,
        signals: tuple[Mapping[str, float], ...],
        number: int = 0,
        values: Mapping[str, float] | None = None,
    ) -> xr.Dataset:
        """Generate backgrounds and signals, and scan them; every number has random numbers of its own.

        Published counts are thrown anew where signals are made, which have `values` on the axes.
        """
        search, seed = self.search, self.options.seed + number
        store, cube = str(self.folder / f"{name}_events.zarr"), str(self.folder / f"{name}.zarr")
        how = ScanOptions(self.search.method.limit, self.options.seed)
        if not engine.reads(search):
            store = ""
        else:
            executor, luminosity = self.executor, self.luminosity
            generate(search, store, executor=executor, luminosity=luminosity, seed=seed, signals=signals)
            if values is not None and engine.stated(search):
                search = with_signal(search, store, values, seed)
        return scan.scan(search, store, cube, executor=self.executor, options=how)

    def run(self, name: str) -> Run:
        """Return the run of a scan."""
        return open_run(run_place(str(self.folder / f"{name}.zarr")))


def _one(bench: Workbench, spot: Spot, number: int) -> Injected:
    """Inject a signal at one point, first its events, then toys."""
    run, cell = bench.run("background"), find(bench.search, spot)
    row = row_of(assemble(run), spot)
    error = np.nan_to_num(float(row["signal_yield_error"]))
    signal = max(bench.options.least, bench.options.strength * error)
    generated = (np.nan, np.nan, np.nan)
    if bench.options.events and engine.reads(bench.search):
        name = f"signal_{number}"
        bench.scan(name, tuple(signals(bench.search, spot, row, signal)), number, spot.values)
        generated = recovered(bench.run(name), cell, spot, signal)
    found = toys(run, cell, signal, bench.options.toys)
    return Injected(
        bench.search.name,
        spot.configuration,
        dict(spot.values),
        bench.luminosity,
        signal,
        *generated,
        found.toys,
        found.toys_failed,
        found.fitted_mean,
        found.pull_mean,
        found.pull_mean_error,
        found.pull_width,
    )


def row_of(cube: xr.Dataset, spot: Spot) -> xr.Dataset:
    """Return a cube at a point."""
    chosen = {"configuration": spot.configuration} if "configuration" in cube.dims else {}
    return cube.sel({**chosen, **{name: value for name, value in spot.values.items() if name in cube.dims}})


def signals(search: Search, spot: Spot, row: xr.Dataset, events: float) -> list[dict[str, float]]:
    """Return the signals to generate, in all final states, for a number of selected events."""
    kind = quantity(search)
    rate = events * float(row[f"{kind}_limit"]) / float(row["yield_limit"])
    (process,) = [each for each in search.simulation if each.role == "signal"]
    known = simulation.get(process.process).parameters
    (chosen,) = [each for each in search.configurations if each.name == spot.configuration]
    further = {**chosen.parameters, **{k: v for k, v in spot.values.items() if k != search.scan_axis.name}}
    others = {LIFETIMES.get(name, name): value for name, value in further.items()}
    others = {name: value for name, value in others.items() if name in known}
    mass = spot.values[search.scan_axis.name]
    strength = "branching_fraction" if kind == "branching_fraction" else "cross_section"
    if "mode" not in known:
        return [{**others, "m": mass, strength: rate}]
    return [
        {**others, "m": mass, "mode": float(mode), strength: rate * share}
        for mode, share in shares(search, mass).items()
        if share > 0.0
    ]


def shares(search: Search, mass: float) -> dict[int, float]:
    """Return the branching fractions into final states, by the mode that the cuts of a channel ask for."""
    found = {}
    for channel in search.channels.values():
        (mode,) = re.findall(r"abs\(mode - (\d+)\)", " ".join(channel.select))
        known, open_ = channel.branching_fraction, mass > 2.0 * DAUGHTERS[int(mode) % len(DAUGHTERS)]
        found[int(mode)] = float(open_) if known is None else float(known(np.array([mass]))[0])
    return found


def recovered(run: Run, cell: Cell, spot: Spot, signal: float) -> tuple[float, float, float]:
    """Return fitted yield, its error, and the pull of generated events."""
    row = row_of(assemble(run), spot)
    found, error = float(row["signal_yield"]), float(row["signal_yield_error"])
    if not run.counting:
        return found, error, (found - signal) / error
    data = counted_windows(run, cell)
    return data.best(), error, data.pull(signal)


def toys(run: Run, cell: Cell, signal: float, number: int) -> Pulls:
    """Throw toys of the model of a window, which its data tell, and fit them."""
    names = ("injection", run.search.name, cell.configuration, cell.region, cell.window, cell.index)
    if run.counting:
        return counted_pulls(counted_windows(run, cell), signal, number, *names)
    search = at_point(run.at(cell.configuration, cell.index), cell.configuration, cell.point)
    identity = "\0".join(str(name) for name in names)
    if engine.stated(search):
        made = stated_bench(search, run.grids[cell.region], cell.window, identity)
    else:
        grid = run.grid(cell.region, cell.configuration)
        window = slice(cell.window, cell.window + 1)
        counts = fits.region_counts(run, cell.region, cell.configuration, window)[0]
        made = fitted_bench(search, grid, counts, cell.window, identity)
    return fitted_pulls(made, signal, number)


def counted_windows(run: Run, cell: Cell) -> Counters:
    """Return the counting experiments of all channels at a point, and their parts of the signal."""
    search, grid = run.at(cell.configuration, cell.index), run.counting[cell.region]
    window = slice(cell.window, cell.window + 1)
    parameters = {**search.configurations[cell.configuration].parameters, **cell.point}
    rows, simulated = fits.region_rows(run, cell.region, cell.configuration, window)
    if len(rows) == 1:
        found, _ = experiments(search, grid, rows[0], window, simulated[0], parameters)
        share = float(containment(search, grid, window, parameters)[0])
        return counters((found.experiment(0),), (share,))
    _, channels = joint_experiments(search, grid, rows, simulated, window, parameters)
    error = efficiency_error(search, grid, window, parameters)
    return counters(
        tuple(channel.counted(error).experiment(0) for channel in channels),
        tuple(float(channel.share[0]) for channel in channels),
    )
