"""Text on figures: units, luminosities, axes; any text that a user gives is safe to draw."""

import math
import re
import textwrap
from collections.abc import Hashable, Mapping
from typing import Any

import xarray as xr

SYMBOLS = {
    "m_zprime": r"$m_{Z′}$",
    "m_scalar": r"$m_{S}$",
    "m_alp": r"$m_{a}$",
    "m_aprime": r"$m_{A′}$",
    "m_hprime": r"$m_{h′}$",
}
"""Scan axes as papers write them; others go by their `long_name`."""
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
CHARGE = re.compile(r"(?<![A-Za-z0-9])((?:(?:e|μ|τ|π|K|mu|tau|pi)[+-])+)(?![0-9.])")
MOST_LETTERS = 48
INDEX = re.compile(r"(?<![A-Za-z0-9_])([A-Za-zα-ω])_([A-Za-zα-ω]{1,6})(?![A-Za-z0-9_])")
STATED_BY_LEGEND = re.compile(r"^(expected )?upper limit on (the )?")
FB_PER_AB, PB_PER_FB = 1000.0, 1000.0


def plain(value: object, most: int = MOST_LETTERS) -> str:
    """Return text that is drawn as it reads: no formula starts by accident, charges and powers are raised.

    Text of more than `most` letters is cut, since it would leave no room for the curves.
    """
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    text = (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")
    text = CHARGE.sub(lambda found: re.sub(r"[+-]", lambda sign: f"$^{{{sign[0]}}}$", found[0]), text)
    text = INDEX.sub(r"\1$_{\2}$", text)
    text = re.sub(f"[{''.join(RAISED)}]+", lambda found: _script("^", found[0], RAISED), text)
    return re.sub(f"[{''.join(LOWERED)}]+", lambda found: _script("_", found[0], LOWERED), text)


def _script(sign: str, letters: str, table: Mapping[str, str]) -> str:
    return f"${sign}{{{''.join(table[letter] for letter in letters)}}}$"


def unit(units: object) -> str:
    """Return a unit with its powers raised; empty for a pure number."""
    text = plain(units)
    return "" if text in {"1", ""} else re.sub(r"(?:\^|\*\*)\(?(-?\d+)\)?", r"$^{\1}$", text)


def with_unit(name: str, units: object) -> str:
    """Return the label of an axis: a name with its unit in brackets."""
    return f"{name} [{unit(units)}]" if unit(units) else name


def with_value(value: float, units: object) -> str:
    """Return a number of four digits with its unit."""
    return f"{value:.4g} {unit(units)}".rstrip()


def quantity(array: xr.DataArray) -> str:
    """Return the label of a limit from its `long_name` and `units`, without what the legend says anyway."""
    name = str(array.attrs.get("long_name", str(array.name).replace("_", " ")))
    name = STATED_BY_LEGEND.sub("", name)
    return with_unit(plain(name[:1].upper() + name[1:]), array.attrs.get("units", ""))


def axis(cube: xr.Dataset, name: Hashable) -> str:
    """Return the label of a scan axis."""
    attributes = cube[name].attrs if name in cube.coords else {}
    title = str(attributes.get("long_name", name))
    written = SYMBOLS.get(str(name)) or plain(title[:1].upper() + title[1:])
    return with_unit(written, attributes.get("units", ""))


def luminosity(value: float) -> str:
    """Return an integrated luminosity, given in fb⁻¹, in the unit that reads best."""
    if value >= FB_PER_AB:
        return f"{value / FB_PER_AB:.4g} ab$^{{-1}}$"
    return f"{value:.4g} fb$^{{-1}}$" if value >= 1.0 else f"{value * PB_PER_FB:.4g} pb$^{{-1}}$"


def data(attributes: Mapping[Any, Any], *, with_luminosity: bool = True) -> str:
    """Return luminosity and energy of a cube, from its attributes `luminosity` [fb⁻¹] and `sqrt_s` [GeV]."""
    parts = []
    integrated, energy = (float(attributes.get(name) or math.nan) for name in ("luminosity", "sqrt_s"))
    if with_luminosity and math.isfinite(integrated):
        parts.append(rf"$\int L\,\mathrm{{d}}t$ = {luminosity(integrated)}")
    if math.isfinite(energy):
        parts.append(rf"$\sqrt{{s}}$ = {energy:.5g} GeV")
    return ",  ".join(parts)


def heading(attributes: Mapping[Any, Any], *, what: str, remark: str = "", width: int = 44) -> str:
    """Return the title of a legend: the search, what is drawn at which confidence level, and a remark."""
    lines = textwrap.wrap(str(attributes.get("title", "")), width, max_lines=2, placeholder=" …")
    level = attributes.get("confidence_level")
    lines.append(f"{100.0 * float(level):.3g}% CL {what}" if level else what[:1].upper() + what[1:])
    if remark:
        lines.append(remark)
    return "\n".join(plain(line) for line in lines)
