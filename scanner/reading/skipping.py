"""What the extremes of a shard's columns say about its rows, without reading them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scanner.expressions.dependence import Dependence
from scanner.expressions.nodes import Call, Comparison, Name, Negative, Node
from scanner.reading.dependence import Recipe
from scanner.reading.histogram import Histogram


class Interval(NamedTuple):
    """A closed interval."""

    low: float
    high: float


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_FIXED = (Dependence.NOTHING, Dependence.COLUMNS)


def bounds(recipe: Recipe) -> dict[str, Interval]:
    """Return the intervals of columns that the cuts on columns alone leave."""
    found: dict[str, Interval] = {}
    for node in (node for cut in recipe.conditions(Dependence.COLUMNS) for node in cut):
        for name, interval in _implied(node, recipe):
            old = found.get(name, Interval(-math.inf, math.inf))
            found[name] = Interval(max(old.low, interval.low), min(old.high, interval.high))
    return found


def contribution(
    recipe: Recipe, rows: int, minimum: Mapping[str, float], maximum: Mapping[str, float], finite: bool
) -> Histogram | None:
    """Return the histogram of a shard that no row of can be counted in a bin, or None when unsure."""
    extremes = {
        name: Interval(float(minimum[name]), float(maximum[name]))
        for name in recipe.needed
        if name in minimum and name in maximum and minimum[name] <= maximum[name]
    }
    for number, cut in enumerate(recipe.cuts):
        verdicts = [_verdict(node, recipe, extremes) for node in cut]
        if False in verdicts:
            return _rejected(recipe, rows, number)
        if not finite or not all(verdicts):
            return None
    return None


def _rejected(recipe: Recipe, rows: int, first_failed: int) -> Histogram:
    made = recipe.empty()
    made.cutflow[:, : first_failed + 1] = rows
    return made


def _fixed_value(node: Node, recipe: Recipe) -> float | None:
    """Return the value of a part that is the same for every row and configuration."""
    if recipe.scope.of(node) is not Dependence.NOTHING:
        return None
    return float(recipe.value(node, 0))


def _implied(node: Node, recipe: Recipe) -> list[tuple[str, Interval]]:
    if not isinstance(node, Comparison):
        return []
    found = []
    for operator, left, right in node.links():
        found += _implied_by(operator, left, _fixed_value(right, recipe))
        found += _implied_by(_MIRRORED.get(operator, operator), right, _fixed_value(left, recipe))
    return found


def _implied_by(operator: str, part: Node, value: float | None) -> list[tuple[str, Interval]]:
    if value is None or math.isnan(value):
        return []
    match operator, part:
        case (("<" | "<="), Name(name)):
            return [(name, Interval(-math.inf, value))]
        case ((">" | ">="), Name(name)):
            return [(name, Interval(value, math.inf))]
        case "==", Name(name):
            return [(name, Interval(value, value))]
        case (("<" | "<="), Call("abs", (Name(name),))):
            return [(name, Interval(-value, value))]
    return []


def _range(node: Node, recipe: Recipe, extremes: Mapping[str, Interval]) -> Interval | None:
    """Return the closed interval of a number's values, NaN aside, or None when unknown."""
    if isinstance(node, Name) and node.name in extremes:
        return extremes[node.name]
    if isinstance(node, Negative | Call) and (isinstance(node, Negative) or node.function == "abs"):
        inner = _range(node.children()[0], recipe, extremes)
        if inner is None:
            return None
        if isinstance(node, Negative):
            return Interval(-inner.high, -inner.low)
        least = 0.0 if inner.low <= 0.0 <= inner.high else min(abs(inner.low), abs(inner.high))
        return Interval(least, max(abs(inner.low), abs(inner.high)))
    value = _fixed_value(node, recipe)
    return None if value is None or np.isnan(value) else Interval(value, value)


def _verdict(node: Node, recipe: Recipe, extremes: Mapping[str, Interval]) -> bool | None:
    """Return False when no row can pass, True when every row without NaN does, None when unsure."""
    if not isinstance(node, Comparison) or recipe.scope.of(node) not in _FIXED:
        return None
    links = []
    for operator, left, right in node.links():
        a, b = _range(left, recipe, extremes), _range(right, recipe, extremes)
        links.append(None if a is None or b is None else _compare(operator, a, b))
    if False in links:
        return False
    return True if all(links) else None


def _compare(operator: str, a: Interval, b: Interval) -> bool | None:
    if operator in (">", ">="):
        return _compare(_MIRRORED[operator], b, a)
    if operator == "<":
        return True if a.high < b.low else (False if a.low >= b.high else None)
    if operator == "<=":
        return True if a.high <= b.low else (False if a.low > b.high else None)
    if operator == "==" and (a.high < b.low or a.low > b.high):
        return False
    return None
