"""What is read and selected: columns, channels with their cuts, counts and decays in flight."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from scanner import units
from scanner.errors import InputError
from scanner.schema.axes import Veto
from scanner.schema.base import (
    CrossSection,
    Expression,
    Expressions,
    FreeName,
    Name,
    Number,
    Source,
    Sourced,
    Strict,
    Title,
)
from scanner.schema.densities import Background
from scanner.schema.functions import EnergyFunction, Function, NumberFunction

MOST_CUTS = 200


def _check_unit(text: Any) -> Any:
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        return text
    canonical = units.CANONICAL[units.dimension_of(text)]
    if canonical != text:
        raise InputError(
            f"columns are in canonical units: write {canonical}, and let ingest convert from {text}"
        )
    return text


def _unit_only(raw: Any) -> Any:
    return {"unit": raw} if isinstance(raw, str | int) and not isinstance(raw, bool) else raw


class Column(Strict):
    """A column of the event store, or one derived from others by an expression."""

    unit: Annotated[str, BeforeValidator(_check_unit)]
    expression: Expression | None = None
    title: Title = ""


NonNegative = Annotated[Number, Field(ge=0.0)]


class Counts(Strict):
    """Published numbers of one counting channel: no events are needed."""

    written = ("error",)

    observed: int = Field(ge=0, strict=True)
    expected: NonNegative
    error_low: NonNegative = 0.0
    error_high: NonNegative = 0.0
    source: Source

    @model_validator(mode="before")
    @classmethod
    def _one_error(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "error" not in data:
            return data
        rest = {key: item for key, item in data.items() if key != "error"}
        return {"error_low": data["error"], "error_high": data["error"], **rest}


class Channel(Sourced):
    """One selection of candidates with its own observable.

    What it does not state itself is that of the search. Several channels are fitted together, with one
    signal: each holds the part of it that its efficiency times branching fraction is of their sum.
    """

    inherited = ("efficiency", "efficiency_error", "resolution", "branching_fraction")
    inherited_maps = ("functions",)

    title: Title = ""
    select: Annotated[Expressions, Field(max_length=MOST_CUTS)] = ()
    observables: Expressions = Field(alias="observable", default=())
    peak: Expression | None = Field(
        default=None,
        description="where in the observable a signal of mass m peaks, if not where the region says",
    )
    functions: dict[FreeName, Function] = Field(default_factory=dict)
    vetoes: tuple[Veto, ...] = ()
    efficiency: NumberFunction | None = None
    efficiency_error: NumberFunction | None = Field(
        default=None, description="standard deviation of the efficiency from the size of the simulation"
    )
    branching_fraction: NumberFunction | None = Field(
        default=None,
        description="of the signal into this channel; 1 if absent, or if the efficiency holds it",
    )
    resolution: EnergyFunction | None = None
    background: Background | None = None
    counts: Counts | None = None
    weight: Expression | None = Field(default=None, description="weight of a simulated candidate")
    simulated: dict[FreeName, float] = Field(
        default_factory=dict,
        description="parameters of the signal samples that tell its efficiency along lifetimes; any if empty",
    )
    source: Source | None = None

    @property
    def observable(self) -> str | None:
        """The first observable of its own, if it has one."""
        return self.observables[0] if self.observables else None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.select and self.source is None:
            raise ValueError("the cuts of a channel need their 'source'")
        return self


class Decay(Strict):
    """A long-lived particle whose lifetime is scanned by reweighting its decay length."""

    displacement: Expression = Field(description="column of its proper decay length [cm]")
    generated_ctau: Expression = Field(
        description="column, or number [cm], of the lifetime it was generated with"
    )
    generated_from: Expression | None = Field(
        default=None,
        description="column, or number [cm], of the least lifetime, where lifetimes were drawn evenly in the "
        "logarithm from there to generated_ctau",
    )
    axis: Name | None = Field(default=None, description="scan axis or parameter that holds its c·tau [cm]")
    ctau: Function | None = Field(
        default=None,
        description="its c·tau where that is not scanned, a constant in the unit of displacement",
    )


class Normalisation(Strict):
    """What turns a yield into a rate: luminosity times cross section, a number of pairs, or nothing."""

    kind: Annotated[str, Field(pattern="^(luminosity|pairs|none)$")]
    pairs: Annotated[Number | None, Field(gt=0.0)] = None
    per_pair: Annotated[int, Field(ge=1, le=2, strict=True)] = 1
    cross_section: CrossSection | None = None
    branching_fraction: NumberFunction | None = None
    source: Source | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind != "pairs" and self.pairs is not None:
            raise ValueError("a number of pairs belongs to 'kind: pairs'")
        if self.kind == "pairs" and self.pairs is None and self.cross_section is None:
            raise ValueError("'kind: pairs' needs the number of 'pairs', or the 'cross_section' of the pairs")
        if (self.pairs is not None or self.cross_section is not None) and self.source is None:
            raise ValueError("the number of pairs needs its 'source'")
        return self


def read_column(raw: Any) -> Any:
    """Take a bare unit for a stored column."""
    return _unit_only(raw)


def read_normalisation(raw: Any) -> Any:
    """Take a bare word for the kind."""
    return {"kind": raw} if isinstance(raw, str) else raw
