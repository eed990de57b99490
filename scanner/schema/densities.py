"""Signal and background: shapes, their parameters, and where a background comes from."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from scanner.errors import InputError
from scanner.schema.base import (
    Energies,
    Energy,
    Expression,
    FreeName,
    Name,
    Number,
    Resolutions,
    Source,
    Sourced,
    Strict,
    Title,
    is_canonical,
)
from scanner.schema.functions import EnergyFunction, NumberFunction
from scanner.schema.names import MASS_ALIAS, NAMED_CONSTANTS

ELSE = "else"
HIGHEST_ORDER = 30
SignalDensity = Literal[
    "gaussian", "double_gaussian", "crystal_ball", "double_crystal_ball", "voigt", "johnson"
]
SHAPE_PARAMETERS = {
    "double_gaussian": ("fraction", "ratio"),
    "crystal_ball": ("alpha", "n"),
    "double_crystal_ball": ("alpha_low", "n_low", "alpha_high", "n_high"),
    "johnson": ("gamma", "delta"),
}
"""Parameters that a signal shape wants beside the resolution; the width of a `voigt` is a key of its own."""
PARAMETER_BOUNDS = {
    "fraction": (0.0, 1.0),
    "ratio": (0.0, 100.0),
    "alpha": (-100.0, 100.0),
    "n": (1.0, 1000.0),
    "alpha_low": (0.0, 100.0),
    "alpha_high": (0.0, 100.0),
    "n_low": (1.0, 1000.0),
    "n_high": (1.0, 1000.0),
    "gamma": (-20.0, 20.0),
    "delta": (0.5, 100.0),
}
"""A parameter is above the first and at most the second; a negative alpha is a tail to high values."""

SHAPE_CONSTANTS = {
    "argus": ("endpoint", "power"),
    "threshold": ("threshold",),
    "threshold_polynomial": ("threshold", "power"),
}
"""Numbers that a background shape takes from the definition; those of no other shape."""
HalfRange = Annotated[Number, Field(gt=0.0, lt=1.0)]
DEFAULT_POWER = 0.5
LEAST_ROWS = 10.0
MOST_POWER = 100.0


class Floating(Strict):
    """Parameters of the signal's shape that are fitted, each with how far it may go to either side."""

    mass: Resolutions | None = Field(default=None, description="position of the peak")
    resolution: HalfRange | None = Field(default=None, description="relative change of the resolution")
    width: HalfRange | None = Field(default=None, description="relative change of a voigt's natural width")

    @property
    def names(self) -> tuple[str, ...]:
        """What floats."""
        return tuple(name for name in ("mass", "resolution", "width") if getattr(self, name) is not None)


class Signal(Sourced):
    """The signal's density and its efficiency."""

    inherited = ("resolution", "efficiency", "width")
    inherited_maps = ("parameters", "resolutions")

    shape: Literal[SignalDensity, "template", "counting"] = "gaussian"
    stated_resolution: EnergyFunction | None = Field(default=None, alias="resolution")
    resolutions: dict[Name, EnergyFunction] = Field(
        default_factory=dict, description="of further observables, by name"
    )
    width: EnergyFunction | None = Field(
        default=None, description="natural width of a voigt: full width at half maximum"
    )
    stated_efficiency: NumberFunction | None = Field(default=None, alias="efficiency")
    parameters: dict[FreeName, NumberFunction] = Field(default_factory=dict)
    measured_in: Literal["mass", "observable"] = Field(
        default="mass",
        description="whether the shape is one in the mass, or in the observable about the peak, where its "
        "resolution is that in the mass times the slope of the peak position",
    )
    floating: Floating = Field(default=Floating(), description="parameters that are fitted in each window")
    template: Name | None = Field(default=None, description="sample that a template signal is taken from")
    source: Source | None = None

    @property
    def resolution(self) -> EnergyFunction:
        """Mass resolution [GeV] as a function of mass.

        Raises
        ------
        InputError
            If the definition states none.
        """
        if self.stated_resolution is None:
            raise InputError("the definition states no signal.resolution: add it, with its source")
        return self.stated_resolution

    @property
    def efficiency(self) -> NumberFunction:
        """Signal efficiency as a function of mass.

        Raises
        ------
        InputError
            If the definition states none.
        """
        if self.stated_efficiency is None:
            raise InputError("the definition states no signal.efficiency: add it, with its source")
        return self.stated_efficiency


class OrderRule(Strict):
    """The order of a background where a condition on the mass, or a region, holds."""

    when: Expression
    order: int = Field(ge=0, le=HIGHEST_ORDER, strict=True)


def read_order(raw: Any, info: ValidationInfo) -> Any:
    """Write one order, or a mapping of conditions to orders, as a list of rules."""
    if is_canonical(info) or isinstance(raw, list | tuple):
        return raw
    if isinstance(raw, Mapping):
        return [{"when": when, "order": order} for when, order in raw.items()]
    return [{"when": ELSE, "order": raw}]


Orders = Annotated[
    tuple[OrderRule, ...],
    BeforeValidator(read_order, json_schema_input_type=int | dict[str, int]),
]


class Sideband(Strict):
    """Where beside a window the background is counted."""

    observable: Expression
    exclude: Resolutions
    width: Resolutions | None = None
    range: Energies = Field(
        default=(), description="ends of the masses that it may reach; those of the axis if absent"
    )
    scale: Number | None = Field(default=None, description="window over sideband; from the widths if absent")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.range and (len(self.range) != 2 or self.range[0] >= self.range[1]):
            raise ValueError("the range of a sideband is [low, high] with low below high")
        return self


class Template(Strict):
    """A background density taken from a weighted sample."""

    sample: Name
    floating: bool = False
    normalisation: Number | None = Field(default=None, description="relative error of its normalisation")
    source: Source


