"""Limits of a block of windows, by the kind of search: fitted, counted, or of published counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.plan import FitBlock
from jobs.scanning import counted
from jobs.scanning.filled import Arrays
from jobs.scanning.run import Run
from scanner import engine
from scanner.interpretation import Exposure
from scanner.limits import Memory, method_settings, scan_block
from scanner.reading.histogram import Histogram
from scanner.windows.axes import outer_points
from scanner.windows.backgrounds import Simulated
from scanner.windows.counted import count_block
from scanner.windows.grid import WindowGrid
from scanner.windows.joint_counted import JointMemory, count_channels
from scanner.windows.stated_limits import scan_stated


def run_fit(run: Run, block: FitBlock) -> Arrays:
    """Set the limits of the windows of a block, for every configuration."""
    if run.counting:
        return run_counted(run, block)
    if engine.stated(run.search):
        return run_stated(run, block)
    windows = slice(block.first, block.last)
    exposure = Exposure(run.plan.luminosity)
    results: Arrays = {}
    for number in range(len(run.search.configurations)):
        counts, memory = region_counts(run, block.region, number, windows), Memory()
        grid = run.grid(block.region, number)
        for index, point in enumerate(outer_points(run.search)):
            found = scan_block(
                run.at(number, index),
                grid,
                counts,
                windows,
                configuration=number,
                exposure=exposure,
                method=run.plan.method,
                identity=run.plan.scan_identity,
                candidates=region_candidates(run, block.region, number),
                point=point,
                memory=memory,
            )
            results |= {f"{number}.{index}.{name}": array for name, array in found.items()}
    return results


def run_counted(run: Run, block: FitBlock) -> Arrays:
    """Set the limits of the counting windows of a block, for every configuration."""
    windows = slice(block.first, block.last)
    results: Arrays = {}
    memory = JointMemory()
    for number in range(len(run.search.configurations)):
        counts, simulated = region_rows(run, block.region, number, windows)
        for index, point in enumerate(outer_points(run.search)):
            search, grid = run.at(number, index), run.counting[block.region]
            how: dict[str, Any] = {
                "configuration": number, "exposure": Exposure(run.plan.luminosity),
                "method": run.plan.method, "point": point,
            }  # fmt: skip
            found = (
                count_block(search, grid, counts[0], simulated[0], windows, **how)
                if len(counts) == 1
                else count_channels(
                    search,
                    grid,
                    counts,
                    simulated,
                    windows,
                    identity=run.plan.scan_identity,
                    memory=memory,
                    **how,
                )
            )
            results |= {f"{number}.{index}.{name}": array for name, array in found.items()}
    return results


def run_stated(run: Run, block: FitBlock) -> Arrays:
    """Set the limits of a block of masses from published counts, for every configuration."""
    results: Arrays = {}
    for number in range(len(run.search.configurations)):
        for index, point in enumerate(outer_points(run.search)):
            found = scan_stated(
                run.at(number, index),
                run.grids[block.region],
                slice(block.first, block.last),
                configuration=number,
                exposure=Exposure(run.plan.luminosity),
                method=run.plan.method,
                settings=method_settings(run.search, run.plan.method),
                identity=run.plan.scan_identity,
                point=point,
            )
            results |= {f"{number}.{index}.{name}": array for name, array in found.items()}
    return results


def region_counts(run: Run, region: str, configuration: int, windows: slice) -> Any:
    """Return the counts of windows (W, B), the bins of several channels one after the other."""
    grid = run.grid(region, configuration)
    names = engine.pass_names(run.search, region)
    axes = [grid.channels.get(channel, grid) for channel in run.search.channels]
    found = [
        window_counts(run.histograms[name], axis, configuration, windows)
        for name, axis in zip(names, axes, strict=True)
    ]
    return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def region_rows(
    run: Run, region: str, configuration: int, windows: slice
) -> tuple[list[NDArray[np.int64]], list[tuple[Simulated, ...]]]:
    """Return what counting windows hold of data, (W, 1) or (W, 3), and of simulation, in every channel."""
    names = engine.pass_names(run.search, region)
    place = (run.store.samples, run.histograms, configuration, windows, run.plan.luminosity)
    rows = [run.histograms[name].counts[configuration][windows] for name in names]
    return rows, [counted.simulated(name, *place) for name in names]


def region_candidates(run: Run, region: str, configuration: int) -> list[Any] | None:
    """Return the candidates of a region (N,) of every channel; None for binned likelihoods."""
    if not run.candidates:
        return None
    return [run.candidates[name].values[configuration] for name in engine.pass_names(run.search, region)]


def window_counts(histogram: Histogram, grid: WindowGrid, configuration: int, windows: slice) -> Any:
    """Return the counts of windows, whether the pass filled a fine axis or each window by itself."""
    counts = histogram.counts[configuration]
    if counts.ndim == 1:
        return grid.counts(counts, windows)
    return np.ascontiguousarray(counts[windows], dtype=np.float64)
