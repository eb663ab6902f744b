"""Spool folders: a file is taken when it is complete, once, and ends in done or failed, with the reason beside it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.cli.commands.status import _rows as rows
from agent.config import Settings
from agent.errors import ConfigError
from tests.adapters.golden import FIXTURES
from tests.support.agents import Register, running, settings, strict_flash, until
from tests.support.strict_flash import StrictFlash

QUICK = {"settle_s": 0.1, "patience_s": 0.3, "poll_s": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    made.mkdir(mode=0o750)
    return made


@pytest.fixture
def flash() -> Iterator[StrictFlash]:
    with strict_flash() as started:
        yield started


def chosen(folder: Path, base_url: str = "http://127.0.0.1:9/api/v2", **spool: Any) -> Settings:
    return settings(base_url, spool={"folders": {"canonical": str(folder)}, **QUICK, **spool})


@contextlib.asynccontextmanager
async def spooling(folder: Path, base_url: str = "http://127.0.0.1:9/api/v2", **spool: Any) -> AsyncIterator[Register]:
    async with running(folder.parent / "data", chosen(folder, base_url, **spool)) as register:
        yield register


def sale(order: str, **fields: Any) -> bytes:
    document = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20, **fields}
    return json.dumps({"kind": "sale", "place": f"receipt {order}", "document": document}).encode() + b"\n"


def put(folder: Path, name: str, content: bytes) -> None:
    """As it should be done: written under another name, then renamed."""
    draft = folder / f".{name}"
    draft.write_bytes(content)
    draft.rename(folder / name)


def waiting(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def done(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("done/*/*"))


def failed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("failed/*"))


async def comes(holds: Any, seconds: float = 15.0) -> None:
    async def asked() -> bool:
        return bool(holds())

    await until(asked, seconds)


async def state(register: Register) -> dict[str, Any]:
    return (await register.status())["spool"][0]


async def orders(register: Register) -> list[str]:
    listed = (await register.call("GET", "/v1/operations?limit=200")).json["operations"]
    return sorted(operation["upstreamOrderId"] for operation in listed)


async def test_a_file_becomes_operations_and_goes_to_done(folder, flash):
    async with spooling(folder, flash.base_url) as register:
        put(folder, "orders.jsonl", sale("R-1") + sale("R-2"))
        await comes(lambda: done(folder) == ["orders.jsonl"])
        await comes(lambda: sum(flash.awards.values()) == 2)
        shown = await state(register)
        assert (shown["adapter"], shown["folder"]) == ("canonical", str(folder))
        assert (shown["waiting"], shown["doneToday"], shown["failed"], shown["problem"]) == (0, 1, 0, None)
        assert shown["lastTakenAt"] is not None
        operations = (await register.call("GET", "/v1/operations?externalOrderId=R-1")).json["operations"]
        assert operations[0]["metadata"] == {"adapter": "canonical", "file": "orders.jsonl", "place": "receipt R-1"}
    assert flash.doubles() == {}
    assert waiting(folder) == failed(folder) == []


async def test_a_file_is_taken_while_the_agent_was_away_and_the_same_again_counts_once(folder, flash):
    put(folder, "orders.jsonl", sale("R-1"))
    async with spooling(folder, flash.base_url) as register:
        await comes(lambda: done(folder) == ["orders.jsonl"])
        put(folder, "orders.jsonl", sale("R-1"))
        await comes(lambda: done(folder) == ["orders-2.jsonl", "orders.jsonl"])
        put(folder, "again.jsonl", sale("R-1"))
        await comes(lambda: len(done(folder)) == 3)
        assert await orders(register) == ["R-1"]
        await comes(lambda: flash.awards["R-1"] == 1)
    assert flash.doubles() == {}


async def test_a_file_that_is_written_slowly_is_taken_when_it_is_whole(folder):
    async with spooling(folder, settle_s=0.5) as register:
        path = folder / "slow.jsonl"
        with path.open("wb", buffering=0) as writer:
            for number in range(10):
                line = sale(f"R-{number}")
                writer.write(line[:30])
                seen = path.stat().st_mtime_ns
                await comes(lambda seen=seen: _clock_moved(path, seen))
                assert await orders(register) == []  # nothing of it before it is whole
                writer.write(line[30:])
        await comes(lambda: done(folder) == ["slow.jsonl"])
        assert await orders(register) == [f"R-{number}" for number in range(10)]


def _clock_moved(path: Path, seen: int) -> bool:
    """Whether a tenth of a second has passed since the file was changed: five times less than it takes to settle."""
    marker = path.parent / ".marker"
    marker.write_bytes(b"")
    return marker.stat().st_mtime_ns - seen > 100_000_000


async def test_names_of_what_is_being_written_are_never_taken(folder):
    never = (".hidden.jsonl", "~orders.jsonl", "orders.TMP", "a.part", "b.partial", "c.crdownload", "d.why.json")
    for name in never:
        (folder / name).write_bytes(sale(f"no-{name}"))
    (folder / "below").mkdir()
    (folder / "below" / "deep.jsonl").write_bytes(sale("no-deep"))
    (folder.parent / "elsewhere.jsonl").write_bytes(sale("no-link"))
    (folder / "link.jsonl").symlink_to(folder.parent / "elsewhere.jsonl")
    async with spooling(folder) as register:
        put(folder, "last.jsonl", sale("R-1"))
        await comes(lambda: done(folder) == ["last.jsonl"])
        (folder / "orders.TMP").rename(folder / "orders.jsonl")
        await comes(lambda: len(done(folder)) == 2)
        assert await orders(register) == ["R-1", "no-orders.TMP"]
        assert (await state(register))["waiting"] == 0
    assert all((folder / name).exists() for name in never if name != "orders.TMP")
    assert (folder / "link.jsonl").is_symlink()


async def test_a_fault_goes_to_failed_with_its_reason_and_is_tried_anew_when_it_is_moved_back(folder, flash):
    bad = sale("R-2", totalAmount=-1, customer={"email": "ada@example.com"})
    async with spooling(folder, flash.base_url) as register:
        put(folder, "orders.jsonl", sale("R-1") + bad + sale("R-3"))
        await comes(lambda: failed(folder) == ["orders.jsonl", "orders.jsonl.why.json"])
        text = (folder / "failed" / "orders.jsonl.why.json").read_text("utf-8")
        why = json.loads(text)
        assert (why["file"], why["adapter"]) == ("orders.jsonl", "canonical")
        assert why["totals"] == {"accepted": 2, "replayed": 0, "skipped": 0, "faulty": 1, "refused": 0}
        (item,) = why["items"]
        assert (item["place"], item["outcome"], item["code"]) == ("receipt R-2", "faulty", "unsound")
        assert "totalAmount" in item["reason"]
        assert item["mend"]
        assert "ada@example.com" not in text
        await comes(lambda: sum(flash.awards.values()) == 2)  # what was sound was taken
        assert "spool-failed" in await register.conditions()
        assert (await state(register))["failed"] == 1
        (folder / "failed" / "orders.jsonl").unlink()
        put(folder, "orders.jsonl", sale("R-1") + sale("R-2") + sale("R-3"))  # mended, and moved back
        await comes(lambda: done(folder) == ["orders.jsonl"])
        await comes(lambda: failed(folder) == [])  # its report goes with it
        assert await orders(register) == ["R-1", "R-2", "R-3"]
        await comes(lambda: sum(flash.awards.values()) == 3)

        async def cleared() -> bool:
            return "spool-failed" not in await register.conditions()

        await until(cleared)
    assert flash.doubles() == {}


async def test_what_is_refused_is_told_and_two_failed_files_of_one_name_both_stay(folder):
    async with spooling(folder):
        put(folder, "a.jsonl", sale("R-1", totalAmount=20))
        await comes(lambda: done(folder) == ["a.jsonl"])
        for amount in (21, 22):
            put(folder, "a.jsonl", sale("R-1", totalAmount=amount))
            await comes(lambda: waiting(folder) == [])
        assert failed(folder) == ["a-2.jsonl", "a-2.jsonl.why.json", "a.jsonl", "a.jsonl.why.json"]
        for name, amount in (("a", b"21"), ("a-2", b"22")):
            assert amount in (folder / "failed" / f"{name}.jsonl").read_bytes()
            why = json.loads((folder / "failed" / f"{name}.jsonl.why.json").read_bytes())
            assert [(item["outcome"], item["code"]) for item in why["items"]] == [("refused", "order-conflict")]
            assert "Flash" in why["items"][0]["mend"]


async def test_what_needs_nobody_is_noted_beside_the_done_file(folder):
    member = json.dumps({"kind": "member", "place": "customer 1", "document": {"externalId": "C-1"}}).encode() + b"\n"
    async with spooling(folder) as register:
        put(folder, "mixed.jsonl", sale("R-1") + member)
        await comes(lambda: done(folder) == ["mixed.jsonl", "mixed.jsonl.why.json"])
        (report,) = folder.glob("done/*/*.why.json")
        why = json.loads(report.read_bytes())
        assert [(item["outcome"], item["code"]) for item in why["items"]] == [("skipped", "member-push-off")]
        assert why["totals"]["accepted"] == 1
        assert "spool-failed" not in await register.conditions()
        assert (await state(register))["doneToday"] == 1


async def test_master_data_is_taken_for_the_folder_is_the_operators(folder):
    store = json.dumps({"kind": "store", "document": {"externalId": "S-18", "name": "Downtown"}}).encode()
    async with spooling(folder) as register:
        put(folder, "stores.jsonl", store)
        await comes(lambda: done(folder) == ["stores.jsonl"])
        operations = (await register.call("GET", "/v1/operations?kind=store")).json["operations"]
        assert len(operations) == 1


async def test_a_document_that_ends_too_early_is_waited_for(folder):
    whole = sale("R-1") + sale("R-2")
    async with spooling(folder, patience_s=60) as register:
        (folder / "torn.jsonl").write_bytes(whole[:-10])

        async def was_read() -> bool:
            return await orders(register) == ["R-1"]

        await until(was_read)
        assert waiting(folder) == ["torn.jsonl"]
        with (folder / "torn.jsonl").open("ab") as writer:
            writer.write(whole[-10:])
        await comes(lambda: done(folder) == ["torn.jsonl"])
        assert await orders(register) == ["R-1", "R-2"]
        assert failed(folder) == []


async def test_a_document_that_stays_torn_or_empty_fails(folder):
    async with spooling(folder):
        (folder / "torn.jsonl").write_bytes(sale("R-1")[:-10])
        (folder / "empty.jsonl").write_bytes(b"")
        await comes(lambda: len(failed(folder)) == 4)
        codes = {}
        for name in ("torn", "empty"):
            why = json.loads((folder / "failed" / f"{name}.jsonl.why.json").read_bytes())
            codes[name] = [item["code"] for item in why["items"]]
        assert codes == {"torn": ["unreadable"], "empty": ["empty"]}


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


async def comes_problem(register: Register, words: str) -> None:
    async def told() -> bool:
        return words in ((await state(register))["problem"] or "")

    await until(told)


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


async def test_a_torn_xml_document_is_waited_for_and_two_systems_have_a_folder_each(tmp_path, folder):
    day = (FIXTURES / "poslog" / "till_day_2_2.xml").read_bytes()
    other = tmp_path / "shopify"
    other.mkdir()
    spool = {"folders": {"poslog": str(folder), "shopify": str(other)}, **QUICK, "patience_s": 60}
    known = {"stores": {"12": "st_1"}}
    set_up = settings(spool=spool, documents=known, adapters={"shopify": {"native_connector": "off"}})
    async with running(tmp_path / "data", set_up) as register:
        (folder / "day.xml").write_bytes(day[: len(day) // 2])

        async def was_read() -> bool:
            return len(await orders(register)) > 0

        await until(was_read)
        assert waiting(folder) == ["day.xml"]
        with (other / "large.json").open("wb") as large:
            large.truncate(16 * 1024 * 1024 + 1)
        await comes(lambda: failed(other) == ["large.json", "large.json.why.json"])
        why = json.loads((other / "failed" / "large.json.why.json").read_bytes())
        (item,) = why["items"]
        assert item["code"] == "too-large"
        assert item["reason"].startswith("It has more than 16 MiB, and must be held in memory whole")
        assert "flash-agent import" in item["mend"]
        half = await orders(register)
        with (folder / "day.xml").open("ab") as writer:
            writer.write(day[len(day) // 2 :])
        await comes(
            lambda: failed(folder) == ["day.xml", "day.xml.why.json"]
        )  # for two of its transactions are unsound
        why = json.loads((folder / "failed" / "day.xml.why.json").read_bytes())
        assert {item["code"] for item in why["items"] if item["outcome"] == "faulty"} == {"unknown-status", "unsound"}
        assert len(await orders(register)) > len(half)
        shown = {each["adapter"]: each for each in (await register.status())["spool"]}
        assert (shown["poslog"]["failed"], shown["shopify"]["failed"]) == (1, 1)


async def test_a_waiting_cashier_goes_first(folder, flash):
    async with spooling(folder, flash.base_url, settle_s=0.05) as register:
        flash.fault("latency", ms=2000)
        cashier = asyncio.create_task(register.sell("cashier", wait=10))
        await comes(lambda: flash.requests)
        put(folder, "a.jsonl", sale("R-1"))
        assert (await cashier).json["status"] == "succeeded"
        assert done(folder) == []
        await comes(lambda: done(folder) == ["a.jsonl"])
        assert await orders(register) == ["R-1", "cashier"]


async def test_the_status_command_and_the_metrics_show_it(folder):
    async with spooling(folder) as register:
        put(folder, "a.jsonl", b"no json")
        await comes(lambda: len(failed(folder)) == 2)
        shown = dict(rows(await register.status()))
        assert shown["spool canonical"].startswith("0 waiting, 0 done today, 1 failed, last taken 20")
        metrics = (await register.call("GET", "/metrics", scope="operator")).json
        assert 'flash_agent_spool_files{adapter="canonical",state="failed"} 1.0' in metrics
        assert 'flash_agent_spool_files{adapter="canonical",state="waiting"} 0.0' in metrics


async def test_an_agent_without_a_spool_shows_none(tmp_path):
    async with running(tmp_path) as register:
        status = await register.status()
        assert status["spool"] == []
        assert "spool" in status["features"]