class Peak(Sourced):
    """A known peak of the background, such as J/ψ → μμ, in windows that hold it.

    Its shape is that of a signal of its mass where it states none.
    """

    inherited = ("resolution", "width")
    inherited_maps = ("parameters",)

    title: Title = ""
    at: Energy
    shape: SignalDensity | None = None
    resolution: EnergyFunction | None = None
    width: EnergyFunction | None = None
    parameters: dict[FreeName, NumberFunction] = Field(default_factory=dict)
    expected: Annotated[Number, Field(ge=0.0)] | None = Field(
        default=None, description="expected events; the yield is free if absent"
    )
    error: Annotated[Number, Field(gt=0.0, le=10.0)] | None = Field(
        default=None, description="relative error of the expected events, log-normal"
    )
    source: Source

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.expected is None) != (self.error is None):
            raise ValueError("the 'expected' events of a peak and their relative 'error' go together")
        if self.shape is None and (self.parameters or self.width is not None):
            raise ValueError("parameters of a peak's shape go together with its 'shape'")
        wanted = set(SHAPE_PARAMETERS.get(self.shape or "", ()))
        if self.shape is not None and wanted != set(self.parameters):
            raise ValueError(f"the shape {self.shape!r} takes the parameters {sorted(wanted)}")
        if self.shape is not None and (self.shape == "voigt") != (self.width is not None):
            raise ValueError("the shape 'voigt' and its natural 'width' go together")
        return self


class Background(Strict):
    """The background's density or count."""

    shape: Literal[
        "chebyshev",
        "bernstein",
        "linear",
        "exponential",
        "power_law",
        "argus",
        "threshold",
        "threshold_polynomial",
        "template",
        "counting",
    ] = "chebyshev"
    order: Orders = (OrderRule(when=ELSE, order=1),)
    choose: Literal["fixed", "f_test", "discrete_profile"] = Field(
        default="fixed",
        description="how each window's order is chosen; all but fixed take `order` as the highest one",
    )
    floating: bool = Field(
        default=False,
        description="fit slope or powers of the shape at every yield, not only to first order",
    )
    estimate: Literal["fit", "simulation", "sideband", "given"] = "fit"
    sideband: Sideband | None = None
    templates: dict[Name, Template] = Field(default_factory=dict)
    template_statistics: Literal["none", "barlow_beeston_lite"] = "barlow_beeston_lite"
    least_rows: Annotated[Number, Field(ge=1.0)] = Field(
        default=LEAST_ROWS,
        description="simulated rows of all templates that a bin holds: those with fewer are merged",
    )
    systematic: Number | None = Field(default=None, description="relative error of a counted background")
    peaks: dict[Name, Peak] = Field(default_factory=dict)
    threshold: Energy | None = Field(default=None, description="mass from which a threshold shape rises")
    endpoint: Energy | None = Field(default=None, description="mass at which an argus shape ends")
    power: Number | None = Field(
        default=None, description=f"fixed power of argus and threshold_polynomial; {DEFAULT_POWER} if absent"
    )
    mass_axis: FreeName = "m"
    source: Source | None = None

    unwritten = ("mass_axis",)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.estimate == "sideband") != (self.sideband is not None):
            raise ValueError("'estimate: sideband' and a 'sideband' go together")
        if (self.shape == "template") != bool(self.templates):
            raise ValueError("'shape: template' and 'templates' go together")
        if self.systematic is not None and self.source is None:
            raise ValueError("the systematic of a background needs its 'source'")
        self._check_constants()
        return self

    def _check_constants(self) -> None:
        wanted = SHAPE_CONSTANTS.get(self.shape, ())
        for key in ("threshold", "endpoint", "power"):
            stated = getattr(self, key) is not None
            if stated and key not in wanted:
                users = ", ".join(shape for shape, names in SHAPE_CONSTANTS.items() if key in names)
                raise ValueError(f"'{key}' goes together with the shapes {users}, not with {self.shape}")
            if not stated and key in wanted and key != "power":
                raise ValueError(
                    f"the shape {self.shape!r} needs the mass '{key}', such as '{key}: 5.29 GeV'"
                )
        if self.power is not None and not -1.0 < self.power <= MOST_POWER:
            raise ValueError(f"power {self.power:g}: it must be above -1 and at most {MOST_POWER:g}")

    @property
    def free_peaks(self) -> tuple[str, ...]:
        """Names of the peaks whose yield is free, in the order of the templates."""
        return tuple(name for name, peak in self.peaks.items() if peak.expected is None)

    def order_at(self, m: ArrayLike, **others: ArrayLike) -> NDArray[np.int64]:
        """Return the order of the background at masses [GeV]: that of the first rule that holds.

        Raises
        ------
        InputError
            If no rule holds at a mass.
        """
        mass = np.asarray(m, dtype=np.float64)
        orders = np.full(mass.shape, -1, dtype=np.int64)
        for rule in self.order:
            holds = _holds(rule.when, {MASS_ALIAS: mass, self.mass_axis: mass, **others}, mass.shape)
            orders[(orders < 0) & holds] = rule.order
        if (orders < 0).any():
            raise InputError(
                f"no background order is stated at m = {mass[orders < 0].flat[0]:g} GeV: add a rule 'else'"
            )
        return orders


def _holds(condition: str, environment: Mapping[str, ArrayLike], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if condition == ELSE:
        return np.ones(shape, dtype=np.bool_)
    from scanner import expressions

    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in environment.items()}
    value = expressions.parse(condition).evaluate(NAMED_CONSTANTS | arrays)
    return np.broadcast_to(np.asarray(value), shape).astype(np.bool_)
