"""Pieces of SQL statements for as many values as there are: question marks alone, never a value."""

from collections.abc import Sequence
from typing import Any


def placeholders(count: int) -> str:
    """`?, ?, …` for an IN list."""
    return ", ".join("?" * count)


def values_rows(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """`(?, ?), (?, ?)` and the flattened parameters of a multi-row statement."""
    row = f"({placeholders(len(rows[0]))})"
    return ", ".join([row] * len(rows)), [value for values in rows for value in values]
