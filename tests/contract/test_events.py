"""GET /v1/events: what is told, in which order, and that a listener who was away misses nothing."""

import asyncio
import contextlib
import re
import sqlite3
from datetime import timedelta

import pytest

from agent.clock import Clock
from tests.support.agents import running, settings, strict_flash
from tests.support.listening import listening

MEMBER = {"externalId": "POS-CUST-5512"}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def till(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


def listen(register, last_id=None, scope="register", **more):
    token = register.headers(scope)["Authorization"].removeprefix("Bearer ")
    return listening(register.agent.port, token, last_id, **more)


def has(order, status):
    return lambda heard: any(
        each.event == "operation" and each.data["upstreamOrderId"] == order and each.data["status"] == status
        for each in heard
    )


def kinds(heard):
    return [each.event for each in heard]


def told(heard):
    return [(each.data["upstreamOrderId"], each.data["status"]) for each in heard if each.event == "operation"]


async def test_a_sale_is_told_when_it_settles_with_its_points(till):
    async with listen(till) as stream:
        assert stream.status == 200
        await till.sell("o1", wait=5)
        heard = await stream.until(has("o1", "succeeded"))
        shown = await till.operation(heard[-1].data["id"])
        assert heard[-1].data == shown
        assert shown["result"]["awarded"] == 6
        assert all(re.fullmatch(r"[A-Za-z0-9-]+", each.id) for each in heard)


async def test_the_first_event_tells_the_connectivity_and_the_second_what_needs_attention(till):
    await till.sell("before", wait=5)
    async with listen(till) as stream:
        heard = await stream.until(lambda heard: len(heard) >= 2)
        assert kinds(heard) == ["connectivity", "attention"]
        assert heard[0].data["connectivity"] == "online"
        assert heard[0].data["lastSuccessAt"].endswith("Z")
        assert heard[1].data == {"conditions": [], "raised": [], "cleared": []}
        await till.sell("after", wait=5)
        await stream.until(has("after", "succeeded"))
        assert "before" not in [order for order, _ in told(heard)]


async def test_an_outage_is_told_as_it_begins_and_ends(till, flash):
    await till.sell("o1", wait=5)
    async with listen(till) as stream:
        await stream.until(lambda heard: len(heard) >= 2)
        flash.stop()
        await till.sell("o2", wait=1)
        await stream.until(lambda heard: [e for e in heard if e.event == "attention" and e.data["raised"]] != [])
        raised = stream.heard[-1].data
        assert raised["raised"] == ["flash-offline"]
        assert raised["conditions"] == (await till.status())["conditions"]
        assert "offline" in [e.data["connectivity"] for e in stream.heard if e.event == "connectivity"]
        flash.start()
        await stream.until(lambda heard: any(e.event == "attention" and e.data["cleared"] for e in heard), 30)
        await stream.until(has("o2", "succeeded"))
        assert [e.data["connectivity"] for e in stream.heard if e.event == "connectivity"][-1] == "online"


async def test_a_failure_is_told_as_needing_attention_and_so_is_its_end(till, flash):
    flash.poison("bad", 422)
    async with listen(till) as stream:
        sale = await till.sell("bad", wait=5)
        await stream.until(lambda heard: any("operations-failed" in e.data.get("raised", ()) for e in heard))
        await stream.until(has("bad", "failed"))
        flash.poison("worse", 422)
        await till.sell("worse", wait=5)
        await stream.until(lambda heard: "There are 2." in str(heard[-1].data))  # another count is news
        for operation in (sale.json["id"], (await till.sell("worse")).json["id"]):
            path = f"/v1/operations/{operation}/discard"
            assert (await till.call("POST", path, {"reason": "test"}, scope="operator")).status == 200
        await stream.until(lambda heard: any("operations-failed" in e.data.get("cleared", ()) for e in heard))
        await stream.until(has("bad", "discarded"))


async def test_what_was_missed_is_told_after_a_resume_and_nothing_is_missed_twice(till):
    async with listen(till) as stream:
        await till.sell("o1", wait=5)
        await stream.until(has("o1", "succeeded"))
        last_id = stream.last_id
    for number in range(2, 6):
        await till.sell(f"o{number}", wait=5)
    async with listen(till, last_id) as stream:
        await stream.until(has("o5", "succeeded"))
        assert kinds(stream.heard[:2]) == ["connectivity", "attention"]
        assert {order for order, _ in told(stream.heard)} == {"o2", "o3", "o4", "o5"}
        last_id = stream.last_id
    async with listen(till, last_id) as stream:
        await till.sell("o6", wait=5)
        await stream.until(has("o6", "succeeded"))
        assert {order for order, _ in told(stream.heard)} == {"o6"}


async def test_a_resume_within_the_ring_reads_no_more_than_was_missed(till):
    async with listen(till) as other, listen(till) as stream:
        await till.sell("o1", wait=5)
        await stream.until(has("o1", "succeeded"))
        stream.writer.transport.abort()
        await till.sell("o2", wait=5)
        await other.until(has("o2", "succeeded"))
        async with listen(till, stream.last_id) as resumed:
            await resumed.until(has("o2", "succeeded"))
            assert {order for order, _ in told(resumed.heard)} == {"o2"}


async def test_a_resume_across_a_restart_tells_what_was_settled_by_the_next_run(tmp_path, flash):
    chosen = settings(flash.base_url)
    flash.stop()
    async with running(tmp_path, chosen) as till, listen(till) as stream:
        await till.sell("o1")
        await stream.until(has("o1", "pending"))
    flash.start()
    async with running(tmp_path, chosen) as till:
        sale = (await till.sell("o1")).json
        await till.settled(sale["id"])
        await till.sell("o2", wait=5)
        async with listen(till, stream.last_id) as resumed:
            await resumed.until(lambda heard: has("o1", "succeeded")(heard) and has("o2", "succeeded")(heard))
            assert "resync" not in kinds(resumed.heard)


class SetBack(Clock):
    """A till's clock that somebody has set back by a year."""

    def now(self):
        return super().now() - timedelta(days=365)


async def test_a_clock_that_was_set_back_hides_nothing(tmp_path, flash):
    chosen = settings(flash.base_url)
    flash.stop()
    async with running(tmp_path, chosen) as till, listen(till) as stream:
        await till.sell("o1")
        await stream.until(has("o1", "pending"))
    flash.start()
    async with running(tmp_path, chosen, SetBack()) as till:
        await till.settled((await till.sell("o1")).json["id"])
    async with running(tmp_path, chosen) as till, listen(till, stream.last_id) as resumed:
        await resumed.until(has("o1", "succeeded"))
        assert "resync" not in kinds(resumed.heard)


async def test_after_a_database_was_set_aside_the_listener_lists(tmp_path, flash):
    chosen = settings(flash.base_url)
    async with running(tmp_path, chosen) as till, listen(till) as stream:
        await till.sell("o1", wait=5)
        await stream.until(has("o1", "succeeded"))
    with contextlib.closing(sqlite3.connect(tmp_path / "agent.db")) as database:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'operation_basket'"
        ((page,),) = database.execute(sql).fetchall()
    with (tmp_path / "agent.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    async with running(tmp_path, chosen) as till:
        assert "database-quarantined" in await till.conditions()
        for order in ("o2", "o3"):  # as many changes as the old log had
            await till.sell(order, wait=5)
        async with listen(till, stream.last_id) as resumed:
            await resumed.until(lambda heard: "resync" in kinds(heard))


@pytest.mark.parametrize("unknown", ["1", "x" * 4000, "00000000-1-1", "op_1; DROP", "ÿ"])
async def test_an_id_that_is_not_ours_asks_the_listener_to_list(till, unknown):
    async with listen(till, unknown) as stream:
        await stream.until(lambda heard: len(heard) >= 3)
        assert kinds(stream.heard) == ["connectivity", "attention", "resync"]
        assert stream.heard[-1].data["reason"] == "unknown-id"
        await till.sell("o1", wait=5)
        await stream.until(has("o1", "succeeded"))


async def test_an_id_from_a_newer_copy_of_the_database_asks_the_listener_to_list(till):
    async with listen(till) as stream:
        await till.sell("o1", wait=5)
        await stream.until(has("o1", "succeeded"))
        epoch, accepted, changed = stream.last_id.split("-")
    for beyond in (f"{epoch}-{int(accepted) + 5}-{changed}", f"{epoch}-{accepted}-{int(changed) + 5}"):
        async with listen(till, beyond) as stream:
            await stream.until(lambda heard: "resync" in kinds(heard))


async def test_no_personal_data_is_told(till):
    body = {"email": "canary@example.com", "fullName": "Canary Bird", "externalId": "canary-id"}
    async with listen(till) as stream:
        await till.call("POST", "/v1/enrollments", body, Prefer="wait=5")
        await stream.until(lambda heard: any(e.data.get("status") == "succeeded" for e in heard))
        assert "anary" not in str([event.data["request"] for event in stream.heard if event.event == "operation"])


async def fill(till, live, count=300):
    """Events until a reader that takes none has all its buffers full; `live` hears them all."""
    body = {"customer": MEMBER, "totalAmount": 1, "metadata": {"text": "x" * 3900}}
    for number in range(count):
        assert (await till.call("POST", "/v1/sales", {"externalOrderId": f"fill-{number}", **body})).status == 202
    await live.until(has(f"fill-{count - 1}", "succeeded"))


async def test_streams_end_at_once_when_the_agent_stops(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as till:
        live, silent = listen(till), listen(till, receive_buffer=4096)
        async with live as live, silent:
            await fill(till, live)
            async with asyncio.timeout(2.5):  # less than the grace that requests under way are given
                await till.agent.stop()
            await live.to_the_end()


async def test_a_reader_that_takes_nothing_harms_nobody_and_resumes_where_it_was(till):
    async with listen(till) as live, listen(till, receive_buffer=4096) as silent:
        await fill(till, live)
        heard = await silent.until(lambda heard: len(heard) >= 10)
        assert "resync" not in kinds(heard)
    async with listen(till, silent.last_id) as resumed:
        every = {f"fill-{number}" for number in range(300)}
        await resumed.until(
            lambda heard: {order for order, status in told(silent.heard + heard) if status == "succeeded"} == every
        )
