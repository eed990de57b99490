"""Where rows come from: samples, their luminosity and their source files."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from storage.errors import StorageError

KINDS = ("data", "pseudodata", "simulation", "signal")
DATA_LIKE = ("data", "pseudodata")


@dataclass(frozen=True)
class SourceFile:
    """A file that rows were taken from: its name without directories, and the sha256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Sample:
    """Rows of one origin.

    Attributes
    ----------
    name : str
        Name of the sample, unique in a store together with `period`.
    process : str
        Physics process, empty for data.
    kind : {"data", "pseudodata", "simulation", "signal"}
        What the rows are.
    period : str
        Run period; data-like samples of one period share its luminosity.
    sqrt_s : float, optional
        Centre-of-mass energy in GeV.
    luminosity : float, optional
        Integrated luminosity in fb^-1.
    cross_section : float, optional
        In fb, of simulated samples.
    generated : int, optional
        Number of generated events, before any selection.
    weighted : bool
        Whether the rows carry weights.
    seed : int, optional
        Seed of the generator.
    parameters : mapping
        Further parameters of the process.
    sources : tuple of SourceFile
        Files that the rows were read from; not part of the content digest.

    Raises
    ------
    StorageError
        For an unknown kind, an empty name, or a number that is not finite and positive.
    """

    name: str
    kind: str
    process: str = ""
    period: str = ""
    sqrt_s: float | None = None
    luminosity: float | None = None
    cross_section: float | None = None
    generated: int | None = None
    weighted: bool = False
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[SourceFile, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise StorageError("a sample needs a name")
        if self.kind not in KINDS:
            raise StorageError(
                f"sample {self.name}: unknown kind {self.kind!r}; allowed are {', '.join(KINDS)}"
            )
        try:
            json.dumps(dict(self.parameters), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StorageError(f"sample {self.name}: parameters have no JSON form ({error})") from error
        for label, value in (("sqrt_s", self.sqrt_s), ("luminosity", self.luminosity)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise StorageError(
                    f"sample {self.name}: {label} = {value}, but it must be positive and finite"
                )
        for label, value in (("cross_section", self.cross_section), ("generated", self.generated)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise StorageError(f"sample {self.name}: {label} = {value}, but it must not be negative")

    @property
    def label(self) -> str:
        """Name and period, for messages."""
        return f"{self.name} ({self.period})" if self.period else self.name

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        sources = [asdict(source) for source in self.sources]
        return plain | {"parameters": dict(self.parameters), "sources": sources}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild from `as_dict`."""
        sources = tuple(SourceFile(**source) for source in record["sources"])
        return cls(**{**record, "sources": sources})


def check_samples(samples: Iterable[Sample]) -> None:
    """Refuse samples that are there twice, and periods whose samples disagree about the luminosity."""
    seen: set[tuple[str, str]] = set()
    for sample in samples:
        if (sample.name, sample.period) in seen:
            raise StorageError(
                f"sample {sample.label} is in the store already, its rows would count twice; "
                "give a new luminosity block its own period, other rows their own sample name"
            )
        seen.add((sample.name, sample.period))
    total_luminosity(samples)


def total_luminosity(samples: Iterable[Sample]) -> float | None:
    """Sum the luminosity of the distinct periods of data and pseudodata.

    Returns
    -------
    float or None
        In fb^-1; None if a period has no luminosity, or there are no data.

    Raises
    ------
    StorageError
        If two samples of one period disagree.
    """
    periods: dict[str, float | None] = {}
    for sample in samples:
        if sample.kind not in DATA_LIKE:
            continue
        known = periods.setdefault(sample.period, sample.luminosity)
        if known != sample.luminosity:
            raise StorageError(
                f"sample {sample.label}: luminosity {sample.luminosity} /fb, but period {sample.period!r} "
                f"has {known} /fb; samples of one period share it, so correct it or name another period"
            )
    values = list(periods.values())
    if not values or any(value is None for value in values):
        return None
    return math.fsum(value for value in values if value is not None)
