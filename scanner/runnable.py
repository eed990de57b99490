"""What the engine runs of a definition, and what it refuses, by name and with the remedy."""

from collections.abc import Mapping

from scanner import shapes
from scanner.definition import Search
from scanner.engine import stated, unbinned
from scanner.errors import InputError
from scanner.interpretation import bound_model, ordered, quantity
from scanner.schema.densities import Background
from scanner.stats import METHODS
from scanner.stats.floating import FLOATING_METHODS
from scanner.stats.unbinned_methods import UNBINNED_METHODS
from scanner.windows.axes import outer_axes
from scanner.windows.channels import views
from scanner.windows.counting import beyond_counting, counting_methods, counts
from scanner.windows.filled import TEMPLATE, TEMPLATE_METHODS, beyond_templates, uses_templates
from scanner.windows.floating import floats
from scanner.windows.stated import beyond_stated, stated_methods
from scanner.windows.systematics import SHAPE_TARGETS, in_limits


def check_units(search: Search, stored: Mapping[str, str]) -> None:
    """Refuse stored columns whose unit is not the one that the definition states.

    Parameters
    ----------
    stored : mapping
        Unit of each column of an event store; empty where nobody stated it.

    Raises
    ------
    InputError
        Naming column, both units and the remedy.
    """
    for name, column in search.columns.items():
        found = stored.get(name, "")
        if found and found != column.unit:
            raise InputError(
                f"column {name!r} is in {found} in the store and in {column.unit} in search {search.name!r}: "
                f"ingest again with --unit {name}=UNIT, or correct the definition"
            )


def refuse_special(search: Search, what: str) -> None:
    """Refuse what knows nothing but spectra in bins and templates of fixed shape.

    Raises
    ------
    InputError
        If the search counts events in windows, has templates from samples, an unbinned likelihood or floating
        parameters.
    """
    refuse_counts(search, what)
    refuse_templates(search, what)
    refuse_curves(search, what)


def refuse_counts(search: Search, what: str) -> None:
    """Refuse what knows nothing but spectra.

    Raises
    ------
    InputError
        If the search counts events in windows.
    """
    if counts(search) or stated(search):
        raise InputError(f"{what} of a search that counts events in windows is not possible")


def refuse_curves(search: Search, what: str) -> None:
    """Refuse what knows bins of fixed templates alone.

    Raises
    ------
    InputError
        If the search has an unbinned likelihood or floating parameters.
    """
    if unbinned(search):
        raise InputError(
            f"{what} of a search with an unbinned likelihood is not possible: take `likelihood: binned`"
        )
    if floats(search):
        raise InputError(f"{what} of a search with floating parameters is not possible: hold them")


def refuse_templates(search: Search, what: str) -> None:
    """Refuse what knows no templates from samples.

    Raises
    ------
    InputError
        If the search has some.
    """
    if uses_templates(search):
        raise InputError(f"{what} of a search with templates from samples is not possible yet")


def methods(search: Search) -> tuple[str, ...]:
    """Return the names of the methods that set limits for the likelihood of a search."""
    if stated(search):
        return stated_methods(search)
    if counts(search):
        return counting_methods(search)
    if unbinned(search):
        return tuple(UNBINNED_METHODS)
    if uses_templates(search):
        return TEMPLATE_METHODS
    return FLOATING_METHODS if floats(search) else tuple(METHODS)


def _beyond_floating(search: Search) -> dict[str, bool]:
    here, background = floats(search), search.background
    channels = [single.background.floating for single in views(search).values()]
    return {
        "floating parameters of an unbinned likelihood": here and unbinned(search),
        "floating parameters in several channels": (here or any(channels)) and len(search.channels) > 1,
        f"floating parameters with an order by {background.choose}": here and background.choose != "fixed",
        f"floating limits by {search.method.limit} (possible: {', '.join(FLOATING_METHODS)})": (
            here and search.method.limit not in FLOATING_METHODS
        ),
        f"a floating background of shape {background.shape!r}, which has no parameters": (
            background.floating and not shapes.BACKGROUNDS[background.shape].parameters
            if background.shape in shapes.BACKGROUNDS
            else False
        ),
        "a systematic on the mass or resolution beside other floating parameters (let it float too, or state "
        "`in_limit: false`)": here and any(term.on in SHAPE_TARGETS for term in in_limits(search)),
        f"a floating width of the signal shape {search.signal.shape!r}": (
            search.signal.floating.width is not None and search.signal.width is None
        ),
    }


