"""Spool folders: a file is taken when it is complete, once, and ends in done or failed, with the reason beside it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.commands.status import rows
from tests.adapters.golden import FIXTURES
from tests.support.agents import running, settings, strict_flash, until
from tests.support.spooling import QUICK, comes, done, failed, orders, put, sale, spooling, state, waiting
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
    async with spooling(folder, settle_s=2.0) as register:
        path = folder / "slow.jsonl"
        with path.open("wb", buffering=0) as writer:
            for number in range(5):
                line = sale(f"R-{number}")
                writer.write(line[:30])
                seen = path.stat().st_mtime_ns
                await comes(lambda seen=seen: _clock_moved(path, seen))
                assert await orders(register) == []  # nothing of it before it is whole
                writer.write(line[30:])
        await comes(lambda: done(folder) == ["slow.jsonl"])
        assert await orders(register) == [f"R-{number}" for number in range(5)]


def _clock_moved(path: Path, seen: int) -> bool:
    """Whether a tenth of a second has passed since the file was changed: twenty times less than it takes to settle."""
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
