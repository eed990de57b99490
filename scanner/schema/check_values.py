"""Checks of values: functions over the range of the scan, and keys that ask for each other."""

from collections.abc import Collection, Iterator

import numpy as np

from scanner.errors import InputError
from scanner.schema.densities import SHAPE_PARAMETERS
from scanner.schema.functions import Function
from scanner.schema.names import MASS_ALIAS
from scanner.schema.scope import CONSTANTS, Finding, Path, Scope, check_expression

SAMPLES = 257
"""Masses over the scan at which a function is tried; its tables are also tried at the ends."""


def functions(scope: Scope) -> Iterator[Finding]:
    """Check every function's names and units, and the range of those that have one."""
    search, signal = scope.search, scope.search.signal
    bounded: list[tuple[Path, Function | None, float]] = [
        (("signal", "resolution"), signal.stated_resolution, np.inf),
        (("signal", "efficiency"), signal.stated_efficiency, 1.0),
        (("window", "half_width"), search.window.half_width, np.inf),
    ]
    bounded += [(("signal", "resolutions", name), item, np.inf) for name, item in signal.resolutions.items()]
    for name, channel in search.channels.items():
        bounded.append((("channels", name, "efficiency"), channel.efficiency, 1.0))
        bounded.append((("channels", name, "resolution"), channel.resolution, np.inf))
    free: list[tuple[Path, Function | None]] = [(("window", "tilt"), search.window.tilt)]
    free += [(("signal", "parameters", name), item) for name, item in signal.parameters.items()]
    free += [(("systematics", name, "size"), term.size) for name, term in search.systematics.items()]
    for path, function, highest in bounded:
        problems = list(check_function(scope, path, function))
        yield from problems or _check_range(scope, path, function, highest)
    for path, function in free:
        yield from check_function(scope, path, function)
    for name, channel in search.channels.items():
        for key, function in channel.functions.items():
            yield from check_function(scope, ("channels", name, "functions", key), function)


def check_function(scope: Scope, path: Path, function: Function | None) -> Iterator[Finding]:
    """Check the variables of one function."""
    if function is None:
        return
    known: Collection[str] = CONSTANTS | set(function.arguments) if function.arguments else scope.window
    yield from check_expression((*path, "formula"), function.formula, known)
    if function.table is None or function.arguments:
        return
    for axis, unit in zip(function.table.axes, function.table.units, strict=True):
        due = scope.unit(axis)
        if due is None:
            known_names = ", ".join(sorted(scope.axes | scope.parameters))
            message = f"{axis!r} is no axis or parameter; known are {known_names}"
            yield Finding((*path, "table", axis), message)
        elif due != unit:
            has = "without a unit" if unit == "1" else f"in {unit}"
            yield Finding((*path, "table", axis), f"{axis} is in {due}, and this table has it {has}")


def _check_range(scope: Scope, path: Path, function: Function | None, highest: float) -> Iterator[Finding]:
    """Evaluate over the scan: tables must reach its ends, and values must make sense."""
    axis = scope.search.scan_axis
    mass_names = {MASS_ALIAS, next(iter(scope.search.scan))}
    if function is None or not set(function.variables) <= mass_names:
        return
    masses = np.linspace(axis.low, axis.high, SAMPLES)
    try:
        value = function(masses)
    except InputError as error:
        yield Finding(path, str(error))
        return
    bad = ~((value > 0.0) & (value <= highest) & np.isfinite(value))
    if bad.any():
        limits = "positive" if highest == np.inf else f"above 0 and at most {highest:g}"
        message = f"it is {value[bad][0]:g} at {masses[bad][0]:g} GeV: it must be {limits} over the scan"
        yield Finding(path, message)


def togetherness(scope: Scope) -> Iterator[Finding]:
    """Find keys that ask for another that is missing."""
    yield from _rates(scope)
    yield from _signal(scope)
    yield from _observables(scope)
    for name, term in scope.search.systematics.items():
        for index, channel in enumerate(term.channels):
            if channel not in scope.search.channels:
                message = f"no channel {channel!r}; known are {', '.join(scope.search.channels)}"
                yield Finding(("systematics", name, "channels", index), message)


def _rates(scope: Scope) -> Iterator[Finding]:
    search = scope.search
    stated = "normalisation" in search.model_fields_set
    rate = search.normalisation.kind != "none" if stated else search.luminosity is not None
    if search.normalisation.kind == "luminosity" and search.luminosity is None:
        message = "'luminosity' is missing: state it, such as 'luminosity: 178 fb^-1'"
        yield Finding(("normalisation",), message)
    efficient = search.signal.stated_efficiency is not None or all(
        channel.efficiency is not None for channel in search.channels.values()
    )
    if rate and not efficient:
        yield Finding(("signal",), "'efficiency' is missing: rates need it, with its source")


def _signal(scope: Scope) -> Iterator[Finding]:
    search, signal = scope.search, scope.search.signal
    if search.scan_axis.step is not None and signal.stated_resolution is None and not signal.resolutions:
        yield Finding(("signal",), "'resolution' is missing: the steps of the scan are in units of it")
    for name in SHAPE_PARAMETERS.get(signal.shape, ()):
        if name not in signal.parameters:
            message = f"the shape {signal.shape!r} needs the parameter {name!r}, under signal.parameters"
            yield Finding(("signal",), message)


def _observables(scope: Scope) -> Iterator[Finding]:
    search = scope.search
    regional = bool(search.regions) and all(region.observables for region in search.regions)
    if search.inputs == "counts" or search.window.axes or regional:
        return
    for name, channel in search.channels.items():
        if not (channel.observables or channel.counts):
            message = "'observable' is missing: say what is histogrammed, such as 'observable: m_mumu'"
            yield Finding(("channels", name), message)
