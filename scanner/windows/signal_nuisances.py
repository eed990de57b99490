"""The systematics of a definition as nuisances of unbinned likelihoods: what scales a signal or adds to it.

What they do at one standard deviation is as in `scanner.windows.systematics`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.likelihoods.simultaneous import SignalNuisances
from scanner.schema.statistics import Systematic
from scanner.windows.joint import Part
from scanner.windows.systematics import SIGNAL_TARGETS, YIELD_TARGETS, in_limits, is_factor, spurious_yields
from scanner.windows.templates import WindowModel

Floats = NDArray[np.float64]


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
        If a systematic changes the shape of the signal, or its size is not known.
    """
    terms = in_limits(search)
    if not terms:
        return None
    names = tuple(dict.fromkeys(term.nuisance for term in terms))
    shape = (len(model.signal), len(names), len(parts))
    logs, factors, added = np.zeros(shape), np.zeros(shape), np.zeros((*shape, 2))
    mass = parts[0].grid.mass[block]
    for term in terms:
        _check(term)
        j, acts = names.index(term.nuisance), [not term.channels or p.name in term.channels for p in parts]
        size, acted = term.relative(mass, parameters), np.array(acts, dtype=np.float64)
        if is_factor(term):
            logs[:, j] += np.log1p(size)[:, None] * acted
        elif term.on in SIGNAL_TARGETS:
            factors[:, j] += size[:, None] * acted
        else:
            events = spurious_yields(term, mass, size, parameters, model, under, acts)
            added[:, j] += np.stack(events, axis=-1)
    return SignalNuisances(names, logs, factors, added)


def _check(term: Systematic) -> None:
    if term.size is None and term.events is None:
        raise InputError(f"the size of the systematic {term.name!r} is not known: state it")
    if term.on not in (*SIGNAL_TARGETS, *YIELD_TARGETS):
        raise InputError(f"an unbinned likelihood has no nuisance on the {term.on}: {term.name!r}")
