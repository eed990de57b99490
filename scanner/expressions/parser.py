"""Text to checked tree: Python's own grammar, then a whitelist.

Security: the text is only ever given to ``ast.parse``, which builds a tree and runs nothing. Each
node of that tree is looked at here and rebuilt as one of our own types, or refused; nothing of it
survives by default. Bounds on length, nesting, nodes, numbers and exponents keep the work small.
"""

import ast
import math
from collections.abc import Collection, Mapping

import numpy as np

from scanner.errors import InputError
from scanner.expressions.evaluate import evaluate
from scanner.expressions.messages import ALLOWED, nearest, refusal
from scanner.expressions.nodes import (
    FUNCTIONS,
    Binary,
    Call,
    Comparison,
    Conditional,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Power,
)
from scanner.expressions.tokens import check_tokens

MAX_NODES = 500
MAX_DEPTH = 80
MAX_EXPONENT = 16.0
MAX_NUMBER = 1e100

_BINARY: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


def parse_tree(text: str, names: Collection[str] | None, functions: Mapping[str, int], where: str) -> Node:
    """Return the checked tree of a text; see :func:`scanner.expressions.parse`."""
    stripped = text.strip(" \t\r\n")
    check_tokens(stripped, where)
    return _Builder(stripped, names, functions, where).build()


