"""Forgetting a member: nothing is left on the disk; what is owed is still sent, and then nothing is left of that."""

import asyncio
import contextlib
import json
import sqlite3

import pytest

from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until

EMAIL = "Canary.One@Example.com"
NAME = "Canarina Vogelsang"
EXTERNAL = "ext-canary-77"
COUPON = "CPN-canary-5"
WORDS = [EMAIL, NAME, "Vogelsang", "Canarina", EXTERNAL, COUPON, "mem_canary", WRITE_KEY]


@pytest.fixture
def flash():
    with strict_flash(in_flight_limit=16) as server:
        member = server.add_member(id="mem_canary", externalId=EXTERNAL, email=EMAIL, fullName=NAME, points=7)
        server.add_coupon(COUPON, member)
        yield server
        assert server.violations == []


def chosen(flash, **sections):
    return settings(flash.base_url, members={"lookup_budget_ms": 3000, "fresh_s": 0}, **sections)


def files(root):
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def assert_no_canary(root, *texts):
    places = files(root) | {f"text {number}": text.encode() for number, text in enumerate(texts)}
    for word in WORDS:
        for spelling in {word, word.lower(), word.casefold(), json.dumps(word).strip('"')}:
            for name, content in places.items():
                assert spelling.encode() not in content, (word, name)


def raw_values(root):
    """Every sealed value and hash of the members room, as bytes, straight out of the file."""
    connection = sqlite3.connect(root / "agent.db")
    try:
        rows = connection.execute("SELECT profile, points, coupons FROM member").fetchall()
        rows += connection.execute("SELECT content FROM sighting").fetchall()
        rows += connection.execute("SELECT content FROM operation WHERE content IS NOT NULL").fetchall()
        return [value for row in rows for value in row if value is not None]
    finally:
        connection.close()


async def look(register, status=200, **key):
    answer = await register.call("GET", f"/v1/members?{'&'.join(f'{n}={v}' for n, v in key.items())}")
    assert answer.status == status, answer
    return answer.json


async def forget(register, **keys):
    answer = await register.call("POST", "/v1/members/forget", keys, scope="operator")
    assert answer.status == 200, answer
    return answer.json


CUSTOMER = {"customer": {"email": EMAIL, "externalId": EXTERNAL}}


async def test_nothing_is_readable_before_and_nothing_is_there_after(tmp_path, flash, capfd):
    async with running(tmp_path, chosen(flash)) as till:
        assert (await look(till, email=EMAIL))["member"]["fullName"] == NAME
        await till.sell("o1", 10, wait=20, **CUSTOMER)
        await till.call("POST", "/v1/refunds", {"externalOrderId": "o1", "refundId": "r1"}, Prefer="wait=20")
        await till.sell("other", 10, wait=20)
        metrics = (await till.call("GET", "/metrics", scope="operator")).json
        assert_no_canary(tmp_path, metrics, json.dumps(await till.status()))
    sealed = raw_values(tmp_path)
    assert len(sealed) >= 7
    async with running(tmp_path, chosen(flash)) as till:
        gone = await forget(till, email=EMAIL.upper())
        assert gone == {"snapshots": 1, "operations": 2, "operationsPending": 0}
        on_disk = b"".join(files(tmp_path).values())
        left = [value for value in sealed if value in on_disk]
        assert len(left) == 1  # the other member's sale
        metrics = (await till.call("GET", "/metrics", scope="operator")).json
        assert_no_canary(tmp_path, metrics)
        again = await till.sell("o1", 10, **CUSTOMER)
        assert (again.json["status"], again.json["replayed"], again.json["result"]) == ("succeeded", True, {})
        flash.stop()
        assert (await look(till, 503, externalId=EXTERNAL))["code"] == "member-unknown-offline"
        assert await forget(till, memberId="mem_canary") == {"snapshots": 0, "operations": 0, "operationsPending": 0}
    out, err = capfd.readouterr()
    assert_no_canary(tmp_path, out, err)
    flash.start()


