"""From limits on the yield to limits on rates and couplings, for every interpretation of a search."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.models import CouplingModel, get
from scanner.schema.functions import NumberFunction
from scanner.schema.statistics import Model

Floats = NDArray[np.float64]
Results = dict[str, NDArray[np.generic]]

COUPLING = "coupling_limit"
EXPECTED = "_expected"


@dataclass(frozen=True)
class Exposure:
    """What turns a yield into a rate: luminosity [fb⁻¹], or None where it is unknown."""

    luminosity: float | None


@dataclass(frozen=True)
class Place:
    """Where in the scan limits are.

    Attributes
    ----------
    mass : (W,) float
        Along the first axis [GeV].
    values : mapping of (W,) float or float
        Further axes of the scan and parameters of the configuration, by name.
    """

    mass: Floats
    values: Mapping[str, ArrayLike] = field(default_factory=dict)


def quantity(search: Search) -> str | None:
    """Return what a yield is turned into: a cross section [fb], a branching fraction, or nothing."""
    kinds = {"luminosity": "cross_section", "pairs": "branching_fraction"}
    return kinds.get(search.normalisation.kind)


def events_per_rate(search: Search, place: Place, efficiency: Floats, exposure: Exposure) -> Floats | None:
    """Return the signal events of a cross section of 1 fb, or of a branching fraction of 1, (W,).

    With a luminosity that is L ε; with a number of pairs n·N ε B, n parents a pair and B the branching
    fraction of what follows. Stated pairs are those of the stated luminosity, and grow with it. None where
    the search is normalised to nothing or the luminosity is unknown.
    """
    normalisation = search.normalisation
    if quantity(search) is None:
        return None
    if normalisation.kind == "luminosity":
        return None if exposure.luminosity is None else np.asarray(exposure.luminosity * efficiency)
    pairs = _pairs(search, exposure)
    if pairs is None:
        return None
    rate = normalisation.per_pair * pairs * efficiency
    if normalisation.branching_fraction is not None:
        rate = rate * normalisation.branching_fraction(place.mass, **place.values)
    return np.asarray(rate)


def _pairs(search: Search, exposure: Exposure) -> float | None:
    """Return the number of pairs."""
    stated, luminosity = search.normalisation, exposure.luminosity
    if stated.pairs is None:
        return None if luminosity is None else luminosity * float(stated.cross_section or 0.0)
    if luminosity is None or search.luminosity is None:
        return float(stated.pairs)
    return float(stated.pairs) * luminosity / search.luminosity


def physics_limits(
    search: Search, place: Place, observed: Floats, expected: Floats, efficiency: Floats, exposure: Exposure
) -> Results:
    """Turn yield limits into limits on the rate and on the couplings.

    The rate is the cross section, or the branching fraction of the parent, times the branching fraction
    into the final state. The coupling follows from the model, as if it did not change the lifetime.

    Parameters
    ----------
    observed, expected : (W,), (W, Q) float
        Upper limits on the yield.
    efficiency : (W,) float
        Efficiency times branching fraction of all channels together.

    Returns
    -------
    dict of arrays
        `cross_section_limit` [fb] or `branching_fraction_limit`, `coupling_limit` of the first
        interpretation and `coupling_limit_NAME` of the others, each with its `_expected`. Empty where the
        search is normalised to nothing or the luminosity is unknown.
    """
    events = events_per_rate(search, place, efficiency, exposure)
    if events is None:
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, rate_expected = observed / events, expected / events[:, None]
    name = f"{quantity(search)}_limit"
    results: Results = {name: rate, name + EXPECTED: rate_expected}
    for label, reference in interpretations(search):
        model = bound_model(reference, place)
        if model.power == 0:  # a lifetime alone: `scanner.islands` follows it
            continue
        results[label] = coupling_limit(search, reference, model, rate, place)
        columns = [coupling_limit(search, reference, model, column, place) for column in rate_expected.T]
        results[expected_name(label)] = np.stack(columns, axis=1)
    return results


def expected_name(label: str) -> str:
    """Return the name of the expected limits that belong to observed ones on a coupling."""
    return label.replace(COUPLING, COUPLING + EXPECTED, 1)


def interpretations(search: Search) -> Iterator[tuple[str, Model]]:
    """Yield the name of the limit of each interpretation, with its model; that of `model` comes first."""
    for number, (name, reference) in enumerate(ordered(search)):
        yield (COUPLING if number == 0 else f"{COUPLING}_{name}"), reference


def ordered(search: Search) -> list[tuple[str, Model]]:
    """Return the interpretations by name, the search's own model first."""
    found = list(search.interpretations.items())
    if search.model is None:
        return found
    return [("", search.model), *((name, model) for name, model in found if model != search.model)]


def reference_of(search: Search, variable: str) -> Model:
    """Return the model of a coupling's variable."""
    for label, reference in interpretations(search):
        if variable in (label, expected_name(label)):
            return reference
    raise InputError(f"{variable} belongs to no interpretation of search {search.name!r}")


def bound_model(reference: Model, place: Place | None = None) -> CouplingModel:
    """Return the model of an interpretation with its parameters.

    Those of the model itself give way to the axes and the configuration of the scan, and these to what the
    interpretation states.
    """
    model = get(reference.name)
    known: dict[str, Any] = {} if place is None else dict(place.values)
    known |= reference.parameters
    own: set[str] = {each.name for each in fields(model)} if is_dataclass(model) else set()
    unknown = set(reference.parameters) - own
    if unknown:
        have = ", ".join(sorted(own)) or "none"
        raise InputError(
            f"model {reference.name} has no parameter {', '.join(sorted(unknown))}: it has {have}"
        )
    for name, value in reference.parameters.items():
        if isinstance(value, str) != isinstance(getattr(model, name), str):
            raise InputError(f"model {reference.name} has {name} = {getattr(model, name)}, not {value!r}")
    given = {name: value for name, value in known.items() if name in own}
    return replace(model, **given) if given else model  # type: ignore[type-var]


def production_per_coupling(search: Search, reference: Model, model: CouplingModel, place: Place) -> Floats:
    """Return production times branching fraction at unit coupling, (W,).

    Where an interpretation has an efficiency of its own, it is what the signal's efficiency would see.
    """
    reach = np.asarray(model.production(place.mass, search.sqrt_s))
    if reference.efficiency is not None:
        reach = reach * _relative_efficiency(search, reference.efficiency, place)
    if reference.branching_fraction is not None:
        return np.asarray(reach * reference.branching_fraction(place.mass, **place.values))
    if reference.final_state is not None:
        return np.asarray(reach * model.branching_fraction(place.mass, reference.final_state))
    return reach


def _relative_efficiency(search: Search, own: NumberFunction, place: Place) -> Floats:
    """Return an efficiency over that of the signal, 0 where the latter is."""
    known = search.signal.efficiency(place.mass, **place.values)
    found = np.zeros_like(known)
    np.divide(own(place.mass, **place.values), known, out=found, where=known > 0.0)
    return found


def coupling_limit(
    search: Search, reference: Model, model: CouplingModel, rate: Floats, place: Place
) -> Floats:
    """Return the coupling whose rate is the limit, (W,): infinite where nothing is produced."""
    reach = production_per_coupling(search, reference, model, place)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(reach > 0, rate / reach, np.where(np.isnan(rate), np.nan, np.inf))
        return np.asarray(ratio ** (1.0 / model.power))
