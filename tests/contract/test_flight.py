"""One asking about one member: what a confused server says of somebody else is told to nobody."""

import asyncio
import contextlib

from pydantic import SecretStr

from agent import jsons
from agent.clock import Clock
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.flash.reads import Reads
from agent.members.flight import Flight
from agent.members.gate import Gate
from agent.members.snapshot import Key
from agent.outbox.line import Line
from tests.support.agents import WRITE_KEY


@contextlib.asynccontextmanager
async def answering(answers):
    """A client of a server that gives these answers by the end of the path."""

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = jsons.encode({"data": answers[path.rpartition("/")[2]]})
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = FlashAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        client = FlashClient(address, Clock(), write_key=SecretStr(WRITE_KEY))
        try:
            yield client
        finally:
            await client.close()


async def told(answers):
    """What is told of the member m1."""
    clock = Clock()
    line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
    gate = Gate(line, clock, shares_key=lambda: True, is_cut_off=bool, is_verified=lambda: True, found_way=lambda: None)
    async with answering(answers) as client:
        flight = Flight(Reads(client), client, gate, clock)
        await flight.ask(Key("memberId", "m1"), None)
        return flight.news


OWN = {
    "m1": {"id": "m1", "fullName": "Ada"},
    "points": {"balance": 5, "memberId": "m1"},
    "tier": {"name": "Gold"},
    "coupons": [{"id": "C-1", "memberId": "m1"}, {"id": "C-2"}],
}


async def test_a_members_own_answers_are_told():
    news = await told(OWN)
    assert news.profile == {"id": "m1", "fullName": "Ada"}
    assert (news.parts["points"]["balance"], news.parts["tier"]["name"]) == (5, "Gold")
    assert [coupon["id"] for coupon in news.parts["coupons"]] == ["C-1", "C-2"]


async def test_another_members_points_tier_and_coupons_are_not():
    other = {
        **OWN,
        "points": {"balance": 900, "memberId": "m2"},
        "tier": {"name": "Silver", "memberId": "m2"},
        "coupons": [{"id": "C-1", "memberId": "m2"}, {"id": "C-2"}],
    }
    news = await told(other)
    assert news.parts.keys() == {"coupons"}
    assert [coupon["id"] for coupon in news.parts["coupons"]] == ["C-2"]
    assert (await told({**OWN, "m1": {"id": "m2", "fullName": "Eve"}})).profile == {"id": "m1"}
