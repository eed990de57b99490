"""Tables of a text that code makes: each stands below a comment with its name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Names of columns, and rows of texts."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def markdown(self) -> str:
        """The table as Markdown, without a final newline."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Write three digits."""
    return f"{value:#.3g}".rstrip(".")


def percent(value: float) -> str:
    """Write a fraction in percent."""
    return f"{100.0 * value:.1f}%"


def place(name: str) -> re.Pattern[str]:
    """Return what finds the table of a name, without the comment above it."""
    return re.compile(rf"(?<=<!-- {re.escape(name)} -->\n)\|.*?(?=\n\n|\Z)", re.DOTALL)


def filled(text: str, tables: Mapping[str, Table]) -> str:
    """Return a text with its tables replaced by new ones.

    Raises
    ------
    ValueError
        If the text has no place for one of them.
    """
    for name, table in tables.items():
        text, count = place(name).subn(lambda _, table=table: table.markdown, text)  # type: ignore[misc]  # a lambda's default
        if count != 1:
            raise ValueError(f"the text has {count} places for the table {name!r}, not one")
    return text
