"""A progress bar on standard error, where a person watches: bytes read of a file, and what came of them."""

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

if TYPE_CHECKING:
    from tqdm import tqdm

_BLOCK_BYTES = 256 * 1024


class Bar:
    """One file's bar. `size` is its bytes, None where that is not known; not shown, it only says what must be said."""

    def __init__(self, name: str, size: int | None, *, shown: bool) -> None:
        self._bar = _shown(name, size) if shown else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def watched(self, source: BinaryIO) -> BinaryIO:
        """The source, moving the bar as it is read."""
        return cast("BinaryIO", io.BufferedReader(_Counted(source, self._read), _BLOCK_BYTES))

    def _read(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def taken(self, accepted: int, for_a_person: int) -> None:
        """Show what has become of what was read."""
        if self._bar is not None:
            look = f", {for_a_person:,} to look at" if for_a_person else ""
            self._bar.set_postfix_str(f"{accepted:,} accepted{look}", refresh=False)

    def say(self, words: str) -> None:
        """Tell the person something, above the bar."""
        if self._bar is not None:
            self._bar.clear()
        print(f"flash-agent: {words}", file=sys.stderr, flush=True)
        if self._bar is not None:
            self._bar.refresh()


def _shown(name: str, size: int | None) -> "tqdm[Any]":
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own
    return tqdm(total=size, desc=name, unit="B", unit_scale=True, leave=False, dynamic_ncols=True, file=sys.stderr)


class _Counted(io.RawIOBase):
    """A source that tells how much of it was read; closing it leaves the source open."""

    def __init__(self, source: BinaryIO, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._source = source
        self._tell = tell

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._source.read(len(buffer))
        buffer[: len(piece)] = piece
        self._tell(len(piece))
        return len(piece)
