"""A connection that is made late: what nobody waits for any more does not leave over it, and no coupon is burned."""

import asyncio
import contextlib
import json
import socket
import ssl

import pytest
import trustme

from tests.support.agents import running, settings, until
from tests.support.redeeming import redeem, told, void

YES = json.dumps({"data": {}}).encode()
STORES = json.dumps({"data": [{"id": "st_1"}]}).encode()


class SlowDoor:
    """Flash behind TLS: it shakes hands once the door is `open`, says yes to everything, and keeps what it hears."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.open = asyncio.Event()
        self.open.set()
        self.knocks = 0
        self.heard: list[str] = []

    async def __aenter__(self) -> "SlowDoor":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.base_url = f"https://localhost:{self._socket.getsockname()[1]}/api/v2"
        self._tasks = {asyncio.create_task(self._accept())}
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            self.knocks += 1
            self._tasks.add(asyncio.create_task(self._serve(connection)))

    async def _serve(self, connection: socket.socket) -> None:
        await self.open.wait()
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            reader, writer = await self._shake_hands(connection)
            self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" HTTP")[0])
            answer = STORES if self.heard[-1].endswith("/stores") else YES
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + answer)
            await writer.drain()
            writer.close()

    async def _shake_hands(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._context)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    @property
    def redeemed(self) -> int:
        return sum("/redeem" in request for request in self.heard)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def door(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with SlowDoor(context) as made:
        yield made


@pytest.fixture
async def till(tmp_path, authority, door):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = settings(door.base_url, flash={"ca_file": tmp_path / "ca.pem", "attempt_timeout_s": 8.0})
    async with running(tmp_path / "data", own) as register:
        assert told(await redeem(register, "T-0", "C-0", wait=5)) == ("succeeded", True, "flash", None)
        yield register


async def at_the_door(door, knocks):
    async def knocked():
        return door.knocks > knocks

    await until(knocked)


async def test_what_nobody_waits_for_any_more_does_not_leave_over_a_connection_that_is_made_late(till, door):
    before, burned = door.knocks, door.redeemed
    door.open.clear()
    answer = await redeem(till, wait=2)
    assert (answer.json["honor"], door.knocks) == (False, before + 1)
    door.open.set()
    over = await till.settled(answer.json["id"])
    assert (over["status"], over["basis"], over["credit"]) == ("declined", "not-sent", None)
    assert door.redeemed == burned
    assert told(await redeem(till, "T-2", wait=5)) == ("succeeded", True, "flash", None)


async def test_nor_does_what_was_voided_while_the_connection_was_made(till, door):
    before, burned = door.knocks, door.redeemed
    door.open.clear()
    asking = asyncio.create_task(redeem(till, wait=5))
    await at_the_door(door, before)
    assert (await void(till)).json["credit"] is None
    answer = await asking
    assert (answer.json["honor"], answer.json["basis"]) == (False, "voided")
    door.open.set()
    over = await till.settled(answer.json["id"])
    assert (over["status"], over["basis"], over["credit"]) == ("declined", "voided", None)
    assert door.redeemed == burned


async def test_who_still_waits_gets_it_over_a_connection_that_took_its_time(till, door):
    before = door.knocks
    door.open.clear()
    asking = asyncio.create_task(redeem(till, wait=10))
    await at_the_door(door, before)
    door.open.set()
    assert told(await asking) == ("succeeded", True, "flash", None)