async def test_what_is_owed_is_still_sent_and_then_gone(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=EXTERNAL)
        flash.stop()
        sale = await till.sell("o1", 40, **CUSTOMER)
        person = {"externalId": "ext-canary-88", "email": "canary.two@example.com", "fullName": NAME}
        enrolled = await till.call("POST", "/v1/enrollments", person)
        assert (await look(till, email="canary.two@example.com"))["source"] == "local"
        assert await forget(till, externalId=EXTERNAL) == {"snapshots": 1, "operations": 0, "operationsPending": 1}
        assert (await forget(till, email="Canary.Two@example.com"))["operationsPending"] == 1
        await look(till, 503, email="canary.two@example.com")
        assert (await till.operation(sale.json["id"]))["request"]["externalOrderId"] == "o1"
    async with running(tmp_path, chosen(flash)) as till:
        flash.start()
        for operation in (sale, enrolled):
            settled = await till.settled(operation.json["id"], 30)
            assert (settled["status"], settled["request"], settled["result"]) == ("succeeded", {}, {})
        assert flash.awards == {"o1": 1}
        assert flash.state.tenant("t1").member(email="canary.two@example.com")["fullName"] == NAME
        flash.stop()
        await look(till, 503, email="canary.two@example.com")  # nor does its confirmation bring it back
    assert raw_values(tmp_path) == []
    flash.start()


def redemptions(root):
    """Of every redemption its credit, and whether its content is there."""
    sql = "SELECT credit, content IS NOT NULL FROM redemption JOIN operation USING (seq) ORDER BY seq"
    with contextlib.closing(sqlite3.connect(root / "agent.db")) as connection:
        return connection.execute(sql).fetchall()


