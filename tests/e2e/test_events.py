"""The events of a real agent process: across kill -9, and with a reader that never reads."""

import asyncio
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.e2e.test_promises import MEMBER, Till, strict_flash
from tests.support.agents import agent_process
from tests.support.listening import Listener, listening

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


async def test_no_settled_operation_is_missed_although_the_agent_is_killed_again_and_again(tmp_path: Path) -> None:
    """Killed after the commit and before anybody heard of it, or whenever; what was heard in the end is the store."""
    heard: dict[str, str] = {}
    with strict_flash() as flash, agent_process(tmp_path, flash.base_url) as agent:
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session)
            last_id = None
            for round_ in range(4):
                async with listening(agent.port, agent.token, last_id) as stream:
                    orders = [f"{round_}-{number}" for number in range(40)]
                    again = asyncio.Event()
                    await asyncio.gather(*(till.sell_until_accepted(order, again) for order in orders))
                    if round_ == 0:
                        await till.settled(flash)
                    await stream.until(lambda seen: any(event.event == "operation" for event in seen))
                    heard |= stream.operations()
                    last_id = stream.last_id  # what came after it is never read
                if round_ % 2:
                    await till.settled(flash)
                agent.kill()
                await asyncio.to_thread(agent.start)
            await till.settled(flash)
            stored = {operation["id"]: operation["status"] for operation in await till.operations()}
            assert len(stored) == 160
            async with listening(agent.port, agent.token, last_id) as stream:
                await stream.until(lambda _: heard | stream.operations() == stored, 30)
                assert "resync" not in [event.event for event in stream.heard]
            assert flash.violations == []


async def test_ten_thousand_events_and_a_reader_that_never_reads(tmp_path: Path) -> None:
    """The agent takes every sale, a reader beside hears them all, and what the silent one misses is kept nowhere."""
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as agent:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            till = Till(agent, session)
            statuses: set[int] = set()

            async def sell(start: int, end: int) -> None:
                for number in range(start, end):
                    body = {"externalOrderId": f"o{number}", "customer": MEMBER, "totalAmount": 1}
                    body["metadata"] = {"text": "x" * 3900}
                    status, _ = await till.post("/v1/sales", body)
                    statuses.add(status)

            await sell(20_000, 20_200)  # warm
            process = psutil.Process(agent.process.pid)
            before = process.memory_info().rss
            live, silent = listening(agent.port, agent.token), listening(agent.port, agent.token, receive_buffer=4096)
            async with live as live_stream, silent as silent_stream:
                reading = asyncio.create_task(listen_to(live_stream, 10_000))
                await asyncio.gather(*(sell(n * 1250, (n + 1) * 1250) for n in range(8)))
                assert statuses == {202}
                assert await reading == 10_000
                grown = process.memory_info().rss - before
                assert grown < 24_000_000, "48 MB of events went by"
                # Its stream was cut off, or it still gets what it missed; either way its last id leads on.
                async with listening(agent.port, agent.token, silent_stream.last_id) as resumed:
                    assert resumed.status == 200


async def listen_to(stream: Listener, count: int) -> int:
    """How many operations were heard of when it is `count`; keeps no more than their ids."""
    seen: set[str] = set()
    async with asyncio.timeout(300):
        while len(seen) < count:
            assert await stream.next() is not None
            seen |= {event.data["id"] for event in stream.heard if event.event == "operation"}
            stream.heard.clear()
    return len(seen)
