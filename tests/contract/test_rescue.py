"""POST /v1/rescue: by what an operation is known goes with it, and what is not what it says is taken by nobody."""

import contextlib
import json
import shutil
import sqlite3

import pytest
from msgspec.structs import replace

from agent import jsons
from agent.clock import Clock
from agent.delivery import Kind
from agent.errors import AgentError, DataKeyError
from agent.health import Health
from agent.outbox.left import unsettled
from agent.outbox.rows import Rows
from agent.outbox.till import Till
from agent.rescue import natural
from agent.storage import Database, KeyFile, Sealer
from tests.support.agents import running, settings, strict_flash, until
from tests.support.redeeming import redeem
from tests.support.rescuing import carry, hand_over, left_on, load_of

A, B = settings(store={"till_id": "till-A"}), settings(store={"till_id": "till-B"})
DATED = settings(
    store={"till_id": "till-A"},
    orders={
        "id_template": "{store_id}-{till_id}-{business_date}-{external_order_id}",
        "refund_id_template": "{till_id}-{refund_id}",
    },
)
DAY = {"businessDate": "2026-03-14"}
BOTH = {"email": "Ada.Two@Example.com", "externalId": "X-2"}


async def fill(register):
    """One of each kind, in more than one spelling; how many that are."""
    calls = [
        ("/v1/enrollments", BOTH),
        ("/v1/enrollments", {**BOTH, "fullName": "Ada", "marketingConsent": True,
                             "marketingConsentAt": "2026-03-14T09:00:00+01:00"}),
        ("/v1/enrollments", {"email": "ONLY@example.com"}),
        ("/v1/sales", {"externalOrderId": "s/1", "customer": {"memberId": "m1", **BOTH}, "totalAmount": "12.50",
                       **DAY}),
        ("/v1/sales", {"externalOrderId": "2", "customer": {"email": "a@b.example"}, "totalAmount": 0, "metadata":
                       {"deep": {"ü": [1, 2.50]}}, "occurredAt": "2026-03-14T09:00:00+01:00", **DAY}),
        ("/v1/refunds", {"externalOrderId": "s/1", "refundId": "r 1", "orderRef": DAY, **DAY}),
        ("/v1/refunds", {"externalOrderId": "nobody-knows", "refundId": "r2", "amount": 3, "orderRef": DAY, **DAY}),
        ("/v1/refunds", {"externalOrderId": "unknown-whole", "refundId": "r3", "orderRef": DAY, **DAY}),
        ("/v1/stores", {"externalId": "0018", "name": "Harbor", "city": "Łódź"}),
        ("/v1/catalogs", {"source": "erp", "products": [{"externalId": "P", "price": 1.50}]}),
    ]  # fmt: skip
    for path, body in calls:
        answer = await register.call("POST", path, body, scope="operator")
        assert answer.status == 202, answer
    return len(calls)


@pytest.mark.parametrize("chosen", [A, DATED])
async def test_another_till_knows_each_by_what_this_one_knew_it(tmp_path, chosen):
    async with running(tmp_path, chosen) as register:
        count = await fill(register)
        await redeem(register, customer=BOTH, attempt=3)
        sealer = Sealer(KeyFile(tmp_path / "data.key").read())
    with contextlib.closing(sqlite3.connect(tmp_path / "agent.db")) as connection, connection:
        connection.execute("UPDATE redemption SET phase = 'unknown'")  # it was not sent: make it be left
        connection.execute("UPDATE operation SET status = 'pending', settled_at = NULL WHERE kind = 'redemption'")
        connection.execute("UPDATE operation SET maybe_sent = 1 WHERE kind = 'redemption'")
        stored = {
            row[0]: row[1:] for row in connection.execute("SELECT id, subjects, external_order, key_id FROM operation")
        }
    rescue = await left_on(tmp_path)
    assert (rescue.till, rescue.missing) == (Till("st_1", "till-A"), [])
    assert len(rescue.operations) == count + 1
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(Clock()))
    await database.open()
    try:
        async for left, hashes in unsettled(database, Rows(sealer)):
            natural.check(left)
            known = natural.natural_of(left, rescue.till)
            digest = sealer.hash
            assert digest(known.scope) == hashes.scope, left.kind
            assert (digest(known.item) if known.item else b"") == hashes.item, left.kind
            assert digest(known.fingerprint) == hashes.fingerprint, left.kind
            subjects, external_order, _ = stored[left.id]
            assert [digest(each).hex() for each in known.subjects] == json.loads(subjects), left.kind
            assert (digest(known.external_order) if known.external_order else None) == external_order, left.kind
            assert (digest(known.basket) if known.basket else None) == hashes.basket, left.kind
    finally:
        await database.close()


