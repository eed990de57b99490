"""Checks of a whole definition: every expression against the names it may use."""

import itertools
from collections.abc import Collection, Iterator, Mapping

from scanner import expressions
from scanner.schema.channels import Channel
from scanner.schema.check_values import functions, orders_cover, togetherness
from scanner.schema.densities import ELSE, OrderRule
from scanner.schema.names import MASS_ALIAS, RESERVED
from scanner.schema.scope import CONSTANTS, Finding, Path, Scope, check_expression, check_observable
from scanner.schema.search import Search


def findings(search: Search) -> list[Finding]:
    """Return all that is wrong with a definition as a whole."""
    scope = Scope(search)
    checks = (names, columns, channels, axes, windows, regions, background, decays, functions, togetherness)
    found = [finding for check in checks for finding in check(scope)]
    # Conditions are evaluated only once they are known to be right.
    return found or list(orders_cover(scope))


def names(scope: Scope) -> Iterator[Finding]:
    """Find names that mean two things."""
    seen: dict[str, str] = dict.fromkeys(RESERVED, "a constant")
    seen |= dict.fromkeys(expressions.FUNCTIONS, "a function of the expression language")
    seen[MASS_ALIAS] = "the window's mass"
    groups: tuple[tuple[str, Path, Collection[str]], ...] = (
        ("a scan axis", ("scan",), scope.search.scan),
        ("a column", ("columns",), scope.search.columns),
        ("a parameter", ("configurations",), sorted(scope.parameters)),
    )
    mass_axis = next(iter(scope.search.scan))
    for kind, path, group in groups:
        for name in group:
            first = seen.setdefault(name, kind)
            if first != kind and not (name == mass_axis == MASS_ALIAS and kind == "a scan axis"):
                yield Finding((*path, name), f"{name!r} is already {first}: choose another name")


def columns(scope: Scope) -> Iterator[Finding]:
    """Check derived columns, and that none is derived from itself."""
    derived = {name: column.expression for name, column in scope.search.columns.items() if column.expression}
    uses: dict[str, set[str]] = {}
    for name, text in derived.items():
        problems = list(check_expression(("columns", name, "expression"), text, scope.columns))
        yield from problems
        uses[name] = set() if problems else set(expressions.parse(text).names) & set(derived)
    for name in uses:
        if name in _reach(name, uses):
            yield Finding(("columns", name, "expression"), f"the column {name!r} is derived from itself")


