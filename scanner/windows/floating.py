"""The floating parameters of a search: templates of a block of windows as functions of them.

They are the signal's mass (in resolutions from the hypothesis), its resolution and natural width (as
factors), and, where the definition lets them float at every yield, the background's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner import shapes
from scanner.definition import Search
from scanner.likelihoods.amounts import Amounts
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.floating import FloatingFit, FloatingProblem, FloatingTemplates, TemplateSlopes
from scanner.stats.floating import floating_limits
from scanner.stats.limits import Limits
from scanner.stats.settings import Settings
from scanner.windows.grid import WindowGrid
from scanner.windows.templates import WindowModel, background_constants, background_terms, signal_templates

Floats = NDArray[np.float64]

STEP = 1e-4
"""Half the distance, in resolutions or relative, over which the signal's derivatives are taken."""
LATTICE = {"mass": (0.0, 0.25, 0.5, 0.75, 1.0), "resolution": (0.0, 0.5, 1.0), "width": (0.0, 0.5, 1.0)}
"""Where between their bounds parameters of the signal are tried before fits begin."""


def floats(search: Search) -> bool:
    """Whether a definition lets non-linear parameters float."""
    return bool(search.signal.floating.names) or _bends(search) != ()


def _bends(search: Search) -> tuple[str, ...]:
    background = search.background
    return shapes.BACKGROUNDS[background.shape].parameters if background.floating else ()


