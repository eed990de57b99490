"""The names that each kind of expression in a definition may use."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from scanner import expressions
from scanner.errors import InputError
from scanner.schema.names import BEAM_ENERGY, MASS_ALIAS, NAMED_CONSTANTS
from scanner.schema.search import Search

Path = tuple[str | int, ...]
CONSTANTS = frozenset({*NAMED_CONSTANTS, BEAM_ENERGY})


@dataclass(frozen=True)
class Finding:
    """Something wrong, and the path to it."""

    path: Path
    message: str


@dataclass(frozen=True)
class Scope:
    """The names of one definition.

    Attributes
    ----------
    search : Search
        The definition, not yet filled in.
    """

    search: Search

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Parameters of the configurations."""
        return frozenset(name for entry in self.search.configurations for name in entry.parameters)

    @cached_property
    def axes(self) -> frozenset[str]:
        """Variables of a window: the scan axes, and `m` for the first."""
        return frozenset({MASS_ALIAS, *self.search.scan})

    @cached_property
    def window(self) -> frozenset[str]:
        """What is known without an event."""
        return CONSTANTS | self.axes | self.parameters

    @cached_property
    def columns(self) -> frozenset[str]:
        """What is known of an event alone."""
        return CONSTANTS | set(self.search.columns)

    @cached_property
    def everything(self) -> frozenset[str]:
        """What a cut may use."""
        return self.columns | self.window

    def unit(self, name: str) -> str | None:
        """Return the unit of a window variable or parameter, None for other names."""
        if name == MASS_ALIAS:
            return self.search.scan_axis.unit
        if name in self.search.scan:
            return self.search.scan[name].unit
        return next((entry.units[name] for entry in self.search.configurations if name in entry.units), None)


def check_expression(
    path: Path,
    text: str | None,
    names: Collection[str],
    functions: Mapping[str, int] | None = None,
    *,
    truth: bool = False,
) -> Iterator[Finding]:
    """Find what is wrong with an expression that must be a condition (`truth`) or else a number."""
    if text is None:
        return
    try:
        parsed = expressions.parse(text, names, functions=functions or {})
    except InputError as error:
        yield Finding(path, str(error))
        return
    if truth and not parsed.is_truth:
        yield Finding(path, f"{text!r} is a number, and a condition is due here, such as 'm > 1'")
    if parsed.is_truth and not truth:
        yield Finding(path, f"{text!r} is a condition, and a number is due here")


def check_observable(
    path: Path,
    text: str,
    names: Collection[str],
    columns: Collection[str],
    functions: Mapping[str, int] | None = None,
) -> Iterator[Finding]:
    """Find what is wrong with an expression that must vary from candidate to candidate."""
    problems = list(check_expression(path, text, names, functions))
    yield from problems
    if not problems and not expressions.parse(text, functions=functions or {}).names & (
        set(columns) - CONSTANTS
    ):
        yield Finding(path, f"{text!r} uses no column: it is the same for every candidate")
