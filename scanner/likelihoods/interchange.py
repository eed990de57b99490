"""The likelihood of one window for other tools: pyhf JSON and HS3.

Both say the HistFactory model of `scanner.likelihoods.nuisances` (CERN-OPEN-2012-016): templates times free
factors, log-normal normalisations, template changes and template statistics. The strength is the signal
yield in events, and every parameter may be negative as far as its range goes: the ranges follow from
the fit, ten standard deviations wide at least.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.nuisances import Nuisances

Floats = NDArray[np.float64]
Json = dict[str, Any]

STRENGTH = "signal_yield"
CHANNEL = "window"
OBSERVABLE = "observable"
STATISTICS = "template_statistics"
ALPHA_RANGE = 5.0
NORMAL = {"constraint": "Gauss"}
REACH = 10.0
"""Half width of a parameter's range in standard deviations of a count of the window's events."""


@dataclass(frozen=True)
class Effect:
    """What one nuisance does to one sample."""

    nuisance: str
    low: float | Floats
    """Factor, or whole template (B,), at α = −1."""
    high: float | Floats
    """The same at α = +1."""

    @property
    def is_norm(self) -> bool:
        """Whether it is a factor on the normalisation."""
        return isinstance(self.low, float)


@dataclass(frozen=True)
class Sample:
    """One template with its free factor, if it has one, and the nuisances that act on it."""

    name: str
    template: Floats
    factor: str | None
    effects: tuple[Effect, ...]
    error: Floats | None
    """Absolute error (B,) of the sample for the template statistics, None where it has no part in them."""


@dataclass(frozen=True)
class Window:
    """One window, ready to be written: samples, counts, and the start and range of every parameter."""

    samples: tuple[Sample, ...]
    counts: Floats
    start: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    observed: Mapping[str, float]
    """Global observables by nuisance."""


def window(problem: BinnedProblem, number: int) -> Window:
    """Return one window of a problem in the words of HistFactory.

    Bins that no sample reaches are left out. The start is the best fit, or zeros where there is none.

    Raises
    ------
    InputError
        If the template statistics refer to samples whose sum is not positive in some bin.
    """
    one = problem.select(np.array([number]))
    terms, nuisances = int(one.terms[0]), one.nuisances
    pieces = _pieces(one, terms)
    templates = np.array([piece.template for piece in pieces])
    live = _live_bins(templates, nuisances)
    errors = _errors(templates, [piece.number for piece in pieces], nuisances, live)
    samples = tuple(
        Sample(
            piece.name,
            piece.template[live],
            piece.factor,
            _effects(nuisances, piece.number, piece.template, live),
            error,
        )
        for piece, error in zip(pieces, errors, strict=True)
    )
    acting = {effect.nuisance for sample in samples for effect in sample.effects}
    return Window(samples, one.counts[0, live], *_parameters(one, terms, acting))


@dataclass(frozen=True)
class _Piece:
    """A sample by its number among those of `Nuisances`, on all bins."""

    number: int
    name: str
    factor: str | None
    template: Floats


def _pieces(one: BinnedProblem, terms: int) -> list[_Piece]:
    """List the samples of a window; parts are taken out of the whole, whose factor they share."""
    most, nuisances = one.background.shape[1], one.nuisances
    found = {0: _Piece(0, "signal", STRENGTH, one.signal[0])}
    for k in range(terms):
        found[1 + k] = _Piece(1 + k, f"background_{k}", f"background_{k}", one.background[0, k])
    if nuisances is None:
        return list(found.values())
    for f, fixed in enumerate(nuisances.fixed[0]):
        found[1 + most + f] = _Piece(1 + most + f, f"fixed_{f}", None, fixed)
    first = 1 + most + nuisances.fixed.shape[1]
    for d, (part, owner) in enumerate(zip(nuisances.parts[0], nuisances.part_of, strict=True)):
        if (whole := found.get(int(owner))) is not None:  # a term that this window does not use has none
            found[int(owner)] = replace(whole, template=whole.template - part)
            found[first + d] = _Piece(first + d, f"{whole.name}_part_{d}", whole.factor, part)
    return [piece for piece in found.values() if _is_something(piece, nuisances)]


def _is_something(piece: _Piece, nuisances: Nuisances) -> bool:
    """Whether a sample has events, or nuisances that give it some."""
    changes = nuisances.shape[0, nuisances.shape_sample == piece.number]
    return bool(np.any(piece.template != 0.0) or np.any(changes != 0.0))


def _live_bins(templates: Floats, nuisances: Nuisances | None) -> NDArray[np.bool_]:
    live = np.any(templates != 0.0, axis=0)
    if nuisances is not None:
        live |= np.any(nuisances.shape[0] != 0.0, axis=(0, 1))
    return np.asarray(live)


def _effects(
    nuisances: Nuisances | None, sample: int, template: Floats, live: NDArray[np.bool_]
) -> tuple[Effect, ...]:
    if nuisances is None:
        return ()
    factors = np.exp(nuisances.norm[0, :, sample])
    norms = [
        Effect(name, float(low), float(high))
        for name, (low, high) in zip(nuisances.names, factors, strict=True)
        if (low, high) != (1.0, 1.0)
    ]
    pairs = np.flatnonzero(nuisances.shape_sample == sample)
    shapes = [
        Effect(
            nuisances.names[nuisances.shape_nuisance[e]],
            (template + nuisances.shape[0, e, 0])[live],
            (template + nuisances.shape[0, e, 1])[live],
        )
        for e in pairs
    ]
    return (*norms, *shapes)


def _errors(
    templates: Floats, numbers: list[int], nuisances: Nuisances | None, live: NDArray[np.bool_]
) -> list[Floats | None]:
    """Give the whole error of the uncertain samples to the first of them: only the sum matters."""
    none: list[Floats | None] = [None] * len(numbers)
    if nuisances is None or not np.any(nuisances.statistics[0]):
        return none
    uncertain = [i for i, sample in enumerate(numbers) if nuisances.uncertain[sample]]
    total = templates[uncertain].sum(axis=0)[live]
    if np.any(total <= 0.0):
        raise InputError(
            "the template statistics of this window are about samples whose sum is not positive in every "
            "bin, which neither pyhf nor HS3 can say: let them be about the fixed samples only"
        )
    for i in uncertain:
        none[i] = np.zeros(total.size)
    none[uncertain[0]] = total * nuisances.statistics[0, live]
    return none


def _parameters(one: BinnedProblem, terms: int, acting: Collection[str]) -> tuple[dict[str, float], ...]:
    """Return start, lower end, upper end, and global observables; of nuisances that act on nothing, none."""
    best = fit(replace(one, nuisances=None))  # a start without the nuisances is good enough
    values = np.nan_to_num(np.concatenate([best.yields, best.background[0, :terms]]))
    names = [STRENGTH, *(f"background_{k}" for k in range(terms))]
    reach = REACH * np.sqrt(one.counts.sum() + 1.0) + np.abs(values)
    observed = {}
    if one.nuisances is not None:
        pairs = zip(one.nuisances.names, map(float, one.nuisances.observed[0]), strict=True)
        observed = {name: value for name, value in pairs if name in acting}
    start = dict(zip(names, map(float, values), strict=True)) | observed
    low = dict(zip(names, map(float, values - reach), strict=True))
    high = dict(zip(names, map(float, values + reach), strict=True))
    low |= {name: value - ALPHA_RANGE for name, value in observed.items()}
    high |= {name: value + ALPHA_RANGE for name, value in observed.items()}
    return start, low, high, observed


def pyhf_workspace(problem: BinnedProblem, number: int) -> Json:
    """Return the pyhf workspace (schema 1.0.0) of one window.

    Fit it with normalisation interpolation code 4 and template interpolation code 4p, pyhf's defaults
    of `Workspace.model`.
    """
    view = window(problem, number)
    samples = [
        {"name": s.name, "data": s.template.tolist(), "modifiers": _pyhf_modifiers(s)} for s in view.samples
    ]
    parameters = [
        {"name": name, "inits": [view.start[name]], "bounds": [[view.low[name], view.high[name]]]}
        | ({"auxdata": [view.observed[name]]} if name in view.observed else {})
        for name in view.start
    ]
    return {
        "version": "1.0.0",
        "channels": [{"name": CHANNEL, "samples": samples}],
        "observations": [{"name": CHANNEL, "data": view.counts.tolist()}],
        "measurements": [{"name": "limit", "config": {"poi": STRENGTH, "parameters": parameters}}],
    }


def _pyhf_modifiers(sample: Sample) -> list[Json]:
    found: list[Json] = []
    if sample.factor:
        found.append({"name": sample.factor, "type": "normfactor", "data": None})
    for effect in sample.effects:
        if effect.is_norm:
            found.append(
                {"name": effect.nuisance, "type": "normsys", "data": {"lo": effect.low, "hi": effect.high}}
            )
        else:
            data = {"lo_data": _list(effect.low), "hi_data": _list(effect.high)}
            found.append({"name": effect.nuisance, "type": "histosys", "data": data})
    if sample.error is not None:
        found.append({"name": STATISTICS, "type": "staterror", "data": sample.error.tolist()})
    return found


def hs3_document(problem: BinnedProblem, number: int) -> Json:
    """Return the HS3 document (version 0.2, hep-statistics-serialization-standard) of one window.

    RooFit reads it by `RooJSONFactoryWSTool.importJSON`; the bins are numbered from 0 along one axis.
    """
    view = window(problem, number)
    axis = {"name": OBSERVABLE, "min": 0.0, "max": float(view.counts.size), "nbins": view.counts.size}
    names = {name: (f"alpha_{name}" if name in view.observed else name) for name in view.start}
    points = [{"name": names[name], "value": value} for name, value in view.start.items()]
    points += [
        {"name": f"nom_alpha_{name}", "value": value, "const": True} for name, value in view.observed.items()
    ]
    return {
        "metadata": {"hs3_version": "0.2"},
        "distributions": [
            {
                "name": CHANNEL,
                "type": "histfactory_dist",
                "axes": [axis],
                "samples": [_hs3_sample(s) for s in view.samples],
                "staterror": {"constraint": "Gauss", "relThreshold": 0.0},
            }
        ],
        "data": [{"name": "observed", "type": "binned", "axes": [axis], "contents": view.counts.tolist()}],
        "likelihoods": [{"name": "likelihood", "distributions": [CHANNEL], "data": ["observed"]}],
        "domains": [
            {
                "name": "default_domain",
                "type": "product_domain",
                "axes": [{"name": names[n], "min": view.low[n], "max": view.high[n]} for n in view.start],
            }
        ],
        "parameter_points": [{"name": "default_values", "parameters": points}],
        "analyses": [
            {
                "name": "limit",
                "likelihood": "likelihood",
                "parameters_of_interest": [STRENGTH],
                "domains": ["default_domain"],
            }
        ],
    }


def _hs3_sample(sample: Sample) -> Json:
    errors = np.zeros(sample.template.size) if sample.error is None else sample.error
    data = {"contents": sample.template.tolist(), "errors": errors.tolist()}
    return {"name": sample.name, "data": data, "modifiers": _hs3_modifiers(sample)}


def _hs3_modifiers(sample: Sample) -> list[Json]:
    found: list[Json] = []
    if sample.factor:
        found.append({"name": sample.factor, "parameter": sample.factor, "type": "normfactor"})
    for effect in sample.effects:
        common = {"name": effect.nuisance, "parameter": f"alpha_{effect.nuisance}", **NORMAL}
        if effect.is_norm:
            found.append(common | {"type": "normsys", "data": {"lo": effect.low, "hi": effect.high}})
        else:
            data = {"lo": {"contents": _list(effect.low)}, "hi": {"contents": _list(effect.high)}}
            found.append(common | {"type": "histosys", "data": data})
    if sample.error is not None:
        found.append({"name": STATISTICS, "type": "staterror", **NORMAL})
    return found


def _list(values: float | Floats) -> list[float]:
    numbers: list[float] = np.asarray(values).tolist()
    return numbers
