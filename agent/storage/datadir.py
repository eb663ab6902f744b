"""The data directory: one agent has it at a time, and nobody but its owner can read it.

    agent.db, agent.db-wal      the outbox and the members
    agent.db-mark               where they ended at the last yes
    data.key                    what opens them
    data.key.recovery           the same, sealed to [keys] recovery
    flash-write.key, flash-read.key   Flash keys that were given to the agent to keep
    flash-write.next.key              one that waits to take its place; flash-read.next.key
    register.token, operator.token   the local API's tokens
    tokens.json                 hashes of the tokens that clients were given
    agent.lock                  held by the running agent for as long as it lives
    agent.json                  which agent that is: pid and port; on Windows also when it began
    imports/                    how far interrupted imports have come
    quarantine/                 damaged databases, set aside
    upgrades/                   how the last upgrade stands, and copies of the database from before it

A killed agent leaves the lock file behind, unlocked; it is not in the way.
"""

import contextlib
import errno
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

from agent import plainfile
from agent.errors import AlreadyRunningError, ConfigError
from agent.storage.durable import remove_patiently, write_durably


class DataDir:
    """Paths below one data directory, and the lock on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "agent.db"
        self.data_key = path / "data.key"
        self.quarantine = path / "quarantine"
        self.upgrades = path / "upgrades"
        self.client_tokens = path / "tokens.json"
        self.is_restricted = True  # False: others may be able to read it
        self._about = path / "agent.json"
        self.lock_path = path / "agent.lock"
        self._lock = filelock.FileLock(self.lock_path, timeout=0, mode=0o600, thread_local=False)

    def quarantined(self) -> list[Path]:
        """The folders of damaged databases that were set aside, the oldest first."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(folder for folder in self.quarantine.iterdir() if (folder / self.database.name).exists())
        return []

    def forget_imports(self) -> None:
        """How far interrupted imports have come: what they brought may be missing, and is to be brought again."""
        with contextlib.suppress(OSError):  # another user's, say: the till sells all the same
            for progress in (self.path / "imports").glob("*.json"):
                progress.unlink()

    def take(self) -> None:
        """Create the directory where needed and lock it; raises AlreadyRunningError naming who has it.

        Raises ConfigError where it cannot be used, or is another user's and we are root.
        """
        os.umask(0o077)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.refuse_as_root()
            if sys.platform == "win32":
                from agent.servicemanager import folder  # noqa: PLC0415 - there alone

                self.is_restricted = folder.restrict(self.path)
            else:
                self.path.chmod(0o700)
            self._lock.acquire()
            self.withdraw()  # a killed agent's: nobody is to be found by it, nor ended for it
        except filelock.Timeout:
            mend = "Stop that agent, or start this one with another --data-dir and port."
            raise AlreadyRunningError(f"{self.in_use()} {mend}") from None
        except OSError as error:
            raise ConfigError(self.unusable(error)) from None

    def refuse_as_root(self) -> None:
        """Raise ConfigError where we are root, and the directory is there and another user's.

        What root makes in the service's directory the service cannot open: it would not start any more. And whoever
        owns a directory can put links there, which root would follow anywhere.
        """
        if not self.path.exists():
            return
        if sys.platform != "win32" and os.geteuid() == 0 and self.path.stat().st_uid != 0:
            owner = _owner_of(self.path)
            raise ConfigError(
                f"The data directory {self.path} belongs to the user {owner}, who could not open what an agent makes "
                "there as root. Use the service (systemctl start flash-agent), become that user (sudo -u "
                f"{owner}), or choose another with --data-dir."
            )

    def unusable(self, error: OSError) -> str:
        """What a person is told where it cannot be written or read, with the mend."""
        mend = "Free space and start again" if error.errno == errno.ENOSPC else "Choose another with --data-dir"
        return f"The data directory {self.path} cannot be used: {error.strerror}. {mend}."

    def release(self) -> None:
        """Give the directory back; raises OSError where the announcement stays, which the next start takes away."""
        try:
            remove_patiently(self._about)
        finally:
            self._lock.release()

    def announce(self, port: int, began_s: float | None = None) -> None:
        """Say which agent has the directory; the commands find the running agent by this.

        `began_s` is when this process began, in seconds since 1970, where the commands are to know it by that.
        """
        about = {"pid": os.getpid(), "port": port, **({} if began_s is None else {"began": began_s})}
        write_durably(self._about, json.dumps(about).encode())

    def withdraw(self) -> None:
        """Take the announcement back: before the port is given up, or a command could meet somebody else there."""
        with contextlib.suppress(OSError):  # a virus scanner has it: `release` tries again
            self._about.unlink(missing_ok=True)

    def announced(self) -> dict[str, int]:
        """What the running agent announced; empty when there is nothing to read."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            return {name: int(value) for name, value in json.loads(plainfile.read(self._about)).items()}
        return {}  # a file that was cut or written by somebody else says nothing

    def is_held(self) -> bool:
        """Whether an agent has the directory now. Makes and changes no file; raises OSError where it may not look.

        The lock is tried for a moment, and an agent that starts in that very moment would be refused.
        """
        with self.kept_still() as still:
            return not still

    @contextlib.contextmanager
    def kept_still(self) -> Iterator[bool]:
        """Meanwhile no agent starts here; False where one has it. Makes and changes no file, nor is it to be writable.

        Raises OSError where it may not look.
        """
        try:
            descriptor = os.open(self.lock_path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait
        except FileNotFoundError:
            yield True
            return
        try:
            with _locked(descriptor) as free:
                yield free
        finally:
            os.close(descriptor)

    def token(self, scope: str) -> str:
        """The local token of a scope, made at the first start."""
        path = self.token_path(scope)
        with contextlib.suppress(FileNotFoundError):
            if token := path.read_text("ascii").strip():
                return token
        token = secrets.token_urlsafe(32)
        write_durably(path, token.encode())
        return token

    def token_path(self, scope: str) -> Path:
        """Where the token of a scope is kept."""
        return self.path / f"{scope}.token"

    def in_use(self) -> str:
        """A sentence that says by whom."""
        about = self.announced()
        which = (
            f"process {about['pid']} on port {about['port']}" if {"pid", "port"} <= about.keys() else "another agent"
        )
        return f"The data directory {self.path} is in use by {which}."


def _owner_of(path: Path) -> str:
    """The name of its user, or the number of one that has none."""
    try:
        return path.owner()
    except KeyError:
        return f"#{path.stat().st_uid}"


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[bool]:
    """As filelock takes it on either system; whether it was free. Where the file system has no locks it is."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - there alone

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return
    import fcntl  # noqa: PLC0415 - there alone

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    except OSError:
        yield True
    else:
        yield True  # closing the descriptor gives it back