async def test_a_credit_that_is_open_is_kept_for_the_forgotten_until_it_is_used(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        redemption = {"couponId": COUPON, **CUSTOMER}
        first = await till.call("POST", "/v1/redemptions", {**redemption, "transactionId": "T-1"}, Prefer="wait=20")
        assert first.json["honor"] is True
        voided = await till.call("POST", "/v1/redemptions/void", {"couponId": COUPON, "transactionId": "T-1"})
        assert voided.json["credit"] == "open"
        forgotten = await forget(till, email=EMAIL, externalId=EXTERNAL)
        assert (forgotten["operations"], forgotten["operationsPending"]) == (0, 1)
    assert redemptions(tmp_path) == [("open", True)]
    async with running(tmp_path, chosen(flash)) as till:
        again = await till.call("POST", "/v1/redemptions", {**redemption, "transactionId": "T-2"}, Prefer="wait=20")
        assert again.json["honor"] is True
    assert redemptions(tmp_path)[0] == ("used", False)
    assert [effect["natural"] for effect in flash.effects] == [f"coupon:{COUPON}"]


async def test_an_answer_under_way_does_not_bring_a_member_back(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        flash.fault("latency", ms=500, method="GET", path="/points$")
        asking = asyncio.create_task(look(till, memberId="mem_canary"))

        async def asked():
            return len(flash.requests) >= 4

        await until(asked)
        assert (await forget(till, memberId="mem_canary"))["snapshots"] == 0
        assert (await asking)["points"] == {"balance": 7}
        flash.clear()
        flash.stop()
        await look(till, 503, memberId="mem_canary")
        flash.start()


async def test_a_refresh_that_was_to_come_does_not_bring_a_member_back(tmp_path, flash):
    chosen_fresh = settings(flash.base_url, members={"lookup_budget_ms": 3000})
    async with running(tmp_path, chosen_fresh) as till:
        await look(till, memberId="mem_canary")
        assert (await look(till, memberId="mem_canary"))["source"] == "cache"
        asked = len(flash.requests)
        assert (await forget(till, memberId="mem_canary"))["snapshots"] == 1
        assert not await asyncio.to_thread(flash.wait_for, lambda flash: len(flash.requests) > asked, 1.5)


async def test_following_what_changed_does_not_bring_a_member_back(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, memberId="mem_canary")
        flash.state.seed("member", "t1", {**flash.state.tenant("t1").members["mem_canary"], "points": 8})
        flash.fault("latency", ms=600, method="GET", path="/points$")
        begun = len(flash.requests)
        assert (await till.call("POST", "/v1/sync", scope="operator")).status == 200

        def asks_again(flash):
            return any(seen.request.path.endswith("/points") for seen in list(flash.requests)[begun:])

        assert await asyncio.to_thread(flash.wait_for, asks_again, 20)
        assert (await forget(till, memberId="mem_canary"))["snapshots"] == 1

        async def is_over():
            return (await till.call("GET", "/v1/sync")).json["state"] == "idle"

        await until(is_over, 20)
        assert (await till.call("GET", "/v1/sync")).json["members"] == 0
    assert raw_values(tmp_path) == []


async def test_a_confirmation_that_comes_meanwhile_does_not_bring_a_member_back(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:

        async def forget_once_it_is_there(key):
            gone = {"operations": 0, "operationsPending": 0}
            while gone["operations"] + gone["operationsPending"] == 0:
                gone = await forget(till, externalId=key)

        for number in range(30):
            person = {"externalId": f"ext-{number}", "email": f"e{number}@example.com"}
            await asyncio.gather(
                till.call("POST", "/v1/enrollments", person, Prefer="wait=10"),
                forget_once_it_is_there(person["externalId"]),
            )

        async def is_settled():
            return (await till.status())["pending"] == 0

        await until(is_settled, 20)
        await look(till, memberId="mem_canary")  # whoever looks up waits for what is on its way to the snapshots
        assert (await till.call("GET", "/v1/sync")).json["members"] == 1
    assert len(raw_values(tmp_path)) <= 5  # of the one who was looked up


async def test_forgetting_wants_a_key_and_an_operator(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        path = "/v1/members/forget"
        assert (await till.call("POST", path, {"email": EMAIL})).status == 403
        refused = await till.call("POST", path, {}, scope="operator")
        assert (refused.status, refused.json["code"]) == (422, "validation")
        refused = await till.call("POST", path, {"email": "no address"}, scope="operator")
        assert [fault["field"] for fault in refused.json["errors"]] == ["email"]


async def test_a_member_who_comes_again_is_met_again(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, email=EMAIL)
        await forget(till, email=EMAIL)
        assert (await look(till, email=EMAIL))["source"] == "flash"
        flash.stop()
        assert (await look(till, email=EMAIL))["source"] == "cache"
        flash.start()


async def test_what_is_owed_to_the_forgotten_outlives_a_damaged_database(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=EXTERNAL)
        flash.stop()
        for number in range(60):
            await till.sell(f"o{number}", 40, **(CUSTOMER if number == 5 else {}))
        assert (await forget(till, externalId=EXTERNAL))["operationsPending"] == 1
    damage(tmp_path / "agent.db")
    async with running(tmp_path, chosen(flash)) as till:
        assert (tmp_path / "quarantine").exists()
        await look(till, 503, externalId=EXTERNAL)  # snapshots are not taken over
        (owed,) = (await till.call("GET", "/v1/operations?externalOrderId=o5")).json["operations"]
        assert owed["request"]["externalOrderId"] == "o5"
        flash.start()
        settled = await till.settled(owed["id"], 30)
        assert (settled["status"], settled["request"]) == ("succeeded", {})


def damage(database):
    """One leaf of an index loses its meaning; every table can still be read."""
    raw = database.read_bytes()
    leaves = [at for at in range(0, len(raw), 4096) if raw[at] == 0x0A and raw[at + 3 : at + 5] > b"\x00\x10"]
    with database.open("r+b") as file:
        file.seek(leaves[-1])
        file.write(b"\xff" * 64)
