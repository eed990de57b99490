"""What several searches limit together: one coupling, or the rate itself."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.definition import Search
from scanner.errors import InputError
from scanner.interpretation import (
    Exposure,
    Place,
    bound_model,
    events_per_rate,
    ordered,
    production_per_coupling,
    quantity,
)
from scanner.schema.statistics import Model

Floats = NDArray[np.float64]

COUPLED, RATE = "coupling", "rate"
OF_THE_SEARCH = ("cos_max", "radiator", "parent")
"""Parameters of models that say where a search looks, and not what the theory is."""


def shared_models(searches: Sequence[Search], of: str) -> list[Model | None]:
    """Return the model in which each search limits what they share; None where that is the rate.

    Parameters
    ----------
    of : str
        "coupling" is that of the first search's model, "rate" the rate that all of them limit; else the name
        of one of the first search's interpretations.

    Raises
    ------
    InputError
        If they have no model or no rate in common, or are at different confidence levels.
    """
    first = searches[0]
    for other in searches[1:]:
        if other.confidence_level != first.confidence_level:
            raise InputError(
                f"{first.name!r} is at {first.confidence_level:.0%} CL and {other.name!r} at "
                f"{other.confidence_level:.0%}: state one in the definitions"
            )
    if of == RATE:
        _check_rates(searches)
        return [None for _ in searches]
    model = _named(first, of)
    if bound_model(model).power == 0:
        raise InputError(f"the coupling of {model.name} sets a lifetime alone, and no rate to combine")
    return [model, *(_like(first, model, other, of) for other in searches[1:])]


def _check_rates(searches: Sequence[Search]) -> None:
    kinds = {quantity(search) for search in searches}
    if len(kinds) > 1 or None in kinds:
        raise InputError("the searches limit not one kind of rate: share a coupling")
    if kinds == {"cross_section"} and len({search.sqrt_s for search in searches}) > 1:
        raise InputError("cross sections at different energies are not one rate: share a coupling")


def _named(search: Search, of: str) -> Model:
    known = dict(ordered(search))
    name = "" if of == COUPLED else of
    if name not in known:
        have = ", ".join([COUPLED] * ("" in known) + [RATE, *(other for other in known if other)])
        raise InputError(f"search {search.name!r} has no {of} to share: take {have}")
    return known[name]


def _like(first: Search, model: Model, other: Search, of: str) -> Model:
    """Return the interpretation of the same name, or the first one of the same model."""
    known = dict(ordered(other))
    found = [known[of]] if of in known else list(known.values())
    for reference in found:
        stated = [each.branching_fraction is not None for each in (model, reference)]
        if reference.name == model.name and stated[0] == stated[1]:
            return reference
    raise InputError(
        f"searches {first.name!r} and {other.name!r} have not the same model: nothing to combine"
    )


def check_theory(references: Sequence[Model | None], values: Sequence[Mapping[str, float]]) -> None:
    """Refuse models whose theory differs, each with the values of its search's configuration and axes.

    Raises
    ------
    InputError
        Naming a parameter and its values.
    """
    known = [_theory(reference, own) for reference, own in zip(references, values, strict=True) if reference]
    for other in known[1:]:
        for name, value in other.items():
            if value != known[0][name]:
                raise InputError(
                    f"the searches have not the same model: {name} is {known[0][name]} and {value}"
                )


def _theory(reference: Model, values: Mapping[str, float]) -> dict[str, Any]:
    model = bound_model(reference, Place(np.empty(0), values))
    names: list[str] = [field.name for field in fields(model)] if is_dataclass(model) else []
    return {name: getattr(model, name) for name in names if name not in OF_THE_SEARCH}


def events_per_strength(
    search: Search, reference: Model | None, place: Place, efficiency: Floats, exposure: Exposure
) -> Floats:
    """Return the signal events at unit coupling to the power of its rate, or at unit rate, (W,).

    Raises
    ------
    InputError
        If the luminosity is unknown, or the search is normalised to nothing.
    """
    events = events_per_rate(search, place, efficiency, exposure)
    if events is None:
        raise InputError(f"the luminosity of search {search.name!r} is unknown: state it when ingesting")
    if reference is None:
        return events
    model = bound_model(reference, place)
    return events * production_per_coupling(search, reference, model, place)
