"""Quantities with units: text such as "178 fb^-1" or "70 MeV" to the one canonical unit of its dimension.

Canonical units are GeV, GeV^2, GeV^-1, fb, fb^-1, cm, ns, rad, 1, events and, for distances measured in units
of the mass resolution, `resolution`.
"""

import difflib
import math
import re
from dataclasses import dataclass
from decimal import Decimal

from scanner.errors import InputError

LONGEST = 200
"""Characters of the longest quantity; anything longer is a mistake, not a number."""

TABLE: dict[str, tuple[str, dict[str, str]]] = {
    "energy": ("GeV", {"eV": "1e-9", "keV": "1e-6", "MeV": "1e-3", "GeV": "1", "TeV": "1e3"}),
    "energy squared": ("GeV^2", {"MeV^2": "1e-6", "GeV^2": "1"}),
    "inverse energy": ("GeV^-1", {"GeV^-1": "1", "TeV^-1": "1e-3"}),
    "cross section": (
        "fb",
        {"ab": "1e-3", "fb": "1", "pb": "1e3", "nb": "1e6", "ub": "1e9", "µb": "1e9", "mb": "1e12"},
    ),
    "luminosity": ("fb^-1", {"nb^-1": "1e-6", "pb^-1": "1e-3", "fb^-1": "1", "ab^-1": "1e3"}),
    "length": ("cm", {"um": "1e-4", "µm": "1e-4", "mm": "0.1", "cm": "1", "m": "100", "km": "1e5"}),
    "time": ("ns", {"ps": "1e-3", "ns": "1", "us": "1e3", "ms": "1e6", "s": "1e9"}),
    "angle": ("rad", {"mrad": "1e-3", "rad": "1", "deg": str(math.pi / 180.0)}),
    "number": ("1", {"1": "1", "%": "0.01"}),
    "events": ("events", {"event": "1", "events": "1"}),
    "distance in resolutions": ("resolution", {"resolution": "1", "resolutions": "1"}),
}
"""Of each dimension: its canonical unit, and every unit with its size in canonical units."""

CANONICAL = {dimension: unit for dimension, (unit, _) in TABLE.items()}
DIMENSION = {unit: dimension for dimension, (_, units) in TABLE.items() for unit in units}
"""Dimension of every unit."""
EXAMPLES = {
    "energy": "0.2 GeV",
    "energy squared": "1.5 GeV^2",
    "inverse energy": "1e-3 GeV^-1",
    "cross section": "5 fb",
    "luminosity": "178 fb^-1",
    "length": "10 cm",
    "time": "1.5 ns",
    "angle": "0.3 rad",
    "number": "34%",
    "events": "12 events",
    "distance in resolutions": "20 resolution",
}

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INVERSE = re.compile(r"([A-Za-zµ]+)(?:\^-1|\*\*-1|-1|⁻¹)")


@dataclass(frozen=True)
class Quantity:
    """A number in the canonical unit of its dimension."""

    value: float
    unit: str

    @property
    def dimension(self) -> str:
        """Name of the dimension, such as "length"."""
        return DIMENSION[self.unit]


def dimension_of(name: str) -> str:
    """Return the dimension that `name` means: itself a dimension, or any unit of one."""
    if name in TABLE:
        return name
    unit = _spelling(name)
    if unit not in DIMENSION:
        raise InputError(f"unknown unit {name!r}{_known(unit)}")
    return DIMENSION[unit]


def parse(text: object, dimension: str) -> float:
    """Convert a quantity of a stated dimension to its canonical unit.

    Parameters
    ----------
    text : object
        A number and a unit, such as "0.2 GeV", "178 fb^-1", "10/fb" or "1.0%". Pure numbers and percentages
        may stand without a unit.
    dimension : str
        Name of a dimension ("energy") or of any of its units ("GeV").

    Returns
    -------
    float
        The value in GeV, GeV^2, GeV^-1, fb, fb^-1, cm, ns, rad, 1 or resolution.

    Raises
    ------
    InputError
        If the unit is missing, unknown or of another dimension, or the number is not finite.

    Examples
    --------
    >>> parse("1/ab", "luminosity")
    1000.0
    """
    wanted = dimension_of(dimension)
    found = quantity(text, wanted)
    if found.dimension != wanted:
        units = [unit for unit in TABLE[wanted][1] if unit != "1"]
        raise InputError(
            f"{_shown(text)} is {_article(found.dimension)}; {_article(wanted)} wants {_either(units)}, "
            f"such as {EXAMPLES[wanted]!r}"
        )
    return found.value


