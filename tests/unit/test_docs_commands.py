"""Every `flash-agent …` that a page or a mend tells somebody to type is one that the command line takes."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from agent.cli.main import build_parser
from agent.doctor.catalogue import KINDS
from agent.health import CONDITIONS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/adapters/*.md"))]
CODE = re.compile(r"^```.*?^```$|`[^`]+`", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?<![\w./-])flash-agent(?:\.cmd|\.exe)?\"? +(?P<words>(?:[a-z]|--version)[^\n`#|;&>)]*)")
AN_ID = f"op_{'0' * 32}"
PROSE = re.compile(r"(?<![\w./`-])flash-agent +(?P<words>[a-z][a-z-]*(?: +[a-z][a-z-]*)?)")


class _Said(Exception):  # noqa: N818 - what argparse says, not a fault of ours
    pass


@pytest.fixture(scope="module")
def parser():
    made = build_parser()
    for each in _all(made):
        each.error = _raise
    return made


def _raise(message):
    raise _Said(message)


def _choices(parser):
    """The actions below a parser, by name; empty where it has none."""
    kinds = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return kinds[0] if kinds else {}


def _all(parser):
    yield parser
    for each in _choices(parser).values():
        yield from _all(each)


def calls(text):
    """Each call in code as words, joined where it goes over several lines, and whether it is whole.

    In a block of commands it is copied. Within a sentence it may be the name of a command, without its arguments.
    """
    for code in CODE.findall(text):
        is_block = code.startswith(("```sh", "```bat", "```powershell", "```yaml"))
        joined = re.sub(r"(^|\s)#.*", "", re.sub(r"\\\n\s*", " ", code), flags=re.MULTILINE)
        for found in CALL.finditer(joined):
            words = found["words"].strip().rstrip(".,…").partition(" <")[0]
            words = re.sub(r"\bID\b", AN_ID, words.replace("\\", "/"))
            yield shlex.split(words), is_block


def fault(parser, words, *, is_whole):
    """Why the command line does not take these words; None where it does."""
    if words[0] == "COMMAND":
        return None
    try:
        parser.parse_args(words)
    except _Said as said:
        if is_whole or not re.search(r"expected one argument|arguments are required|one of the arguments", str(said)):
            return f"{' '.join(words)}: {said}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_line_takes_what_the_pages_say(parser, page):
    found = calls(page.read_text("utf-8"))
    assert [wrong for words, is_whole in found if (wrong := fault(parser, words, is_whole=is_whole))] == []


def test_the_runbook_and_others_are_read_for_calls():
    found = {page.relative_to(ROOT).as_posix(): list(calls(page.read_text("utf-8"))) for page in PAGES}
    assert len(found["docs/operations.md"]) > 35
    assert (["status"], True) in found["README.md"]


def mends():
    for condition in CONDITIONS.values():
        yield condition.code, f"{condition.text} {condition.mend}"
    for code, finding in KINDS.items():
        yield code, f"{finding.meaning} {finding.mend}"


def test_mends_name_commands_that_there_are(parser):
    named = 0
    commands = _choices(parser)
    for code, text in mends():
        for found in PROSE.finditer(text):
            command, *action = found["words"].split()
            assert command in commands or command == "service", (code, command)
            below = _choices(commands[command])
            assert not below or not action or action[0] in below, (code, found["words"])
            named += 1
    assert named > 20
