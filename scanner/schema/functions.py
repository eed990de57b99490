"""Numbers that depend on the window: constants, formulas and tables, always with their source."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from scanner import units
from scanner.errors import InputError
from scanner.schema import tables
from scanner.schema.base import Expression, FreeName, Name, Source, Strict, is_canonical
from scanner.schema.interpolation import interpolate
from scanner.schema.names import BEAM_ENERGY, MASS_ALIAS, NAMED_CONSTANTS

Floats = NDArray[np.float64]


class Table(Strict):
    """Values on a regular grid of one to four axes, all in canonical units."""

    axes: tuple[Name, ...] = Field(min_length=1, max_length=tables.MOST_AXES)
    grids: tuple[tuple[float, ...], ...]
    units: tuple[str, ...]
    values: tuple[float, ...] = Field(description="row-major over the axes")
    unit: str = Field(description="of the values")

    @property
    def array(self) -> Floats:
        """The values in the shape of the grid."""
        return np.asarray(self.values).reshape([len(grid) for grid in self.grids])


class Function(Strict):
    """A number as a function of the window's mass and of whatever else its formula or table names.

    Calling it with an array of masses, and further variables by name, gives an array of float64.
    """

    dimension: ClassVar[str | None] = None
    """What the value is; None where any dimension will do."""

    constant: float | None = None
    formula: Expression | None = None
    table: Table | None = None
    interpolation: Literal["linear", "log", "pchip", "nearest"] = "linear"
    outside: Literal["error", "clamp"] = "error"
    arguments: tuple[FreeName | Literal["m"], ...] = ()
    unit: str = Field(default="", description="canonical unit of a formula's value, such as GeV")
    constants: dict[str, float] = Field(
        default_factory=dict, description="the beam energy, if a formula uses it"
    )
    source: Source

    unwritten = ("constants",)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the ways to write it: a bare value takes the source of its owner."""
        found = super().__get_pydantic_json_schema__(schema, handler)
        whole = dict(found)
        whole["properties"] |= {"constant": {"type": ["number", "string"]}, "table": {"type": "object"}}
        whole["required"] = []
        found.clear()
        found["anyOf"] = [{"type": ["number", "string"]}, whole]
        return found

    @model_validator(mode="before")
    @classmethod
    def _one_of(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Mapping) or is_canonical(info):
            return data
        given = [key for key in ("constant", "formula", "table") if key in data]
        if len(given) != 1:
            raise ValueError(
                f"a function has exactly one of constant, formula and table, not {len(given)} of them"
            )
        beam = (info.context or {}).get(BEAM_ENERGY)
        return (
            {**data, "constants": {BEAM_ENERGY: beam}} if _uses_beam(data.get("formula")) and beam else data
        )

    @field_validator("constant", mode="before")
    @classmethod
    def _read_constant(cls, raw: Any, info: ValidationInfo) -> Any:
        if raw is None or is_canonical(info):
            return raw
        if cls.dimension is None:
            return units.quantity(raw, "number").value
        return units.parse(raw, cls.dimension)

    @field_validator("table", mode="before")
    @classmethod
    def _read_table(cls, raw: Any, info: ValidationInfo) -> Any:
        if raw is None or is_canonical(info):
            return raw
        folder = (info.context or {}).get("folder", Path())
        return tables.read(raw, cls.dimension, folder)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.table is not None:
            _check_interpolation(self.interpolation, self.table)
        if self.formula is not None and self.dimension and self.unit != units.CANONICAL[self.dimension]:
            wanted = units.CANONICAL[self.dimension]
            if wanted != "1" or self.unit:
                raise ValueError(f"a formula of this dimension is in {wanted}: add 'unit: {wanted}'")
        return self

    @property
    def value_unit(self) -> str:
        """Canonical unit of what it returns."""
        if self.dimension is not None:
            return units.CANONICAL[self.dimension]
        return self.table.unit if self.table is not None else self.unit or "1"

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what it depends on, in the order of its arguments."""
        if self.arguments:
            return self.arguments
        if self.table is not None:
            return self.table.axes
        if self.formula is None:
            return ()
        names = _formula_names(self.formula)
        return tuple(sorted(names, key=lambda name: (name != MASS_ALIAS, name)))

    def __call__(self, m: ArrayLike, **others: ArrayLike) -> Floats:
        """Evaluate at masses.

        Parameters
        ----------
        m : array_like
            Mass [GeV]; takes the place of the one variable that is not given by name.
        **others : array_like
            Further variables, broadcast against `m`.

        Returns
        -------
        float64 array of the broadcast shape

        Raises
        ------
        InputError
            If a variable is missing, or a table is left and its `outside` is not "clamp".
        """
        mass = np.asarray(m, dtype=np.float64)
        shape = np.broadcast_shapes(mass.shape, *(np.shape(value) for value in others.values()))
        if self.constant is not None:
            return np.full(shape, self.constant)
        environment = self._environment(mass, others)
        if self.table is None:
            return np.array(np.broadcast_to(self._evaluate(environment), shape), dtype=np.float64)
        points = tuple(
            np.broadcast_to(np.asarray(environment[axis], dtype=np.float64), shape)
            for axis in self.table.axes
        )
        return self._look_up(self.table, points)

    def _environment(self, mass: Floats, others: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
        environment: dict[str, ArrayLike] = {MASS_ALIAS: mass, **others}
        absent = [name for name in self.variables if name not in environment]
        if len(absent) > 1 or (absent and MASS_ALIAS in self.variables):
            raise InputError(
                f"the function of {', '.join(self.variables)} is called without {', '.join(absent)}"
            )
        return environment | dict.fromkeys(absent, mass)

    def _evaluate(self, environment: Mapping[str, ArrayLike]) -> Any:
        from scanner import expressions

        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in environment.items()}
        return expressions.parse(str(self.formula)).evaluate(NAMED_CONSTANTS | self.constants | arrays)

    def _look_up(self, table: Table, points: tuple[Floats, ...]) -> Floats:
        grids = tuple(np.asarray(grid) for grid in table.grids)
        if self.outside == "error":
            for axis, unit, grid, x in zip(table.axes, table.units, grids, points, strict=True):
                _check_inside(axis, unit, grid, x)
        clamped = tuple(np.clip(x, grid[0], grid[-1]) for grid, x in zip(grids, points, strict=True))
        return interpolate(self.interpolation, grids, table.array, clamped)


def _uses_beam(formula: Any) -> bool:
    return isinstance(formula, str) and re.search(rf"\b{BEAM_ENERGY}\b", formula) is not None


def _formula_names(formula: str) -> frozenset[str]:
    from scanner import expressions

    return frozenset(expressions.parse(formula).names) - {*NAMED_CONSTANTS, BEAM_ENERGY}


def _check_interpolation(kind: str, table: Table) -> None:
    if kind == "pchip" and len(table.axes) > 1:
        raise ValueError("pchip interpolates along one axis only: use linear, log or nearest for two")
    if kind == "pchip" and len(table.values) == 1:
        raise ValueError("pchip wants two values or more: state a constant instead")
    if kind == "log" and min(table.values) <= 0.0:
        raise ValueError(
            f"log interpolation wants positive values, and the table holds {min(table.values):g}"
        )


def _check_inside(axis: str, unit: str, grid: Floats, x: Floats) -> None:
    bad = ~((x >= grid[0]) & (x <= grid[-1]))
    if bad.any():
        label = "" if unit == "1" else f" {unit}"
        raise InputError(
            f"{axis} = {x[bad].flat[0]:g}{label} is outside of the table, which covers "
            f"{grid[0]:g} to {grid[-1]:g}{label}: extend the table, or state 'outside: clamp'"
        )


class EnergyFunction(Function):
    """A function whose value is an energy [GeV]."""

    dimension: ClassVar[str | None] = "energy"


class NumberFunction(Function):
    """A function whose value is a pure number."""

    dimension: ClassVar[str | None] = "number"


class ResolutionsFunction(Function):
    """A function whose value is a distance in units of the mass resolution."""

    dimension: ClassVar[str | None] = "distance in resolutions"


class EventsFunction(Function):
    """A function whose value is a number of events."""

    dimension: ClassVar[str | None] = "events"


class CrossSectionFunction(Function):
    """A function whose value is a cross section [fb]."""

    dimension: ClassVar[str | None] = "cross section"


FunctionMap = Annotated[dict[FreeName, NumberFunction], Field(default_factory=dict)]
