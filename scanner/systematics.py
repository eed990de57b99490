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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.joint import Part
from scanner.nuisances import Nuisances
from scanner.schema.densities import Peak
from scanner.schema.statistics import Systematic
from scanner.templates import WindowModel, signal_templates

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


def constrained_peaks(parts: Sequence[Part]) -> dict[str, Peak]:
    """Return the known peaks of a stated yield by name, in the order of their templates."""
    return {
        name if len(parts) == 1 else f"{part.name}_{name}": peak
        for part in parts
        for name, peak in part.search.background.peaks.items()
        if peak.expected is not None
    }


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
    parts: Sequence[Part],
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
    parts : sequence of Part
        The C channels.
    block : slice
        The W windows.
    parameters : mapping
        The model configuration.
    model : WindowModel
        Their nominal templates.
    under : callable
        Gives the background under the signal (W, C) [events]; called where a size is relative to it.
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
    for number, (name, peak) in enumerate(constrained_peaks(parts).items()):
        kappa = np.full(windows, 1.0 + (peak.error or 0.0))
        effects.scale(PEAK + name, 1 + effects.terms + number, 1.0 / kappa, kappa)
    mass = parts[0].grid.mass[block]
    for term in terms:
        acts = [not term.channels or part.name in term.channels for part in parts]
        size = term.relative(mass, parameters)
        if term.on in SIGNAL_TARGETS:
            _scale_signal(effects, term, size, model, acts)
        elif term.on in SHAPE_TARGETS:
            _bend_signal(effects, term, size, parts, block, parameters, model, acts)
        else:
            low, high = _spurious_yields(term, mass, size, parameters, model, under, acts)
            effects.change(
                term.nuisance, effects.samples - 1, _like_signal(low, model), _like_signal(high, model)
            )
    return effects.nuisances()


def _scale_signal(
    effects: Effects, term: Systematic, size: Floats, model: WindowModel, acts: Sequence[bool]
) -> None:
    if term.kind == "normal":
        change = size[:, None] * _masked(model.signal, model, acts)
        effects.change(term.nuisance, 0, -change, change)
    elif all(acts):
        effects.scale(term.nuisance, 0, 1.0 / (1.0 + size), 1.0 + size)
    else:
        raise NotImplementedError


def _masked(values: Floats, model: WindowModel, acts: Sequence[bool]) -> Floats:
    """Return values (W, B) with 0 in the bins of the channels that are not acted on."""
    masked = values.copy()
    for span, acted in zip(model.spans, acts, strict=True):
        masked[:, span] *= acted
    return masked


def _bend_signal(
    effects: Effects,
    term: Systematic,
    size: Floats,
    parts: Sequence[Part],
    block: slice,
    parameters: Mapping[str, float],
    model: WindowModel,
    acts: Sequence[bool],
) -> None:
    factors = (1.0 - size, 1.0 + size) if term.kind == "normal" else (1.0 / (1.0 + size), 1.0 + size)
    scaled = SHAPE_TARGETS[term.on]
    changes = []
    for factor in factors:
        bent = np.concatenate(
            [
                share[:, None]
                * signal_templates(part.search, part.grid, block, parameters, **{scaled: factor})
                for part, share in zip(parts, model.shares.T, strict=True)
            ],
            axis=1,
        )
        changes.append(_masked(model.live * bent - model.signal, model, acts))
    effects.change(term.nuisance, 0, *changes)


def _spurious_yields(
    term: Systematic,
    mass: Floats,
    size: Floats,
    parameters: Mapping[str, float],
    model: WindowModel,
    under: Callable[[], Floats],
    acts: Sequence[bool],
) -> tuple[Floats, Floats]:
    """Return the events (W, C) that a spurious signal adds to each channel at −1 and at +1.

    A number of events is the total of the channels that it acts on, shared as the signal is.
    """
    acted = np.array(acts, dtype=np.float64)
    if term.events is not None:
        shares = model.shares * acted
        total = shares.sum(axis=1, keepdims=True)
        events = term.events(mass, **parameters)[:, None] * shares / np.where(total > 0.0, total, 1.0)
        return -events, events
    low = -size if term.kind == "normal" else 1.0 / (1.0 + size) - 1.0
    below = under() * acted
    return low[:, None] * below, size[:, None] * below


def _like_signal(events: Floats, model: WindowModel) -> Floats:
    """Return events (W, C) with the shape of the signal in each channel, (W, B)."""
    spread = np.zeros_like(model.signal)
    for c, span in enumerate(model.spans):
        share = model.shares[:, c]
        spread[:, span] = model.signal[:, span] * (events[:, c] / np.where(share > 0.0, share, 1.0))[:, None]
    return spread
