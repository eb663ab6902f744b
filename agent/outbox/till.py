"""Which till a data directory is of, kept in its database: of a dead till the settings may be gone."""

import msgspec

from agent import jsons
from agent.storage import Database

_FACT = "till"


class Till(msgspec.Struct, frozen=True, rename="camel"):
    """A till's identity: its store (empty where none is set), and its own name, as Flash hears it."""

    store_id: str
    till_id: str


_read = jsons.reader(Till)


async def remember(database: Database, till: Till) -> None:
    """Write it where it is not written yet, or was another."""
    if await recall(database) != till:
        await database.fetch("INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", [_FACT, jsons.encode(till)])


async def recall(database: Database) -> Till | None:
    """What was written; None by a version that did not."""
    for (value,) in await database.fetch("SELECT value FROM fact WHERE name = ?", [_FACT]):
        try:
            return _read(value)
        except ValueError:
            return None
    return None
