"""What the user is told when an expression cannot be used."""

import difflib
from collections.abc import Iterable

from scanner.errors import InputError
from scanner.expressions.nodes import FUNCTIONS

_WIDTH = 90

ALLOWED = (
    "allowed are numbers, names, + - * / ** (constant exponent), < <= > >= == !=, and, or, not, "
    f"`a if condition else b`, parentheses and the functions {', '.join(FUNCTIONS)}"
)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?`, or nothing when no known name is near."""
    near = difflib.get_close_matches(name, [*known], n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def refusal(text: str, column: int, reason: str, where: str = "") -> InputError:
    """Make the error that shows the text, a caret under the culprit and the reason."""
    column = max(0, min(column, len(text)))
    start = max(0, column - _WIDTH // 2)
    shown = "".join(c if " " <= c <= "~" else "?" for c in text[start : start + _WIDTH])
    before, after = "… " if start else "", " …" if len(text) > start + _WIDTH else ""
    caret = " " * (len(before) + column - start) + "^"
    head = f"{where}: " if where else ""
    head += f"cannot use this expression (column {column + 1}): {reason}"
    return InputError(f"{head}\n  {before}{shown}{after}\n  {caret}")
