"""Checks of values: functions over the range of the scan, and keys that ask for each other."""

from collections.abc import Collection, Iterator

import numpy as np

from scanner.errors import InputError
from scanner.schema.complete import resolve_orders
from scanner.schema.densities import PARAMETER_BOUNDS, SHAPE_PARAMETERS, Background
from scanner.schema.functions import Function
from scanner.schema.names import BEAM_ENERGY, MASS_ALIAS
from scanner.schema.report import nearest
from scanner.schema.scope import CONSTANTS, Finding, Path, Scope, check_expression

SAMPLES = 257
"""Masses over the scan at which a function is tried; its tables are also tried at the ends."""


SYSTEMATIC_TARGETS = ("background", "efficiency", "luminosity", "mass", "resolution", "signal", "yield")
NOT_NEGATIVE = float(np.nextafter(0.0, -1.0))
"""Lower bound that leaves 0 in."""
LARGEST_SYSTEMATIC = 10.0
"""Relative size above which a systematic is a slip, such as 5 for 5%."""
Bounded = tuple[Path, Function | None, float, float]


def functions(scope: Scope) -> Iterator[Finding]:
    """Check every function's names and units, and the values of those that have bounds."""
    for path, function, low, high in _bounded(scope):
        problems = list(check_function(scope, path, function))
        yield from problems or _check_values(scope, path, function, low, high)
    yield from check_function(scope, ("window", "tilt"), scope.search.window.tilt)
    for name, channel in scope.search.channels.items():
        for key, function in channel.functions.items():
            yield from check_function(scope, ("channels", name, "functions", key), function)


def _bounded(scope: Scope) -> Iterator[Bounded]:
    """Yield the functions with the bounds of their values: above the one, at most the other."""
    search, signal = scope.search, scope.search.signal
    yield ("signal", "resolution"), signal.stated_resolution, 0.0, np.inf
    yield ("signal", "width"), signal.width, 0.0, np.inf
    yield ("signal", "efficiency"), signal.stated_efficiency, 0.0, 1.0
    yield ("window", "half_width"), search.window.half_width, 0.0, np.inf
    for name, function in signal.resolutions.items():
        yield ("signal", "resolutions", name), function, 0.0, np.inf
    for name, parameter in signal.parameters.items():
        yield ("signal", "parameters", name), parameter, *PARAMETER_BOUNDS.get(name, (-np.inf, np.inf))
    for name, peak in search.background.peaks.items():
        for key, parameter in peak.parameters.items():
            path = ("background", "peaks", name, "parameters", key)
            yield path, parameter, *PARAMETER_BOUNDS.get(key, (-np.inf, np.inf))
        yield ("background", "peaks", name, "resolution"), peak.resolution, 0.0, np.inf
    for name, channel in search.channels.items():
        yield ("channels", name, "efficiency"), channel.efficiency, NOT_NEGATIVE, 1.0
        yield ("channels", name, "branching_fraction"), channel.branching_fraction, NOT_NEGATIVE, 1.0
        yield ("channels", name, "resolution"), channel.resolution, 0.0, np.inf
    for name, term in search.systematics.items():
        yield ("systematics", name, "size"), term.size, 0.0, LARGEST_SYSTEMATIC
        yield ("systematics", name, "size"), term.events, 0.0, np.inf
    for name, model in search.interpretations.items():
        yield ("interpretations", name, "branching_fraction"), model.branching_fraction, 0.0, 1.0
    if search.model is not None:
        yield ("model", "branching_fraction"), search.model.branching_fraction, 0.0, 1.0


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


def _check_values(
    scope: Scope, path: Path, function: Function | None, low: float, high: float
) -> Iterator[Finding]:
    """Evaluate over the scan: tables must reach its ends, and values must make sense."""
    if function is None:
        return
    axis = scope.search.scan_axis
    masses = np.linspace(axis.low, axis.high, SAMPLES)
    if set(function.variables) <= {MASS_ALIAS, next(iter(scope.search.scan))}:
        try:
            value, where = function(masses), masses
        except InputError as error:
            yield Finding(path, str(error))
            return
    elif function.table is not None:
        value, where = function.table.array.ravel(), None
    else:
        return
    bad = ~((value > low) & (value <= high) & np.isfinite(value))
    if bad.any():
        place = "in its table" if where is None else f"at {where[bad][0]:g} GeV"
        yield Finding(path, f"it is {value[bad][0]:g} {place}: it must be {_limits(low, high)}")


def _limits(low: float, high: float) -> str:
    if low == 0.0 and high == np.inf:
        return "positive"
    if low == NOT_NEGATIVE:
        return f"from 0 to {high:g}"
    return f"above {low:g}" + (f" and at most {high:g}" if high < np.inf else "")


def orders_cover(scope: Scope) -> Iterator[Finding]:
    """Check that a background has an order at every mass of the scan."""
    search = scope.search
    masses = np.linspace(search.scan_axis.low, search.scan_axis.high, SAMPLES)
    backgrounds: list[tuple[Path, Background]] = [(("background",), search.background)]
    backgrounds += [
        (("channels", name, "background"), channel.background)
        for name, channel in search.channels.items()
        if channel.background is not None
    ]
    for path, background in backgrounds:
        resolved = resolve_orders(background, search.regions, next(iter(search.scan)))
        try:
            resolved.order_at(masses, **{BEAM_ENERGY: search.sqrt_s})
        except InputError as error:
            yield Finding((*path, "order"), str(error))


def togetherness(scope: Scope) -> Iterator[Finding]:
    """Find keys that ask for another that is missing."""
    yield from _rates(scope)
    yield from _signal(scope)
    yield from _observables(scope)
    yield from _systematics(scope)


def _systematics(scope: Scope) -> Iterator[Finding]:
    targets = {*SYSTEMATIC_TARGETS, *scope.search.background.templates}
    for name, term in scope.search.systematics.items():
        if term.on not in targets:
            close = nearest(term.on, targets)
            message = f"{term.on!r} is not known here{close}; allowed: {', '.join(sorted(targets))}"
            yield Finding(("systematics", name, "on"), message)
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
    if rate and not efficient and not search.decays:
        yield Finding(("signal",), "'efficiency' is missing: rates need it, with its source")


def _signal(scope: Scope) -> Iterator[Finding]:
    search, signal = scope.search, scope.search.signal
    if search.scan_axis.step is not None and signal.stated_resolution is None and not signal.resolutions:
        yield Finding(("signal",), "'resolution' is missing: the steps of the scan are in units of it")
    if (signal.shape == "voigt") != (signal.width is not None):
        yield Finding(("signal",), "the shape 'voigt' and its natural 'width' go together")
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