def _reach(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(uses.get(name, ()))
    while waiting:
        step = waiting.pop()
        if step not in reached:
            reached.add(step)
            waiting.extend(uses.get(step, ()))
    return reached


DECLARE = "\n  a column of the events is declared under `columns`, such as `columns: {NAME: GeV}`"


def channels(scope: Scope) -> Iterator[Finding]:
    """Check the expressions of every channel."""
    for name, channel in scope.search.channels.items():
        path: Path = ("channels", name)
        yield from _channel(scope, path, channel)
        if channel.background is not None:
            yield from orders(scope, (*path, "background"), channel.background.order)


def _channel(scope: Scope, path: Path, channel: Channel) -> Iterator[Finding]:
    arity = {name: max(1, len(function.variables)) for name, function in channel.functions.items()}
    for index, cut in enumerate(channel.select):
        for found in check_expression((*path, "select", index), cut, scope.everything, arity, truth=True):
            hint = DECLARE if "unknown name" in found.message else ""
            yield Finding(found.path, found.message + hint)
    for index, text in enumerate(channel.observables):
        yield from check_observable(
            (*path, "observable", index), text, scope.everything, scope.search.columns, arity
        )
    yield from check_expression((*path, "weight"), channel.weight, scope.columns)
    yield from check_expression((*path, "peak"), channel.peak, scope.window)
    for index, veto in enumerate(channel.vetoes):
        yield from check_expression((*path, "vetoes", index, "observable"), veto.observable, scope.everything)
    for name in channel.functions:
        if name in scope.everything or name in expressions.FUNCTIONS:
            yield Finding((*path, "functions", name), f"{name!r} is already in use: choose another name")


def axes(scope: Scope) -> Iterator[Finding]:
    """Check the axes of the scan."""
    for index, (name, axis) in enumerate(scope.search.scan.items()):
        yield from check_expression(("scan", name, "where"), axis.where, scope.window, truth=True)
        if index == 0 and axis.unit != "GeV":
            message = f"the first axis is the mass, in GeV, and this one is in {axis.unit}"
            yield Finding(("scan", name), message)
        elif axis.step is not None and axis.unit != "GeV":
            yield Finding(("scan", name), "steps of the resolution are for masses: give this axis 'values'")
        if axis.step_of is not None and axis.step_of not in scope.search.signal.resolutions:
            message = f"no resolution of {axis.step_of!r} is stated: add it under signal.resolutions"
            yield Finding(("scan", name, "step"), message)


def windows(scope: Scope) -> Iterator[Finding]:
    """Check the observables of windows and binnings."""
    stored = scope.search.columns
    for index, text in enumerate(scope.search.window.axes):
        yield from check_observable(("window", "axes", index), text, scope.columns, stored)
    for index, binning in enumerate(scope.search.window.binning):
        path: Path = ("window", "binning", index)
        yield from check_observable((*path, "observable"), binning.observable, scope.columns, stored)
        yield from check_expression((*path, "where"), binning.where, scope.window, truth=True)


def regions(scope: Scope) -> Iterator[Finding]:
    """Check the regions: their expressions, and that they cover the scan once."""
    stated = scope.search.regions
    for number, region in enumerate(stated):
        for index, text in enumerate(region.observables):
            path: Path = ("regions", number, "observable", index)
            yield from check_observable(path, text, scope.columns, scope.search.columns)
        yield from check_expression(("regions", number, "peak"), region.peak, scope.window)
    rising = sorted(range(len(stated)), key=lambda number: stated[number].low)
    for left, right in itertools.pairwise(rising):
        end, start = stated[left], stated[right]
        if start.low != end.high:
            word = "overlaps" if start.low < end.high else "leaves a gap to"
            message = f"{start.name!r} {word} {end.name!r}, which ends at {end.high:g} GeV"
            yield Finding(("regions", right, "mass"), message)
    yield from _coverage(scope)


def _coverage(scope: Scope) -> Iterator[Finding]:
    axis, stated = scope.search.scan_axis, scope.search.regions
    if not stated:
        return
    low, high = min(region.low for region in stated), max(region.high for region in stated)
    if axis.low < low or axis.high > high:
        message = (
            f"the regions cover {low:g} to {high:g} GeV, and the scan goes from "
            f"{axis.low:g} to {axis.high:g} GeV"
        )
        yield Finding(("regions",), message)


def background(scope: Scope) -> Iterator[Finding]:
    """Check the background's rules and sideband."""
    yield from orders(scope, ("background",), scope.search.background.order)
    sideband = scope.search.background.sideband
    if sideband is not None:
        path: Path = ("background", "sideband", "observable")
        yield from check_observable(path, sideband.observable, scope.columns, scope.search.columns)


def orders(scope: Scope, path: Path, rules: tuple[OrderRule, ...]) -> Iterator[Finding]:
    """Check the conditions that choose the order of a background."""
    known = {ELSE, *(region.name for region in scope.search.regions)}
    mass_names = CONSTANTS | {MASS_ALIAS, next(iter(scope.search.scan))}
    for rule in rules:
        if rule.when not in known:
            yield from check_expression((*path, "order", rule.when), rule.when, mass_names, truth=True)


def decays(scope: Scope) -> Iterator[Finding]:
    """Check the columns and axes of decays in flight."""
    for name, decay in scope.search.decays.items():
        path: Path = ("decays", name)
        yield from check_expression((*path, "displacement"), decay.displacement, scope.columns)
        yield from check_expression((*path, "generated_ctau"), decay.generated_ctau, scope.columns)
        if decay.generated_from is not None:
            yield from check_expression((*path, "generated_from"), decay.generated_from, scope.columns)
        if decay.axis is not None and scope.unit(decay.axis) != "cm":
            yield Finding((*path, "axis"), f"{decay.axis!r} is no scan axis or parameter in cm")
