"""The canonical spelling of a tree: parsing it gives the same tree again."""

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
)

_CONDITIONAL, _OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(10)
_BINARY = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}


def spell(node: Node) -> str:
    """Write a tree with as few parentheses as its meaning needs."""
    return _spell(node)[0]


def spell_number(value: float) -> str:
    """Write a number so that it reads back to the same bits."""
    text = repr(value)
    return text.removesuffix(".0")


def _at_least(node: Node, level: int) -> str:
    text, own = _spell(node)
    return text if own >= level else f"({text})"


def _spell(node: Node) -> tuple[str, int]:
    match node:
        case Number(value):
            return spell_number(value), _SIGN if str(value).startswith("-") else _ATOM
        case Name(name):
            return name, _ATOM
        case Call(function, arguments):
            return f"{function}({', '.join(map(spell, arguments))})", _ATOM
        case Power(base, exponent):
            return f"{_at_least(base, _ATOM)}**{spell_number(exponent)}", _POWER
        case Negative(operand):
            return f"-{_at_least(operand, _SIGN)}", _SIGN
        case Binary(operator, left, right):
            level = _BINARY[operator]
            return f"{_at_least(left, level)} {operator} {_at_least(right, level + 1)}", level
        case Comparison(operators, operands):
            parts = [_at_least(operand, _SUM) for operand in operands]
            tail = "".join(f" {o} {p}" for o, p in zip(operators, parts[1:], strict=True))
            return parts[0] + tail, _COMPARISON
        case Not(operand):
            return f"not {_at_least(operand, _NOT)}", _NOT
        case Logic(operator, operands):
            level = _AND if operator == "and" else _OR
            return f" {operator} ".join(_at_least(o, level + 1) for o in operands), level
        case Conditional(condition, yes, no):
            text = f"{_at_least(yes, _OR)} if {_at_least(condition, _OR)} else {spell(no)}"
            return text, _CONDITIONAL
    raise TypeError(f"unknown node {node!r}")  # pragma: no cover