@dataclass(frozen=True)
class Floating:
    """The templates of a block of windows, from a definition.

    Attributes
    ----------
    model : WindowModel
        Templates at the start, with the background linearised there.
    nonlinear : mapping of (W,) float
        The background's non-linear parameters there.
    """

    search: Search
    grid: WindowGrid
    block: slice
    parameters: Mapping[str, float]
    model: WindowModel
    nonlinear: Mapping[str, Floats]

    @property
    def kept(self) -> NDArray[np.int64]:
        """Terms of the linearised background that are left: derivatives of what floats are not."""
        most = self.model.background.shape[1]
        return np.array([k for k in range(most) if not 1 <= k <= len(_bends(self.search))], dtype=np.int64)

    def problem(self, binned: BinnedProblem) -> FloatingProblem:
        """Return the problem of the windows; `binned` has their counts, terms and nuisances."""
        low, start, high = self._ranges()
        names, bends = self.search.signal.floating.names, len(_bends(self.search))
        lattice = (*(LATTICE[name] for name in names), *(() for _ in range(bends)))
        terms, amounts = binned.terms - bends, None
        if binned.nuisances is not None:
            amounts = Amounts.of(binned.nuisances, binned.signal)
            amounts = amounts.keep_terms(self.kept, self.model.background.shape[1])
        return FloatingProblem(
            *(binned.counts, self.templates, self.slopes, start, low, high, terms),
            self.model.core,
            lattice,
            amounts,
        )

    def _ranges(self) -> tuple[Floats, Floats, Floats]:
        """Return lower bounds, starts and upper bounds, (W, P) each."""
        windows, peak = len(self.model.signal), self.search.signal.floating
        centres = {"mass": 0.0, "resolution": 1.0, "width": 1.0}
        columns = [
            [np.full(windows, centres[name] + k * getattr(peak, name)) for k in (-1.0, 0.0, 1.0)]
            for name in peak.names
        ]
        bounds = shapes.BACKGROUNDS[self.search.background.shape].bounds
        for name in _bends(self.search):
            ends = (np.full(windows, end) for end in bounds[name])
            columns.append([next(ends), self.nonlinear[name], next(ends)])
        low, start, high = (np.stack([column[k] for column in columns], axis=1) for k in range(3))
        return low, start, high

    def background(self, values: Floats) -> dict[str, Floats]:
        """Return the background's non-linear parameters (W,) at parameters (W, P)."""
        first = len(self.search.signal.floating.names)
        found = {name: values[:, first + i].copy() for i, name in enumerate(_bends(self.search))}
        return {**self.nonlinear, **found}

    def templates(self, values: Floats) -> FloatingTemplates:
        """Return the templates at parameters (W, P)."""
        background = self.model.background.copy()
        bends = len(_bends(self.search))
        if bends:
            background[:, : 1 + bends] = self._bent(values)
        return FloatingTemplates(self._signal(values), background[:, self.kept])

    def slopes(self, values: Floats) -> TemplateSlopes:
        """Return the derivatives of the templates at parameters (W, P)."""
        peaks, bends = len(self.search.signal.floating.names), len(_bends(self.search))
        windows, bins = self.model.signal.shape
        signal = np.zeros((windows, values.shape[1], bins))
        for p in range(peaks):
            step = STEP * np.eye(values.shape[1])[p]
            signal[:, p] = (self._signal(values + step) - self._signal(values - step)) / (2.0 * STEP)
        background = np.zeros((windows, values.shape[1], len(self.kept), bins))
        if bends:
            background[:, peaks:, 0] = self._bent(values)[:, 1:]
        return TemplateSlopes(signal, background)

    def _bent(self, values: Floats) -> Floats:
        """Return the background's density and its derivatives, (W, 1 + parameters, B)."""
        mass, edges = self.grid.mass[self.block], self.grid.edges[self.grid.edge_indices(self.block)]
        known = {**background_constants(self.search, self.grid, mass), **self.background(values)}
        terms, _ = background_terms(self.search, edges, mass, known)
        return terms * self.model.live[:, None]

    def _signal(self, values: Floats) -> Floats:
        mass, names = self.grid.mass[self.block], self.search.signal.floating.names
        at = {name: values[:, p] for p, name in enumerate(names)}
        shift = at.get("mass", np.zeros(len(mass))) * self.grid.resolution[self.block]
        shift = np.divide(shift, mass, out=np.zeros(len(mass)), where=mass > 0.0)
        templates = signal_templates(
            self.search,
            self.grid,
            self.block,
            self.parameters,
            mass_scale=1.0 + shift,
            resolution_scale=at.get("resolution", 1.0),
            width_scale=at.get("width", 1.0),
        )
        return np.ascontiguousarray(templates * self.model.live)

    def coefficients(self, fitted: Floats) -> Floats:
        """Return fitted coefficients as those of the linearised background at its parameters, (W, K)."""
        found = np.zeros((len(fitted), self.model.background.shape[1]))
        found[:, self.kept] = fitted
        found[np.arange(found.shape[1]) >= self.model.terms[:, None]] = np.nan
        return found

    def results(self, free: FloatingFit) -> dict[str, Floats]:
        """Return the fitted parameters of the signal by the names of a limit cube, (W,) each."""
        names, known = self.search.signal.floating.names, np.isfinite(free.linear.nll)
        at = {name: np.where(known, free.parameters[:, p], np.nan) for p, name in enumerate(names)}
        mass, resolution = self.grid.mass[self.block], self.grid.resolution[self.block]
        found = {}
        if "mass" in at:
            found["fitted_mass"] = mass + at["mass"] * resolution
        if "resolution" in at:
            found["fitted_resolution"] = resolution * at["resolution"]
        if "width" in at and self.search.signal.width is not None:
            found["fitted_width"] = self.search.signal.width(mass, **self.parameters) * at["width"]
        return found


def scan_floating(
    floating: Floating, binned: BinnedProblem, settings: Settings, method: str
) -> tuple[Limits, dict[str, Floats]]:
    """Set the limits of a block, and return the fitted parameters by the names of a limit cube.

    Those of the background belong to its coefficients, the fit without signal; those of the signal to
    the fit with it.
    """
    limits, free, null = floating_limits(floating.problem(binned), binned, settings, method)
    coefficients = floating.coefficients(limits.background_coefficients)
    bends = floating.background(null.parameters)
    found = floating.results(free) | {f"background_{name}": values for name, values in bends.items()}
    return replace(limits, background_coefficients=coefficients), found
