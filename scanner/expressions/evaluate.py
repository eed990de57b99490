"""Evaluate a tree with numpy, node by node, in float64.

This is the meaning of the language; the compiled pass must give the same bits.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from scanner.errors import InputError
from scanner.expressions.messages import nearest
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
    Number,
    Power,
    power_steps,
)

Value = Any
"""A numpy scalar or array: float64 for numbers, bool for truths."""


def _minimum(left: Value, right: Value) -> Value:
    # Spelled out, since np.minimum leaves the sign of a zero to the vector unit.
    return np.where((left < right) | (left != left), left, right)


def _maximum(left: Value, right: Value) -> Value:
    return np.where((left > right) | (left != left), left, right)


_BINARY: Mapping[str, Callable[..., Value]] = MappingProxyType(
    {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
)
_COMPARE: Mapping[str, Callable[..., Value]] = MappingProxyType({
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
})  # fmt: skip
_CALL: Mapping[str, Callable[..., Value]] = MappingProxyType({
    "abs": np.abs,
    "atan2": np.arctan2,
    "cos": np.cos,
    "exp": np.exp,
    "hypot": np.hypot,
    "log": np.log,
    "max": _maximum,
    "min": _minimum,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tan": np.tan,
})  # fmt: skip

_NUMERIC_KINDS = "biuf"


def evaluate(node: Node, env: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Value:
    """Return the value of a tree.

    Parameters
    ----------
    node
        The checked tree.
    env
        Scalars or arrays of equal length by name; any integer, floating or boolean type.
    functions
        The registered functions, called with positional float64 arguments.

    Returns
    -------
    float64 for a number, bool for a truth; NaN where numpy gives NaN.
    """
    with np.errstate(all="ignore"):
        return _value(node, env, functions)


def widen(name: str, value: Any) -> Value:
    """Return a column or scalar as float64, or say why it is not a number."""
    array = np.asarray(value)
    if array.dtype.kind not in _NUMERIC_KINDS:
        raise InputError(
            f"`{name}` holds {array.dtype}; expressions need integer, floating or boolean values"
        )
    return array.astype(np.float64, copy=False)[()]


def _lookup(name: str, env: Mapping[str, Any]) -> Value:
    if name not in env:
        raise InputError(
            f"`{name}` has no value here; known are {', '.join(sorted(env))}{nearest(name, env)}"
        )
    return widen(name, env[name])


def _power(base: Value, exponent: float) -> Value:
    if abs(exponent) == 0.5:
        root = np.sqrt(base)
        return root if exponent > 0.0 else np.divide(1.0, root)
    if not exponent.is_integer():
        return np.power(base, exponent)
    powers: dict[int, Value] = {0: np.float64(1.0), 1: base}
    for left, right in power_steps(abs(int(exponent))):
        powers[left + right] = np.multiply(powers[left], powers[right])
    value = powers[abs(int(exponent))]
    return value if exponent > 0.0 else np.divide(1.0, value)


def _call(name: str, arguments: list[Value], functions: Mapping[str, Callable[..., Any]]) -> Value:
    if name in ("min", "max"):
        value = arguments[0]
        for argument in arguments[1:]:
            value = _CALL[name](value, argument)
        return value
    if name in _CALL:
        return _CALL[name](*arguments)
    if name not in functions:
        raise InputError(f"the function `{name}` was not given{nearest(name, functions)}")
    return widen(name, functions[name](*arguments))


def _value(node: Node, env: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Value:
    if isinstance(node, Number):
        return np.float64(node.value)
    if isinstance(node, Name):
        return _lookup(node.name, env)
    parts = [_value(child, env, functions) for child in node.children()]
    return _combine(node, parts, functions)


def _combine(node: Node, parts: list[Value], functions: Mapping[str, Callable[..., Any]]) -> Value:
    match node:
        case Negative():
            return np.negative(parts[0])
        case Binary(operator):
            return _BINARY[operator](parts[0], parts[1])
        case Power(_, exponent):
            return _power(parts[0], exponent)
        case Not():
            return np.logical_not(parts[0])
        case Conditional():
            return np.where(parts[0], parts[1], parts[2])
        case Call(function):
            return _call(function, parts, functions)
        case Comparison(operators):
            links = [_COMPARE[o](a, b) for o, a, b in zip(operators, parts, parts[1:], strict=False)]
            return _join(np.logical_and, links)
        case Logic(operator):
            return _join(np.logical_and if operator == "and" else np.logical_or, parts)
    raise TypeError(f"unknown node {node!r}")  # pragma: no cover


def _join(function: Callable[..., Value], parts: list[Value]) -> Value:
    value = parts[0]
    for part in parts[1:]:
        value = function(value, part)
    return value
