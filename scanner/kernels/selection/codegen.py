"""Checked trees to the source of numba kernels.

Safety: the source holds no text of the user. It is made of fixed templates, of identifiers that are
a letter and a running number, and of operators looked up in the tables below. Names select a column
number, and numbers travel as arguments at run time, so not even a constant is spelled out.

Speed: a cut `x < 1.5` on a float32 column compares in float32 with 1.5 rounded so that every float32
decides as it would in float64; a register then holds twice the rows. Everything else is widened to
float64 first. Parts that occur twice are computed once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scanner.expressions.nodes import (
    Binary,
    Call,
    Comparison,
    Conditional,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Power,
    names_in,
    power_steps,
)

_ARITHMETIC = {"+": "+", "-": "-", "*": "*", "/": "/"}
_COMPARE = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "==": "==", "!=": "!="}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ROUND_UP = {"<": True, ">=": True, "<=": False, ">": False}


@dataclass(frozen=True)
class Operand:
    """A variable of the generated code; `narrow` when it is float32, `pair` when it varies by window."""

    name: str
    narrow: bool = False
    pair: bool = False


@dataclass(frozen=True)
class Scalars:
    """The values that the code takes as arguments, in the order of their numbers.

    Attributes
    ----------
    wide
        Parts without columns, passed as float64 in ``k``.
    narrow
        Parts compared with float32 values, and whether they round up; passed as float32 in ``g``.
    window
        Parts without columns that vary by window, passed as float64 (windows, parts) in ``v``.
    """

    wide: tuple[Node, ...]
    narrow: tuple[tuple[Node, bool], ...]
    window: tuple[Node, ...]


@dataclass
class Emitter:
    """Writes the statements that compute trees for one row, or for one row and window.

    Attributes
    ----------
    columns
        The variable of each column, and whether it is float32.
    given
        Parts that are computed elsewhere, by variable.
    window
        Names that vary by window.
    """

    columns: Mapping[str, Operand]
    given: Mapping[Node, Operand] = field(default_factory=dict)
    window: frozenset[str] = frozenset()
    row: list[str] = field(default_factory=list)
    pair: list[str] = field(default_factory=list)
    _made: dict[tuple[Node, bool], Operand] = field(default_factory=dict)
    _wide: dict[Node, int] = field(default_factory=dict)
    _narrow: dict[tuple[Node, bool], int] = field(default_factory=dict)
    _window: dict[Node, int] = field(default_factory=dict)
    _count: int = 0

    @property
    def scalars(self) -> Scalars:
        """The scalars that the statements use."""
        return Scalars(tuple(self._wide), tuple(self._narrow), tuple(self._window))

    def loads(self) -> list[str]:
        """Return the statements that read the scalars once, before the loop."""
        wide = [f"k{j} = k[{j}]" for j in range(len(self._wide))]
        return wide + [f"g{j} = g[{j}]" for j in range(len(self._narrow))]

    def truth(self, node: Node) -> Operand:
        """Return the variable of a condition."""
        return self._value(node, wide=False)

    def number(self, node: Node, wide: bool = True) -> Operand:
        """Return the variable of a number, in float64 when it must be wide."""
        return self._value(node, wide)

    def is_narrow(self, node: Node) -> bool:
        """Whether a number is computed exactly in float32."""
        if isinstance(node, Name):
            return node.name in self.columns and self.columns[node.name].narrow
        if isinstance(node, Negative):
            return self.is_narrow(node.operand)
        exact = isinstance(node, Call) and node.function in ("abs", "min", "max")
        return exact and all(self.is_narrow(part) for part in node.children())

    def _value(self, node: Node, wide: bool) -> Operand:
        key = (node, wide and not node.is_truth)
        if key not in self._made:
            self._made[key] = self._make(node, wide)
        return self._made[key]

    def _make(self, node: Node, wide: bool) -> Operand:
        if node in self.given:
            return self.given[node]
        if not names_in(node) & self.columns.keys():
            return self._scalar(node)
        if wide and self.is_narrow(node):
            narrow = self._value(node, wide=False)
            return self._assign(f"np.float64({narrow.name})", narrow)
        return self._operation(node, narrow=not wide and not node.is_truth and self.is_narrow(node))

    def _scalar(self, node: Node) -> Operand:
        suffix = " != 0.0" if node.is_truth else ""
        if names_in(node) & self.window:
            number = self._window.setdefault(node, len(self._window))
            return self._assign(f"v[w, {number}]{suffix}", Operand("", pair=True))
        number = self._wide.setdefault(node, len(self._wide))
        return self._assign(f"k{number}{suffix}") if suffix else Operand(f"k{number}")

    def _rounded(self, node: Node, up: bool) -> Operand:
        number = self._narrow.setdefault((node, up), len(self._narrow))
        return Operand(f"g{number}", narrow=True)

    def _assign(self, code: str, *parts: Operand, narrow: bool = False) -> Operand:
        pair = any(part.pair for part in parts)
        made = Operand(f"t{self._count}", narrow, pair)
        self._count += 1
        (self.pair if pair else self.row).append(f"{made.name} = {code}")
        return made

    def _operation(self, node: Node, narrow: bool) -> Operand:
        match node:
            case Name(name):
                return self._column(name)
            case Comparison():
                return self._join("&", [self._link(*link) for link in node.links()])
            case Logic(operator, operands):
                return self._join("&" if operator == "and" else "|", [self.truth(o) for o in operands])
            case Not(operand):
                part = self.truth(operand)
                return self._assign(f"not {part.name}", part)
            case Conditional():
                return self._conditional(node)
            case Power(base, exponent):
                return self._power(self.number(base), exponent)
            case Binary(operator, left, right):
                a, b = self.number(left), self.number(right)
                return self._assign(f"{a.name} {_ARITHMETIC[operator]} {b.name}", a, b)
            case Negative(operand):
                a = self.number(operand, wide=not narrow)
                return self._assign(f"-{a.name}", a, narrow=narrow)
            case Call(function, arguments):
                return self._call(function, [self.number(a, wide=not narrow) for a in arguments], narrow)
        raise TypeError(f"unknown node {node!r}")  # pragma: no cover

    def _column(self, name: str) -> Operand:
        column = self.columns[name]
        return column if column.narrow else self._assign(f"np.float64({column.name})")

    def _link(self, operator: str, left: Node, right: Node) -> Operand:
        if not names_in(left) & self.columns.keys() and operator in _MIRRORED:
            operator, left, right = _MIRRORED[operator], right, left
        fixed = not names_in(right) & (self.columns.keys() | self.window)
        if self.is_narrow(left) and fixed and operator in _ROUND_UP:
            a, b = self.number(left, wide=False), self._rounded(right, _ROUND_UP[operator])
        elif self.is_narrow(left) and self.is_narrow(right):
            a, b = self.number(left, wide=False), self.number(right, wide=False)
        else:
            a, b = self.number(left), self.number(right)
        return self._assign(f"{a.name} {_COMPARE[operator]} {b.name}", a, b)

    def _join(self, symbol: str, parts: Sequence[Operand]) -> Operand:
        if len(parts) == 1:
            return parts[0]
        return self._assign(f" {symbol} ".join(part.name for part in parts), *parts)

    def _conditional(self, node: Conditional) -> Operand:
        test = self.truth(node.condition)
        if node.is_truth:
            a, b = self.truth(node.yes), self.truth(node.no)
        else:
            a, b = self.number(node.yes), self.number(node.no)
        return self._assign(f"{a.name} if {test.name} else {b.name}", test, a, b)

    def _power(self, base: Operand, exponent: float) -> Operand:
        if not exponent.is_integer():
            value = self._assign(f"math.sqrt({base.name})", base)
        else:
            powers = {1: base}
            for left, right in power_steps(abs(int(exponent))):
                a, b = powers[left], powers[right]
                powers[left + right] = self._assign(f"{a.name} * {b.name}", a, b)
            value = powers[abs(int(exponent))]
        return value if exponent > 0.0 else self._assign(f"1.0 / {value.name}", value)

    def _call(self, function: str, parts: list[Operand], narrow: bool) -> Operand:
        if function == "abs":
            return self._assign(f"abs({parts[0].name})", parts[0], narrow=narrow)
        if function == "sqrt":
            return self._assign(f"math.sqrt({parts[0].name})", parts[0])
        symbol = {"min": "<", "max": ">"}[function]
        value = parts[0]
        for part in parts[1:]:
            a, b = value.name, part.name
            keep = self._assign(f"({a} {symbol} {b}) | ({a} != {a})", value, part)
            value = self._assign(f"{a} if {keep.name} else {b}", keep, value, part, narrow=narrow)
        return value
