"""Lines of the agent's log as they may leave the till: what our own logger writes, field by field, and the shape of a
fault. Of every other line nothing but that it was there.

The log is redacted when it is written (`agent/logs.py`); this holds where somebody else wrote into it as well.
"""

import json
import re
from collections.abc import Iterable, Iterator

from agent import logs
from agent.scrub import scrubbed

_TEXT = re.compile(r"(?P<timestamp>\d{4}-\d\d-\d\dT\S+) \[(?P<level>[a-z]+) *\] (?P<rest>.*)")
_PAIR = re.compile(r"\b(\w+)=('(?:[^'\\]|\\.)*'|\S+)")
_LIBRARY = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+ \w+:\d+ in \S+")
_FRAME = re.compile(r"  [^:]*(?::\\[^:]*)?:\d+ in [\w<>]+")
_FAULT = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning))(?:: .*)?")
_OWN = ("flash-agent listens on http://127.0.0.1:", "flash-agent ended by a fault of its own:", "which led to")
_SAID = re.compile(r"flash-agent: \S.*")  # why a command or a start ended: our own words


def kept(lines: Iterable[str]) -> Iterator[str]:
    """The lines that may be shown; several others in a row become one that counts them."""
    left_out = 0
    for line in lines:
        shown = _shown(line.rstrip("\r\n"))
        if shown is None:
            left_out += 1
            continue
        if left_out:
            yield _counted(left_out)
            left_out = 0
        yield shown
    if left_out:
        yield _counted(left_out)


def _counted(left_out: int) -> str:
    return f"({left_out} {'line' if left_out == 1 else 'lines'} of another kind left out)"


def _shown(line: str) -> str | None:
    if line.startswith("{"):
        return _from_json(line)
    if match := _TEXT.fullmatch(line):
        return _from_text(match)
    if _LIBRARY.fullmatch(line) or _FRAME.fullmatch(line) or line.startswith(_OWN):
        return scrubbed(line)
    if match := _FAULT.fullmatch(line):
        return match[1]
    return scrubbed(line) if _SAID.fullmatch(line) else None


def _from_json(line: str) -> str | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str) or "level" not in fields:
        return None
    return json.dumps(logs.fitting(fields), ensure_ascii=False)


def _from_text(match: re.Match[str]) -> str:
    event, _, rest = match["rest"].partition("  ")
    pairs = {name: value.strip("'") for name, value in _PAIR.findall(rest)}
    numbers = {name: int(value) if value.isdecimal() else value for name, value in pairs.items()}
    fields = logs.fitting({"event": event.strip(), **numbers})
    said = " ".join(f"{name}={value}" for name, value in fields.items() if name != "event")
    return f"{match['timestamp']} [{match['level']}] {fields['event']} {said}".rstrip()
