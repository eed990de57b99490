"""The systematics of a definition, as nuisances of the likelihoods of its windows.

What a systematic acts on (`on`) decides what it does at one standard deviation of relative size δ:

- ``signal``, ``efficiency``, ``luminosity`` scale the signal. The yield that is fitted and limited is then
  that at nominal luminosity and efficiency, so that limits on cross sections and couplings follow from
  it by the nominal conversion. Where a search is normalised to nothing there is no conversion, and
  efficiency and luminosity do not enter.
- ``resolution``, ``mass`` change the signal's shape: the resolution, or the position of the peak, times
  1 + δ and 1/(1 + δ), or 1 ± δ if normal, by vertical interpolation between the templates.
- ``background``, ``yield`` add background that looks like the signal, a spurious signal: δ times the
  background under the signal as fitted without it, or a stated number of events.

Known peaks of a stated yield are fixed samples with a log-normal nuisance each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.nuisances import Nuisances
from scanner.schema.statistics import Systematic
from scanner.templates import WindowModel, signal_templates
from scanner.windows import WindowGrid

Floats = NDArray[np.float64]

SIGNAL_TARGETS = ("signal", "efficiency", "luminosity")
CONVERSION_TARGETS = ("efficiency", "luminosity")
SHAPE_TARGETS = {"resolution": "resolution_scale", "mass": "mass_scale"}
YIELD_TARGETS = ("background", "yield")
INCLUDED = {
    "nothing": "no systematic",
    "significance": "what can change a significance: all but factors on the whole signal",
    "everything": "all that the definition does not keep out of limits",
}
PEAK = "peak_"
"""Prefix of the nuisance of a known peak's yield."""


def in_limits(search: Search) -> tuple[Systematic, ...]:
    """Return the systematics of a search that enter its limits."""
    converts = search.normalisation.kind != "none"
    return tuple(
        term
        for term in search.systematics.values()
        if term.in_limit and (converts or term.on not in CONVERSION_TARGETS)
    )


def constrained_peaks(search: Search) -> tuple[str, ...]:
    """Return the known peaks of a stated yield, in the order of their templates."""
    return tuple(name for name, peak in search.background.peaks.items() if peak.expected is not None)


def needs_background(search: Search) -> bool:
    """Tell whether the size of a systematic is relative to the background under the signal."""
    return any(term.on in YIELD_TARGETS and term.size is not None for term in in_limits(search))


def fixed_samples(model: WindowModel) -> Nuisances:
    """Return the samples of known size of a block of windows, without any uncertainty."""
    return Effects(len(model.signal), model.background.shape[1], model.fixed).nuisances()


