"""The systematics of a definition, as nuisances of the likelihoods of its windows.

What a systematic acts on (`on`) decides what it does at one standard deviation of relative size δ:

- ``signal``, ``efficiency``, ``luminosity`` scale the signal. The yield that is fitted and limited is then
  that at nominal luminosity and efficiency, so that limits on cross sections and couplings follow from
  it by the nominal conversion. Where a search is normalised to nothing there is no conversion, and
  efficiency and luminosity do not enter.
- ``resolution``, ``mass`` change the signal's shape: the resolution, or the position of the peak, times
  1 + δ and 1/(1 + δ), or 1 ± δ if normal, by vertical interpolation between the templates. Where it floats
  there is nothing left to be uncertain.
- ``background``, ``yield`` add background that looks like the signal, a spurious signal: δ times the
  background under the signal as fitted without it, or a stated number of events.

Known peaks of a stated yield, and templates that do not float, are fixed samples with a log-normal
nuisance each. The numbers of simulated rows in templates enter by one factor a bin.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.likelihoods.nuisances import Nuisances
from scanner.schema.statistics import Systematic
from scanner.windows.joint import Part
from scanner.windows.templates import WindowModel, signal_templates

Floats = NDArray[np.float64]

SIGNAL_TARGETS = ("signal", "efficiency", "luminosity")
CONVERSION_TARGETS = ("efficiency", "luminosity")
SHAPE_TARGETS = {"resolution": "resolution_scale", "mass": "mass_scale"}
YIELD_TARGETS = ("background", "yield")
INCLUDED = {
    "nothing": "no systematic",
    "significance": "what can change a significance: all but factors on the signal",
    "everything": "all that the definition does not keep out of limits",
}
PEAK = "peak_"
TEMPLATE = "template_"
"""Prefixes of the nuisances of the yields of a known peak, and of a template that does not float."""


def in_limits(search: Search) -> tuple[Systematic, ...]:
    """Return the systematics of a search that enter its limits."""
    converts, free = search.normalisation.kind != "none", search.signal.floating.names
    return tuple(
        term
        for term in search.systematics.values()
        if term.in_limit and (converts or term.on not in CONVERSION_TARGETS) and term.on not in free
    )


def entering(search: Search, include: str) -> list[Systematic]:
    """Return the systematics that enter likelihoods, by a key of `INCLUDED`."""
    stated = in_limits(search) if include != "nothing" else ()
    return [term for term in stated if include == "everything" or not is_factor(term)]


def follow_counts(search: Search, include: str) -> bool:
    """Tell whether the size of a systematic that enters is relative to the background of the counts."""
    return any(term.on in YIELD_TARGETS and term.events is None for term in entering(search, include))


def describe(search: Search) -> str:
    """Say which systematics enter limits by any method, and which do not and why."""
    if not search.systematics:
        return "none: limits are statistical only"
    names = [term.name for term in in_limits(search)]
    left = [name for name in search.systematics if name not in names]
    text = ", ".join(names) or "none: limits are statistical only"
    return text + (f"; without {', '.join(left)}" if left else "")


def known_samples(parts: Sequence[Part]) -> dict[str, float]:
    """Return the relative errors of the samples of known size by name, in their order.

    They are the known peaks of a stated yield, and the templates that do not float.
    """
    found: dict[str, float] = {}
    for part in parts:
        prefix = "" if len(parts) == 1 else f"{part.name}_"
        for name, peak in part.search.background.peaks.items():
            if peak.expected is not None:
                found[f"{PEAK}{prefix}{name}"] = peak.error or 0.0
        for name, template in part.search.background.templates.items():
            if not template.floating:
                found[f"{TEMPLATE}{prefix}{name}"] = template.normalisation or 0.0
    return found


def with_statistics(nuisances: Nuisances | None, model: WindowModel) -> Nuisances | None:
    """Add the statistics of templates to the nuisances of a block of windows."""
    if not np.any(model.statistics > 0.0):
        return nuisances
    known = nuisances if nuisances is not None else fixed_samples(model)
    uncertain = np.ones(known.norm.shape[2], dtype=np.bool_)
    uncertain[0] = False  # of the signal only the shape is taken from a sample
    return replace(known, statistics=model.statistics, uncertain=uncertain)


def fixed_samples(model: WindowModel) -> Nuisances:
    """Return the samples of known size of a block of windows, without any uncertainty."""
    return Effects(model, spurious=False, split=False).nuisances()


class Effects:
    """The nuisances of a block of W windows, gathered one by one.

    The samples are the signal, K background terms and F of known size; where spurious signals are added,
    the last of these is without events of its own. With `split`, C parts of the signal follow, one for
    each channel.
    """

    def __init__(self, model: WindowModel, *, spurious: bool, split: bool) -> None:
        self.model = model
        windows, bins = model.signal.shape
        self.windows, self.terms = windows, int(model.background.shape[1])
        empty = np.zeros((windows, int(spurious), bins))
        self.fixed = np.concatenate([model.fixed, empty], axis=1)
        self.parts = self._parts() if split else np.empty((windows, 0, bins))
        self.norm: dict[str, Floats] = {}
        self.shape: dict[tuple[str, int], Floats] = {}

    def _parts(self) -> Floats:
        parts = np.zeros((self.windows, len(self.model.spans), self.model.signal.shape[1]))
        for c, span in enumerate(self.model.spans):
            parts[:, c, span] = self.model.signal[:, span]
        return parts

    @property
    def first_fixed(self) -> int:
        """Number of the first sample of known size."""
        return 1 + self.terms

    @property
    def last(self) -> int:
        """Number of the last sample that is no part: the one that spurious signals are added to."""
        return self.terms + int(self.fixed.shape[1])

    def name(self, nuisance: str) -> Floats:
        """Return the logarithms of factors (W, S, 2) of a nuisance, to add to."""
        samples = self.last + 1 + self.parts.shape[1]
        return self.norm.setdefault(nuisance, np.zeros((self.windows, samples, 2)))

    def scale(self, nuisance: str, sample: int, low: Floats, high: Floats) -> None:
        """Multiply a sample by factors (W,) at −1 and +1."""
        self.name(nuisance)[:, sample] += np.log(np.stack([low, high], axis=-1))

    def change(self, nuisance: str, sample: int, low: Floats, high: Floats) -> None:
        """Change the template of a sample by (W, B) at −1 and at +1."""
        self.name(nuisance)
        both = np.stack([low, high], axis=1)
        self.shape[nuisance, sample] = self.shape.get((nuisance, sample), 0.0) + both

    def scale_signal(self, nuisance: str, low: Floats, high: Floats, acts: Sequence[bool]) -> None:
        """Multiply the signal in the channels that are acted on."""
        if not self.parts.shape[1]:
            self.scale(nuisance, 0, low, high)
            return
        for c in np.flatnonzero(acts):
            self.scale(nuisance, self.last + 1 + int(c), low, high)

    def change_signal(self, nuisance: str, low: Floats, high: Floats, acts: Sequence[bool]) -> None:
        """Change the template of the signal in the channels that are acted on."""
        masks = [np.zeros(low.shape[1]) for _ in self.model.spans]
        for mask, span, acted in zip(masks, self.model.spans, acts, strict=True):
            mask[span] = acted
        if not self.parts.shape[1]:
            mask = np.sum(masks, axis=0)
            self.change(nuisance, 0, low * mask, high * mask)
            return
        for c in np.flatnonzero(acts):
            self.change(nuisance, self.last + 1 + int(c), low * masks[c], high * masks[c])

    def nuisances(self) -> Nuisances:
        """Return all of it as arrays."""
        names = tuple(self.norm)
        bins, parts = self.fixed.shape[2], self.parts.shape[1]
        pairs = [(names.index(name), sample) for name, sample in self.shape]
        samples = self.last + 1 + parts
        norm = (
            np.stack(list(self.norm.values()), axis=1) if names else np.zeros((self.windows, 0, samples, 2))
        )
        shape = np.stack(list(self.shape.values()), axis=1) if pairs else np.zeros((self.windows, 0, 2, bins))
        return Nuisances(
            names,
            norm,
            shape,
            np.array([nuisance for nuisance, _ in pairs], dtype=np.int64),
            np.array([sample for _, sample in pairs], dtype=np.int64),
            self.fixed,
            parts=self.parts,
            part_of=np.zeros(parts, dtype=np.int64),
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
    terms = entering(search, include)
    if not terms and not model.fixed.shape[1]:
        return None
    acts = {t.name: [not t.channels or part.name in t.channels for part in parts] for t in terms}
    effects = Effects(
        model,
        spurious=any(term.on in YIELD_TARGETS for term in terms),
        split=any(is_factor(term) and not all(acts[term.name]) for term in terms),
    )
    for number, (name, error) in enumerate(known_samples(parts).items()):
        if error > 0.0:
            kappa = np.full(effects.windows, 1.0 + error)
            effects.scale(name, effects.first_fixed + number, 1.0 / kappa, kappa)
    mass = parts[0].grid.mass[block]
    for term in terms:
        if term.size is None and term.events is None:
            raise InputError(f"the size of the systematic {term.name!r} is not known: state it")
        size, acted = term.relative(mass, parameters), acts[term.name]
        if is_factor(term):
            effects.scale_signal(term.nuisance, 1.0 / (1.0 + size), 1.0 + size, acted)
        elif term.on in SIGNAL_TARGETS:
            change = size[:, None] * model.signal
            effects.change_signal(term.nuisance, -change, change, acted)
        elif term.on in SHAPE_TARGETS:
            low, high = _bent_signals(term, size, parts, block, parameters, model)
            effects.change_signal(term.nuisance, low, high, acted)
        else:
            events = spurious_yields(term, mass, size, parameters, model, under, acted)
            low, high = (_like_signal(added, model) for added in events)
            effects.change(term.nuisance, effects.last, low, high)
    return effects.nuisances()


def is_factor(term: Systematic) -> bool:
    """Tell whether a systematic is a factor on the signal's normalisation."""
    return term.on in SIGNAL_TARGETS and term.kind == "lognormal"


def _bent_signals(
    term: Systematic,
    size: Floats,
    parts: Sequence[Part],
    block: slice,
    parameters: Mapping[str, float],
    model: WindowModel,
) -> tuple[Floats, Floats]:
    """Return the changes of the signal (W, B) at −1 and +1 of its resolution or mass."""
    factors = shape_factors(term, size)
    scaled = SHAPE_TARGETS[term.on]
    low, high = (
        np.concatenate(
            [
                share[:, None]
                * signal_templates(part.search, part.grid, block, parameters, **{scaled: factor})
                for part, share in zip(parts, model.shares.T, strict=True)
            ],
            axis=1,
        )
        for factor in factors
    )
    return model.live * low - model.signal, model.live * high - model.signal


def shape_factors(term: Systematic, size: Floats) -> tuple[Floats, Floats]:
    """Return the factors (W,) at −1 and at +1 of a systematic on the signal's resolution or position."""
    return (1.0 - size if term.kind == "normal" else 1.0 / (1.0 + size)), 1.0 + size


def spurious_yields(
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
