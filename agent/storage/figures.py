"""What is counted in a database before it is migrated, and must be the same after: rows of every table, and sums.

The rows are counted here; which sums matter the rooms say, as SELECTs by name. One that an older schema cannot answer
yet is left out. Numbers and plain columns alone: nothing in them is personal.
"""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Any

Figures = dict[str, list[list[Any]]]

_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'migration'"


def figures_of(connection: sqlite3.Connection, kept: Mapping[str, str]) -> Figures:
    """`rows of TABLE` for each table, and what the SELECTs in `kept` say."""
    tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
    queries = {f"rows of {name}": f'SELECT count(*) FROM "{name}"' for name in tables} | dict(kept)  # noqa: S608
    found: Figures = {}
    for name, query in queries.items():
        try:
            found[name] = [list(row) for row in connection.execute(query)]
        except sqlite3.OperationalError as error:
            if not str(error).startswith("no such "):
                raise
    return found


def differences(before: Figures, after: Figures, changes: Collection[str]) -> list[str]:
    """What is not as it was, in words, but for what is to change. What was not there before does not count."""
    found = []
    for name, rows in before.items():
        now = after.get(name)
        if name not in changes and now != rows:
            shown = "gone" if now is None else _shown(now, rows)
            found.append(f"{name}: {_shown(rows, now or [])} before, {shown} after")
    return found


def _shown(rows: list[list[Any]], other: list[list[Any]]) -> str:
    """The rows that the other has not."""
    return ", ".join("/".join(map(str, row)) for row in rows if row not in other) or "none"
