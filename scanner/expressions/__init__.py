"""The cut language: derived columns, cuts and observables as checked expressions.

An expression is arithmetic, comparisons, ``and or not``, ``a if condition else b`` and a few functions
of named values, in Python's spelling. :func:`parse` turns text into an :class:`Expression`;
:meth:`Expression.evaluate` computes it with numpy in float64.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from scanner.expressions import evaluate as _evaluate
from scanner.expressions.nodes import FUNCTIONS, Node, names_in
from scanner.expressions.parser import parse_tree
from scanner.expressions.text import spell

__all__ = ["FUNCTIONS", "Expression", "parse"]


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes
    ----------
    tree
        Its parts, as frozen nodes.
    """

    tree: Node

    @cached_property
    def text(self) -> str:
        """The canonical spelling: equal expressions have equal texts."""
        return spell(self.tree)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names it uses."""
        return names_in(self.tree)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the canonical spelling."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def is_truth(self) -> bool:
        """Whether it is a condition rather than a number."""
        return self.tree.is_truth

    def evaluate(
        self, env: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> NDArray[Any]:
        """Compute the value with numpy in float64.

        Parameters
        ----------
        env
            Scalars or arrays of one length by name; all of :attr:`names` must be there.
        functions
            The registered functions by name, called with positional arguments.

        Returns
        -------
        float64 (bool for a condition), of the shape that numpy's broadcasting gives.

        Raises
        ------
        InputError
            For a name without a value or a value that is not a number.
        """
        import numpy as np

        return np.asarray(_evaluate.evaluate(self.tree, env, functions or {}))


def parse(
    text: str,
    names: Collection[str] | None = None,
    where: str = "",
    functions: Mapping[str, int] | None = None,
) -> Expression:
    """Read an expression.

    Parameters
    ----------
    text
        The expression as the user wrote it.
    names
        The names that have a value; None accepts every well-formed name.
    where
        The place to name in an error, such as ``zp_mumu.yaml:12``.
    functions
        Registered functions with their number of arguments, besides :data:`FUNCTIONS`.

    Raises
    ------
    InputError
        With the text, a caret under the culprit, the reason and what is allowed.

    Examples
    --------
    >>> parse("m_mumu**2 + 2*e").text
    'm_mumu**2 + 2 * e'
    >>> float(parse("a / 4 if a > 1 else 0").evaluate({"a": 2}))
    0.5
    """
    return Expression(parse_tree(text, names, functions or {}, where))
