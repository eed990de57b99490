"""What commands print: tables for people, JSON for scripts."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

WIDE = 200
"""Columns of a file or a pipe, where a folded line helps nobody."""

NAMES = 24
"""Characters of first cells that are not folded: names."""

NUMBER = re.compile(r"[-+]?\d|–$")
"""How a cell begins that is set at the right, its digits below each other."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print strict JSON: NaN and infinity become null."""
    typer.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that stays readable in a file too."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    body = [tuple(row) for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for number, name in enumerate(header):
        numbers = all(NUMBER.match(row[number]) for row in body)
        whole = not number and all(len(row[0]) <= NAMES for row in body)
        justify: Literal["left", "right"] = "right" if number and numbers else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=whole)
    for row in body:
        table.add_row(*row)
    # Texts are no markup: a unit in brackets, or a user's name, is printed as it stands.
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=WIDE)
    console.print(table)


def counted(number: int, word: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
