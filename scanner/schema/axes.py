"""Where is searched: scan axes, regions along the mass axis, windows, vetoes and configurations."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from scanner import units
from scanner.errors import InputError
from scanner.schema.base import (
    Energies,
    Energy,
    Expression,
    Expressions,
    FreeName,
    Name,
    PartError,
    Resolutions,
    Source,
    Sourced,
    Strict,
    Title,
    at_part,
    check_rising,
    is_canonical,
)
from scanner.schema.functions import EnergyFunction, NumberFunction, ResolutionsFunction

MOST_POINTS = 1_000_000
DEFAULT_STEP = "0.5 resolution"
DEFAULT_HALF_WIDTH = "20 resolution"
DEFAULT_BINS = 100


def read_step(raw: Any, info: ValidationInfo) -> Any:
    """Read "0.5 resolution"; the observable of "1 resolution(m_recoil)" is read apart."""
    if is_canonical(info):
        return raw
    return units.parse(str(raw).partition("(")[0] if isinstance(raw, str) else raw, "resolution")


def spread(raw: Mapping[str, Any]) -> tuple[tuple[float, ...], str]:
    """Lay out `{log: [1e-3 cm, 1e3 cm], points: 13}` or the same with `linear`."""
    kinds = [key for key in raw if key != "points"]
    if len(kinds) != 1 or kinds[0] not in {"log", "linear"} or "points" not in raw:
        raise InputError(
            "values are a list, or {log: [low, high], points: N}, or {linear: [low, high], points: N}"
        )
    (low, high), unit = _ends(raw[kinds[0]])
    points = raw["points"]
    if not isinstance(points, int) or isinstance(points, bool) or not 2 <= points <= MOST_POINTS:
        raise InputError(f"points is {points!r}: it must be a whole number from 2 to {MOST_POINTS}")
    if kinds[0] == "log" and low <= 0.0:
        raise InputError("values spread in the logarithm start above zero")
    # Both ends as stated, to the bit.
    inner = np.geomspace(low, high, points) if kinds[0] == "log" else np.linspace(low, high, points)
    return (low, *inner[1:-1].tolist(), high), unit


def _ends(raw: Any, dimension: str | None = None) -> tuple[tuple[float, float], str]:
    values, unit = units.sequence(raw, dimension)
    if len(values) != 2:
        raise InputError(f"a range has two ends, low and high, not {len(values)}")
    if not values[0] < values[1]:
        raise InputError(f"the range is reversed or empty: {values[0]:g} to {values[1]:g}")
    return (values[0], values[1]), unit


class ScanAxis(Strict):
    """One axis of the scan: a mass, a lifetime or a coupling.

    Written with `range: [low, high]` and `step`, or with `values`.
    """

    written = ("range", "values")
    unwritten = ("name", "low", "high", "step_of", "values")

    name: FreeName = ""
    title: Title = ""
    low: float
    high: float
    unit: str = Field(default="", description="canonical unit; state 'unit: 1' for an axis of pure numbers")
    step: Annotated[
        float | None, BeforeValidator(read_step, json_schema_input_type=str), Field(gt=0.0, le=1e4)
    ] = None
    step_of: Name | None = Field(default=None, description="whose resolution the step counts")
    values: tuple[float, ...] | None = None
    where: Expression | None = Field(
        default=None, description="condition on the axes for a point to be scanned"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or is_canonical(info):
            return data
        rest = {key: item for key, item in data.items() if key not in {"range", "values"}}
        if ("range" in data) == ("values" in data):
            raise InputError("an axis has either a range with a step, or values")
        found = _axis_range(data) if "range" in data else _axis_values(data)
        if found["unit"] == "1" and str(data.get("unit")) != "1":
            raise PartError(
                ("range" if "range" in data else "values",),
                "the axis has no unit: write it with each number, or state 'unit: 1'",
            )
        if "unit" in data and str(data["unit"]) != found["unit"]:
            raise InputError(f"the axis is in {found['unit']}, and its unit says {data['unit']}")
        return rest | found


def _axis_range(data: Mapping[str, Any]) -> dict[str, Any]:
    with at_part("range"):
        (low, high), unit = _ends(data["range"])
    step = data.get("step", DEFAULT_STEP)
    found = {"low": low, "high": high, "unit": unit, "step": step}
    if isinstance(step, str) and step.rstrip().endswith(")") and "(" in step:
        found["step_of"] = step.partition("(")[2].rstrip()[:-1].strip()
    return found


def _axis_values(data: Mapping[str, Any]) -> dict[str, Any]:
    if "step" in data:
        raise InputError("an axis of explicit values has no step")
    raw = data["values"]
    with at_part("values"):
        values, unit = spread(raw) if isinstance(raw, Mapping) else units.sequence(raw)
        check_rising("the axis", values)
    return {"low": values[0], "high": values[-1], "unit": unit, "values": values}


class Region(Strict):
    """A stretch of the mass axis that is searched in its own observable.

    Windows end where the region does, unless a wider `reach: [low, high]` is stated.
    """

    written = ("mass", "reach")
    unwritten = ("low", "high", "reach_low", "reach_high")

    name: Name = ""
    title: Title = ""
    low: float
    high: float
    reach_low: float | None = None
    reach_high: float | None = None
    observables: Expressions = Field(alias="observable", default=())
    peak: Expression = Field(default="m", description="where in the observable a signal of mass m peaks")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or is_canonical(info):
            return data
        if "mass" not in data:
            raise InputError("a region needs its 'mass: [low, high]'")
        with at_part("mass"):
            (low, high), _ = _ends(data["mass"], "energy")
        rest = {key: item for key, item in data.items() if key not in {"mass", "reach"}}
        if "reach" in data:
            with at_part("reach"):
                (rest["reach_low"], rest["reach_high"]), _ = _ends(data["reach"], "energy")
                if rest["reach_low"] > low or rest["reach_high"] < high:
                    raise InputError(f"the reach must contain the masses, {low:g} to {high:g} GeV")
        return rest | {"low": low, "high": high}

    @property
    def reach(self) -> tuple[float, float]:
        """Ends of the spectrum that windows may use, as masses [GeV]; those of the region by default."""
        return (
            self.low if self.reach_low is None else self.reach_low,
            self.high if self.reach_high is None else self.reach_high,
        )

    @property
    def observable(self) -> str:
        """The first observable; empty where channels state their own, or none is fitted."""
        return self.observables[0] if self.observables else ""


class Binning(Strict):
    """Explicit bin edges of one observable, for the windows of a condition."""

    observable: Expression
    edges: Annotated[tuple[float, ...], Field(min_length=2)]
    where: Expression | None = None

    @field_validator("edges", mode="before")
    @classmethod
    def _read_edges(cls, raw: Any, info: ValidationInfo) -> Any:
        values = raw if is_canonical(info) else units.sequence(raw)[0]
        check_rising("the list of edges", values)
        return values


class Window(Sourced):
    """The part of the spectrum that is fitted for one mass, and its binning."""

    inherited = ("half_width", "tilt")

    shape: Literal["interval", "box", "ellipse"] = "interval"
    axes: Expressions = Field(default=(), description="observables of a window of two dimensions")
    half_width: ResolutionsFunction = ResolutionsFunction.model_validate(
        {"constant": DEFAULT_HALF_WIDTH, "source": "default"}
    )
    tilt: NumberFunction | None = Field(
        default=None, description="angle of an ellipse [rad] as a function of m"
    )
    bins: int = Field(
        default=DEFAULT_BINS, ge=1, le=100_000, strict=True, description="bins of a full window"
    )
    binning: tuple[Binning, ...] = ()
    source: Source = "default"

    @model_validator(mode="before")
    @classmethod
    def _default_source(cls, data: Any) -> Any:
        # Window and binning are choices of the analysis, not measurements.
        return {"source": "default", **data} if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        if self.shape == "interval" and self.axes:
            raise ValueError("a window of shape interval has no axes: take box or ellipse")
        if self.shape != "interval" and len(self.axes) != 2:
            raise ValueError(f"a window of shape {self.shape} needs two axes, such as [m_mumu, m_recoil]")
        return self


class Veto(Strict):
    """Masses that are left out: stretches around known particles, or a stated range.

    On a search it leaves out mass hypotheses, and with `in_windows` also the bins inside from the fits of
    all windows. On a channel it leaves out the candidates whose observable lies inside; where that is the
    mass, the bins and the hypotheses inside go with them.
    """

    title: Title = ""
    around: Energies = ()
    width: Resolutions | None = Field(default=None, description="half width in resolutions on either side")
    half_width: Energy | None = None
    range: Energies = ()
    observable: Expression | None = Field(
        default=None, description="of a channel's veto, in GeV; the mass if absent"
    )
    in_windows: bool = Field(
        default=False,
        strict=True,
        description="of a search's veto: whether its bins are left out of all fits",
    )
    source: Source

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.around) == bool(self.range):
            raise ValueError("a veto has either 'around' with a width, or a 'range'")
        if self.range and (len(self.range) != 2 or self.range[0] >= self.range[1]):
            raise ValueError("the range of a veto is [low, high] with low below high")
        if self.around and (self.width is None) == (self.half_width is None):
            raise ValueError("a veto around masses needs a 'width' in resolutions or a 'half_width' in GeV")
        return self

    def intervals(self, resolution: EnergyFunction) -> tuple[tuple[float, float], ...]:
        """Return the stretches (low, high) [GeV], given σ(m)."""
        if self.range:
            return ((self.range[0], self.range[1]),)
        masses = np.asarray(self.around)
        half = self.half_width if self.width is None else self.width * resolution(masses)
        ends = zip((masses - half).tolist(), (masses + half).tolist(), strict=True)
        return tuple(ends)


def _same(raw: Any) -> Any:
    """Leave it: quantities are read with their units before the model sees them."""
    return raw


Parameter = Annotated[float, BeforeValidator(_same, json_schema_input_type=str | float)]


class Configuration(Strict):
    """One set of model parameters, in canonical units."""

    name: str = Field(min_length=1, max_length=200)
    parameters: dict[FreeName, Parameter] = Field(default_factory=dict)
    units: dict[Name, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any, info: ValidationInfo) -> Any:
        if (
            not isinstance(data, Mapping)
            or is_canonical(info)
            or not isinstance(data.get("parameters"), Mapping)
        ):
            return data
        found = {}
        for key, item in data["parameters"].items():
            with at_part("parameters", key):
                found[key] = units.quantity(item, "number")
        values = {key: item.value for key, item in found.items()}
        return dict(data) | {"parameters": values, "units": {key: item.unit for key, item in found.items()}}
