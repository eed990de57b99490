"""The systematics of a definition as nuisances of unbinned likelihoods.

What they do at one standard deviation is as in `scanner.windows.systematics`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.likelihoods.simultaneous import SignalNuisances
from scanner.schema.statistics import Systematic
from scanner.windows.densities import known_peaks
from scanner.windows.joint import Part
from scanner.windows.systematics import (
    SHAPE_TARGETS,
    SIGNAL_TARGETS,
    YIELD_TARGETS,
    in_limits,
    is_factor,
    known_samples,
    shape_factors,
    spurious_yields,
)
from scanner.windows.templates import WindowModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A factor on the resolution or on the position of a signal.

    Attributes
    ----------
    scaled : str
        A value of `scanner.windows.systematics.SHAPE_TARGETS`.
    low, high : (W,) float
        The factor at −1 and at +1.
    acts : tuple of bool
        Channels that it acts on.
    """

    scaled: str
    low: Floats
    high: Floats
    acts: tuple[bool, ...]


def shape_changes(
    search: Search, parts: Sequence[Part], block: slice, parameters: Mapping[str, float]
) -> dict[str, list[Change]]:
    """Return what the nuisances of the signal's shape change in a block of windows, by their names."""
    found: dict[str, list[Change]] = {}
    mass = parts[0].grid.mass[block]
    for term in in_limits(search):
        if term.on in SHAPE_TARGETS:
            _check(term)
            low, high = shape_factors(term, term.relative(mass, parameters))
            change = Change(SHAPE_TARGETS[term.on], low, high, _acts(term, parts))
            found.setdefault(term.nuisance, []).append(change)
    return found


def signal_nuisances(
    search: Search,
    parts: Sequence[Part],
    block: slice,
    parameters: Mapping[str, float],
    model: WindowModel,
    under: Callable[[], Floats],
) -> SignalNuisances | None:
    """Return the nuisances of a block of windows; None where nothing is uncertain.

    Parameters are those of `scanner.windows.systematics.window_nuisances`.

    Raises
    ------
    InputError
        If the size of a systematic is not known, or it acts on what an unbinned likelihood has none of.
    """
    terms, errors = in_limits(search), {name: e for name, e in known_samples(parts).items() if e > 0.0}
    names = tuple(dict.fromkeys([*(term.nuisance for term in terms), *errors]))
    if not names:
        return None
    shape = (len(model.signal), len(names), len(parts))
    logs, factors, added = np.zeros(shape), np.zeros(shape), np.zeros((*shape, 2))
    mass = parts[0].grid.mass[block]
    for term in terms:
        _check(term)
        j, acts = names.index(term.nuisance), _acts(term, parts)
        size, acted = term.relative(mass, parameters), np.array(acts, dtype=np.float64)
        if is_factor(term):
            logs[:, j] += np.log1p(size)[:, None] * acted
        elif term.on in SIGNAL_TARGETS:
            factors[:, j] += size[:, None] * acted
        elif term.on in YIELD_TARGETS:
            events = spurious_yields(term, mass, size, parameters, model, under, acts)
            added[:, j] += np.stack(events, axis=-1)
    bends = tuple(names.index(name) for name in shape_changes(search, parts, block, parameters))
    known = np.tile(_known(parts, names, errors), (len(logs), 1, 1, 1))
    return SignalNuisances(names, logs, factors, added, bends=bends, known=known)


def _known(parts: Sequence[Part], names: tuple[str, ...], errors: Mapping[str, float]) -> Floats:
    """Return the logarithm of the factor of each known peak at one standard deviation, (1, J, C, F)."""
    counts = [len(known_peaks(part.search)) for part in parts]
    found = np.zeros((1, len(names), len(parts), max(counts)))
    samples = iter(known_samples(parts))
    for c, count in enumerate(counts):
        for f in range(count):
            name = next(samples)
            if name in errors:
                found[0, names.index(name), c, f] = np.log1p(errors[name])
    return found


def _acts(term: Systematic, parts: Sequence[Part]) -> tuple[bool, ...]:
    return tuple(not term.channels or part.name in term.channels for part in parts)


def _check(term: Systematic) -> None:
    if term.size is None and term.events is None:
        raise InputError(f"the size of the systematic {term.name!r} is not known: state it")
    if term.on not in (*SIGNAL_TARGETS, *YIELD_TARGETS, *SHAPE_TARGETS):
        raise InputError(f"an unbinned likelihood has no nuisance on the {term.on}: {term.name!r}")
