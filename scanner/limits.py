"""One block of windows to one block of results: fit, limit, cross section and coupling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner import engine
from scanner.definition import Search
from scanner.interpretation import Exposure, Place, physics_limits
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.simultaneous import SimultaneousProblem
from scanner.likelihoods.tabulated import Tables
from scanner.models import MODELS
from scanner.results import Results, backgrounds, leave_out, of_limits, peak_yields
from scanner.seeds import window_keys
from scanner.stats import METHODS, Limits, Settings
from scanner.stats.envelope import with_envelope
from scanner.stats.goodness import goodness_of_fit
from scanner.stats.order import CHOICES
from scanner.stats.recovery import recover
from scanner.stats.unbinned_envelope import with_unbinned_envelope
from scanner.stats.unbinned_methods import unbinned_limits
from scanner.windows.axes import Point
from scanner.windows.floating import Floating, floats, scan_floating
from scanner.windows.grid import WindowGrid
from scanner.windows.joint import BlockModel, block_model, efficiency_error, total_rate
from scanner.windows.systematics import fixed_samples, window_nuisances, with_statistics
from scanner.windows.unbinned import simultaneous_problem

Floats = NDArray[np.float64]

NOWHERE: Point = MappingProxyType({})
QUALITY = ("fit_quality", "fit_quality_toys")


class Memory:
    """Limits of likelihoods that were met before: all of them, along an axis that only efficiencies know.

    And `tables` of the densities in them, which stay where a lifetime changes the shares of channels.
    """

    def __init__(self) -> None:
        self._found: dict[str, Limits] = {}
        self.tables = Tables()

    def __call__(self, problem: BinnedProblem, limits: Callable[[], Limits]) -> Limits:
        """Return the limits of a problem, computed if they are not known."""
        key = _digest(problem)
        if key not in self._found:
            self._found[key] = limits()
        return self._found[key]


def _digest(value: Any) -> str:
    """Return the sha256 of the arrays and names in nested dataclasses."""
    found = sha256()
    for part in fields(value):
        item = getattr(value, part.name)
        if is_dataclass(item):
            found.update(_digest(item).encode())
        else:
            found.update(item.tobytes() if isinstance(item, np.ndarray) else repr(item).encode())
    return found.hexdigest()


def scan_block(
    search: Search,
    grid: WindowGrid,
    counts: Floats,
    block: slice,
    *,
    configuration: int,
    exposure: Exposure,
    method: str,
    identity: str = "",
    candidates: Sequence[Floats] | None = None,
    point: Point = NOWHERE,
    memory: "Memory | None" = None,
) -> Results:
    """Set the limits of a block of windows.

    Parameters
    ----------
    counts : (W, B) float
        Events in the bins of the block's windows.
    block : slice
        The W windows of the grid.
    configuration : int
        Index of the model configuration.
    exposure : Exposure
        Luminosity of the data.
    method : str
        A key of `scanner.stats.METHODS`.
    identity : str
        Scan identity, from which the seeds of toys follow.
    candidates : sequence of (N,) float, optional
        Observable of each channel's candidates, rising, where the definition asks for an unbinned likelihood.
    point : mapping
        Values of the scan's axes, such as a lifetime, on which no window depends.
    memory : Memory, optional
        Limits of the same windows at other points, to be taken again where the likelihood is the same.

    Returns
    -------
    dict of arrays
        The variables of the limit cube, each with W as first dimension; expected limits are
        (W, 5) at `scanner.constants.QUANTILES`.
    """
    parameters = {**search.configurations[configuration].parameters, **point}
    expected = block_model(search, grid, counts, block, parameters)
    problem = _problem(search, grid, counts, block, expected, configuration, identity, "everything")
    made = _Block(search, grid, block, parameters, expected, problem, method)
    mass = grid.mass[block]
    limits, further = _limits(made, candidates, memory or Memory())
    efficiency = total_rate(expected.parts)
    results: Results = {
        "n_observed": problem.counts.sum(axis=1).astype(np.int64),
        "efficiency": efficiency,
        "resolution": grid.resolution[block],
    }
    results |= of_limits(limits) | backgrounds(expected, problem.terms) | further
    results |= efficiency_error(expected.parts, mass, parameters)
    if expected.model.peaks.shape[1]:
        results["peak_yield"] = peak_yields(expected.model, limits.background_coefficients)
    place = Place(mass, parameters)
    results |= physics_limits(search, place, limits.yield_limit, limits.expected, efficiency, exposure)
    return leave_out(results, engine.vetoed(search, mass))


@dataclass(frozen=True)
class _Block:
    """The windows of a block: what is expected in them, and their likelihoods."""

    search: Search
    grid: WindowGrid
    windows: slice
    parameters: dict[str, float]
    expected: BlockModel
    problem: BinnedProblem
    method: str


def _limits(block: _Block, candidates: Sequence[Floats] | None, memory: Memory) -> tuple[Limits, Results]:
    """Set the limits of a block by the likelihood that its search asks for; also what else that finds."""
    search, problem, model = block.search, block.problem, block.expected.model
    mass, method = block.grid.mass[block.windows], block.method
    if candidates is not None:
        return memory(problem, lambda: _unbinned_limits(block, candidates, memory)), {}
    if floats(search):
        bends = block.expected.nonlinear[0]
        floating = Floating(search, block.grid, block.windows, block.parameters, model, bends)
        limits, found = scan_floating(floating, problem, Settings(search.confidence_level), method)
        return limits, {**found}
    limits = memory(problem, lambda: block_limits(search, problem, mass, method))
    return limits, dict(zip(QUALITY, goodness_of_fit(problem, limits.fit_quality), strict=True))


def _unbinned_limits(block: _Block, candidates: Sequence[Floats], memory: Memory) -> Limits:
    """Set the limits of unbinned windows, as `block_limits` does those of bins."""
    search, problem, mass = block.search, block.problem, block.grid.mass[block.windows]

    def unbinned(terms: NDArray[np.int64]) -> SimultaneousProblem:
        return simultaneous_problem(
            *(search, block.windows, candidates, block.expected, block.parameters),
            replace(problem, terms=terms),
            lambda: background_under(replace(problem, nuisances=None), block.expected.model),
            memory.tables,
        )

    settings = method_settings(search, block.method)
    limits = unbinned_limits(unbinned(problem.terms), problem, settings, block.method)
    if search.background.choose != "discrete_profile":
        return limits
    most = engine.highest_terms(search, mass)
    orders = [unbinned(np.minimum(most, n)) for n in range(1, int(most.max()) + 1)]
    return with_unbinned_envelope(orders, settings, limits)


def block_limits(search: Search, problem: BinnedProblem, mass: Floats, method: str) -> Limits:
    """Set the limits of windows at masses (W,) by a method, including the choice of a profiled order."""
    settings = method_settings(search, method)
    limits = METHODS[method](problem, settings)
    limits = recover(problem, limits, lambda part: METHODS[method](part, settings))
    if search.background.choose != "discrete_profile":
        return limits
    return with_envelope(replace(problem, terms=engine.highest_terms(search, mass)), settings, limits)


def method_settings(search: Search, name: str) -> Settings:
    """Return what a definition tells the method of a name.

    Toys of 0 leave the method's own number. The automatic choice then has none and counts instead: a
    window with toys costs a thousand times as much as one without.
    """
    method = search.method
    own = 0 if name == "auto" else Settings.toys
    return Settings(
        search.confidence_level,
        criterion=method.criterion,
        toys=method.toys or own,
        prior=method.prior,
        power=Settings.power if search.model is None else MODELS[search.model.name].power or Settings.power,
    )


def window_problem(
    search: Search,
    grid: WindowGrid,
    counts: Floats,
    block: slice,
    *,
    configuration: int,
    identity: str = "",
    include: str = "nothing",
) -> tuple[BinnedProblem, dict[str, Floats]]:
    """Return the likelihoods of a block of windows, and the background's non-linear parameters in them.

    Parameters are those of `scan_block`; toys pass through here as the data do. Where the definition
    chooses the order of the background, it is chosen here, from a window's own counts. `include` names
    the systematics that enter, a key of `scanner.windows.systematics.INCLUDED`.
    """
    parameters = dict(search.configurations[configuration].parameters)
    expected = block_model(search, grid, counts, block, parameters)
    problem = _problem(search, grid, counts, block, expected, configuration, identity, include)
    return problem, expected.nonlinear[0]


def _problem(
    search: Search,
    grid: WindowGrid,
    counts: Floats,
    block: slice,
    expected: BlockModel,
    configuration: int,
    identity: str,
    include: str = "nothing",
) -> BinnedProblem:
    model, chosen = expected.model, search.configurations[configuration]
    problem = BinnedProblem(
        np.where(model.live, counts, 0.0),
        model.signal,
        model.background,
        core=model.core,
        terms=model.terms,
        keys=window_keys(identity, chosen.name, grid.region, block),
    )
    problem = replace(problem, terms=CHOICES[search.background.choose](problem))
    nuisances = window_nuisances(
        search,
        expected.parts,
        block,
        dict(chosen.parameters),
        model,
        lambda: background_under(problem, model),
        include=include,
    )
    return replace(problem, nuisances=with_statistics(nuisances, model))


def background_under(problem: BinnedProblem, model: engine.WindowModel) -> Floats:
    """Return the background in the core of windows without signal, (W, C) [events]; 0 without a fit.

    Known peaks keep their stated yields in that fit.
    """
    fixed = replace(problem, nuisances=fixed_samples(model)) if model.fixed.shape[1] else problem
    coefficients = np.nan_to_num(fit(fixed, np.zeros(problem.windows), second_opinion=False).background)
    expected = np.einsum("wk,wkb->wb", coefficients, model.background) * model.core
    under = np.stack([expected[:, span].sum(axis=1) for span in model.spans], axis=1)
    events: Floats = np.maximum(under, 0.0)
    return events
