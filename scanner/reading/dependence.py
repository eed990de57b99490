"""A channel's plan taken apart: checked trees, what they depend on, and the values of their scalars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.expressions import parse
from scanner.expressions.dependence import (
    Dependence,
    Scope,
    bounded,
    conjuncts,
    inexact_parts,
    resolve,
    substitute,
)
from scanner.expressions.evaluate import evaluate
from scanner.expressions.nodes import Node, names_in
from scanner.expressions.text import spell
from scanner.reading.channel import ChannelPlan, WindowTable
from scanner.reading.histogram import Histogram, check_edges
from scanner.reading.plane import PlaneTable, observables_of

Function = Callable[..., Any]
MAX_CUTS = 200


@dataclass(frozen=True, eq=False)
class Recipe:
    """What the pass computes, in stored columns, constants, parameters and window variables.

    Attributes
    ----------
    cuts
        The conditions of each cut, parts joined by ``and`` apart.
    further
        Observables after the first, of counting windows in two.
    """

    cuts: tuple[tuple[Node, ...], ...]
    observable: Node
    edges: NDArray[np.float64]
    scope: Scope
    constants: Mapping[str, float]
    configurations: tuple[Mapping[str, float], ...]
    windows: WindowTable | PlaneTable | None
    functions: Mapping[str, Function]
    further: tuple[Node, ...] = ()

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The stored columns in use."""
        return tuple(sorted(self._names & self.scope.columns))

    @property
    def alike(self) -> bool:
        """Whether several configurations select the same rows: nothing names their parameters."""
        return len(self.configurations) > 1 and not self._names & self.scope.configuration

    @cached_property
    def _names(self) -> frozenset[str]:
        nodes = [self.observable, *self.further, *(node for cut in self.cuts for node in cut)]
        return frozenset[str]().union(*map(names_in, nodes))

    @cached_property
    def depends(self) -> tuple[str, ...]:
        """What each cut depends on."""
        highest = (
            max((self.scope.of(node) for node in cut), default=Dependence.COLUMNS) for cut in self.cuts
        )
        return tuple(max(level, Dependence.COLUMNS).name.lower() for level in highest)

    @property
    def bins(self) -> int:
        """Fine bins of the axis."""
        return self.edges.size - 1

    @property
    def by_window(self) -> bool:
        """Whether counts are by window rather than by fine bin."""
        return isinstance(self.windows, PlaneTable) or "window" in self.depends

    def conditions(self, *levels: Dependence) -> tuple[tuple[Node, ...], ...]:
        """Return the conditions of each cut that have one of the dependences."""
        return tuple(tuple(node for node in cut if self.scope.of(node) in levels) for cut in self.cuts)

    def value(self, node: Node, configuration: int) -> Any:
        """Return the value of a part without columns: a float, or (windows,) floats."""
        variables = self.windows.variables if self.windows is not None else {}
        env = {**self.constants, **self.configurations[configuration], **variables}
        return np.asarray(evaluate(node, env, self.functions), dtype=np.float64)

    def empty(self) -> Histogram:
        """Return the histogram of no rows."""
        configurations = len(self.configurations)
        shape: tuple[int, ...] = (configurations, self.bins)
        if self.windows is not None and self.by_window:
            shape = (configurations, *self.windows.shape)
        return Histogram(
            counts=np.zeros(shape, np.int64),
            cutflow=np.zeros((configurations, len(self.cuts) + 1), np.int64),
            outside=np.zeros(configurations, np.int64),
            not_finite=np.zeros(configurations, np.int64),
        )


def recipe(plan: ChannelPlan) -> Recipe:
    """Parse and check a plan; see :class:`scanner.reading.selection.Selection`."""
    if len(plan.cuts) > MAX_CUTS:
        raise InputError(f"{len(plan.cuts)} cuts in one channel; at most {MAX_CUTS} are possible")
    kinds = _kinds(plan)
    known = {name for names in kinds.values() for name in names}
    arity = {name: plan.arity.get(name, 1) for name in plan.functions}
    scope = Scope(
        *(frozenset(kinds[k]) for k in ("stored column", "configuration parameter", "window variable"))
    )

    def read(text: str, where: str) -> Node:
        return parse(text, known, where, arity).tree

    derived = resolve({name: read(text, f"derived column `{name}`") for name, text in plan.derived.items()})
    cuts = tuple(
        tuple(conjuncts(_condition(bounded(where, substitute(read(text, where), derived)), where)))
        for text, where in zip(plan.cuts, (f"cut {n + 1}" for n in range(len(plan.cuts))), strict=True)
    )
    observable, *further = (
        bounded("the observable", substitute(read(text, "observable"), derived))
        for text in (plan.observable, *observables_of(plan.windows))
    )
    for node in (observable, *further):
        _check_observable(node, scope)
    edges, constants, functions = check_edges(plan.edges), dict(plan.constants), dict(plan.functions)
    made = Recipe(
        cuts,
        observable,
        edges,
        scope,
        constants,
        plan.configurations,
        plan.windows,
        functions,
        tuple(further),
    )
    _check_window_parts(made)
    return made


def _kinds(plan: ChannelPlan) -> dict[str, tuple[str, ...]]:
    """Return the names of each kind; a name must not be of two."""
    kinds = {
        "stored column": plan.columns,
        "derived column": tuple(plan.derived),
        "constant": tuple(plan.constants),
        "configuration parameter": tuple(plan.configurations[0]),
        "window variable": tuple(plan.windows.variables) if plan.windows is not None else (),
    }
    seen: dict[str, str] = {}
    for kind, names in kinds.items():
        for name in names:
            if name in seen:
                raise InputError(f"`{name}` is both a {seen[name]} and a {kind}; rename one of them")
            seen[name] = kind
    return kinds


def _condition(node: Node, where: str) -> Node:
    if not node.is_truth:
        raise InputError(f"{where}: `{spell(node)}` is a number; a cut is a condition, such as `x > 0`")
    return node


def _check_observable(node: Node, scope: Scope) -> None:
    if node.is_truth:
        raise InputError(f"observable: `{spell(node)}` is a condition; a number is due")
    if scope.of(node) is Dependence.WINDOW:
        raise InputError(f"observable: `{spell(node)}` depends on the window; only cuts may")
    if not scope.has_columns(node):
        raise InputError(f"observable: `{spell(node)}` uses no column, so it is the same for every row")


def _check_window_parts(made: Recipe) -> None:
    for cut in made.cuts:
        for node in cut:
            for part in inexact_parts(node, made.scope):
                if made.scope.of(part) is Dependence.WINDOW:
                    raise InputError(
                        f"`{spell(part)}` joins columns and window variables inside one function; "
                        "bring the window variables to the other side of the comparison"
                    )
