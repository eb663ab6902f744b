"""Setup at a terminal: a pty, the keys typed unseen, every question with its default the second time."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import NOWHERE, PYTHON, Flash, environment, free_port, serving

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)
import pty
import select

pytestmark = pytest.mark.e2e


class Typist:
    """Sits at a terminal in which a command runs."""

    def __init__(self, *arguments: object) -> None:
        self.said = ""
        self._read_to = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            command = [*PYTHON, "-m", "agent", *map(str, arguments)]
            os.execvpe(command[0], command, environment())  # noqa: S606

    def expect(self, words: str) -> str:
        """Read on until these words stand in what was not looked at yet."""
        while words not in self.said[self._read_to :]:
            assert self._more(), f"it ended without {words!r}: {self.said}"
        at = self.said.index(words, self._read_to)
        passed, self._read_to = self.said[self._read_to : at], at + len(words)
        return passed

    def answer(self, words: str, typed: str = "") -> None:
        """Wait for a question and type."""
        self.expect(words)
        self.expect(": " if not words.endswith("> ") else "")
        os.write(self._fd, f"{typed}\n".encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._more():
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _more(self) -> bool:
        ready, _, _ = select.select([self._fd], [], [], 40)
        assert ready, f"nothing comes any more: {self.said}"
        try:
            chunk = os.read(self._fd, 65536)
        except OSError:  # as Linux says that the other side is gone
            return False
        self.said += chunk.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(chunk)


@pytest.fixture
def place(tmp_path: Path) -> tuple[object, ...]:
    return ("--no-service", "--config", tmp_path / "agent.toml", "--data-dir", tmp_path / "data")


def test_a_conversation_from_nothing_to_a_till(flash: Flash, place: tuple[object, ...], tmp_path: Path) -> None:
    typist = Typist("setup", *place)
    typist.answer("Flash's address [https://flash.socialhub.ai/api/v2]", "http://flash.example.com")
    typist.expect("must begin with https://")
    typist.answer("Flash's address", NOWHERE)
    typist.answer("The write key (not shown)", "short")
    typist.expect("must be 8 to 512 printable characters")
    typist.answer("The write key", flash.read_key)
    typist.answer("The read key", "")
    typist.expect("There is no connection to 127.0.0.1:9")
    typist.answer("What now?", "")
    typist.expect("Please answer t, p, c, a, u, q")
    os.write(typist._fd, b"a\n")
    typist.answer("Flash's address", flash.base_url)
    typist.expect("it is a read-only key")
    typist.answer("The write key", flash.write_key)
    typist.answer("The read key", flash.read_key)
    typist.expect("Flash takes both keys.")
    typist.answer("Which till is this", "lane-3")
    typist.expect("1  st_demo (DEMO-STORE, Demo Store, New York)")
    typist.answer("The store: its number or id, or new to register one [st_demo]", "0019")
    typist.expect("is no store that Flash shows to this key")
    typist.answer("or new to register one", "1")
    typist.answer("Currency", "")
    typist.expect("An answer is needed here.")
    typist.answer("Currency", "EUR")
    typist.answer("Language of receipts", "de-AT")
    typist.expect("90871 goes to Flash as st_demo-lane-3-2026-11-22-90871")
    typist.answer("Which (1 to 4)", "")
    typist.expect("An answer is needed here.")
    typist.answer("Which (1 to 4)", "4")
    typist.answer("Port for the registers", str(free_port()))
    typist.answer("Registers in a browser", "https://pos.example.com http://localhost:3000")
    typist.answer("Recovery recipient")
    typist.answer("Coupons while Flash cannot be asked")
    typist.expect("will be written.")
    typist.answer("Do this now? [Y/n]")
    assert typist.end() == 0, typist.said
    tables = tomllib.loads((tmp_path / "agent.toml").read_text("utf-8"))
    assert tables["store"] == {"store_id": "st_demo", "till_id": "lane-3", "currency": "EUR", "language": "de-AT"}
    assert tables["api"]["allowed_origins"] == ["https://pos.example.com", "http://localhost:3000"]
    assert tables["orders"]["id_template"] == "{store_id}-{till_id}-{business_date}-{external_order_id}"
    assert "recovery" not in tables.get("keys", {})
    for key in (flash.write_key, flash.read_key):
        assert key not in typist.said
    assert (tmp_path / "data" / "flash-read.key").exists()

    assert "A token of the register's own" not in typist.said  # there is no agent yet that could make one
    with serving("run", *place[1:]) as agent:
        agent.line_with("flash-agent listens on")
        again = run_again(flash, place)
    assert re.search(r"it is not shown again:\n  \S{30,}\n", again.said)
    assert "must be 1 to 64 of" in again.said


def run_again(flash: Flash, place: tuple[object, ...]) -> Typist:
    """Every question's default is what was answered before."""
    again = Typist("setup", *place)
    for question in (
        f"Flash's address [{flash.base_url}]",
        "The write key (not shown; Enter keeps the one that is there)",
        "The read key",
        "Which till is this [lane-3]",
    ):
        again.answer(question)
    again.answer("Flash's id of the store [st_demo]")
    for question in ("Currency, such as USD [EUR]", "(en, de, fr, es, zh, ja) [de-AT]"):
        again.answer(question)
    again.answer("[repeat-by-till-and-day]")
    again.answer("Port for the registers")
    again.answer("[https://pos.example.com http://localhost:3000]")
    again.answer("[none]")
    again.answer("[decline]")
    again.expect("is as it should be.")
    again.answer("Do this now? [Y/n]")
    again.answer("A token of the register's own", "lane 3")
    again.answer("A token of the register's own", "lane-3")
    assert again.end() == 0, again.said
    return again


def test_a_new_store_is_registered_after_the_yes_alone(flash: Flash, place: tuple[object, ...], tmp_path: Path) -> None:
    for agreed in (False, True):
        typist = Typist("setup", *place)
        typist.answer("Flash's address", flash.base_url)
        typist.answer("The write key", flash.write_key)
        typist.answer("The read key")
        typist.answer("Which till is this", "lane-3")
        typist.expect("DEMO-STORE")
        assert "Main Street" not in typist.said
        typist.answer("or new to register one", "new")
        typist.answer("own id of the store", "0018")
        typist.answer("Its name", "Main Street")
        typist.answer("Its city")
        typist.answer("Currency", "USD")
        typist.answer("Language")
        typist.answer("Which (1 to 4)", "1")
        for question in ("Port for", "Registers in", "Recovery", "Coupons"):
            typist.answer(question)
        typist.expect("The store will be registered at Flash.")
        typist.answer("Do this now?", "y" if agreed else "n")
        assert typist.end() == (0 if agreed else 1), typist.said
    assert re.search(r"done: store 0018 registered as st_\w+", typist.said)
    assert tomllib.loads((tmp_path / "agent.toml").read_text("utf-8"))["store"]["store_id"].startswith("st_")


def test_quitting_changes_nothing(place: tuple[object, ...], tmp_path: Path) -> None:
    typist = Typist("setup", *place)
    typist.answer("Flash's address", NOWHERE)
    typist.answer("The write key", "fl_live_canary_0001")
    typist.answer("The read key")
    typist.answer("What now?", "q")
    assert typist.end() == 1
    assert "Nothing was changed." in typist.said
    assert list(tmp_path.iterdir()) == []
    assert "fl_live_" not in typist.said
