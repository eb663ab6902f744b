"""The spool folder itself: missing, mounted over, closed, led elsewhere; what is made in it, and what goes again."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.app import Agent
from agent.errors import ConfigError
from tests.support.agents import Register, strict_flash, until
from tests.support.spooling import (
    chosen,
    comes,
    comes_problem,
    done,
    failed,
    orders,
    put,
    sale,
    spooling,
    state,
    waiting,
)
from tests.support.strict_flash import StrictFlash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir(mode=0o750)
    return made


@pytest.fixture
def flash() -> Iterator[StrictFlash]:
    with strict_flash() as started:
        yield started


async def test_a_folder_that_is_missing_or_no_longer_usable_is_a_condition_until_it_is_mended(folder):
    folder.rmdir()
    async with spooling(folder) as register:

        async def shown() -> bool:
            return "spool-unusable" in await register.conditions()

        async def cleared() -> bool:
            return not await shown()

        await until(shown)
        assert (await state(register))["problem"] == "is missing"
        folder.mkdir()
        put(folder, "a.jsonl", sale("R-1"))
        await comes(lambda: done(folder) == ["a.jsonl"])
        await until(cleared)
        folder.rename(folder.with_name("moved"))
        await until(shown)
        folder.mkdir()
        (folder / "done").write_bytes(b"in the way")
        await comes_problem(register, "its done must be a folder")
        (folder / "done").unlink()
        await until(cleared)
        put(folder, "b.jsonl", sale("R-2"))  # it is another folder, which is watched anew
        await comes(lambda: done(folder) == ["b.jsonl"])
        assert (await state(register))["doneToday"] == 1


async def test_a_share_that_is_mounted_over_the_folder_is_found_without_an_event(folder):
    """The watch still sees what lies below; the slow look finds the files, and has the share watched."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    async with spooling(folder) as register:
        put(folder, "a.jsonl", sale("R-1"))
        await comes(lambda: done(folder) == ["a.jsonl"])
        taken_at = time.monotonic()
        await comes(lambda: time.monotonic() - taken_at > 1.5)  # the look that follows the beginning of a watch is over
        if await asyncio.to_thread(subprocess.call, ["mount", "-t", "tmpfs", "tmpfs", folder]):
            pytest.skip("no tmpfs can be mounted here")
        try:
            put(folder, "b.jsonl", sale("R-2"))
            await comes(lambda: done(folder) == ["b.jsonl"])
            assert await orders(register) == ["R-1", "R-2"]
        finally:
            await asyncio.to_thread(subprocess.check_call, ["umount", "-l", folder])
        await comes_done_today(register, 1)
        assert done(folder) == ["a.jsonl"]


async def comes_done_today(register: Register, count: int) -> None:
    async def told() -> bool:
        shown = await state(register)
        return shown["doneToday"] == count and shown["problem"] is None

    await until(told)


async def test_the_data_directory_is_no_spool_folder(tmp_path):
    for inside in (tmp_path / "data", tmp_path / "data" / "spool"):
        agent = Agent(chosen(inside), tmp_path / "data")
        with pytest.raises(ConfigError, match="outside"):
            await agent.start()
    assert not (tmp_path / "data").exists()


async def test_done_may_not_lead_elsewhere(folder):
    (folder.parent / "elsewhere").mkdir()
    (folder / "done").symlink_to(folder.parent / "elsewhere")
    put(folder, "a.jsonl", sale("R-1"))
    async with spooling(folder) as register:
        await comes_problem(register, "no link")
        assert await orders(register) == []
    assert list((folder.parent / "elsewhere").iterdir()) == []


async def test_a_file_that_may_not_be_read_waits_and_is_told(flash):
    """The agent's user, nobody here, may use the folder; the file is another's."""
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "spool"
        folder.mkdir()
        async with spooling(folder, flash.base_url) as register:
            put(folder, "a.jsonl", sale("R-1"))
            await comes(lambda: done(folder) == ["a.jsonl"])  # so that nobody need load anything
            await comes(lambda: flash.awards["R-1"] == 1)
            (folder / ".b").write_bytes(sale("R-2"))
            (folder / ".b").chmod(0o600)
            for path in (Path(place), *Path(place).rglob("*")):
                if path.name != ".b":
                    os.chown(path, 65534, 65534)
            os.setresuid(65534, 65534, 0)
            try:
                (folder / ".b").rename(folder / "b.jsonl")
                await comes_problem(register, "cannot be read: Permission denied (1 in all)")
                assert "spool-unusable" in await register.conditions()
                put(folder, "c.jsonl", sale("R-3"))
                await comes(lambda: len(done(folder)) == 2)  # it holds nobody up
            finally:
                os.setresuid(0, 0, 0)
            (folder / "b.jsonl").chmod(0o644)
            await comes(lambda: len(done(folder)) == 3)
            assert "spool-unusable" not in await register.conditions()
            assert failed(folder) == []


async def test_done_is_deleted_at_once_where_nothing_is_kept(folder):
    async with spooling(folder, keep_done_days=0) as register:
        put(folder, "a.jsonl", sale("R-1"))

        async def gone() -> bool:
            return waiting(folder) == [] and (await state(register))["doneToday"] == 1

        await until(gone)
        assert done(folder) == []
        assert await orders(register) == ["R-1"]


async def test_done_is_pruned_by_its_day_once_the_clock_is_known_to_be_right(folder, flash):
    for day in ("2020-01-01", "2020-01-02"):
        (folder / "done" / day).mkdir(parents=True)
        (folder / "done" / day / "old.jsonl").write_bytes(sale("R-0"))
    (folder / "done" / "mine").mkdir()
    async with spooling(folder):
        put(folder, "a.jsonl", sale("R-1"))
        await comes(lambda: "a.jsonl" in done(folder))
        assert len(list(folder.glob("done/2020*"))) == 2  # Flash has not told the time
    async with spooling(folder, flash.base_url):
        await comes(lambda: not list(folder.glob("done/2020*")))
        assert done(folder) == ["a.jsonl"]
        assert (folder / "done" / "mine").is_dir()


async def test_what_is_made_is_as_open_as_the_folder(folder):
    folder.chmod(0o2770)
    async with spooling(folder):
        put(folder, "a.jsonl", b"no json")
        await comes(lambda: len(failed(folder)) == 2)
        assert (folder / "failed").stat().st_mode & 0o7777 == 0o2770
        assert (folder / "failed" / "a.jsonl.why.json").stat().st_mode & 0o777 == 0o660


async def test_long_names_and_names_that_are_no_text_end_where_they_belong(folder):
    long = "x" * 240 + ".jsonl"
    async with spooling(folder):
        put_raw = [(long, b"no json"), (os.fsdecode(b"caf\xe9.jsonl"), sale("R-1"))]
        for name, content in put_raw:
            (folder / name).write_bytes(content)
        await comes(lambda: waiting(folder) == [])
        assert len(done(folder)) == 1
        names = failed(folder)
        assert len(names) == 2
        assert names[1] == names[0] + ".why.json"
        assert json.loads((folder / "failed" / names[1]).read_bytes())["file"] == long