async def test_what_is_sent_of_each_kind_is_what_would_have_been(tmp_path):
    async with running(tmp_path / "a", A) as register:
        count = await fill(register)
    rescue = await left_on(tmp_path / "a")
    async with running(tmp_path / "b", B) as other:
        assert await carry(rescue, other) == ["taken"] * count
        assert await carry(rescue, other) == ["known"] * count
    again = await left_on(tmp_path / "b")  # and from there to a third one, still in the first one's name
    assert [replace(each.content, rescued_from={}) for each in again.operations] == [
        each.content for each in rescue.operations
    ]
    assert [bytes(each.content.body) for each in again.operations] == [
        bytes(each.content.body) for each in rescue.operations
    ]
    assert {each.content.rescued_from["tillId"] for each in again.operations} == {"till-A"}
    with strict_flash() as flash:
        async with running(tmp_path / "c", settings(flash.base_url, store={"till_id": "till-C"})) as third:
            assert await carry(again, third) == ["taken"] * count

            async def is_quiet():
                return (await third.status())["pending"] <= 2  # the refunds whose sale nobody knows

            await until(is_quiet)
        assert {seen.request.headers["user-agent"].split("(")[1] for seen in flash.requests if seen.owner[1]} == {
            "till till-A)"
        }
        keys = {seen.owner[1] for seen in flash.requests if seen.request.method == "POST"}
        assert {each.content.key for each in rescue.operations} <= keys
        assert flash.violations == []


async def test_enrollments_before_their_sales_also_beside_the_other_tills_own(tmp_path):
    new = {"email": "new@example.com", "externalId": "N-1"}
    async with running(tmp_path / "a", A) as register:
        await register.call("POST", "/v1/enrollments", new)
        sale = (await register.sell("a-1", 50, customer={"externalId": "N-1"})).json
    rescue = await left_on(tmp_path / "a")
    with strict_flash() as flash:
        async with running(tmp_path / "b", settings(flash.base_url, store={"till_id": "till-B"})) as other:
            await other.call("POST", "/v1/drill", {"seconds": 600}, scope="operator")
            own = (await other.call("POST", "/v1/enrollments", {**new, "fullName": "New One"})).json
            assert await carry(rescue, other) == ["taken", "taken"]
            assert own["id"] in (await other.operation(sale["id"]))["waitingFor"]
            await other.call("DELETE", "/v1/drill", scope="operator")
            assert (await other.settled(sale["id"]))["result"]["awarded"] > 0
        assert flash.violations == []


async def test_the_same_enrollment_here_is_enough_and_other_news_of_a_member_go_too(tmp_path):
    new, more = {"externalId": "N-1"}, {"externalId": "N-2", "fullName": "Other"}
    async with running(tmp_path / "a", A) as register:
        await register.call("POST", "/v1/enrollments", new)
        await register.call("POST", "/v1/enrollments", more)
    rescue = await left_on(tmp_path / "a")
    async with running(tmp_path / "b", B) as other:
        await other.call("POST", "/v1/enrollments", new)
        await other.call("POST", "/v1/enrollments", {**more, "fullName": "Another"})
        assert await carry(rescue, other) == ["repeated", "taken"]


async def test_who_asked_to_be_forgotten_stays_forgotten_once_it_is_delivered(tmp_path):
    async with running(tmp_path / "a", A) as register:
        sale = (await register.sell("a-1")).json
        body = {"externalId": "POS-CUST-5512"}
        assert (await register.call("POST", "/v1/members/forget", body, scope="operator")).status == 200
    rescue = await left_on(tmp_path / "a")
    with strict_flash() as flash:
        async with running(tmp_path / "b", settings(flash.base_url)) as other:
            assert await carry(rescue, other) == ["taken"]
            settled = await other.settled(sale["id"])
            assert (settled["status"], settled["request"]) == ("succeeded", {})


async def left_by_one_sale(tmp_path):
    async with running(tmp_path / "a", A) as register:
        await register.sell("a-1")
    return await left_on(tmp_path / "a")


