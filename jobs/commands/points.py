"""What users write on the command line: points, and pairs of a name and a value."""

from collections.abc import Sequence
from typing import Any

from scanner.errors import InputError


def points(text: str) -> dict[str, str]:
    """Split `m_zprime=3.2,luminosity=1/ab` into names and values.

    Raises
    ------
    InputError
        If an item is no `name=value`, or a name stands twice.
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not (name and equals and value):
            raise InputError(f"{item!r} is no point: write name=value, such as m_zprime=3.2")
        if name in found:
            raise InputError(f"{text!r} gives {name} twice: give it once")
        found[name] = value
    return found


def number(name: str, text: str, unit: str) -> float:
    """Read a value of `name`, a bare number or one with a unit of the same dimension as `unit`.

    Raises
    ------
    InputError
        If it is no number, or has another dimension.
    """
    from scanner import units

    try:
        found = units.quantity(text, "number")
        bare = found.unit == "1" and not text.endswith("%")
        return found.value if bare else units.parse(text, units.dimension_of(unit))
    except InputError as error:
        raise InputError(f"{name}={text}: {error}") from None


def place_of(cube: Any, text: str) -> dict[str, Any]:
    """Read a point of a cube: numbers in the units of its axes, and labels."""
    return {
        name: number(name, value, cube[name].attrs.get("units", "1"))
        if name in cube.dims and cube[name].dtype.kind == "f"
        else value
        for name, value in (points(text) if text else {}).items()
    }


def pairs(option: str, items: Sequence[str], example: str) -> dict[str, str]:
    """Read `name=value` items of an option that may be repeated.

    Raises
    ------
    InputError
        If a name or a value is missing, or a name stands twice.
    """
    found: dict[str, str] = {}
    for item in items:
        name, _, value = (part.strip() for part in item.partition("="))
        if not (name and value):
            raise InputError(f"{option} {item!r}: write name=value, such as {option} {example}")
        if name in found:
            raise InputError(f"{option} gives {name} twice: give it once")
        found[name] = value
    return found


def columns_of(text: str) -> dict[str, str]:
    """Read `new=old,same` into new names and the names in the file.

    Raises
    ------
    InputError
        If an item is empty, or a new name stands twice.
    """
    items = [item.strip() for item in text.split(",")] if text else []
    if not all(items):
        raise InputError(f"--columns {text!r} has an empty item: write a list such as mass=M,px")
    named = [item if "=" in item else f"{item}={item}" for item in items]
    return pairs("--columns", named, "mass=M,px")
