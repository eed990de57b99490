"""The whole definition of a search."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from scanner.schema.axes import Configuration, Region, ScanAxis, Veto, Window
from scanner.schema.base import Fraction, FreeName, Luminosity, Name, Strict, Title
from scanner.schema.channels import Channel, Column, Decay, Normalisation, read_column, read_normalisation
from scanner.schema.densities import Background, Signal
from scanner.schema.statistics import (
    Beam,
    Method,
    ModelReference,
    Published,
    Reference,
    SimulatedProcess,
    Systematic,
)

DEFAULT_CONFIDENCE_LEVEL = 0.9


def _same(raw: Any) -> Any:
    """Leave it: mappings are written out as lists before the models see them."""
    return raw


Columns = dict[FreeName, Annotated[Column, BeforeValidator(read_column, json_schema_input_type=str | Column)]]


class Product(Strict):
    """Configurations as all combinations of lists of parameter values."""

    product: dict[FreeName, str | list[str | float]]


class Search(Strict):
    """A search: everything that a scan needs to know beside the events.

    Energies are in GeV, cross sections in fb, luminosities in fb^-1, lengths in cm. `regions`,
    `configurations` and `interpretations` are filled in where a definition leaves them out.
    """

    written = ("extends",)
    unwritten = ("source_text",)

    name: Name
    title: Title = ""
    notes: Title = ""
    reference: Reference = Reference()
    beam: Beam
    luminosity: Luminosity | None = None
    normalisation: Annotated[
        Normalisation, BeforeValidator(read_normalisation, json_schema_input_type=str | Normalisation)
    ] = Normalisation(kind="none")
    confidence_level: Annotated[Fraction, Field(gt=0.0, lt=1.0)] = DEFAULT_CONFIDENCE_LEVEL
    columns: Columns = Field(default_factory=dict)
    rows: Title | None = Field(
        default=None, description="what a row of the events is, and how many an event has"
    )
    scan: Annotated[dict[FreeName, ScanAxis], Field(min_length=1)]
    regions: Annotated[
        tuple[Region, ...],
        BeforeValidator(_same, json_schema_input_type=dict[Name, Region] | tuple[Region, ...]),
    ] = ()
    channels: Annotated[dict[Name, Channel], Field(min_length=1)]
    configurations: Annotated[
        tuple[Configuration, ...],
        BeforeValidator(_same, json_schema_input_type=Product | tuple[Configuration, ...]),
    ] = (Configuration(name="default"),)
    window: Window = Window()
    signal: Signal = Signal()
    background: Background = Background()
    vetoes: tuple[Veto, ...] = ()
    systematics: dict[Name, Systematic] = Field(default_factory=dict)
    method: Method = Method()
    model: ModelReference | None = None
    interpretations: dict[Name, ModelReference] = Field(default_factory=dict)
    decays: dict[Name, Decay] = Field(default_factory=dict)
    simulation: tuple[SimulatedProcess, ...] = ()
    published: Published | None = None
    source_text: str = Field(default="", exclude=True)

    @property
    def sqrt_s(self) -> float:
        """Centre-of-mass energy [GeV]."""
        return float(self.beam.sqrt_s)

    @property
    def scan_axis(self) -> ScanAxis:
        """The first axis of the scan: the mass."""
        return next(iter(self.scan.values()))

    @property
    def inputs(self) -> Literal["events", "counts"]:
        """What it is run on: events, or the published counts that its channels state."""
        counted = all(channel.counts is not None for channel in self.channels.values())
        return "counts" if counted else "events"

    def changed(self, **content: Any) -> "Search":
        """Return a search with other content, which is neither completed nor checked again."""
        found = self.model_copy(update=content)
        for name in ("canonical", "digest"):
            found.__dict__.pop(name, None)
        return found

    @cached_property
    def canonical(self) -> str:
        """The content as JSON in canonical units and order; comments and files leave no trace in it."""
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        # The order of the axes has a meaning, the order of other keys has none.
        content["scan"] = list(content["scan"].values())
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the content."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()