@dataclass
class Effects:
    """The nuisances of a block of W windows, gathered one by one.

    Attributes
    ----------
    fixed : (W, F, B) float
        Samples of known size; the last one, without events, is where spurious signals are added.
    norm : mapping of (W, S, 2) float
        Logarithms of the factors on samples by nuisance.
    shape : mapping of (W, 2, B) float
        Changes of templates by nuisance and sample.
    """

    windows: int
    terms: int
    fixed: Floats
    norm: dict[str, Floats] = field(default_factory=dict)
    shape: dict[tuple[str, int], Floats] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of samples: signal, background terms and fixed ones."""
        return 1 + self.terms + int(self.fixed.shape[1])

    def scale(self, name: str, sample: int, low: Floats, high: Floats) -> None:
        """Multiply a sample by factors (W,) at −1 and +1."""
        norm = self.norm.setdefault(name, np.zeros((self.windows, self.samples, 2)))
        norm[:, sample] += np.log(np.stack([low, high], axis=-1))

    def change(self, name: str, sample: int, low: Floats, high: Floats) -> None:
        """Change the template of a sample by (W, B) at −1 and at +1."""
        self.norm.setdefault(name, np.zeros((self.windows, self.samples, 2)))
        both = np.stack([low, high], axis=1)
        self.shape[name, sample] = self.shape.get((name, sample), 0.0) + both

    def nuisances(self) -> Nuisances:
        """Return all of it as arrays."""
        names = tuple(self.norm)
        bins = self.fixed.shape[2]
        pairs = [(names.index(name), sample) for name, sample in self.shape]
        return Nuisances(
            names,
            np.stack([self.norm[name] for name in names], axis=1)
            if names
            else np.zeros((self.windows, 0, self.samples, 2)),
            np.stack(list(self.shape.values()), axis=1) if pairs else np.zeros((self.windows, 0, 2, bins)),
            np.array([nuisance for nuisance, _ in pairs], dtype=np.int64),
            np.array([sample for _, sample in pairs], dtype=np.int64),
            self.fixed,
        )


def window_nuisances(
    search: Search,
    grid: WindowGrid,
    block: slice,
    parameters: Mapping[str, float],
    model: WindowModel,
    under: Callable[[], Floats],
    *,
    include: str,
) -> Nuisances | None:
    """Return the nuisances of a block of windows; None where nothing is uncertain.

    Parameters
    ----------
    block : slice
        The W windows of the grid.
    parameters : mapping
        The model configuration.
    model : WindowModel
        Their nominal templates.
    under : callable
        Gives the background under the signal (W,) [events]; called where `needs_background`.
    include : str
        A key of `INCLUDED`.
    """
    stated = in_limits(search) if include != "nothing" else ()
    terms = [t for t in stated if include == "everything" or t.on not in SIGNAL_TARGETS]
    spurious = any(term.on in YIELD_TARGETS for term in terms)
    if not terms and not model.fixed.shape[1]:
        return None
    windows, bins = model.signal.shape
    fixed = np.concatenate([model.fixed, np.zeros((windows, int(spurious), bins))], axis=1)
    effects = Effects(windows, model.background.shape[1], fixed)
    for number, name in enumerate(constrained_peaks(search)):
        kappa = np.full(windows, 1.0 + (search.background.peaks[name].error or 0.0))
        effects.scale(PEAK + name, 1 + effects.terms + number, 1.0 / kappa, kappa)
    mass = grid.mass[block]
    for term in terms:
        if term.on in SIGNAL_TARGETS:
            _scale_signal(effects, term, term.relative(mass, parameters), model)
        elif term.on in SHAPE_TARGETS:
            _bend_signal(effects, term, search, grid, block, parameters, model)
        else:
            _add_spurious(effects, term, _spurious_yield(term, mass, parameters, under), model)
    return effects.nuisances()


def _scale_signal(effects: Effects, term: Systematic, size: Floats, model: WindowModel) -> None:
    if term.kind == "normal":
        change = size[:, None] * model.signal
        effects.change(term.nuisance, 0, -change, change)
    else:
        effects.scale(term.nuisance, 0, 1.0 / (1.0 + size), 1.0 + size)


def _bend_signal(
    effects: Effects,
    term: Systematic,
    search: Search,
    grid: WindowGrid,
    block: slice,
    parameters: Mapping[str, float],
    model: WindowModel,
) -> None:
    size = term.relative(grid.mass[block], parameters)
    factors = (1.0 - size, 1.0 + size) if term.kind == "normal" else (1.0 / (1.0 + size), 1.0 + size)
    scaled = SHAPE_TARGETS[term.on]
    low, high = (
        model.live * signal_templates(search, grid, block, parameters, **{scaled: factor}) - model.signal
        for factor in factors
    )
    effects.change(term.nuisance, 0, low, high)


def _spurious_yield(
    term: Systematic, mass: Floats, parameters: Mapping[str, float], under: Callable[[], Floats]
) -> tuple[Floats, Floats]:
    """Return the events (W,) that a spurious signal adds at −1 and at +1."""
    if term.events is not None:
        events = term.events(mass, **parameters)
        return -events, events
    size, below = term.relative(mass, parameters), under()
    low = -size if term.kind == "normal" else 1.0 / (1.0 + size) - 1.0
    return low * below, size * below


def _add_spurious(
    effects: Effects, term: Systematic, events: tuple[Floats, Floats], model: WindowModel
) -> None:
    low, high = (added[:, None] * model.signal for added in events)
    effects.change(term.nuisance, effects.samples - 1, low, high)
