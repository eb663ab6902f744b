"""The proxy of the network campaign does what it is told: a fair-weather proxy would prove nothing."""

import asyncio
import contextlib

import pytest

from tests.support.chaos_proxy import ChaosProxy, Conduct

BODY = b"x" * 200
REQUEST = b"POST /orders HTTP/1.1\r\nHost: flash\r\nContent-Length: 600\r\n\r\n" + b"y" * 600
SOON_S = 0.4


async def answer(reader, writer):
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(600)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
            await writer.drain()
    writer.close()


@pytest.fixture
async def proxy():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, ChaosProxy(server.sockets[0].getsockname()[:2], seed=3) as made:
        yield made


async def connected(proxy):
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def ask(reader, writer):
    """The body of one answer."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.lower().partition(b"content-length:")[2]))


async def asked(proxy):
    reader, writer = await connected(proxy)
    try:
        return await ask(reader, writer)
    finally:
        writer.transport.abort()


async def nothing_comes(awaitable):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON_S):
            await awaitable


async def test_fair_weather_passes_everything_on(proxy):
    assert await asked(proxy) == BODY


async def test_refused(proxy):
    await proxy.order(Conduct.REFUSED)
    with pytest.raises(ConnectionRefusedError):
        await connected(proxy)


async def test_unaccepted_does_not_even_connect(proxy):
    await proxy.order(Conduct.UNACCEPTED)
    await nothing_comes(connected(proxy))


async def test_a_black_hole_connects_and_says_nothing(proxy):
    await proxy.order(Conduct.BLACK_HOLE)
    await nothing_comes(asked(proxy))


async def test_half_open_keeps_what_is_connected_and_says_nothing_any_more(proxy):
    reader, writer = await connected(proxy)
    assert await ask(reader, writer) == BODY
    await proxy.order(Conduct.HALF_OPEN)
    await nothing_comes(ask(reader, writer))
    assert not reader.at_eof()
    await proxy.order(Conduct.FAIR)
    await nothing_comes(reader.read(1))
    assert await asked(proxy) == BODY
    writer.transport.abort()


@pytest.mark.parametrize("conduct", [Conduct.RESET_REQUEST, Conduct.RESET_ANSWER])
async def test_a_reset_is_a_reset(proxy, conduct):
    await proxy.order(conduct)
    with pytest.raises((ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)):
        await asked(proxy)


async def test_a_torn_answer_ends_before_its_length(proxy):
    await proxy.order(Conduct.TORN)
    with pytest.raises(asyncio.IncompleteReadError) as torn:
        await asked(proxy)
    assert torn.value.partial == BODY
    assert torn.value.expected == len(BODY) + 100


async def test_a_byte_a_second_takes_its_time(proxy):
    await proxy.order(Conduct.DRIP)
    await nothing_comes(asked(proxy))


@pytest.mark.parametrize("conduct", list(Conduct))
async def test_after_every_weather_it_is_fair_again(proxy, conduct):
    await proxy.order(conduct)
    await proxy.order(Conduct.FAIR)
    assert await asked(proxy) == BODY


async def test_an_order_cuts_what_is_connected(proxy):
    reader, writer = await connected(proxy)
    assert await ask(reader, writer) == BODY
    await proxy.order(Conduct.FAIR)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(reader, writer)
