"""What a part of an expression depends on, and how expressions are put into one another."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

from scanner.errors import InputError
from scanner.expressions.nodes import Logic, Name, Node, is_exact, names_in, walk

MAX_EXPANDED = 5000
"""Parts that an expression may have once its derived columns are put in."""


class Dependence(IntEnum):
    """How often a part must be evaluated."""

    NOTHING = 0
    COLUMNS = 1
    CONFIGURATION = 2
    WINDOW = 3


@dataclass(frozen=True)
class Scope:
    """Which names are what."""

    columns: frozenset[str]
    configuration: frozenset[str]
    window: frozenset[str]

    def of(self, node: Node) -> Dependence:
        """Return the highest dependence of a part; columns count below configuration and window."""
        names = names_in(node)
        if names & self.window:
            return Dependence.WINDOW
        if names & self.configuration:
            return Dependence.CONFIGURATION
        return Dependence.COLUMNS if names & self.columns else Dependence.NOTHING

    def has_columns(self, node: Node) -> bool:
        """Whether the value differs from row to row."""
        return bool(names_in(node) & self.columns)


def conjuncts(node: Node) -> Iterator[Node]:
    """Yield the conditions that a cut joins by ``and``."""
    if isinstance(node, Logic) and node.operator == "and":
        for operand in node.operands:
            yield from conjuncts(operand)
    else:
        yield node


def maximal(node: Node, wanted: Callable[[Node], bool]) -> Iterator[Node]:
    """Yield the largest parts that are wanted."""
    if wanted(node):
        yield node
        return
    for child in node.children():
        yield from maximal(child, wanted)


def inexact_parts(node: Node, scope: Scope) -> Iterator[Node]:
    """Yield the functions of columns that only numpy's own loops give to the last bit."""
    return (part for part in walk(node) if not is_exact(part) and scope.has_columns(part))


def substitute(node: Node, trees: Mapping[str, Node]) -> Node:
    """Put trees in the place of names."""
    if isinstance(node, Name):
        return trees.get(node.name, node)
    changes: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, Node):
            changes[field.name] = substitute(value, trees)
        elif isinstance(value, tuple) and value and isinstance(value[0], Node):
            changes[field.name] = tuple(substitute(part, trees) for part in value)
    return replace(node, **changes) if changes else node


def resolve(trees: Mapping[str, Node]) -> dict[str, Node]:
    """Write derived columns in terms of stored ones.

    Raises
    ------
    InputError
        When a derived column needs itself, or grows beyond :data:`MAX_EXPANDED` parts.
    """
    resolved: dict[str, Node] = {}
    for name in trees:
        _resolve(name, trees, resolved, ())
    return resolved


def _resolve(name: str, trees: Mapping[str, Node], resolved: dict[str, Node], above: Collection[str]) -> None:
    if name in resolved:
        return
    if name in above:
        raise InputError(f"the derived column `{name}` depends on itself: {' → '.join([*above, name])}")
    for needed in sorted(names_in(trees[name]) & trees.keys()):
        _resolve(needed, trees, resolved, (*above, name))
    resolved[name] = bounded(f"the derived column `{name}`", substitute(trees[name], resolved))


def bounded(what: str, node: Node) -> Node:
    """Return a tree that is not too large, or refuse it."""
    for parts, _ in enumerate(walk(node)):
        if parts > MAX_EXPANDED:
            raise InputError(f"{what} has more than {MAX_EXPANDED} parts once derived columns are put in")
    return node
