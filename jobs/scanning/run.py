"""An opened run: the plan of a scan, and what follows from it, made once a process."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from jobs.blocks import Opened, check_alike, redeemed
from jobs.plan import FOLD, FitBlock, PassBlock, Plan
from jobs.scanning import lived
from jobs.scanning.filled import Arrays, unpack
from jobs.scanning.templates import Passed, with_templates
from scanner import definition, engine
from scanner.definition import Search
from scanner.errors import InputError
from scanner.reading.candidates import Candidates
from scanner.reading.histogram import Histogram
from scanner.reading.lived import LivedSelection
from scanner.reading.selection import Selection
from scanner.reading.weighted import WeightedSelection
from scanner.windows.channels import at_luminosity
from scanner.windows.filled import uses_templates
from scanner.windows.grid import WindowGrid
from scanner.windows.lived import Lived, lived_search
from scanner.windows.plane import CountingGrid
from storage.events import EventStore
from storage.locations import Location
from storage.manifest import Shard

PLAN = "plan.json"


@dataclass(frozen=True)
class Run(Opened):
    """An opened run: its plan, and what follows from it, made once a process."""

    plan: Plan

    @property
    def digest(self) -> str:
        """Digest of the whole plan."""
        return self.plan.digest

    @cached_property
    def search(self) -> Search:
        """The search definition."""
        return definition.from_json(self.plan.search)

    @cached_property
    def grids(self) -> dict[str, WindowGrid]:
        """The windows of each region that are fitted."""
        return engine.grids(self.search)

    @cached_property
    def counting(self) -> dict[str, CountingGrid]:
        """The windows of each region that are counted; empty where spectra are fitted."""
        return engine.counting_grids(self.search)

    @cached_property
    def store(self) -> EventStore:
        """The event store.

        Raises
        ------
        InputError
            If its content is no longer the one that was planned for.
        """
        store = EventStore.open(self.plan.store)
        if store.digest != self.plan.store_digest:
            raise InputError(
                f"the content of {self.plan.store} has changed since the scan was started: "
                "start it anew with --overwrite"
            )
        return store

    @cached_property
    def shards(self) -> dict[int, Shard]:
        """The shards of the store by their number."""
        return {shard.index: shard for shard in self.store.shards}

    @cached_property
    def selections(self) -> dict[str, Selection]:
        """The compiled pass of each region."""
        stored = tuple(self.store.columns) if engine.reads(self.search) else ()
        return engine.selections(self.search, stored)

    @cached_property
    def lived_selections(self) -> dict[str, LivedSelection]:
        """The selection of each channel and its decays in flight; none without."""
        stored = tuple(self.store.columns) if engine.reads(self.search) else ()
        return engine.lived_selections(self.search, stored)

    @cached_property
    def weighted_selections(self) -> dict[str, WeightedSelection]:
        """The selection of simulated rows in channels that state weights."""
        stored = tuple(self.store.columns) if engine.reads(self.search) else ()
        return engine.weighted_selections(self.search, stored)

    def at(self, configuration: int, point: int) -> Search:
        """Return the search at one point of the outer axes, and at the luminosity of the data.

        Its efficiencies are those of simulated signals, if it has decays in flight.
        """
        if not self.search.decays:
            return at_luminosity(self.search, self.plan.luminosity)
        search, found = at_luminosity(self.search, self.plan.luminosity), self.lived_signals[configuration]
        return lived_search(search, found, configuration, point)

    @cached_property
    def lived_signals(self) -> tuple[dict[str, list[Lived]], ...]:
        """What the passes left of simulated signals, for each configuration and by channel."""
        return lived.signals(self.search, self.store.samples, self.folded)

    @cached_property
    def folded(self) -> Arrays:
        """The arrays of the sum of all passes."""
        return dict(self.parts.read(FOLD).arrays)

    @cached_property
    def histograms(self) -> dict[str, Histogram]:
        """The histograms of all passes, by region."""
        return {region: filled.histogram for region, filled in unpack(self.folded).items()}

    def grid(self, region: str, configuration: int) -> WindowGrid:
        """Return the windows of a region, with their templates in a configuration if they have some."""
        grid = self.grids[region]
        if not uses_templates(self.search):
            return grid
        filled = Passed(self.histograms, self.folded, self.store.samples, self.plan.luminosity)
        return with_templates(self.search, grid, filled, configuration)

    @cached_property
    def candidates(self) -> dict[str, Candidates]:
        """The candidates of all passes, by their name; none for binned likelihoods."""
        found = {region: filled.candidates for region, filled in unpack(self.folded).items()}
        return {region: kept for region, kept in found.items() if kept is not None}

    @cached_property
    def blocks(self) -> Mapping[str, PassBlock | FitBlock]:
        """The blocks by key."""
        blocks: tuple[PassBlock | FitBlock, ...] = self.plan.passes + self.plan.fits
        return {block.key: block for block in blocks}


def open_run(place: str) -> Run:
    """Open a run and check that this process computes what the plan's author would.

    Raises
    ------
    InputError
        If the sources or the instruction set differ from the plan's.
    """
    plan = Plan.from_json(Location(place).read(PLAN))
    check_alike("plan", plan.code, plan.cpu)
    return Run(place, plan)


@lru_cache(maxsize=4)
def run_of(ticket: str) -> Run:
    """Open a run once a process."""
    return redeemed(ticket, open_run)
