"""Several searches for one coupling in one cube: windows of one mass are fitted with a shared strength."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from jobs.combining import layout
from jobs.combining.members import Member, member
from jobs.combining.sites import Site, sites
from jobs.progress import Advance, progress
from jobs.scanned import Scanned, opened
from scanner.errors import InputError
from scanner.likelihoods.combination import combine
from scanner.likelihoods.strength import named_apart, scaled
from scanner.limits import method_settings
from scanner.schema.statistics import Model
from scanner.sharing import COUPLED, check_theory, shared_models
from scanner.stats import METHODS, Limits, Settings
from scanner.stats.several import Experiment, several_limits
from storage import cubes as cube_store

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COMBINED_METHODS = ("auto", "asymptotic", "toys")
"""Methods of a combination; `auto` counts few events."""


def combination(
    cubes: Sequence[str],
    output: str,
    *,
    method: str = "auto",
    shared: Sequence[str] = (),
    of: str = COUPLED,
    configuration: str | None = None,
) -> xr.Dataset:
    """Combine the scans of several searches for one coupling, at the points of the first.

    Every mass takes the nearest window of any region of each search that is within half a resolution. Points
    of outer axes, such as lifetimes, and configurations are combined with the same ones of other searches. An
    unbinned search takes part with its candidates in the bins of its windows.

    Parameters
    ----------
    cubes : sequence of str
        Limit cubes with their runs beside them.
    output : str
        The cube to write.
    method : str
        One of COMBINED_METHODS.
    shared : sequence of str
        Nuisances that are one for all searches that name them, such as a cross section; others are each
        search's own.
    of : str
        What is shared: "coupling", "rate", or an interpretation of the first search; see
        `scanner.sharing.shared_models`.
    configuration : str, optional
        The one to take of searches with several; default all, if they have the same.

    Returns
    -------
    xarray.Dataset
        Limits on what is shared; `searches` counts those that have a window at a point, and the signal yield
        is in events of all of them together.

    Raises
    ------
    InputError
        If the searches have nothing in common.
    """
    if method not in COMBINED_METHODS:
        raise InputError(f"no combination by {method}: take one of {', '.join(COMBINED_METHODS)}")
    if len(cubes) < 2:
        raise InputError("a combination takes two cubes or more")
    members = [opened(cube, "a combination", number) for number, cube in enumerate(cubes)]
    searches = [one.run.search for one in members]
    references = shared_models(searches, of)
    places = sites(searches, configuration)
    size = layout.windows(members[0])
    with progress("combine", len(places) * size, "windows") as advance:
        columns = [_site(members, site, references, (method, shared), advance) for site in places]
    made = layout.cube(members[0], references[0], columns, configuration)
    titles = tuple(dict.fromkeys(search.title for search in searches))
    if len(titles) > 1:
        made.attrs["title"] = " and ".join(titles) if len(titles) == 2 else f"{len(titles)} searches together"
    made.attrs |= {"statistical_method": method, "combined": ", ".join(cubes), "shared": ", ".join(shared)}
    cube_store.write(made, output, overwrite=True)
    return cube_store.open(output)


def _site(
    scanned: Sequence[Scanned],
    site: Site,
    references: Sequence[Model | None],
    how: tuple[str, Sequence[str]],
    advance: Advance,
) -> layout.Columns:
    """Return the columns of the combined windows of one configuration at one point of the outer axes."""
    joined = [
        (one, spot, reference)
        for one, spot, reference in zip(scanned, site.spots, references, strict=True)
        if spot is not None
    ]
    check_theory([own for *_, own in joined], [one.values(spot) for one, spot, _ in joined])
    members = [member(*each) for each in joined]
    first = members[0]
    chosen = [one.used(np.arange(len(one.events))) if one is first else one.nearest(first.masses)
              for one in members]  # fmt: skip
    method, shared = how
    settings = method_settings(scanned[0].run.search, method)
    columns = layout.empty(len(first.events))
    for group in _groups(members, np.stack(chosen, axis=1)):
        limits = _limits(_experiments(group, shared), settings, method)
        layout.put(columns, group.rows, limits, group.unit, len(group.members))
        advance(group.rows.size)
    return columns


@dataclass(frozen=True)
class Group:
    """Windows that the same searches have, with the same regions and numbers of background terms.

    Attributes
    ----------
    rows : (N,) int
        Their numbers in the combined cube.
    members : tuple of Member
    windows : (N, M) int
        Their numbers in each member.
    """

    rows: Integers
    members: tuple[Member, ...]
    windows: Integers

    @property
    def unit(self) -> Floats:
        """Events of all searches together at unit strength, (N,)."""
        each = [one.events[own] for one, own in zip(self.members, self.windows.T, strict=True)]
        total: Floats = np.sum(each, axis=0)
        return total


def _groups(members: Sequence[Member], chosen: Integers) -> list[Group]:
    """Return what is fitted together, from the window of each member at each mass, (W, M)."""
    patterns = np.concatenate([one.pattern(chosen[:, m]) for m, one in enumerate(members)], axis=1)
    kinds, group = np.unique(patterns, axis=0, return_inverse=True)
    found = []
    for number, kind in enumerate(kinds):
        rows, used = np.flatnonzero(group.ravel() == number), (kind[::2] >= 0).tolist()
        if any(used):
            found.append(Group(rows, tuple(compress(members, used)), chosen[rows][:, used]))
    return found


def _experiments(group: Group, shared: Sequence[str]) -> list[Experiment]:
    """Return the searches of a group with the signal of one event of all of them together."""
    found = []
    for one, windows in zip(group.members, group.windows.T, strict=True):
        apart = named_apart(one.problem(windows), one.name, shared)
        found.append(Experiment(scaled(apart, one.events[windows] / group.unit), one.counts))
    return found


def _limits(experiments: Sequence[Experiment], settings: Settings, method: str) -> Limits:
    if method == "auto":
        return several_limits(experiments, settings)
    return METHODS[method](combine([one.problem for one in experiments]), settings)