def quantity(text: object, expected: str | None = None) -> Quantity:
    """Convert a number with any known unit; a bare number is taken for a pure number only if that is due.

    Raises
    ------
    InputError
        As for `parse`.
    """
    number, unit = _split(text)
    if not unit:
        if expected != "number":
            example = EXAMPLES[expected] if expected else "0.2 GeV"
            raise InputError(f"{_shown(text)} has no unit: write a number with its unit, such as {example!r}")
        unit = "1"
    if unit not in DIMENSION:
        raise InputError(f"{_shown(text)}: unknown unit {unit!r}{_known(unit, expected)}")
    dimension = DIMENSION[unit]
    return Quantity(_scaled(number, TABLE[dimension][1][unit], text), CANONICAL[dimension])


def sequence(raw: object, dimension: str | None = None) -> tuple[tuple[float, ...], str]:
    """Convert a list of quantities, or a text such as "0.2, 1, 2 GeV" whose unit counts for all.

    Returns
    -------
    values, unit
        The values in the canonical unit, and that unit.

    Raises
    ------
    InputError
        As for `parse`; also if the list is empty or its dimensions differ.
    """
    items = list(raw) if isinstance(raw, list | tuple) else _items(raw)
    if not items:
        raise InputError("the list of quantities is empty")
    wanted = dimension_of(dimension) if dimension else None
    if wanted:
        return tuple(parse(item, wanted) for item in items), CANONICAL[wanted]
    pure = all(not _split(item)[1] for item in items)
    found = [quantity(item, "number" if pure else None) for item in items]
    units = sorted({entry.unit for entry in found})
    if len(units) > 1:
        raise InputError(f"{_shown(raw)} mixes the units {_either(units, 'and')}: one list has one unit")
    return tuple(entry.value for entry in found), units[0]


def format_quantity(value: float, unit: str) -> str:
    """Write a value so that `parse` gives exactly it back."""
    return repr(float(value)) if unit == "1" else f"{float(value)!r} {unit}"


def _items(raw: object) -> list[object]:
    if not isinstance(raw, str) or "," not in raw:
        return [raw]
    parts = [part.strip() for part in raw.split(",")]
    last = _NUMBER.match(parts[-1])
    unit = parts[-1][last.end() :] if last else ""
    return [part if _NUMBER.fullmatch(part) is None else part + unit for part in parts]


def _split(text: object) -> tuple[str, str]:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise InputError(f"{_shown(text)} is not a quantity: write a number with its unit, such as '0.2 GeV'")
    written = str(text).strip()
    match = _NUMBER.match(written)
    if match is None or len(written) > LONGEST:
        if written.lower().lstrip("+-.").startswith(("nan", "inf")):
            raise InputError(f"{_shown(text)} is not a finite number")
        raise InputError(f"{_shown(text)} is not a quantity: write a number with its unit, such as '0.2 GeV'")
    return match.group(), _spelling(written[match.end() :])


def _spelling(unit: str) -> str:
    """Reduce the usual spellings of a unit to the one in the table: "/fb", "fb⁻¹" and "fb-1" to "fb^-1"."""
    unit = unit.strip().replace("²", "^2").replace("**2", "^2").replace("μ", "µ")
    if unit.startswith("/"):
        return unit[1:].strip() + "^-1"
    match = _INVERSE.fullmatch(unit)
    return f"{match.group(1)}^-1" if match else unit


def _scaled(number: str, scale: str, text: object) -> float:
    if not math.isfinite(float(number)):
        raise InputError(f"{_shown(text)} is not a finite number")
    # Decimal, so that "70 MeV" is the double nearest to 0.07 and not the product of two rounded numbers.
    try:
        value = float(Decimal(number) * Decimal(scale))
    except ArithmeticError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(f"{_shown(text)} is not a finite number")
    return value


def _known(unit: str, dimension: str | None = None) -> str:
    units = [*TABLE[dimension][1]] if dimension else [*DIMENSION]
    folded = {known.lower(): known for known in units}
    close = difflib.get_close_matches(unit.lower(), folded, n=1, cutoff=0.5)
    nearest = f"; did you mean {folded[close[0]]!r}?" if close else ""
    return f"{nearest}; known units: {', '.join(units)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "...'"


def _either(words: list[str], joint: str = "or") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
