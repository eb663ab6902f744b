"""Typed reads against the strict server: values, Flash's own no, and every other reason as an outcome."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from agent.clock import Clock, to_ms
from agent.delivery import Contact, Fate, Outcome
from agent.errors import InvalidError
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.flash.reads import TIMED_OUT, Reads, is_not_found
from tests.support.agents import WRITE_KEY, strict_flash
from tests.support.strict_flash import READ_KEY


@pytest.fixture
def flash():
    with strict_flash() as server:
        server.add_coupon("CPN-1", server.add_member(externalId="POS-CUST-5512"))
        yield server
        assert server.violations == []


@pytest.fixture
async def client(flash):
    address = FlashAddress(base_url=flash.base_url, till="till-1", attempt_timeout_s=3.0)
    made = FlashClient(address, Clock(), write_key=SecretStr(WRITE_KEY), read_key=SecretStr(READ_KEY))
    yield made
    await made.close()


@pytest.fixture
def reads(client):
    return Reads(client)


def member_id(flash):
    return flash.add_member(externalId="POS-CUST-5512")


async def test_members_are_found_by_either_key_and_an_unknown_one_is_an_empty_list(flash, reads):
    for name, value in (("externalId", "POS-CUST-5512"), ("email", "Ada@Example.com")):
        (found,) = await reads.find(name, value)
        assert found["id"] == member_id(flash)
    assert await reads.find("email", "nobody@example.com") == []
    assert {seen.request.token for seen in flash.requests} == {READ_KEY}


async def test_the_parts_of_a_member(flash, reads):
    known = member_id(flash)
    assert (await reads.member(known))["externalId"] == "POS-CUST-5512"
    assert await reads.points(known) == {"balance": 1814}
    assert await reads.tier(known) == {"name": "Base"}
    (coupon,) = await reads.coupons(known)
    assert (coupon["id"], coupon["status"]) == ("CPN-1", "active")


async def test_flashs_own_no_is_told_apart(flash, reads):
    for read in (reads.member, reads.points, reads.tier, reads.coupons):
        answer = await read("mem_unknown")
        assert is_not_found(answer)
        assert answer.contact is Contact.ANSWERED


async def test_an_id_is_one_path_segment_and_dots_are_refused(flash, reads):
    for strange in ("a/b?c#d", "../stores", "%2e%2e", "名前", "a b+c&d"):
        assert is_not_found(await reads.points(strange))
        assert await reads.find("externalId", strange) == []
    for refused in (".", "..", "", "a\nb", "x" * 129, "\ud800"):
        with pytest.raises(InvalidError):
            await reads.points(refused)


@pytest.mark.parametrize(
    ("name", "options", "contact"),
    [
        ("status", {"status": 500}, Contact.TROUBLED),
        ("status", {"status": 429}, Contact.THROTTLED),
        ("status", {"status": 401}, Contact.KEY_REFUSED),
        ("status", {"status": 403}, Contact.ENDPOINT_REFUSED),
        ("captive-portal", {}, Contact.UNREACHABLE),
        ("truncated-json", {}, Contact.UNREACHABLE),
        ("torn-answer", {}, Contact.UNREACHABLE),
        ("empty-200", {}, Contact.UNREACHABLE),
        ("drop-before-read", {}, Contact.UNREACHABLE),
        ("redirect", {}, Contact.UNREACHABLE),
    ],
)
async def test_whatever_else_happens_is_an_outcome(flash, reads, name, options, contact):
    known = member_id(flash)
    flash.fault(name, method="GET", **options)
    for read in (reads.points(known), reads.coupons(known), reads.find("email", "ada@example.com")):
        answer = await read
        assert isinstance(answer, Outcome)
        assert not is_not_found(answer)
        assert answer.fate in {Fate.RETRY, Fate.HOLD}
        assert answer.contact is contact


async def test_another_member_than_asked_for_is_no_answer(flash, reads):
    flash.set(overlooks_filters=True)
    answer = await reads.find("externalId", "POS-CUST-9999")
    assert isinstance(answer, Outcome)
    assert not is_not_found(answer)
    (found,) = await reads.find("externalId", "POS-CUST-5512")
    assert found["id"] == member_id(flash)


async def test_points_of_another_shape_are_no_points(flash, reads):
    flash.fault("wrong-types", method="GET")
    answer = await reads.points(member_id(flash))
    assert (answer.fate, answer.contact) == (Fate.RETRY, Contact.ANSWERED)


async def test_a_read_ends_at_its_time_limit(flash):
    address = FlashAddress(base_url=flash.base_url, till="till-1", attempt_timeout_s=0.2)
    client = FlashClient(address, Clock(), write_key=SecretStr(WRITE_KEY), read_key=SecretStr(READ_KEY))
    flash.fault("hang", method="GET")
    began = time.monotonic()
    answer = await Reads(client).points(member_id(flash))
    assert time.monotonic() - began < 1.0
    assert answer.code == TIMED_OUT
    await client.close()


async def test_nobody_listens(client, flash):
    known = member_id(flash)
    flash.stop()
    answer = await Reads(client).points(known)
    assert answer.unsent
    assert answer.contact is Contact.UNREACHABLE
    flash.start()


@pytest.mark.parametrize("cursors", [True, False])
async def test_what_changed_comes_in_pages(flash, reads, cursors):
    flash.set(cursors=cursors)
    for number in range(450):
        flash.add_member(externalId=f"C-{number}")
    first = await reads.changed("2026-01-01T00:00:00Z", None)
    assert len(first.rows) == 200
    assert first.total >= 450
    assert (first.cursor is not None) is cursors
    if cursors:
        second = await reads.changed("2026-01-01T00:00:00Z", first.cursor)
        assert not {row["id"] for row in first.rows} & {row["id"] for row in second.rows}


@pytest.mark.parametrize(
    ("body", "known"),
    [(b'{"data": []}', True), (b"<html>Log in</html>", False), (b"", False), (b"[]", False)],
    ids=["Flash", "a portal", "nothing", "a list"],
)
async def test_nobody_but_flash_tells_the_time(body, known):
    head = f"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2018 00:00:00 GMT\r\nContent-Length: {len(body)}\r\n\r\n"

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = FlashAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        stranger = FlashClient(address, Clock(), write_key=SecretStr(WRITE_KEY))
        await stranger.probe(write_key=True)
        assert stranger.time_ms()[1] is known
        await stranger.close()


async def test_flashs_time_is_told_whatever_the_tills_clock_says(flash, client, reads):
    assert client.time_ms()[1] is False
    flash.set(clock_skew=365 * 86_400.0)
    await reads.points(member_id(flash))
    told, known = client.time_ms()
    assert known
    assert abs(told - to_ms(datetime.now(UTC) + timedelta(days=365))) < 5_000