FORGED = {
    "another path": lambda left: replace(left, content=replace(left.content, path="/members")),
    "a path that climbs": lambda left: replace(left, content=replace(left.content, path="/orders/../stores")),
    "another order": lambda left: replace(left, content=replace(left.content, upstream_order_id="other")),
    "no key": lambda left: replace(left, content=replace(left.content, key="")),
    "a key of two lines": lambda left: replace(left, content=replace(left.content, key="a\r\nX-Evil: 1")),
    "a body that is none": lambda left: replace(left, content=replace(left.content, body=jsons.raw([1]))),
    "another kind": lambda left: replace(left, kind=Kind.REFUND),
    "settled": lambda left: replace(left, status="succeeded", settled_at=1),
    "a state against itself": lambda left: replace(left, settled_at=1),
    "half a redemption": lambda left: replace(left, kind=Kind.REDEMPTION),
    "of no till": lambda left: replace(left, content=replace(left.content, rescued_from={"tillId": "a\r\nb"})),
}


@pytest.mark.parametrize("forged", FORGED)
async def test_what_is_not_what_it_says_is_refused_and_nothing_is_taken(tmp_path, forged):
    rescue = await left_by_one_sale(tmp_path)
    wrong = FORGED[forged](rescue.operations[0])
    other = replace(rescue.operations[0], id="op_" + "0" * 32)
    async with running(tmp_path / "b", B) as register:
        answer = await hand_over(register, jsons.encode(load_of(rescue, operations=[other, wrong])))
        assert (answer.status, answer.json["code"]) == (422, "validation"), answer
        assert "POS-CUST" not in json.dumps(answer.json)
        assert (await register.status())["pending"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"till": Till("st_1", "a b")}, "till"),
        ({"till": Till("st\r\n", "a")}, "till"),
        ({"version": 2}, "version"),
    ],
)
async def test_what_is_no_part_of_a_rescue_is_named(tmp_path, change, field):
    rescue = await left_by_one_sale(tmp_path)
    async with running(tmp_path / "b", B) as register:
        answer = await hand_over(register, jsons.encode(load_of(rescue, **change)))
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)
        document = json.loads(jsons.encode(load_of(rescue)))
        for place, value in (("id", "op_1"), ("generation", 0), ("attempts", -1), ("kind", "gift"), ("content", [])):
            operation = {**document["operations"][0], place: value}
            body = json.dumps({**document, "operations": [operation]}).encode()
            answer = await hand_over(register, body)
            assert answer.status == 422, place
            assert answer.json["errors"][0]["field"].startswith("operations[")
            assert "gift" not in json.dumps(answer.json)
        for body in (b"", b"[]", b"{", b"null", b"[" * 100_000, b'{"a": "\xff"}'):
            assert (await hand_over(register, body)).status in {400, 422}
        good = jsons.encode(load_of(rescue))
        assert (await hand_over(register, good, Content_Type="text/plain")).status == 415
        assert (await hand_over(register, good, scope="register")).status == 403
        assert (await register.status())["pending"] == 0
        assert (await hand_over(register, good)).status == 200


async def test_the_disk_of_a_newer_version_and_one_without_its_key_are_named(tmp_path):
    await left_by_one_sale(tmp_path)
    shutil.copytree(tmp_path / "a", tmp_path / "newer")
    with contextlib.closing(sqlite3.connect(tmp_path / "newer" / "agent.db")) as connection, connection:
        connection.execute("INSERT INTO migration (room, number, name) VALUES ('outbox', 9999, 'x')")
    with pytest.raises(AgentError, match="newer version"):
        await left_on(tmp_path / "newer")
    async with running(tmp_path / "stranger"):
        pass
    shutil.copyfile(tmp_path / "stranger" / "data.key", tmp_path / "a" / "data.key")
    with pytest.raises(DataKeyError, match="not the key that sealed this database"):
        await left_on(tmp_path / "a")


async def test_an_older_disk_does_not_say_whose_it_is_and_asks(tmp_path):
    await left_by_one_sale(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "a" / "agent.db")) as connection, connection:
        connection.execute("DELETE FROM fact WHERE name = 'till'")
    with pytest.raises(AgentError, match="--till-id NAME"):
        await left_on(tmp_path / "a")
    assert (await left_on(tmp_path / "a", Till("st_7", "till-X"))).till == Till("st_7", "till-X")


async def test_a_row_that_does_not_open_is_said_and_the_others_go(tmp_path):
    async with running(tmp_path / "a", A) as register:
        ids = [(await register.sell(f"a-{number}")).json["id"] for number in range(3)]
    with contextlib.closing(sqlite3.connect(tmp_path / "a" / "agent.db")) as connection, connection:
        connection.execute("UPDATE operation SET content = x'00112233445566778899' WHERE id = ?", [ids[1]])
    rescue = await left_on(tmp_path / "a")
    assert [each.id for each in rescue.operations] == [ids[0], ids[2]]
    assert rescue.missing == [f"Operations whose content cannot be read any more: 1 ({ids[1]})."]
