"""Forward migrations: numbered scripts, each in one transaction, recorded by room.

A database from a newer version is refused: an old agent must not write what it does not understand. The whole schema
of a room stands in its `schema.sql` too; a test holds that it equals the sum of the migrations.
"""

from pathlib import Path

from agent.errors import ConfigError
from agent.storage.database import Database

_LEDGER = """
CREATE TABLE IF NOT EXISTS migration (
  room TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number > 0),
  name TEXT NOT NULL,
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
  PRIMARY KEY (room, number)
) STRICT
"""


def scripts(folder: Path) -> dict[int, Path]:
    """The migrations in a folder by number: `0001_operations.sql`, …"""
    found = {int(file.name.split("_", 1)[0]): file for file in folder.glob("*.sql")}
    return dict(sorted(found.items()))


async def migrate(database: Database, room: str, folder: Path) -> None:
    """Bring one room's tables up to date; raises ConfigError when the database is from a newer version."""
    await database.fetch(_LEDGER)
    ((newest,),) = await database.fetch("SELECT COALESCE(max(number), 0) FROM migration WHERE room = ?", [room])
    known = scripts(folder)
    if newest > max(known):
        raise ConfigError(
            f"The database was written by a newer version of the agent (its {room} schema is {newest}, this version "
            f"knows {max(known)}). Install that version again; nothing was changed."
        )
    for number, file in known.items():
        if number > newest:
            record = f"INSERT INTO migration (room, number, name) VALUES ('{room}', {number}, '{file.name}');"  # noqa: S608
            await database.run_script(f"BEGIN IMMEDIATE;\n{file.read_text('utf-8')}\n{record}\nCOMMIT;")
