"""Fills in what a definition leaves to be understood."""

from typing import Any

from scanner.schema.axes import Region
from scanner.schema.channels import Channel, Normalisation
from scanner.schema.densities import ELSE, Background, OrderRule, Signal
from scanner.schema.names import MASS_ALIAS
from scanner.schema.search import Search
from scanner.schema.statistics import Model

WHOLE = "all"


def complete(search: Search) -> Search:
    """Return the definition with regions, normalisation, interpretations and named rules filled in."""
    regions, mass_axis = _regions(search), next(iter(search.scan))
    updates: dict[str, Any] = {
        "regions": regions,
        "background": resolve_orders(_background(search), search.regions, mass_axis),
        "channels": {name: _channel(search, channel, mass_axis) for name, channel in search.channels.items()},
        "signal": _signal(search),
        "normalisation": _normalisation(search),
        "interpretations": _interpretations(search),
        "model": search.model or _first(search.interpretations),
        "scan": {name: axis.model_copy(update={"name": name}) for name, axis in search.scan.items()},
        "systematics": {
            name: term.model_copy(update={"name": name}) for name, term in search.systematics.items()
        },
    }
    # Sorted as in the canonical text, so that a search restored from it runs in the same order.
    for field in ("columns", "channels", "systematics", "interpretations", "decays"):
        updates[field] = dict(sorted(updates.get(field, getattr(search, field)).items()))
    return search.model_copy(update=updates)


def _regions(search: Search) -> tuple[Region, ...]:
    """Clip the stated regions to the scan, or make one of all of it."""
    axis = search.scan_axis
    if not search.regions:
        only = _only(search)
        observables = search.window.axes if only is None else only.observables or search.window.axes
        whole = Region.model_construct(
            name=WHOLE, title="", low=axis.low, high=axis.high, observables=observables, peak=MASS_ALIAS
        )
        return (_in_channel(search, whole),)
    clipped = (
        region.model_copy(update={"low": max(region.low, axis.low), "high": min(region.high, axis.high)})
        for region in sorted(search.regions, key=lambda region: region.low)
    )
    return tuple(_in_channel(search, region) for region in clipped if region.low <= region.high)


def _in_channel(search: Search, region: Region) -> Region:
    only = _only(search)
    return region if only is None else region_in(region, only)


def region_in(region: Region, channel: Channel) -> Region:
    """Return a region in a channel: in the observable that it states itself, or else in the channel's."""
    observables = region.observables or channel.observables
    return region.model_copy(update={"observables": observables, "peak": channel.peak or region.peak})


def _only(search: Search) -> Channel | None:
    """Return the only channel: what it states is what the search states."""
    return next(iter(search.channels.values())) if len(search.channels) == 1 else None


def _signal(search: Search) -> Signal:
    only, signal = _only(search), search.signal
    own = {} if only is None else {"resolution": only.resolution, "efficiency": only.efficiency}
    return signal.model_copy(
        update={f"stated_{key}": value for key, value in own.items() if value is not None}
    )


def _background(search: Search) -> Background:
    only = _only(search)
    return search.background if only is None or only.background is None else only.background


def _channel(search: Search, channel: Channel, mass_axis: str) -> Channel:
    if channel.background is None:
        return channel
    resolved = resolve_orders(channel.background, search.regions, mass_axis)
    return channel.model_copy(update={"background": resolved})


def resolve_orders(background: Background, regions: tuple[Region, ...], mass_axis: str) -> Background:
    """Write orders that are given by region as conditions on the mass."""
    known = {region.name: region for region in regions}
    last = max((region.high for region in regions), default=0.0)
    rules = tuple(_rule(rule, known, last) for rule in background.order)
    # 'else' holds wherever it is written, so it comes last.
    ordered = tuple(sorted(rules, key=lambda rule: rule.when == ELSE))
    peaks = dict(sorted(background.peaks.items()))
    return background.model_copy(update={"order": ordered, "mass_axis": mass_axis, "peaks": peaks})


def _rule(rule: OrderRule, regions: dict[str, Region], last: float) -> OrderRule:
    region = regions.get(rule.when)
    if region is None:
        return rule
    below = "<=" if region.high == last else "<"
    condition = f"{region.low!r} <= {MASS_ALIAS} and {MASS_ALIAS} {below} {region.high!r}"
    return rule.model_copy(update={"when": condition})


def _normalisation(search: Search) -> Normalisation:
    if "normalisation" in search.model_fields_set:
        return search.normalisation
    return Normalisation(kind="none" if search.luminosity is None else "luminosity")


def _first(interpretations: dict[str, Model]) -> Model | None:
    return interpretations[min(interpretations)] if interpretations else None


def _interpretations(search: Search) -> dict[str, Any]:
    if search.interpretations or search.model is None:
        return search.interpretations
    return {search.model.name: search.model}
