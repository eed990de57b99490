"""Systematics, method, models, simulation and the published limit."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from scanner import units
from scanner.errors import InputError
from scanner.schema.base import (
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
from scanner.schema.functions import CrossSectionFunction, Function, NumberFunction

ESTIMATED = "spurious_signal"
PUBLISHED_UNITS = {
    "cross_section": {"fb"},
    "branching_fraction": {"1"},
    "coupling": {"1", "GeV^-1"},
    "yield": {"1"},
}


class Systematic(Sourced):
    """A constrained nuisance: what it acts on, how large it is, and how it shrinks with luminosity."""

    inherited = ("size",)
    unwritten = ("name", "estimate")

    name: Name = ""
    on: Name = Field(
        description="signal, background, efficiency, yield, luminosity, or the name of a template"
    )
    kind: Literal["lognormal", "normal", "shape"] = "lognormal"
    size: NumberFunction | None = Field(default=None, description=f"relative size, or '{ESTIMATED}'")
    estimate: Literal["given", "spurious_signal"] = "given"
    scaling: Literal["constant", "1/sqrt(L)"] = "constant"
    floor: Fraction = 0.0
    channels: tuple[Name, ...] = Field(default=(), description="channels that it acts on; all if empty")
    group: Name | None = Field(default=None, description="systematics of one group are fully correlated")
    source: Source

    @model_validator(mode="before")
    @classmethod
    def _read_estimate(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        size = data.get("size")
        named = size.get("constant") if isinstance(size, Mapping) else size
        if named == ESTIMATED:
            return {key: item for key, item in data.items() if key != "size"} | {"estimate": ESTIMATED}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.size is None) != (self.estimate == ESTIMATED):
            raise ValueError(f"a systematic needs its 'size': a number such as 1.0%, or '{ESTIMATED}'")
        return self


class Method(Strict):
    """How limits are set."""

    limit: Literal["auto", "asymptotic", "counting", "toys", "feldman_cousins", "bayesian"] = "auto"
    likelihood: Literal["binned", "unbinned"] = "binned"
    toys: int = Field(default=0, ge=0, le=10_000_000, strict=True)
    prior: Literal["flat in yield", "flat in coupling"] = "flat in yield"


def _name_only(raw: Any) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


class Model(Sourced):
    """A coupling model and the final state in which it is searched; one interpretation of the limit."""

    inherited = ("branching_fraction",)

    name: Name
    title: Title = ""
    final_state: Name | None = None
    branching_fraction: NumberFunction | None = Field(
        default=None, description="in place of the model's own branching fraction"
    )
    parameters: dict[FreeName, float] = Field(default_factory=dict)
    source: Source | None = None

    @field_validator("parameters", mode="before")
    @classmethod
    def _read_parameters(cls, raw: Any, info: ValidationInfo) -> Any:
        return read_parameters(raw, info)


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
    role: Literal["background", "signal", "control"] = "background"
    title: Title = ""
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
    limit: Function = Field(alias="table", description="limit as a function of mass")
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
    def value(self) -> tuple[float, ...]:
        """Limits at the points, in `unit`."""
        return self.limit.table.values if self.limit.table else ()


class Reference(Strict):
    """Where the analysis is published."""

    experiment: Title = ""
    arxiv: Annotated[str, Field(pattern=r"^(\d{4}\.\d{4,5}|[a-z-]+/\d{7})?$")] = ""
    doi: Annotated[str, Field(pattern=r"^(10\.\d+/\S+)?$")] = ""


class Beam(Strict):
    """The colliding beams."""

    sqrt_s: Annotated[Energy, Field(gt=0.0, le=1e6)]