def _beyond_unbinned(search: Search) -> dict[str, bool]:
    here = unbinned(search)
    return {
        f"unbinned limits by {search.method.limit} (possible: {', '.join(UNBINNED_METHODS)})": (
            here and search.method.limit not in UNBINNED_METHODS
        ),
        "a shape measured in the observable with an unbinned likelihood": (
            here and search.signal.measured_in != "mass"
        ),
        "systematics with a profiled order of an unbinned likelihood (state `in_limit: false`)": (
            here and search.background.choose == "discrete_profile" and len(in_limits(search)) > 0
        ),
    }


def check_runnable(search: Search) -> None:
    """Refuse a definition that says more than the engine runs, naming what.

    Raises
    ------
    InputError
        Naming the part of the definition and what is possible instead.
    """
    beyond = {
        **_beyond_axes(search),
        **_beyond_models(search),
        **beyond_templates(search),
        **_beyond_inputs(search),
    }
    wanted = [text for text, found in beyond.items() if found]
    if wanted:
        raise InputError(f"search {search.name!r} wants {', '.join(wanted)}: this version does not run that")


def _beyond_inputs(search: Search) -> dict[str, bool]:
    """Return what is not possible with the kind of numbers that a search is made from."""
    if stated(search):
        return beyond_stated(search)
    counted = any(channel.counts is not None for channel in search.channels.values())
    mixed = {"events in some channels and published counts in others": counted}
    return mixed | (beyond_counting(search) if counts(search) else _beyond_fits(search))


def _beyond_fits(search: Search) -> dict[str, bool]:
    """Return what a search that fits spectra says that is not possible, and whether it says so."""
    beyond = {
        f"windows of shape {search.window.shape} with a background of shape {search.background.shape!r}": (
            search.window.shape != "interval"
        ),
        **_beyond_unbinned(search),
        **_beyond_floating(search),
        f"limits by {search.method.limit}": search.method.limit not in METHODS,
        f"signal shape {search.signal.shape!r}": search.signal.shape not in (*shapes.SIGNALS, TEMPLATE),
    }
    for single in views(search).values():
        beyond |= _beyond_background(single.background, len(search.channels))
    for term in search.systematics.values():
        shaped = term.kind == "shape" and term.on not in ("resolution", "mass")
        beyond[f"a systematic of kind shape on {term.on} (possible: on resolution and mass)"] = shaped
    return beyond


def _beyond_axes(search: Search) -> dict[str, bool]:
    """Return what of the axes is not possible, and whether it is asked for."""
    outer = outer_axes(search)
    return {
        "an axis beside the mass without 'values'": any(axis.values is None for axis in outer),
        "a condition 'where' on an axis of intervals": search.window.shape == "interval"
        and any(axis.where is not None for axis in search.scan.values()),
        "a condition 'where' on an axis beside the masses": any(axis.where is not None for axis in outer),
    }


def _beyond_models(search: Search) -> dict[str, bool]:
    """Return which models are of another rate than the one that is limited."""
    limited = quantity(search)
    return {
        f"a coupling of {reference.name}, whose production is a {bound_model(reference).quantity}, from a "
        f"{limited}: change the normalisation": limited not in (None, bound_model(reference).quantity)
        for _, reference in ordered(search)
    } | {
        "an efficiency of an interpretation with several channels or decays in flight": any(
            reference.efficiency is not None for _, reference in ordered(search)
        )
        and (len(search.channels) > 1 or bool(search.decays))
    }


def _beyond_background(background: Background, channels: int) -> dict[str, bool]:
    """Return what of a background is not possible, and whether it is asked for."""
    shape, chosen = background.shape, background.choose != "fixed"
    return {
        f"background shape {shape!r}": shape not in (*shapes.BACKGROUNDS, TEMPLATE),
        f"the order of a background of shape {shape!r} by {background.choose}": (
            chosen and shape not in ("chebyshev", "linear")
        ),
        f"the order of a background with peaks by {background.choose}": chosen and bool(background.peaks),
        f"the order of a background by {background.choose} in several channels": chosen and channels > 1,
    }


def refuse_known_yields(search: Search, what: str) -> None:
    """Refuse what does not know peaks of a stated yield.

    Raises
    ------
    InputError
        If a background has such a peak.
    """
    for single in views(search).values():
        background = single.background
        known = [name for name in background.peaks if name not in background.free_peaks]
        if known:
            raise InputError(
                f"{what} with the stated yield of {', '.join(known)} is not possible: "
                "leave 'expected' out to fit it, or take another"
            )


def check_single(search: Search, what: str) -> None:
    """Refuse what is about one channel for a search of several.

    Raises
    ------
    InputError
        Naming what it is.
    """
    if len(search.channels) > 1:
        raise InputError(
            f"{what} of {len(search.channels)} channels together is not possible yet: "
            f"search {search.name!r} has {', '.join(search.channels)}"
        )
