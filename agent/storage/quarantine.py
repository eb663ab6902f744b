"""Where damaged databases are set aside, whole, in a folder each that is named by the time.

A folder is called `….moving` until everything is in it; a start that was interrupted on the way is finished by the next
one. So a log never meets a new database, and no database an older log.

    agent.db, agent.db-wal, …    as they were found, but that SQLite may have copied the log into the database
    agent.db-wal.found           the log as it was found
    reason.txt                   what was wrong
"""

import contextlib
import shutil
import time
from pathlib import Path

from agent.storage.durable import replace_patiently, sync_folder

_MOVING = ".moving"


class Quarantine:
    """The folder of such folders."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, database: Path, reason: str) -> Path:
        """A new folder with the reason and a copy of the log; the database may still be open.

        Its name comes after those that are there, whatever the clock says: their order is the order of the damages.
        """
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        latest = max((_final(there).name for there in self._path.iterdir()), default="")
        named = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = self._path / f"{named if named > latest else f'{latest}_'}{_MOVING}"
        folder.mkdir(mode=0o700)
        log = database.with_name(database.name + "-wal")
        with contextlib.suppress(OSError):  # a full disk, say: neither is needed for going on
            folder.joinpath("reason.txt").write_text(reason, encoding="utf-8")
            if log.exists() and log.stat().st_size:
                shutil.copyfile(log, folder / f"{log.name}.found")
        return folder

    def move(self, database: Path, folder: Path) -> None:
        """Move the closed database and all that belongs to it; the database itself last."""
        for suffix in ("-wal", "-shm", "-journal", "-mark", ""):
            file, target = database.with_name(database.name + suffix), folder / (database.name + suffix)
            if file.exists() and not target.exists():
                replace_patiently(file, target)
        sync_folder(folder)
        sync_folder(database.parent)
        # Patiently: a scanner looks into what was just moved there, and holds the folder.
        replace_patiently(folder, _final(folder))
        sync_folder(self._path)

    def finish(self, database: Path) -> bool:
        """Finish what an interrupted start began; whether there was anything."""
        folders = sorted(self._path.glob(f"*{_MOVING}")) if self._path.is_dir() else []
        for folder in folders:
            self.move(database, folder)
        return bool(folders)


def _final(folder: Path) -> Path:
    return folder.with_name(folder.name.removesuffix(_MOVING))
