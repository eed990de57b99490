"""The common model, and the field types that read units, names, sources and expressions."""

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from scanner import units
from scanner.errors import InputError
from scanner.schema.names import NAME, RESERVED

LONGEST_EXPRESSION = 2000
CANONICAL = "canonical"
"""Validation context key: quantities are already plain numbers in canonical units."""

_SOURCE = re.compile(
    r"computed|default|user|arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})|doi:10\.\S+|inspire:\d+|hepdata:\S+|url:\S+"
)


class PartError(InputError):
    """Something wrong with one part of what a model was given.

    Attributes
    ----------
    part : tuple
        Path to the part within the model.
    """

    def __init__(self, part: tuple[str | int, ...], message: str) -> None:
        self.part = part
        super().__init__(message)


@contextlib.contextmanager
def at_part(*part: str | int) -> Iterator[None]:
    """Turn an `InputError` inside the block into a `PartError` of this part."""
    try:
        yield
    except PartError as error:
        raise PartError((*part, *error.part), str(error)) from None
    except InputError as error:
        raise PartError(part, str(error)) from None


def check_rising(what: str, values: Sequence[float]) -> None:
    """Refuse values that do not rise.

    Raises
    ------
    InputError
        Naming the first two that fall.
    """
    for left, right in itertools.pairwise(values):
        if right <= left:
            raise InputError(f"{what} does not rise: {right:g} comes after {left:g}")


class Strict(BaseModel):
    """Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    written: ClassVar[tuple[str, ...]] = ()
    """Keys that a user writes and that are read into other fields."""
    unwritten: ClassVar[tuple[str, ...]] = ()
    """Fields that a user does not write."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the keys as a user writes them."""
        found = handler.resolve_ref_schema(handler(schema))
        for name in cls.unwritten:
            found.get("properties", {}).pop(name, None)
        found.setdefault("properties", {}).update({name: {} for name in cls.written})
        found["required"] = [name for name in found.get("required", []) if name not in cls.unwritten]
        return found


class Sourced(Strict):
    """A model whose `source` also holds for those of its functions that state none."""

    inherited: ClassVar[tuple[str, ...]] = ()
    inherited_maps: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _pass_source_on(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        source = data.get("source")
        filled = dict(data)
        for key in cls.inherited:
            if key in data:
                filled[key] = as_function(data[key], source)
        for key in cls.inherited_maps:
            if isinstance(data.get(key), Mapping):
                filled[key] = {name: as_function(item, source) for name, item in data[key].items()}
        return filled


def as_function(raw: Any, source: Any) -> Any:
    """Write a bare value as a constant function, and give a function without a source that of its owner."""
    function = dict(raw) if isinstance(raw, Mapping) else {"constant": raw}
    if source is not None:
        function.setdefault("source", source)
    return function


def is_canonical(info: ValidationInfo) -> bool:
    """Tell whether the numbers come from a canonical dump rather than from a user's file."""
    return bool(info.context and info.context.get(CANONICAL))


def in_unit(dimension: str) -> BeforeValidator:
    """Make a reader of a quantity of one dimension into its canonical unit."""

    def read(raw: Any, info: ValidationInfo) -> Any:
        return raw if is_canonical(info) else units.parse(raw, dimension)

    written: Any = str | float if dimension == "number" else str
    return BeforeValidator(read, json_schema_input_type=written)


def all_in_unit(dimension: str) -> BeforeValidator:
    """Make a reader of a list of quantities of one dimension."""

    def read(raw: Any, info: ValidationInfo) -> Any:
        return raw if is_canonical(info) else units.sequence(raw, dimension)[0]

    return BeforeValidator(read, json_schema_input_type=str | list[str])


def _check_name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        raise ValueError(
            f"{text[:70]!r} is not a name: names start with a letter and hold letters, digits and _ only"
        )
    return text


def _check_free(text: str) -> str:
    if text in RESERVED:
        raise ValueError(f"{text!r} is a constant of the expression language: choose another name")
    return text


def _check_source(text: str) -> str:
    if _SOURCE.fullmatch(text) is None:
        raise ValueError(
            f"{text[:70]!r} is not a source: write a citation such as 'arXiv:2403.02841' or "
            "'doi:10.1103/...', or 'computed', 'default' or 'user'"
        )
    return text


def _check_expression(text: str) -> str:
    if not text.strip():
        raise ValueError("the expression is empty")
    if len(text) > LONGEST_EXPRESSION:
        raise ValueError(f"the expression has {len(text)} characters, more than {LONGEST_EXPRESSION}")
    return " ".join(text.split())


def _number_as_text(raw: Any) -> Any:
    return repr(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


def listed(raw: Any) -> Any:
    """Take one item for a list of one."""
    return [raw] if isinstance(raw, str | int | float) else raw


Name = Annotated[str, AfterValidator(_check_name)]
FreeName = Annotated[Name, AfterValidator(_check_free)]
Source = Annotated[
    str,
    AfterValidator(_check_source),
    Field(description="citation such as 'arXiv:2403.02841', or 'computed', 'default' or 'user'"),
]
Expression = Annotated[
    str,
    BeforeValidator(_number_as_text, json_schema_input_type=str | float),
    AfterValidator(_check_expression),
]
"""Text in the expression language; its names are checked when the whole definition is known."""
Expressions = Annotated[
    tuple[Expression, ...], BeforeValidator(listed, json_schema_input_type=str | list[str])
]
Title = Annotated[str, Field(max_length=LONGEST_EXPRESSION)]

Energy = Annotated[float, in_unit("energy")]
Energies = Annotated[tuple[float, ...], all_in_unit("energy")]
CrossSection = Annotated[float, in_unit("cross section"), Field(gt=0.0)]
Luminosity = Annotated[float, in_unit("luminosity"), Field(gt=0.0)]
Number = Annotated[float, in_unit("number")]
Fraction = Annotated[float, in_unit("number"), Field(ge=0.0, le=1.0)]
Resolutions = Annotated[float, in_unit("distance in resolutions"), Field(gt=0.0)]