class _Builder:
    """One parse: what is known, and how much of the bounds is used."""

    def __init__(
        self, text: str, names: Collection[str] | None, functions: Mapping[str, int], where: str
    ) -> None:
        self._text = text
        self._names = names
        self._functions = functions
        self._where = where
        self._nodes = 0

    def build(self) -> Node:
        try:
            tree = ast.parse(self._text, mode="eval")
        except SyntaxError as error:
            reason = f"{error.msg}; {ALLOWED}"
            raise self._refusal((error.offset or 1) - 1, reason) from None
        except (ValueError, RecursionError, MemoryError, OverflowError):
            raise self._refusal(0, "it is too deeply nested to read") from None
        return self._visit(tree.body, 1)

    def _refusal(self, at: ast.expr | int, reason: str) -> InputError:
        column = at if isinstance(at, int) else at.col_offset
        return refusal(self._text, column, reason, self._where)

    def _visit(self, node: ast.expr, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refusal(node, f"it has more than {MAX_NODES} parts")
        if depth > MAX_DEPTH:
            raise self._refusal(node, f"it nests deeper than {MAX_DEPTH}")
        made = self._make(node, depth + 1)
        return self._fold(node, made)

    def _make(self, node: ast.expr, depth: int) -> Node:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp():
                return self._unary(node, depth)
            case ast.BinOp():
                return self._binary(node, depth)
            case ast.Compare():
                return self._comparison(node, depth)
            case ast.BoolOp():
                operator = "and" if isinstance(node.op, ast.And) else "or"
                return Logic(operator, tuple(self._truth(value, depth) for value in node.values))
            case ast.IfExp():
                return self._conditional(node, depth)
            case ast.Call():
                return self._call(node, depth)
        raise self._refusal(node, f"{_describe(node)} is not part of the language; {ALLOWED}")

    def _constant(self, node: ast.Constant) -> Node:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refusal(node, f"`{value!r}` is not a number")
        # The comparison comes before the conversion: a whole number of forty digits is still exact.
        if not abs(value) <= MAX_NUMBER:
            raise self._refusal(node, f"the number is too large; at most {MAX_NUMBER:g}")
        return Number(float(value))

    def _name(self, node: ast.Name) -> Node:
        name = node.id
        if self._names is not None and name not in self._names:
            if name in FUNCTIONS or name in self._functions:
                raise self._refusal(node, f"`{name}` is a function; write `{name}(…)`")
            known = ", ".join(sorted(self._names)) or "none"
            raise self._refusal(node, f"unknown name `{name}`; known are {known}{nearest(name, self._names)}")
        return Name(name)

    def _unary(self, node: ast.UnaryOp, depth: int) -> Node:
        if isinstance(node.op, ast.Not):
            return Not(self._truth(node.operand, depth))
        if isinstance(node.op, ast.USub):
            operand = self._number(node.operand, depth)
            return Number(0.0 - operand.value) if isinstance(operand, Number) else Negative(operand)
        if isinstance(node.op, ast.UAdd):
            return self._number(node.operand, depth)
        raise self._refusal(node, "bitwise operators are not part of the language")

    def _binary(self, node: ast.BinOp, depth: int) -> Node:
        if isinstance(node.op, ast.Pow):
            return self._power(node, depth)
        operator = _BINARY.get(type(node.op))
        if operator is None:
            raise self._refusal(
                node, f"`{type(node.op).__name__}` is not part of the language; write + - * / **"
            )
        return Binary(operator, self._number(node.left, depth), self._number(node.right, depth))

    def _power(self, node: ast.BinOp, depth: int) -> Node:
        base, exponent = self._number(node.left, depth), self._number(node.right, depth)
        if not isinstance(exponent, Number):
            raise self._refusal(node.right, "an exponent must be a constant number")
        if not 0.0 < abs(exponent.value) <= MAX_EXPONENT:
            raise self._refusal(
                node.right,
                f"an exponent is from -{MAX_EXPONENT:g} to {MAX_EXPONENT:g} and not 0",
            )
        return Power(base, exponent.value)

    def _comparison(self, node: ast.Compare, depth: int) -> Node:
        for operator in node.ops:
            if type(operator) not in _COMPARE:
                raise self._refusal(node, f"allowed comparisons are {' '.join(_COMPARE.values())}")
        operands = tuple(self._number(part, depth) for part in (node.left, *node.comparators))
        if all(isinstance(operand, Number) for operand in operands):
            raise self._refusal(node, "it compares only constants, so it is the same for every row")
        return Comparison(tuple(_COMPARE[type(o)] for o in node.ops), operands)

    def _conditional(self, node: ast.IfExp, depth: int) -> Node:
        condition = self._truth(node.test, depth)
        yes, no = self._visit(node.body, depth), self._visit(node.orelse, depth)
        if yes.is_truth != no.is_truth:
            raise self._refusal(node, "both values must be numbers, or both conditions")
        return Conditional(condition, yes, no)

    def _call(self, node: ast.Call, depth: int) -> Node:
        if not isinstance(node.func, ast.Name):
            raise self._refusal(node, "only a function by its name can be called")
        name = node.func.id
        known = {**FUNCTIONS, **{key: (count, count) for key, count in self._functions.items()}}
        if name not in known:
            raise self._refusal(
                node, f"unknown function `{name}`; known are {', '.join(sorted(known))}{nearest(name, known)}"
            )
        self._check_arguments(node, name, *known[name])
        return Call(name, tuple(self._number(argument, depth) for argument in node.args))

    def _check_arguments(self, node: ast.Call, name: str, least: int, most: int) -> None:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._refusal(node, f"`{name}` takes plain arguments only")
        if not least <= len(node.args) <= most:
            due = f"{least}" if least == most else f"{least} to {most}"
            raise self._refusal(node, f"`{name}` takes {due} argument(s), not {len(node.args)}")

    def _number(self, node: ast.expr, depth: int) -> Node:
        made = self._visit(node, depth)
        if made.is_truth:
            raise self._refusal(node, "a number is due here, and this is a condition")
        return made

    def _truth(self, node: ast.expr, depth: int) -> Node:
        made = self._visit(node, depth)
        if not made.is_truth:
            raise self._refusal(node, "a condition is due here, such as `x > 0`, and this is a number")
        return made

    def _fold(self, node: ast.expr, made: Node) -> Node:
        """Replace an operation on constants alone by its value, which must be finite."""
        children = made.children()
        foldable = isinstance(made, Binary | Power) or (isinstance(made, Call) and made.function in FUNCTIONS)
        if not foldable or not all(isinstance(child, Number) for child in children):
            return made
        value = float(np.float64(evaluate(made, {}, {})))
        if not math.isfinite(value) or abs(value) > MAX_NUMBER:
            raise self._refusal(node, f"its constant part is {value:g}, beyond {MAX_NUMBER:g}")
        return Number(value + 0.0)  # one zero only: equal numbers must mean the same


_DESCRIPTIONS: Mapping[type[ast.expr], str] = {
    ast.Attribute: "an attribute",
    ast.Tuple: "a list of values",
    ast.Starred: "`*`",
}


def _describe(node: ast.expr) -> str:
    return _DESCRIPTIONS.get(type(node), f"`{type(node).__name__}`")
