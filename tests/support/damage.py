"""Damage to SQLite's files, and databases to be damaged. Knows the files' formats, and nothing of the agent."""

import contextlib
import os
import struct
from pathlib import Path

PAGE = 4096
FRAME = 24 + PAGE
WAL_HEADER = 32


def frames(log: Path) -> list[tuple[int, int]]:
    """Page number and size at the commit (0: none) of each frame of a write-ahead log with its header's salts."""
    raw = log.read_bytes() if log.exists() else b""
    found = []
    for at in range(WAL_HEADER, len(raw) - FRAME + 1, FRAME):
        page, commit, *salts = struct.unpack_from(">IIII", raw, at)
        if salts != [*struct.unpack_from(">II", raw, 16)]:
            break
        found.append((page, commit))
    return found


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def break_leaves(database: Path, count: int) -> int:
    """Make `count` leaf pages of tables unreadable, which the log has no newer copies of; returns how many it were."""
    raw = database.read_bytes()
    newer = {page for page, _ in frames(database.with_name(database.name + "-wal"))}
    pages = [page for page in range(2, len(raw) // PAGE + 1) if raw[(page - 1) * PAGE] == 0x0D and page not in newer]
    filled = [page for page in pages if raw[(page - 1) * PAGE + 3 : (page - 1) * PAGE + 5] != b"\0\0"]
    for page in filled[-count:]:
        overwrite(database, (page - 1) * PAGE, b"\xff" * 64)
    return len(filled[-count:])


def copy_files(source: Path, target: Path) -> None:
    """The files of a data directory, byte for byte, without the lock."""
    target.mkdir(mode=0o700)
    for file in source.iterdir():
        if file.is_file() and file.suffix != ".lock":
            copied = target / file.name
            copied.write_bytes(file.read_bytes())
            copied.chmod(0o600)
    with contextlib.suppress(OSError):
        os.sync()
