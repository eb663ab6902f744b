"""Failing disks: damage is set aside and said, what can be read is taken over, and the till goes on selling."""

import asyncio
import contextlib
import os
import shutil
import sqlite3

import pytest

from tests.support.agents import agent_process, running, settings, strict_flash
from tests.support.redeeming import insert_credits

COUNT = 200
PAGE = 4096


async def fill(tmp_path, count=COUNT):
    """Operations by order number, in a database that was closed in order."""
    async with running(tmp_path) as register:
        answers = await asyncio.gather(*(register.sell(f"o{number}") for number in range(count)))
        assert {answer.status for answer in answers} == {202}
    return {answer.json["request"]["externalOrderId"]: answer.json["id"] for answer in answers}


async def everything(register):
    found, cursor = {}, ""
    while cursor is not None:
        page = (await register.call("GET", f"/v1/operations?limit=200{cursor and f'&cursor={cursor}'}")).json
        found |= {o["request"]["externalOrderId"]: o["id"] for o in page["operations"]}
        cursor = page["nextCursor"]
    return found


def overwrite(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def pages_in_the_middle(path):
    """The headers of three leaf pages of the table of operations lose their meaning."""
    raw = path.read_bytes()
    pages = [(number, raw[number * PAGE : (number + 1) * PAGE]) for number in range(len(raw) // PAGE)]
    leaves = [number for number, page in pages if page[0] == 0x0D and page.count(b"sale") > 1]
    middle = len(leaves) // 2
    assert leaves[middle:]
    for number in leaves[middle : middle + 3]:
        overwrite(path, number * PAGE, b"\xff" * 64)


def truncate(path):
    os.truncate(path, path.stat().st_size // PAGE * 3 // 4 * PAGE)


def header(path):
    overwrite(path, 0, os.urandom(100))


def schema(path):
    """A name in the schema becomes one that is no text, which SQLite quotes when it complains."""
    raw = path.read_bytes()
    overwrite(path, raw.index(b"tableoperationoperation") + 5, b"\xa0")
    overwrite(path, raw.index(b"CREATE TABLE operation"), b"X")


def first_pages(path):
    """The header and the whole schema, but for its last rows."""
    overwrite(path, 0, bytes(3 * PAGE))


@pytest.mark.parametrize(
    ("damage", "least"), [(schema, 400), (first_pages, 390), (pages_in_the_middle, 150), (truncate, 1), (header, 400)]
)
async def test_a_damaged_database_is_set_aside_and_said(tmp_path, damage, least):
    before = await fill(tmp_path, 2 * COUNT)  # or a file cut in half holds little but the tables' first pages
    damage(tmp_path / "agent.db")
    broken = (tmp_path / "agent.db").read_bytes()
    (tmp_path / "imports").mkdir()
    progress = tmp_path / "imports" / "interrupted.json"
    progress.write_text("{}")
    async with running(tmp_path) as register:
        assert not progress.exists()  # what that import brought may be lost: it begins anew
        conditions = {c["code"]: c for c in (await register.status())["conditions"]}
        assert conditions["database-quarantined"]["severity"] == "critical"
        assert "quarantine" in conditions["database-quarantined"]["text"]
        (kept,) = (tmp_path / "quarantine").rglob("agent.db")
        assert len(kept.read_bytes()) == len(broken)
        taken = await everything(register)
        assert len(taken) >= least
        assert taken.items() <= before.items()
        for order, operation_id in list(taken.items())[:: max(1, len(taken) // 5)]:
            again = await register.sell(order)
            assert (again.status, again.json["id"], again.json["replayed"]) == (202, operation_id, True)
        assert (await register.sell("new")).status == 202
        expected = len(taken) + 1
    async with running(tmp_path) as register:
        assert len(await everything(register)) == expected
        assert (await register.status())["pending"] == expected


async def test_what_is_taken_over_is_still_sent_once(tmp_path):
    with strict_flash() as flash:
        flash.stop()
        before = await fill(tmp_path)
        pages_in_the_middle(tmp_path / "agent.db")
        flash.start()
        async with running(tmp_path, settings(flash.base_url)) as register:
            taken = await everything(register)
            for operation_id in taken.values():
                assert (await register.settled(operation_id))["status"] == "succeeded"
            lost = before.keys() - taken.keys()
            assert flash.awards == dict.fromkeys(taken, 1)
            assert 0 < len(lost) < 50


async def test_a_second_damage_does_not_bring_back_what_the_first_one_left(tmp_path):
    """Both folders are there: the older one still shows as pending what was settled since."""
    with strict_flash() as flash:
        flash.stop()
        before = await fill(tmp_path, 5)
        header(tmp_path / "agent.db")
        flash.start()
        async with running(tmp_path, settings(flash.base_url)) as register:
            for operation_id in before.values():
                assert (await register.settled(operation_id))["status"] == "succeeded"
    header(tmp_path / "agent.db")
    async with running(tmp_path) as register:
        assert len(list((tmp_path / "quarantine").iterdir())) == 2
        assert await everything(register) == before
        assert (await register.status())["pending"] == 0


async def test_damaged_content_of_one_operation_keeps_nobody_else_from_selling(tmp_path):
    """Bits that flip inside a sealed value pass SQLite's own check."""
    await fill(tmp_path, 20)
    path = tmp_path / "agent.db"
    raw = path.read_bytes()
    connection = sqlite3.connect(path)
    ((sealed,),) = connection.execute("SELECT content FROM operation ORDER BY seq LIMIT 1 OFFSET 9")
    connection.close()
    at = raw.find(sealed[:64])
    assert at > 0
    overwrite(path, at + 20, bytes(byte ^ 0xFF for byte in raw[at + 20 : at + 24]))
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            assert (await register.sell("new", wait=10)).json["status"] == "succeeded"
            others = {f"o{number}" for number in range(20)} - {"o9"}
            assert await asyncio.to_thread(flash.wait_for, lambda seen: seen.awards.keys() >= others, 5)
            assert (await register.call("GET", "/v1/status")).status == 200


@pytest.mark.parametrize("loss", ["deleted", "torn", "garbage"])
async def test_a_lost_log_after_a_kill_costs_only_what_was_in_it(tmp_path, loss):
    before = await fill(tmp_path, 30)
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as process:
        process.kill()
    wal = tmp_path / "agent.db-wal"
    match loss:
        case "deleted":
            wal.unlink(missing_ok=True)
        case "torn" if wal.exists():
            os.truncate(wal, wal.stat().st_size // 3)
        case _:
            wal.write_bytes(os.urandom(50_000))
    async with running(tmp_path) as register:
        assert (await everything(register)).items() >= before.items()
        assert (await register.sell("new")).status == 202


def cut(log):
    os.truncate(log, log.stat().st_size * 2 // 3)


def flip(log):
    at = log.stat().st_size // 2
    overwrite(log, at, bytes([log.read_bytes()[at] ^ 1]))


def header_of_the_log(log):
    overwrite(log, 0, os.urandom(32))


@pytest.mark.parametrize(("damage", "readable"), [(cut, 10), (flip, 28), (os.unlink, 0), (header_of_the_log, 28)])
async def test_acknowledged_sales_that_a_log_has_lost_are_said(tmp_path, damage, readable):
    """SQLite reads a log up to where it is damaged, and says nothing."""
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as process:
        sold = await asyncio.to_thread(sell_by_process, process, 30)
        process.kill()
    log = tmp_path / "agent.db-wal"
    damage(log)
    found = log.read_bytes() if log.exists() else None
    async with running(tmp_path) as register:
        conditions = {c["code"]: c for c in (await register.status())["conditions"]}
        assert conditions["database-quarantined"]["severity"] == "critical"
        (folder,) = (tmp_path / "quarantine").iterdir()
        assert "up to number 30 were acknowledged" in (folder / "reason.txt").read_text()
        assert (folder / "agent.db").exists()
        assert found is None or (folder / "agent.db-wal.found").read_bytes() == found
        kept = await everything(register)
        assert kept.items() <= sold.items()
        assert len(kept) >= readable
        assert {(await register.sell(order, 1)).status for order in sold} == {202}
    shutil.rmtree(tmp_path / "quarantine")
    async with running(tmp_path) as register:
        assert "database-quarantined" not in await register.conditions()
        assert (await everything(register)).keys() == sold.keys()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/sales", {"externalOrderId": "new", "customer": {"externalId": "C"}, "totalAmount": 1}),
        ("/v1/refunds", {"externalOrderId": "o1", "refundId": "r1", "amount": 1}),  # these look back, and go singly
        ("/v1/enrollments", {"externalId": "C"}),
    ],
)
async def test_an_older_copy_of_the_database_is_said(tmp_path, path, body):
    await fill(tmp_path, 5)
    shutil.copy(tmp_path / "agent.db", tmp_path / "copy")
    async with running(tmp_path) as register:
        assert (await register.call("POST", path, body)).status == 202
    (tmp_path / "copy").replace(tmp_path / "agent.db")
    async with running(tmp_path) as register:
        assert "database-quarantined" in await register.conditions()
        assert len(await everything(register)) == 5


async def test_a_repetition_after_a_restart_does_not_lower_the_mark(tmp_path):
    await fill(tmp_path, 5)
    mark = tmp_path / "agent.db-mark"
    before = mark.read_bytes()
    async with running(tmp_path) as register:
        assert (await register.sell("o0")).json["replayed"]
        assert mark.read_bytes() == before
        assert (await register.sell("new")).status == 202
        assert int.from_bytes(mark.read_bytes()[:8], "little") > 5


@pytest.mark.parametrize("content", [None, b"", b"\0" * 16, b"\xff" * 16, b"\xff" * 8 + b"\0" * 7])
async def test_a_mark_that_says_nothing_alarms_nobody(tmp_path, content):
    await fill(tmp_path, 5)
    mark = tmp_path / "agent.db-mark"
    assert mark.stat().st_size == 16
    mark.unlink() if content is None else mark.write_bytes(content)
    async with running(tmp_path) as register:
        assert "database-quarantined" not in await register.conditions()
        assert len(await everything(register)) == 5


async def test_a_setting_aside_that_was_interrupted_is_finished(tmp_path):
    """The log had been moved already: without it the database would look whole, and older."""
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as process:
        sold = await asyncio.to_thread(sell_by_process, process, 30)
        process.kill()
    folder = tmp_path / "quarantine" / "20260101T000000Z.moving"
    folder.mkdir(parents=True)
    (tmp_path / "agent.db-wal").rename(folder / "agent.db-wal")
    async with running(tmp_path) as register:
        assert "database-quarantined" in await register.conditions()
        assert await everything(register) == sold
    assert [found.name for found in (tmp_path / "quarantine").iterdir()] == ["20260101T000000Z"]


async def test_folders_are_named_in_their_order_whatever_the_clock_says(tmp_path):
    (tmp_path / "quarantine" / "20990101T000000Z").mkdir(parents=True)
    await fill(tmp_path, 5)
    for _ in range(2):
        header(tmp_path / "agent.db")
        async with running(tmp_path):
            pass
    names = sorted(found.name for found in (tmp_path / "quarantine").iterdir())
    assert names == [f"20990101T000000Z{more}" for more in ("", "_", "__")]


@pytest.mark.parametrize("loss", ["deleted", "emptied"])
async def test_a_database_that_is_gone_at_the_start_is_said(tmp_path, loss):
    await fill(tmp_path, 5)
    if loss == "deleted":
        (tmp_path / "agent.db").unlink()
    else:
        os.truncate(tmp_path / "agent.db", 0)
    for _ in range(2):
        async with running(tmp_path) as register:
            assert "database-quarantined" in await register.conditions()
            assert (await register.sell("new")).status == 202
    shutil.rmtree(tmp_path / "quarantine")
    async with running(tmp_path) as register:
        assert "database-quarantined" not in await register.conditions()
        assert set(await everything(register)) == {"new"}


async def test_the_log_of_a_database_that_is_gone_is_read(tmp_path):
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as process:
        sold = await asyncio.to_thread(sell_by_process, process, 30)
        process.kill()
    (tmp_path / "agent.db").unlink()
    async with running(tmp_path) as register:
        assert await everything(register) == sold


def unlink_log(data_dir):
    (data_dir / "agent.db-wal").unlink()


def replace_log(data_dir):
    shutil.copy(data_dir / "agent.db-wal", data_dir / "copy")
    (data_dir / "copy").replace(data_dir / "agent.db-wal")


def empty(data_dir):
    os.truncate(data_dir / "agent.db", 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of a file that is open")
@pytest.mark.parametrize("damage", [unlink_log, replace_log, empty])
async def test_nothing_is_accepted_into_files_that_are_gone(tmp_path, damage):
    async with running(tmp_path) as register:
        assert (await register.sell("before")).status == 202
        damage(tmp_path)
        assert (await register.call("GET", "/readyz")).status == 503
        for order in ("after", "later"):
            answer = await register.sell(order)
            assert (answer.status, answer.json["code"], answer.json["stored"]) == (503, "storage-unavailable", True)
        assert "storage-unavailable" in await register.conditions()
    async with running(tmp_path) as register:  # a stop in order writes all of it into the file
        assert {"before"} <= set(await everything(register))
        assert (await register.sell("again")).status == 202


async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as process:
        sold = await asyncio.to_thread(sell_by_process, process, 30)
        process.kill()
    async with running(tmp_path) as register:
        assert await everything(register) == sold


def sell_by_process(process, count):
    import http.client
    import json

    line = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
    sold = {}
    with contextlib.closing(line):
        for number in range(count):
            body = {"externalOrderId": f"o{number}", "customer": {"externalId": "C"}, "totalAmount": 1}
            headers = {"Authorization": f"Bearer {process.token}", "Content-Type": "application/json"}
            line.request("POST", "/v1/sales", json.dumps(body), headers)
            answer = line.getresponse()
            assert answer.status == 202
            sold[f"o{number}"] = json.loads(answer.read())["id"]
    return sold


def first_leaf(path, table):
    """The first leaf page of a table loses its meaning."""
    connection = sqlite3.connect(path)
    with contextlib.closing(connection):
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchall()
    page = (root - 1) * PAGE
    raw = path.read_bytes()
    assert (
        raw[page] == 0x05
    )  # the root of a table with several pages: where its first cell is, and there its left child
    cell = page + int.from_bytes(raw[page + 12 : page + 14], "big")
    leaf = int.from_bytes(raw[cell : cell + 4], "big")
    overwrite(path, (leaf - 1) * PAGE, b"\xff" * 64)


async def test_credits_behind_the_damage_are_taken_over(tmp_path):
    async with running(tmp_path):
        pass
    insert_credits(tmp_path / "agent.db", 600)
    first_leaf(tmp_path / "agent.db", "redemption")
    async with running(tmp_path) as register:
        assert "database-quarantined" in await register.conditions()
        assert (await register.status())["redemptions"]["creditsOpen"] > 300
