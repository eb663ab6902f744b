"""Packed answers: unpacked no further than an answer may be long, and never taken for whole when they are not.

And nothing of an answer is carried to the next request.
"""

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from pydantic import SecretStr

from agent.delivery import Outcome
from agent.flash.address import FlashAddress
from agent.flash.transport import MAX_ANSWER_BYTES, Transport

ORDER = b'{"data":{"awarded":6}}'
_NOTHING = gzip.compress(b"")
_EMPTY_BLOCKS = _NOTHING[:10] + b"\x00\x00\x00\xff\xff" * (MAX_ANSWER_BYTES // 5 + 1) + _NOTHING[10:]


@contextlib.asynccontextmanager
async def answering(content, packing):
    """A transport to a server that answers everything with this."""
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {packing}\r\nContent-Length: {len(content)}\r\n\r\n".encode()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + content)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = Transport(FlashAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), "test")
    try:
        yield transport
    finally:
        await transport.close()
        server.close()


async def asked(content, packing):
    async with answering(content, packing) as transport:
        return await transport.call("GET", "/stores", SecretStr("fl_live_test"), None, {})


@pytest.mark.parametrize(
    ("content", "packing"),
    [
        (ORDER, "identity"),
        (ORDER, ""),
        (gzip.compress(ORDER), "gzip"),
        (gzip.compress(ORDER) + bytes(512), "gzip"),
        (gzip.compress(ORDER), "X-GZIP"),
        (gzip.compress(b" " * (MAX_ANSWER_BYTES - len(ORDER)) + ORDER), "gzip"),
    ],
    ids=["as it is", "in nothing", "packed", "padded", "by its old name", "as long as it may be"],
)
async def test_a_packed_answer_is_the_answer(content, packing):
    assert (await asked(content, packing)).body.lstrip() == ORDER


async def test_nothing_is_nothing_whatever_it_is_said_to_be_packed_in():
    assert (await asked(b"", "gzip")).body == b""


@pytest.mark.parametrize(
    ("content", "packing"),
    [
        (gzip.compress(ORDER)[:-1], "gzip"),
        (gzip.compress(b"")[:10], "gzip"),  # a redemption's empty yes, were it taken for whole
        (ORDER, "gzip"),
        (zlib.compress(ORDER), "deflate"),
        (gzip.compress(gzip.compress(ORDER)), "gzip, gzip"),
        (gzip.compress(b" " * (MAX_ANSWER_BYTES + 1)), "gzip"),
        (b" " * (MAX_ANSWER_BYTES + 1), "identity"),
        (gzip.compress(ORDER) + bytes(MAX_ANSWER_BYTES), "gzip"),
        (_EMPTY_BLOCKS, "gzip"),
    ],
    ids=[
        *("cut", "cut to nothing", "not packed", "deflate", "twice", "too long", "too long as it is"),
        *("gone on for long behind its end", "much that is nothing"),
    ],
)
async def test_what_was_cut_is_too_long_or_packed_otherwise_is_no_answer(content, packing):
    answer = await asked(content, packing)
    assert isinstance(answer, Outcome)
    assert (answer.code, answer.unsent) == ("flash-unreachable", False)


async def test_a_few_packets_are_not_unpacked_to_whatever_they_hold():
    bomb = gzip.compress(bytes(64 * MAX_ANSWER_BYTES), 9)
    tracemalloc.start()
    try:
        assert isinstance(await asked(bomb, "gzip"), Outcome)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * MAX_ANSWER_BYTES


async def test_a_cookie_is_not_carried_to_the_next_request_nor_to_the_next_key():
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=of-a-tenant; Path=/\r\nConnection: close\r\n\r\n" + ORDER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = Transport(FlashAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), "test")
    for key in ("fl_live_one", "fl_live_two"):
        assert (await transport.call("GET", "/stores", SecretStr(key), None, {})).body == ORDER
    await transport.close()
    server.close()
    assert len(heard) == 2
    assert not any(b"session" in head for head in heard)
