"""Text for terminals: aligned tables, ages and sizes.

What comes from elsewhere (an order number, Flash's words, a register's metadata) passes `printable`, so that nothing in
it can steer the terminal.
"""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOTHING = "-"
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def printable(value: Any) -> str:
    """One line without control characters; NOTHING for None."""
    if value is None:
        return NOTHING
    return "".join(character if character.isprintable() else "?" for character in str(value))


def own_name() -> str:
    """What to type to call this program again: its path as it was called, where the plain name would not find it."""
    called = sys.argv[0]
    if Path(called).stem != "flash-agent" or shutil.which("flash-agent") == called:
        return "flash-agent"
    return shlex.quote(called)


def table(rows: Sequence[Sequence[Any]], *, right: Collection[int] = ()) -> Iterator[str]:
    """The rows as lines of aligned columns; the columns numbered in `right` are aligned to the right."""
    cells = [[printable(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()


def wrapped(words: Any, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of a paragraph; a command, an option or a path in it is never cut, or nobody could copy it."""
    return textwrap.wrap(
        printable(words),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )


def duration(seconds: float | None) -> str:
    """How long, in the largest unit that fits: `4 s`, `12 min`, `3 h`, `2 d`."""
    if seconds is None:
        return NOTHING
    for length, unit in _STEPS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def local(moment: str | None) -> str:
    """An RFC 3339 time by this machine's own clock, for a person compares it with a receipt; NOTHING for None."""
    from agent.clock import local_text

    return NOTHING if moment is None else local_text(moment)


def ago(moment: str | None) -> str:
    """An RFC 3339 time by this machine's own clock, with how long ago that is."""
    if moment is None:
        return NOTHING
    passed = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return f"{local(moment)} ({duration(passed)} ago)"


def counted(count: int, one: str) -> str:
    """A number and what it counts, in English: `1 coupon`, `2 coupons`."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def size(count: int) -> str:
    """Bytes in the unit that people read: `41.2 GiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def json_text(document: Any) -> str:
    """Indented ASCII JSON for `--json`; amounts keep their digits."""
    import msgspec

    from agent import jsons

    return _ascii(msgspec.json.format(jsons.dumps(document), indent=2))


def one_line(document: Any) -> str:
    """Compact ASCII JSON for a value inside a line of text."""
    from agent import jsons

    return _ascii(jsons.dumps(document))


def _ascii(json: str) -> str:
    """JSON with everything beyond ASCII escaped, so that no foreign text can steer a terminal."""
    return "".join(
        character
        if character < "\x7f"
        else "".join(f"\\u{unit:04x}" for unit in memoryview(character.encode("utf-16-le")).cast("H"))
        for character in json
    )
