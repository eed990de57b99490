"""Searches whose numbers are published: channels that each count events, known without an event store.

Each channel is one bin with an expected background, whose stated errors are a log-normal nuisance of its
own. The signal is shared by the channels' efficiencies; systematics are those of any search, where one on
the background scales what is expected.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.nuisances import Nuisances
from scanner.schema.channels import Counts
from scanner.seeds import window_keys
from scanner.stats.counted import COUNTED_METHODS
from scanner.windows.grid import WindowGrid, resolution_coordinate
from scanner.windows.joint import Part, rates, signal_shares, total_rate
from scanner.windows.systematics import SIGNAL_TARGETS, YIELD_TARGETS, window_nuisances
from scanner.windows.templates import WindowModel

Floats = NDArray[np.float64]

STATED_METHODS = ("auto", "asymptotic", "toys", "feldman_cousins")
"""Methods for several counts together; `auto` throws toys."""
LEAST = 0.01
"""Share of the expected background to which its stated error may lower it: a log-normal has no zero."""


def stated_methods(search: Search) -> tuple[str, ...]:
    """Return the names of the methods that set limits from the counts of a search."""
    return STATED_METHODS if len(search.channels) > 1 else (*COUNTED_METHODS, "toys", "minos")


def beyond_stated(search: Search) -> dict[str, bool]:
    """Return what a search with published numbers says that is not possible, and whether it says so."""
    possible = stated_methods(search)
    found = {
        f"limits by {search.method.limit} from {len(search.channels)} counts (possible: "
        f"{', '.join(possible)})": search.method.limit not in possible,
        "an unbinned likelihood of published counts": search.method.likelihood == "unbinned",
        "floating parameters of published counts": bool(search.signal.floating.names),
        "a scan of published counts over a plane": search.window.shape != "interval",
    }
    for term in search.systematics.values():
        known = term.on in (*SIGNAL_TARGETS, *YIELD_TARGETS)
        found[f"a systematic on {term.on} of published counts"] = not known
    return found


def stated_grids(search: Search) -> dict[str, WindowGrid]:
    """Lay out the masses of every region of a search; its windows have a bin for each channel."""
    return {region.name: _grid(search, region.name, region.low, region.high) for region in search.regions}


def _grid(search: Search, region: str, low: float, high: float) -> WindowGrid:
    mass = _masses(search, low, high)
    known = search.signal.stated_resolution
    resolution = np.full(mass.shape, np.nan) if known is None else known(mass)
    channels, nothing = len(search.channels), np.empty(0)
    first, stride = np.zeros(len(mass), dtype=np.int64), np.ones(len(mass), dtype=np.int64)
    return WindowGrid(region, mass, resolution, nothing, nothing, first, stride, channels)


def _masses(search: Search, low: float, high: float) -> Floats:
    axis = search.scan_axis
    if axis.values is not None:
        values = np.asarray(axis.values, dtype=np.float64)
        return values[(values >= low) & (values <= high)]
    mass, t = resolution_coordinate(low, high, search.signal.resolution)
    steps = max(1, int(np.ceil(t[-1] / (axis.step or 1.0) - 1e-9)))
    found = np.interp(np.linspace(0.0, t[-1], steps + 1), t, mass)
    found[0], found[-1] = low, high  # to the bit
    return found


def stated_counts(search: Search) -> tuple[Counts, ...]:
    """Return the published numbers of every channel."""
    return tuple(channel.counts for channel in search.channels.values() if channel.counts is not None)


def stated_problem(
    search: Search,
    grid: WindowGrid,
    block: slice,
    *,
    parameters: Mapping[str, float],
    names: tuple[str, str],
    include: str,
) -> tuple[BinnedProblem, Floats]:
    """Return the likelihoods of a block of W masses with a bin for each of C channels, and the efficiency.

    Parameters
    ----------
    parameters : mapping
        Configuration and point of the further axes.
    names : (str, str)
        Identity of the scan and name of the configuration, which random numbers follow from.
    include : str
        A key of `scanner.windows.systematics.INCLUDED`.

    Returns
    -------
    problem : BinnedProblem
    efficiency : (W,) float
        Efficiency times branching fraction of all channels together.
    """
    found = rates(search, grid, block, parameters)
    model = _model(search, found)
    windows = len(model.signal)
    observed = np.array([counts.observed for counts in stated_counts(search)], dtype=np.float64)
    problem = BinnedProblem(
        np.tile(observed, (windows, 1)),
        model.signal,
        model.background,
        core=model.core,
        terms=model.terms,
        keys=window_keys(*names, grid.region, block),
    )
    expected = model.fixed.sum(axis=1)
    nuisances = window_nuisances(search, found, block, parameters, model, lambda: expected, include=include)
    if nuisances is None:
        raise InputError(f"search {search.name!r} states no counts in its channels")
    errors = _background_errors(search, nuisances)
    return replace(problem, nuisances=errors if include != "nothing" else nuisances), total_rate(found)


def _model(search: Search, found: tuple[Part, ...]) -> WindowModel:
    shares = signal_shares(found)
    windows, channels = shares.shape
    expected = np.diag([counts.expected for counts in stated_counts(search)])
    everywhere = np.ones((windows, channels), dtype=np.bool_)
    return WindowModel(
        shares,
        np.empty((windows, 0, channels)),
        np.zeros(windows, dtype=np.int64),
        everywhere,
        np.empty((windows, 0), dtype=np.int64),
        np.tile(expected, (windows, 1, 1)),
        everywhere,
        shares,
        tuple(range(channels)),
    )


def _background_errors(search: Search, nuisances: Nuisances) -> Nuisances:
    """Add a nuisance for the expected background of each channel that states an error."""
    windows, known, samples, _ = nuisances.norm.shape
    names, added = [], []
    for number, (name, counts) in enumerate(zip(search.channels, stated_counts(search), strict=True)):
        if counts.expected == 0.0 or counts.error_low == counts.error_high == 0.0:
            continue
        norm = np.zeros((windows, 1, samples, 2))
        low = max(1.0 - counts.error_low / counts.expected, LEAST)
        norm[:, 0, 1 + number] = np.log([low, 1.0 + counts.error_high / counts.expected])
        names.append(f"background_{name}")
        added.append(norm)
    return replace(
        nuisances,
        names=(*nuisances.names, *names),
        norm=np.concatenate([nuisances.norm, *added], axis=1),
        observed=np.zeros((windows, known + len(names))),
    )
