"""The highest number that was acknowledged, beside the database: what a cut log, or an older copy, cannot hide.

A file of 16 bytes, the number and its complement; any other content says nothing. It is written after a commit and
before the yes, and never synced: that costs a system call a group, survives the death of the process, and is some
seconds old after a power cut. It never runs ahead of the disk, for what it names was synced before it was written. So
a database that ends before its mark has lost something.
"""

import contextlib
import io
import os
import struct
from pathlib import Path

_FORMAT = struct.Struct("<QQ")
_ALL_BITS = 2**64 - 1
_HAS_PWRITE = hasattr(os, "pwrite")


class Mark:
    """One mark, used by one thread. Where it cannot be written the database cannot either: that is said elsewhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: io.FileIO | None = None
        self._number = 0

    def read(self) -> int:
        """The number in the file, which is not lowered from then on; 0 where there is none that can be read."""
        self._number = 0
        with contextlib.suppress(OSError, struct.error):
            number, complement = _FORMAT.unpack(self.path.read_bytes())
            if number ^ complement == _ALL_BITS:
                self._number = int(number)
        return self._number

    def raise_to(self, number: int) -> None:
        """Everything up to this number was acknowledged, or is about to be."""
        if number <= self._number:
            return
        try:
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._file = io.FileIO(os.open(self.path, flags, 0o600), "r+")
            content = _FORMAT.pack(number, number ^ _ALL_BITS)
            if _HAS_PWRITE:
                os.pwrite(self._file.fileno(), content, 0)
            else:
                self._file.seek(0)
                self._file.write(content)
            self._number = number
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the file; a later `raise_to` opens it again."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
