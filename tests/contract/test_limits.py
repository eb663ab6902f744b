"""What the door bears: floods of connections, slow heads, long heads, slow readers; a register is served."""

import asyncio
import contextlib
import gzip
import json
import sys

import psutil
import pytest
from aiohttp import web

from agent.api.connections import Connections
from tests.support.agents import exchange, read_answer, running, settings, strict_flash
from tests.support.listening import listening

MOST = 32


@pytest.fixture
async def till(tmp_path):
    async with running(tmp_path, settings(api={"port": 0, "max_connections": MOST})) as offline:
        yield offline


def head(till, *lines, method="GET", path="/v1/status", known=True):
    own = [f"Host: 127.0.0.1:{till.agent.port}"]
    if known:
        own.append(f"Authorization: {till.headers()['Authorization']}")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *own, *lines, "", ""]).encode()


@contextlib.asynccontextmanager
async def lines(till, count, sent=b""):
    """So many open connections."""
    opened = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", till.agent.port)
            writer.write(sent)
            opened.append((reader, writer))
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def is_closed(reader):
    try:
        async with asyncio.timeout(10):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def ask(till, line):
    reader, writer = line
    writer.write(head(till))
    return (await asyncio.wait_for(read_answer(reader), 10)).status


@pytest.mark.parametrize("sent", [b"", b"POST /v1/sales HTTP/1.1\r\nHost: loc"], ids=["silent", "half a head"])
async def test_a_flood_closes_its_own_oldest_and_no_registers_connection(till, sent):
    async with lines(till, 1) as (own,):
        assert await ask(till, own) == 200
        async with lines(till, 3 * MOST, sent) as flood:
            assert (await till.sell()).status == 202  # on a connection of its own
            assert await ask(till, own) == 200  # and on one that was idle before the flood
            assert await is_closed(flood[0][0])


async def test_who_reads_no_answers_keeps_nobody_out(till):
    """What is public needs no token, and answers that nobody reads would keep a connection busy for ever."""
    greedy = head(till, path="/openapi.json", known=False) * 200
    async with lines(till, 2 * MOST, greedy):
        for number in range(5):
            assert (await till.sell(f"o{number}")).status == 202


async def test_when_all_are_known_the_one_idle_longest_goes(till):
    async with lines(till, MOST) as opened:
        for line in opened:
            assert await ask(till, line) == 200
        assert await ask(till, opened[0]) == 200  # now the second is the one idle longest
        async with lines(till, 1) as (newcomer,):
            assert await ask(till, newcomer) == 200
            assert await is_closed(opened[1][0])
            assert await ask(till, opened[0]) == 200
            assert await ask(till, opened[2]) == 200


async def test_when_all_wait_for_flash_the_newcomer_goes_and_all_are_answered(tmp_path):
    with strict_flash() as flash:
        flash.fault("hang")
        chosen = settings(flash.base_url, api={"port": 0, "max_connections": 16}, flash={"attempt_timeout_s": 30})
        async with running(tmp_path, chosen) as till, lines(till, 16) as waiting:
            for number, (_, writer) in enumerate(waiting):
                sale = {"externalOrderId": f"o{number}", "customer": {"externalId": "C"}, "totalAmount": 1}
                body = json.dumps(sale).encode()
                said = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Prefer: wait=2")
                writer.write(head(till, *said, method="POST", path="/v1/sales") + body)
            await asyncio.to_thread(flash.wait_for, lambda f: f.in_flight > 0, 5)
            async with lines(till, 1, head(till)) as (newcomer,):
                assert await is_closed(newcomer[0])
            answers = [await asyncio.wait_for(read_answer(reader), 10) for reader, _ in waiting]
            assert [answer.status for answer in answers] == [202] * 16


async def test_waits_and_listeners_are_not_cut_off_for_a_flood(till):
    token = till.headers()["Authorization"].removeprefix("Bearer ")
    async with listening(till.agent.port, token) as stream:
        await stream.next()
        waiting = asyncio.create_task(till.sell("slow", wait=2))
        async with lines(till, 3 * MOST):
            assert (await waiting).status in {200, 202}
            await stream.until(lambda heard: any(each.event == "operation" for each in heard))


