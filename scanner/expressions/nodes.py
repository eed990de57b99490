"""The checked tree of an expression: frozen nodes that only the parser of this package makes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression."""

    def children(self) -> tuple["Node", ...]:
        """Return the parts that this one is made of."""
        return ()

    @property
    def is_truth(self) -> bool:
        """Whether the value is true or false rather than a number."""
        return False


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A finite constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A column, constant, configuration parameter or window variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """Minus a number."""

    operand: Node

    def children(self) -> tuple[Node, ...]:
        """Return the operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two numbers joined by one of ``+ - * /``."""

    operator: str
    left: Node
    right: Node

    def children(self) -> tuple[Node, ...]:
        """Return both operands."""
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Power(Node):
    """A number to a constant power.

    A whole exponent means repeated multiplication by :func:`power_steps`, ±0.5 means a square root;
    so those are the same to the last bit wherever they are computed.
    """

    base: Node
    exponent: float

    def children(self) -> tuple[Node, ...]:
        """Return the base."""
        return (self.base,)


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """A chain such as ``a < b <= c``: true when every link is."""

    operators: tuple[str, ...]
    operands: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """Return the compared numbers, from left to right."""
        return self.operands

    @property
    def is_truth(self) -> bool:
        """Whether the value is true or false rather than a number."""
        return True

    def links(self) -> Iterator[tuple[str, Node, Node]]:
        """Yield (operator, left, right) of every link."""
        return zip(self.operators, self.operands[:-1], self.operands[1:], strict=True)


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Truths joined by ``and`` or by ``or``."""

    operator: str
    operands: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """Return the joined truths, from left to right."""
        return self.operands

    @property
    def is_truth(self) -> bool:
        """Whether the value is true or false rather than a number."""
        return True


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The opposite of a truth."""

    operand: Node

    def children(self) -> tuple[Node, ...]:
        """Return the operand."""
        return (self.operand,)

    @property
    def is_truth(self) -> bool:
        """Whether the value is true or false rather than a number."""
        return True


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``yes if condition else no``."""

    condition: Node
    yes: Node
    no: Node

    def children(self) -> tuple[Node, ...]:
        """Return the condition and both values."""
        return (self.condition, self.yes, self.no)

    @property
    def is_truth(self) -> bool:
        """Whether the value is true or false rather than a number."""
        return self.yes.is_truth


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of numbers: one of :data:`FUNCTIONS`, or one that the caller registered."""

    function: str
    arguments: tuple[Node, ...]

    def children(self) -> tuple[Node, ...]:
        """Return the arguments."""
        return self.arguments


FUNCTIONS: Mapping[str, tuple[int, int]] = MappingProxyType({
    "abs": (1, 1),
    "atan2": (2, 2),
    "cos": (1, 1),
    "exp": (1, 1),
    "hypot": (2, 2),
    "log": (1, 1),
    "max": (2, 16),
    "min": (2, 16),
    "sin": (1, 1),
    "sqrt": (1, 1),
    "tan": (1, 1),
})  # fmt: skip
"""The functions of the language, with the least and largest number of arguments."""

EXACT_FUNCTIONS = frozenset({"abs", "max", "min", "sqrt"})
"""Functions that IEEE 754 fixes to the last bit, wherever they are computed."""


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for child in node.children():
        yield from walk(child)


def names_in(node: Node) -> frozenset[str]:
    """Return the names that an expression uses."""
    return frozenset(part.name for part in walk(node) if isinstance(part, Name))


def power_steps(exponent: int) -> list[tuple[int, int]]:
    """Return the products that make a whole power: each step multiplies two earlier powers.

    Every pair ``(a, b)`` stands for ``x**(a + b) = x**a * x**b`` with both factors made before.
    """
    if exponent < 2:
        return []
    half = exponent // 2
    steps = power_steps(half)
    steps.append((half, half))
    if exponent % 2:
        steps.append((2 * half, 1))
    return steps


def is_exact(node: Node) -> bool:
    """Whether IEEE 754 fixes this one operation (not the parts of it) to the last bit."""
    if isinstance(node, Call):
        return node.function in EXACT_FUNCTIONS
    if isinstance(node, Power):
        return node.exponent.is_integer() or math.fabs(node.exponent) == 0.5
    return True
