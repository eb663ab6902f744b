"""Why Flash was not reached is said in words, for it stands in the answers, in lists and before a store's manager."""

import asyncio
import contextlib

import pytest
from pydantic import SecretStr

from agent.flash.address import FlashAddress
from agent.flash.transport import Transport


async def hang_up(reader, _):
    await reader.readuntil(b"\r\n\r\n")


async def cut(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def say_nothing(reader, _):
    await reader.read()  # until the other side has given up


@contextlib.asynccontextmanager
async def answering(serve):
    """The port of a server that answers one connection so, and has closed it when this ends."""
    closed = asyncio.Event()

    async def answer(reader, writer):
        await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
        await closed.wait()
    finally:
        server.close()


async def told(port):
    transport = Transport(FlashAddress(f"http://127.0.0.1:{port}", attempt_timeout_s=0.3), "test")
    try:
        return (await transport.call("GET", "/stores", SecretStr("fl_live_one"), None, {})).detail
    finally:
        await transport.close()


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (hang_up, "the connection ended before the answer was whole (RemoteProtocolError)"),
        (cut, "the connection ended before the answer was whole (RemoteProtocolError)"),
        (say_nothing, "there was no answer in time (TimeoutError)"),
    ],
)
async def test_a_fault_of_the_way_is_named(serve, words):
    async with answering(serve) as port:
        assert await told(port) == f"Flash could not be reached: {words}."


async def test_where_nobody_listens_there_is_no_connection(unused_tcp_port):
    assert await told(unused_tcp_port) == "Flash could not be reached: there is no connection (ConnectError)."
