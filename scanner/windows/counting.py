"""Which searches count events in windows instead of fitting spectra, and what these can be asked for."""

from scanner import expressions
from scanner.definition import Search
from scanner.stats.counted import COUNTED_METHODS
from scanner.stats.joint_counts import JOINT_METHODS
from scanner.windows.axes import outer_axes
from scanner.windows.channels import views
from scanner.windows.systematics import SIGNAL_TARGETS, YIELD_TARGETS, in_limits

ESTIMATES = ("sideband", "simulation")


def counts(search: Search) -> bool:
    """Whether the windows of a search are counting experiments on events."""
    return search.background.shape == "counting" and search.inputs == "events"


def counting_methods(search: Search) -> tuple[str, ...]:
    """Return the names of the methods that set limits from the counts of one channel, or of several."""
    return tuple(COUNTED_METHODS if len(search.channels) == 1 else JOINT_METHODS)


def beyond_counting(search: Search) -> dict[str, bool]:
    """Return what a search of counting windows says that is not possible, and whether it says so."""
    observables = len(search.window.axes) or 1
    background, method = search.background, search.method
    shapes = ("counting", "gaussian") if observables > 1 else ()
    parameters = {name for c in search.configurations for name in c.parameters}
    parameters |= {axis.name for axis in outer_axes(search)}
    conditions = [axis.where for axis in search.scan.values() if axis.where is not None]
    vetoes = [*search.vetoes, *(veto for channel in search.channels.values() for veto in channel.vetoes)]
    return {
        f"{len(search.scan)} scan axes of windows in {observables} observables": (
            len(search.scan) < observables
        ),
        "an axis beside a plane of two masses": observables > 1 and bool(outer_axes(search)),
        "a background of another estimate in one of several counting channels": any(
            (single.background.shape, single.background.estimate) != ("counting", background.estimate)
            for single in views(search).values()
        ),
        f"a counted background by {background.estimate!r} (possible: {', '.join(ESTIMATES)})": (
            background.estimate not in ESTIMATES
        ),
        f"counted limits by {method.limit} (possible: {', '.join(counting_methods(search))})": (
            method.limit not in counting_methods(search)
        ),
        "an unbinned likelihood of counting windows": method.likelihood == "unbinned",
        "floating parameters of counting windows": bool(search.signal.floating.names),
        "known peaks under counting windows": bool(background.peaks),
        "vetoes inside of counting windows": any(veto.in_windows for veto in vetoes),
        f"signal shape {search.signal.shape!r} in two observables (possible: {', '.join(shapes)})": (
            bool(shapes) and search.signal.shape not in shapes
        ),
        "a tilted ellipse of a signal shape 'gaussian'": (
            search.window.tilt is not None and search.signal.shape == "gaussian"
        ),
        "a condition 'where' on a configuration or an axis beside the masses": bool(
            parameters & _names(conditions)
        ),
        **_beyond_systematics(search),
    }


def _names(conditions: list[str]) -> frozenset[str]:
    return frozenset[str]().union(*(expressions.parse(text).names for text in conditions))


def _beyond_systematics(search: Search) -> dict[str, bool]:
    found = {}
    for term in in_limits(search):
        known = term.on in (*SIGNAL_TARGETS, *YIELD_TARGETS)
        found[f"a systematic on {term.on} of counting windows"] = not known
        normal = term.on in SIGNAL_TARGETS and term.kind != "lognormal"
        found[f"a systematic of kind {term.kind} on {term.on} of counting windows"] = normal
        some = bool(term.channels) and set(term.channels) != set(search.channels)
        found[f"the systematic {term.name!r} of some of several counting channels"] = some
    return found