@pytest.fixture
async def hasty(tmp_path):
    """Only the connections, with a short limit, and a handler that answers with nothing."""

    async def serve(_request):
        return web.Response()

    server = Connections(serve, access_log=None, most=MOST, lost=lambda _: None, head_limit_s=0.3)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


SMALL = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_head_that_does_not_come_is_given_up(hasty):
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty)
    writer.write(SMALL[:-2])
    answer = await asyncio.wait_for(read_answer(reader), 10)
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (408, "head-timeout", False)
    assert await is_closed(reader)
    writer.close()


async def test_bytes_that_come_now_and_then_do_not_lengthen_the_limit(hasty):
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty)

    async def trickle():
        writer.write(SMALL[:-2] + b"X: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.05)  # the attack itself is slow

    trickling = asyncio.create_task(trickle())
    answer = await asyncio.wait_for(read_answer(reader), 10)
    trickling.cancel()
    assert answer.json["code"] == "head-timeout"
    writer.transport.abort()


async def test_an_idle_connection_is_not_a_slow_head(hasty):
    pieces = {"idle": [SMALL], "odd": [SMALL + b"\r\n"], "split": [SMALL[:9], SMALL[9:]], "late": [SMALL, b"\r\n"]}
    opened = []
    for name, sent in pieces.items():
        reader, writer = await asyncio.open_connection("127.0.0.1", hasty)
        opened.append((reader, writer))
        for piece in sent:
            writer.write(piece)
            await asyncio.sleep(0.05)  # so that it comes in pieces
        assert (await asyncio.wait_for(read_answer(reader), 10)).status == 200, name
    await asyncio.sleep(0.5)  # longer than a head may take
    for reader, writer in opened:
        writer.write(SMALL)
        assert (await asyncio.wait_for(read_answer(reader), 10)).status == 200
        writer.close()


async def test_a_long_head_is_refused_before_it_is_whole(till):
    reader, writer = await asyncio.open_connection("127.0.0.1", till.agent.port)
    writer.write(f"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:{till.agent.port}\r\n".encode())
    for number in range(40):
        writer.write(f"X-{number}: {'x' * 1000}\r\n".encode())
        await writer.drain()
    answer = await asyncio.wait_for(read_answer(reader), 10)
    assert (answer.status, answer.json["code"]) == (400, "malformed-http")
    assert "32 KiB" in answer.json["detail"] or "contradicts" in answer.json["detail"]
    writer.transport.abort()


@pytest.mark.parametrize(("count", "status"), [(50, 200), (70, 400)])
async def test_headers_are_counted(till, count, status):
    answer = await exchange(till.agent.port, head(till, *(f"X-{number}: 1" for number in range(count))))
    assert answer.status == status


async def test_a_compressed_body_is_never_unpacked(till):
    """Not where it is refused for its coding, nor where nobody asked for a body."""
    packed = gzip.compress(b" " * 200_000_000)
    own = psutil.Process()
    before = own.memory_info().rss
    for method, path in (("GET", "/v1/status"), ("POST", "/v1/sales")):
        raw = head(
            till,
            "Content-Encoding: gzip",
            "Content-Type: application/json",
            f"Content-Length: {len(packed)}",
            method=method,
            path=path,
        )
        answer = await exchange(till.agent.port, raw + packed)
        assert answer.status == (200 if method == "GET" else 415)
    assert (await till.sell()).status == 202
    assert own.memory_info().rss - before < 50_000_000


@pytest.mark.skipif(sys.platform == "win32", reason="the limit of open files is POSIX")
async def test_the_end_of_connections_stays_below_the_limit_of_open_files(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        chosen = settings(api={"port": 0, "max_connections": 10_000})
        async with running(tmp_path, chosen) as till, lines(till, 230) as flood:
            assert await is_closed(flood[0][0])
            assert (await till.sell()).status == 202
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
