"""What every process of the embedded generator answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.errors import InputError

Columns = dict[str, NDArray[Any]]
Parameters = Mapping[str, float]


class Process(ABC):
    """One reaction: its cross section, and its events as candidates after the detector.

    `generate` numbers its events from 0; an event may give no candidate, one, or several, and the
    rows of an event follow each other.
    """

    name: ClassVar[str]
    """Key in `scanner.simulation.PROCESSES`."""
    title: ClassVar[str]
    role: ClassVar[str]
    """"signal" or "background"."""
    approximation: ClassVar[str]
    """What the simulation leaves out, and which numbers in it are defaults."""
    parameters: ClassVar[tuple[str, ...]] = ()
    """Names of the parameters that the process knows."""
    candidates: ClassVar[tuple[int, int]] = (1, 0)
    """Rows that an event gives when it gives any, and which of them a signal's true one is."""
    columns: ClassVar[dict[str, str]]
    """Units of the columns that it makes, without `event`."""

    @abstractmethod
    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the cross section [fb] that `generate` stands for, before the detector."""

    @abstractmethod
    def generate(self, events: int, rng: Generator, sqrt_s: float, parameters: Parameters) -> Columns:
        """Return the candidates of `events` produced events, float32, and their `event` number."""

    def mass_range(self, parameters: Parameters, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and the highest mass of a signal [GeV], which are excluded themselves."""
        del sqrt_s
        self.check(parameters)
        return 0.0, np.inf

    def check(self, parameters: Parameters) -> None:
        """Refuse parameters that the process does not know.

        Raises
        ------
        InputError
            For an unknown name, or a value that is not a finite number.
        """
        for key, value in parameters.items():
            if key not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise InputError(f"process {self.name} has no parameter {key!r}; it has {known}")
            if not np.isfinite(value):
                raise InputError(f"process {self.name}: {key} = {value} is not a finite number")


class FixedSize(Process):
    """A process of one cross section, whatever the energy."""

    size: ClassVar[float]
    """The cross section [fb]."""

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return `size`."""
        del sqrt_s
        self.check(parameters)
        return self.size


class StatedSize(Process):
    """A process whose cross section is a parameter."""

    size: ClassVar[float | None] = None
    """The cross section [fb] unless one is given; without it, one must be given."""

    def cross_section(self, sqrt_s: float, parameters: Parameters) -> float:
        """Return the parameter `cross_section` [fb].

        Raises
        ------
        InputError
            When it is missing or negative.
        """
        del sqrt_s
        self.check(parameters)
        known = parameters if self.size is None else {"cross_section": self.size, **parameters}
        value = required(self.name, known, "cross_section")
        if value < 0:
            raise InputError(f"process {self.name}: cross_section = {value} must not be negative")
        return value


def required(process: str, parameters: Parameters, name: str) -> float:
    """Return a parameter that must be given.

    Raises
    ------
    InputError
        When it is missing.
    """
    if name not in parameters:
        raise InputError(f"process {process} needs the parameter {name!r}; given: {sorted(parameters)}")
    return float(parameters[name])


def as_columns(event: NDArray[Any], values: Mapping[str, NDArray[Any]]) -> Columns:
    """Return columns in the stored types: int64 for `event`, float32 for the rest."""
    stored: Columns = {"event": np.ascontiguousarray(event, dtype=np.int64)}
    stored.update({name: np.ascontiguousarray(v, dtype=np.float32) for name, v in values.items()})
    return stored
