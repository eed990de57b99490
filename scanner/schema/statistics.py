"""Systematics, method, models, simulation and the published limit."""

import re
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from scanner import units
from scanner.errors import InputError
from scanner.schema.base import (
    Energies,
    Energy,
    Fraction,
    FreeName,
    Name,
    Number,
    Source,
    Sourced,
    Strict,
    Title,
    at_part,
    is_canonical,
)
from scanner.schema.functions import CrossSectionFunction, EventsFunction, Function, NumberFunction

ESTIMATED = "spurious_signal"
EVENTS = re.compile(r"\bevents?\b")
WORD = re.compile(r"[A-Za-z_]+")
YIELD_TARGETS = ("background", "yield")
PUBLISHED_UNITS = {
    "cross_section": {"fb"},
    "branching_fraction": {"1"},
    "coupling": {"1", "GeV^-1"},
    "yield": {"1"},
}


class Systematic(Sourced):
    """A constrained nuisance: what it acts on, how large it is, and how it shrinks with luminosity.

    Those on signal, efficiency and luminosity scale the signal; those on resolution and mass change its
    shape; those on background and yield add what looks like signal, relative to the background under it
    or as a number of events.
    """

    inherited = ("size", "events")
    unwritten = ("name", "estimate", "events")

    name: Name = ""
    on: Name = Field(
        description="signal, efficiency, luminosity, resolution, mass, background, yield, "
        "or the name of a template"
    )
    kind: Literal["lognormal", "normal", "shape"] = "lognormal"
    size: NumberFunction | None = Field(
        default=None,
        description=f"relative size, a size in events such as '12 events', or '{ESTIMATED}'",
    )
    events: EventsFunction | None = None
    estimate: Literal["given", "spurious_signal"] = "given"
    in_limit: bool = Field(
        default=True,
        strict=True,
        description="whether limits on data include it; projections always do, scenario by scenario",
    )
    scaling: Literal["constant", "1/sqrt(L)"] = "constant"
    floor: Fraction = 0.0
    channels: tuple[Name, ...] = Field(default=(), description="channels that it acts on; all if empty")
    group: Name | None = Field(default=None, description="systematics of one group are fully correlated")
    source: Source

    @property
    def nuisance(self) -> str:
        """Name of its nuisance, which it shares with all of its group."""
        return self.group or self.name

    def relative(self, m: ArrayLike, parameters: Mapping[str, float]) -> NDArray[np.float64]:
        """Return its relative size at masses [GeV]; 0 where it is in events, or not known."""
        mass = np.asarray(m, dtype=np.float64)
        return np.zeros(mass.shape) if self.size is None else self.size(mass, **parameters)

    @model_validator(mode="before")
    @classmethod
    def _read_estimate(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or is_canonical(info):
            return data
        size = data.get("size")
        named = size.get("constant") if isinstance(size, Mapping) else size
        rest = {key: item for key, item in data.items() if key != "size"}
        if named == ESTIMATED:
            return {"kind": "normal"} | rest | {"estimate": ESTIMATED}
        return {"kind": "normal"} | rest | {"events": size} if _is_in_events(size) else data

    @model_validator(mode="after")
    def _check(self) -> Self:
        sizes = (self.size is not None) + (self.events is not None) + (self.estimate == ESTIMATED)
        if sizes != 1:
            raise ValueError(
                f"a systematic needs its 'size': a number such as 1.0% or 12 events, or '{ESTIMATED}'"
            )
        if self.size is None and self.kind == "lognormal":
            raise ValueError("a size in events goes with 'kind: normal': it adds events of either sign")
        if self.events is not None and self.on not in YIELD_TARGETS:
            raise ValueError(f"a size in events goes with 'on: yield', not with 'on: {self.on}'")
        return self


def _is_in_events(size: Any) -> bool:
    """Tell whether a size as written, a quantity, a list of them or a function, is a number of events."""
    if isinstance(size, Mapping):
        return any(_is_in_events(size.get(key)) for key in ("constant", "unit", "table", "value"))
    if isinstance(size, list | tuple):
        return any(_is_in_events(item) for item in size)
    return isinstance(size, str) and EVENTS.search(size) is not None


class Method(Strict):
    """How limits are set."""

    limit: Literal["auto", "asymptotic", "counting", "toys", "feldman_cousins", "bayesian", "minos"] = "auto"
    criterion: Literal["cls", "clsb"] = Field(default="cls", description="CLs, or CLs+b without its division")
    likelihood: Literal["binned", "unbinned"] = "binned"
    toys: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        strict=True,
        description="pseudo-experiments a hypothesis, up to 16 times as many where the limit's error asks "
        "for them; with 0 auto throws none, others their own number",
    )
    prior: Literal["flat in yield", "flat in coupling", "1/sqrt(yield)"] = "flat in yield"


def _name_only(raw: Any) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


