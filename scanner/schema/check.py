"""Checks of a whole definition: every expression against the names it may use, and what must go together."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from scanner import expressions
from scanner.errors import InputError
from scanner.schema.channels import Channel
from scanner.schema.densities import ELSE, SHAPE_PARAMETERS, OrderRule
from scanner.schema.functions import Function
from scanner.schema.names import BEAM_ENERGY, MASS_ALIAS, NAMED_CONSTANTS, RESERVED
from scanner.schema.search import Search

Path = tuple[str | int, ...]
SAMPLES = 257


@dataclass(frozen=True)
class Finding:
    """Something wrong, and the path to it."""

    path: Path
    message: str


def findings(search: Search) -> list[Finding]:
    """Return all that is wrong with a definition as a whole; what is understood is not yet filled in."""
    checker = _Checker(search)
    found: list[Finding] = []
    for check in (
        checker.names,
        checker.columns,
        checker.channels,
        checker.axes,
        checker.regions,
        checker.functions,
        checker.background,
        checker.decays,
        checker.togetherness,
    ):
        found.extend(check())
    return found


def expression_problem(
    text: str,
    names: Collection[str],
    functions: Mapping[str, int] | None = None,
    *,
    truth: bool | None = None,
) -> str | None:
    """Return what is wrong with an expression, or None."""
    try:
        parsed = expressions.parse(text, names, functions=functions or {})
    except InputError as error:
        return str(error)
    if truth is True and not parsed.is_truth:
        return f"{text!r} is a number, and a condition is due here, such as 'm > 1'"
    if truth is False and parsed.is_truth:
        return f"{text!r} is a condition, and a number is due here"
    return None


class _Checker:
    def __init__(self, search: Search) -> None:
        self.search = search
        self.constants = {*NAMED_CONSTANTS, BEAM_ENERGY}
        self.parameters = {name for entry in search.configurations for name in entry.parameters}
        self.axis_names = {MASS_ALIAS, *search.scan}
        self.window_names = self.constants | self.axis_names | self.parameters
        self.column_names = self.constants | set(search.columns)

    def expression(
        self,
        path: Path,
        text: str | None,
        names: Collection[str],
        functions: Mapping[str, int] | None = None,
        *,
        truth: bool = False,
    ) -> Iterator[Finding]:
        problem = expression_problem(text, names, functions, truth=truth) if text is not None else None
        if problem:
            yield Finding(path, problem)

    def names(self) -> Iterator[Finding]:
        """No name means two things."""
        seen: dict[str, str] = dict.fromkeys(RESERVED, "a constant")
        seen |= dict.fromkeys(expressions.FUNCTIONS, "a function of the expression language")
        seen[MASS_ALIAS] = "the window's mass"
        groups: tuple[tuple[str, Path, Collection[str]], ...] = (
            ("a scan axis", ("scan",), self.search.scan),
            ("a column", ("columns",), self.search.columns),
            ("a parameter", ("configurations",), sorted(self.parameters)),
        )
        for kind, path, names in groups:
            for name in names:
                first = seen.setdefault(name, kind)
                if first != kind and not (name == MASS_ALIAS and name == next(iter(self.search.scan))):
                    yield Finding((*path, name), f"{name!r} is already {first}: choose another name")

    def columns(self) -> Iterator[Finding]:
        derived = {
            name: column.expression for name, column in self.search.columns.items() if column.expression
        }
        uses: dict[str, set[str]] = {}
        for name, text in derived.items():
            problems = list(self.expression(("columns", name, "expression"), text, self.column_names))
            yield from problems
            if not problems:
                uses[name] = set(expressions.parse(text).names) & set(derived)
        for name in uses:
            if name in _reach(name, uses):
                yield Finding(("columns", name, "expression"), f"the column {name!r} is derived from itself")

    def channels(self) -> Iterator[Finding]:
        for name, channel in self.search.channels.items():
            yield from self.channel(("channels", name), channel)

    def channel(self, path: Path, channel: Channel) -> Iterator[Finding]:
        arity = {name: max(1, len(function.variables)) for name, function in channel.functions.items()}
        everything = self.column_names | self.window_names
        for index, cut in enumerate(channel.select):
            yield from self.expression((*path, "select", index), cut, everything, arity, truth=True)
        for index, text in enumerate(channel.observables):
            yield from self.expression((*path, "observable", index), text, everything, arity)
        yield from self.expression((*path, "weight"), channel.weight, self.column_names)
        for index, veto in enumerate(channel.vetoes):
            yield from self.expression((*path, "vetoes", index, "observable"), veto.observable, everything)
        for name, function in channel.functions.items():
            if name in everything or name in expressions.FUNCTIONS:
                yield Finding((*path, "functions", name), f"{name!r} is already in use: choose another name")
            names = self.constants | set(function.arguments) if function.arguments else self.window_names
            yield from self.function((*path, "functions", name), function, names)
        yield from self.function((*path, "efficiency"), channel.efficiency)
        yield from self.function((*path, "resolution"), channel.resolution)

    def axes(self) -> Iterator[Finding]:
        for index, (name, axis) in enumerate(self.search.scan.items()):
            yield from self.expression(("scan", name, "where"), axis.where, self.window_names, truth=True)
            if index == 0 and axis.unit != "GeV":
                yield Finding(
                    ("scan", name), f"the first axis is the mass, in GeV, and this one is in {axis.unit}"
                )
            elif axis.step is not None and axis.unit != "GeV":
                yield Finding(
                    ("scan", name), "steps of the resolution are for masses: give this axis 'values'"
                )
            if axis.step_of is not None and axis.step_of not in self.search.signal.resolutions:
                yield Finding(
                    ("scan", name, "step"),
                    f"no resolution of {axis.step_of!r} is stated: add it under signal.resolutions",
                )
        for index, text in enumerate(self.search.window.axes):
            yield from self.expression(("window", "axes", index), text, self.column_names)
        for index, binning in enumerate(self.search.window.binning):
            path: Path = ("window", "binning", index)
            yield from self.expression((*path, "observable"), binning.observable, self.column_names)
            yield from self.expression((*path, "where"), binning.where, self.window_names, truth=True)

    def regions(self) -> Iterator[Finding]:
        names = [region.name for region in self.search.regions]
        previous = None
        for region in sorted(self.search.regions, key=lambda item: item.low):
            path: Path = ("regions", names.index(region.name))
            for index, text in enumerate(region.observables):
                yield from self.expression((*path, "observable", index), text, self.column_names)
            yield from self.expression((*path, "peak"), region.peak, self.window_names)
            if previous is not None and region.low != previous.high:
                word = "overlaps" if region.low < previous.high else "leaves a gap to"
                yield Finding(
                    (*path, "mass"),
                    f"{region.name!r} {word} {previous.name!r}, which ends at {previous.high:g} GeV",
                )
            previous = region
        yield from self.coverage()

    def coverage(self) -> Iterator[Finding]:
        axis = self.search.scan_axis
        if not self.search.regions:
            return
        low = min(region.low for region in self.search.regions)
        high = max(region.high for region in self.search.regions)
        if axis.low < low or axis.high > high:
            yield Finding(
                ("regions",),
                f"the regions cover {low:g} to {high:g} GeV, and the scan goes from "
                f"{axis.low:g} to {axis.high:g} GeV",
            )

    def functions(self) -> Iterator[Finding]:
        signal = self.search.signal
        yield from self.function(("signal", "resolution"), signal.stated_resolution)
        yield from self.function(("signal", "efficiency"), signal.stated_efficiency)
        yield from self.function(("window", "half_width"), self.search.window.half_width)
        yield from self.function(("window", "tilt"), self.search.window.tilt)
        for name, function in signal.resolutions.items():
            yield from self.function(("signal", "resolutions", name), function)
        for name, parameter in signal.parameters.items():
            yield from self.function(("signal", "parameters", name), parameter)
        for name, term in self.search.systematics.items():
            yield from self.function(("systematics", name, "size"), term.size)
        yield from self.positive(("signal", "resolution"), signal.stated_resolution, np.inf)
        yield from self.positive(("signal", "efficiency"), signal.stated_efficiency, 1.0)
        yield from self.positive(("window", "half_width"), self.search.window.half_width, np.inf)

    def function(
        self, path: Path, function: Function | None, names: Collection[str] | None = None
    ) -> Iterator[Finding]:
        if function is None:
            return
        known = self.window_names if names is None else names
        yield from self.expression((*path, "formula"), function.formula, known)
        if function.table is None:
            return
        for axis, unit in zip(function.table.axes, function.table.units, strict=True):
            due = self.unit_of(axis)
            if function.arguments:
                continue
            if due is None:
                yield Finding(
                    (*path, "table"),
                    f"{axis!r} is no axis or parameter; known are "
                    f"{', '.join(sorted(self.axis_names | self.parameters))}",
                )
            elif due != unit:
                yield Finding(
                    (*path, "table", axis), f"{axis} is in {due}, and this table has it in {_unit(unit)}"
                )

    def unit_of(self, name: str) -> str | None:
        if name == MASS_ALIAS:
            return self.search.scan_axis.unit
        if name in self.search.scan:
            return self.search.scan[name].unit
        return next((entry.units[name] for entry in self.search.configurations if name in entry.units), None)

    def positive(self, path: Path, function: Function | None, highest: float) -> Iterator[Finding]:
        """Evaluate over the scan: tables must reach its ends, values must make sense."""
        axis = self.search.scan_axis
        first = next(iter(self.search.scan))
        if (
            function is None
            or not set(function.variables) <= {MASS_ALIAS, first}
            or list(self.function(path, function))
        ):
            return
        masses = np.linspace(axis.low, axis.high, SAMPLES)
        try:
            value = (
                function(masses, **{BEAM_ENERGY: self.search.sqrt_s})
                if function.formula
                else function(masses)
            )
        except InputError as error:
            yield Finding(path, str(error))
            return
        bad = ~((value > 0.0) & (value <= highest) & np.isfinite(value))
        if bad.any():
            limits = "positive" if highest == np.inf else f"above 0 and at most {highest:g}"
            yield Finding(
                path, f"it is {value[bad][0]:g} at {masses[bad][0]:g} GeV: it must be {limits} over the scan"
            )

    def background(self) -> Iterator[Finding]:
        yield from self.orders(("background",), self.search.background.order)
        sideband = self.search.background.sideband
        if sideband is not None:
            yield from self.expression(
                ("background", "sideband", "observable"), sideband.observable, self.column_names
            )

    def orders(self, path: Path, rules: tuple[OrderRule, ...]) -> Iterator[Finding]:
        regions = {region.name for region in self.search.regions}
        for rule in rules:
            if rule.when == ELSE or rule.when in regions:
                continue
            yield from self.expression(
                (*path, "order", rule.when), rule.when, self.axis_names | self.constants, truth=True
            )

    def decays(self) -> Iterator[Finding]:
        for name, decay in self.search.decays.items():
            path: Path = ("decays", name)
            yield from self.expression((*path, "displacement"), decay.displacement, self.column_names)
            yield from self.expression((*path, "generated_ctau"), decay.generated_ctau, self.column_names)
            if decay.axis is not None and self.unit_of(decay.axis) != "cm":
                yield Finding((*path, "axis"), f"{decay.axis!r} is no scan axis or parameter in cm")

    def togetherness(self) -> Iterator[Finding]:
        """Find keys that ask for another that is missing."""
        search, signal = self.search, self.search.signal
        stated = "normalisation" in search.model_fields_set
        rate = search.normalisation.kind != "none" if stated else search.luminosity is not None
        if search.normalisation.kind == "luminosity" and search.luminosity is None:
            yield Finding(
                ("normalisation",), "'luminosity' is missing: state it, such as 'luminosity: 178 fb^-1'"
            )
        efficient = signal.stated_efficiency is not None or all(
            channel.efficiency is not None for channel in search.channels.values()
        )
        if rate and not efficient:
            yield Finding(("signal",), "'efficiency' is missing: cross sections need it, with its source")
        if search.scan_axis.step is not None and signal.stated_resolution is None and not signal.resolutions:
            yield Finding(("signal",), "'resolution' is missing: the steps of the scan are in units of it")
        missing = [name for name in SHAPE_PARAMETERS.get(signal.shape, ()) if name not in signal.parameters]
        for name in missing:
            yield Finding(
                ("signal",), f"the shape {signal.shape!r} needs the parameter {name!r}, under parameters"
            )
        if search.inputs == "events" and not search.window.axes:
            yield from self.observed()
        for name, term in search.systematics.items():
            for index, channel in enumerate(term.channels):
                if channel not in search.channels:
                    yield Finding(
                        ("systematics", name, "channels", index),
                        f"no channel {channel!r}; known are {', '.join(search.channels)}",
                    )

    def observed(self) -> Iterator[Finding]:
        regional = bool(self.search.regions) and all(region.observables for region in self.search.regions)
        for name, channel in self.search.channels.items():
            if not (channel.observables or regional or channel.counts):
                yield Finding(
                    ("channels", name),
                    "'observable' is missing: say what is histogrammed, such as 'observable: m_mumu'",
                )


def _unit(unit: str) -> str:
    return "pure numbers" if unit == "1" else unit


def _reach(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(uses.get(name, ()))
    while waiting:
        step = waiting.pop()
        if step not in reached:
            reached.add(step)
            waiting.extend(uses.get(step, ()))
    return reached