class Model(Sourced):
    """A coupling model and the final state in which it is searched; one interpretation of the limit."""

    inherited = ("branching_fraction", "efficiency")

    name: Name
    title: Title = ""
    final_state: Name | None = None
    branching_fraction: NumberFunction | None = Field(
        default=None, description="in place of the model's own branching fraction"
    )
    efficiency: NumberFunction | None = Field(
        default=None, description="of this interpretation, in place of that of the signal"
    )
    parameters: dict[FreeName, float | str] = Field(
        default_factory=dict, description="of the model: quantities, or words such as 'radiator: mu_mu'"
    )
    source: Source | None = None

    @field_validator("parameters", mode="before")
    @classmethod
    def _read_parameters(cls, raw: Any, info: ValidationInfo) -> Any:
        if is_canonical(info) or not isinstance(raw, Mapping):
            return raw
        words = {key: item for key, item in raw.items() if isinstance(item, str) and WORD.fullmatch(item)}
        rest = read_parameters({key: item for key, item in raw.items() if key not in words}, info)
        return rest | words


ModelReference = Annotated[Model, BeforeValidator(_name_only, json_schema_input_type=str | Model)]


def read_parameters(raw: Any, info: ValidationInfo) -> Any:
    """Read a mapping of quantities of any dimension."""
    if is_canonical(info) or not isinstance(raw, Mapping):
        return raw
    values = {}
    for key, item in raw.items():
        with at_part(key):
            values[key] = units.quantity(item, "number").value
    return values


class SimulatedProcess(Sourced):
    """A sample that the embedded generator makes."""

    inherited = ("cross_section",)

    process: Name
    role: Literal["background", "signal", "control", "template", "efficiency"] = "background"
    title: Title = ""
    sample: Name | None = Field(
        default=None, description="of the role template: the sample that it makes, named by a template"
    )
    times: Annotated[Number, Field(gt=0.0)] = Field(
        default=1.0, description="luminosity of a template's sample over that of the data"
    )
    events: int | None = Field(
        default=None, ge=1, strict=True, description="produced events of a signal's template at each mass"
    )
    rows: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="of the role efficiency: where 'events' leave fewer selected rows, as many more are "
        "produced as a trial says, at most 20 times 'events'",
    )
    masses: Energies = Field(
        default=(), description="of the role efficiency: where signals are made, as far as the process goes"
    )
    cross_section: CrossSectionFunction | None = Field(
        default=None, description="in place of the generator's own cross section"
    )
    parameters: dict[FreeName, float] = Field(default_factory=dict)
    weight: Number = 1.0
    note: Title = Field(default="", description="what of it is parametrised")
    source: Source | None = None

    @field_validator("parameters", mode="before")
    @classmethod
    def _read_parameters(cls, raw: Any, info: ValidationInfo) -> Any:
        return read_parameters(raw, info)


class Published(Sourced):
    """A published limit, to draw and compare with."""

    inherited = ("limit",)
    written = ("table",)

    quantity: Literal["cross_section", "branching_fraction", "coupling", "yield"]
    limit: Function = Field(
        alias="table", description="limit as a function of mass, and of lifetimes beside it"
    )
    label: Title = ""
    note: Title = ""
    confidence_level: Fraction | None = None
    source: Source

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or is_canonical(info) or not isinstance(data.get("table"), Mapping):
            return data
        table = data["table"]
        if "table" in table or "constant" in table:
            return data
        function = {"table": table, "interpolation": "log", "source": data.get("source")}
        return {**data, "table": function}

    @model_validator(mode="after")
    def _check(self) -> Self:
        allowed = PUBLISHED_UNITS[self.quantity]
        if self.limit.value_unit not in allowed:
            raise InputError(
                f"a published {self.quantity.replace('_', ' ')} is in {' or '.join(sorted(allowed))}, "
                f"not in {self.limit.value_unit}"
            )
        if self.limit.table is None:
            raise InputError("a published limit is a table of points")
        return self

    @property
    def unit(self) -> str:
        """Unit of the limits."""
        return self.limit.value_unit

    @property
    def mass(self) -> tuple[float, ...]:
        """Masses of the points [GeV]."""
        return self.limit.table.grids[0] if self.limit.table else ()

    @property
    def places(self) -> tuple[dict[str, float], ...]:
        """Where along further axes of the table, such as lifetimes, limits are; one nowhere without them."""
        table = self.limit.table
        if table is None:
            return ({},)
        further = zip(table.axes[1:], table.grids[1:], strict=True)
        named = [[(name, value) for value in grid] for name, grid in further]
        return tuple(dict(place) for place in product(*named))

    def curve(self, place: Mapping[str, float]) -> tuple[float, ...]:
        """Return the limits at the masses, in `unit`, at one of the `places`."""
        if self.limit.table is None:
            return ()
        rows = self.limit.table.array.reshape(len(self.mass), -1)
        return tuple(rows[:, self.places.index(dict(place))].tolist())

    @property
    def value(self) -> tuple[float, ...]:
        """Limits at the masses, in `unit`; at the middle one of several places."""
        return self.curve(self.places[len(self.places) // 2])


class Reference(Strict):
    """Where the analysis is published."""

    experiment: Title = ""
    arxiv: Annotated[str, Field(pattern=r"^(\d{4}\.\d{4,5}|[a-z-]+/\d{7})?$")] = ""
    doi: Annotated[str, Field(pattern=r"^(10\.\d+/\S+)?$")] = ""


class Beam(Strict):
    """The colliding beams."""

    sqrt_s: Annotated[Energy, Field(gt=0.0, le=1e6)]
