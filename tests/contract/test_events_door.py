"""Who may listen, how many, with which headers; and what a listener hears when the store cannot be read."""

import asyncio
import contextlib

import pytest

from agent.events import MAX_STREAMS, REGISTER_STREAMS
from tests.support.agents import exchange, running, settings, until
from tests.support.listening import listening

POS = "https://pos.example.com"


@pytest.fixture
async def till(tmp_path):
    async with running(tmp_path, settings(api={"port": 0, "allowed_origins": [POS]})) as offline:
        yield offline


def token(till, scope="register"):
    return till.headers(scope)["Authorization"].removeprefix("Bearer ")


async def ask(till, *lines, method="GET", target="/v1/events", version="1.1", known=True):
    head = [f"{method} {target} HTTP/{version}", f"Host: 127.0.0.1:{till.agent.port}", *lines]
    if known:
        head.append(f"Authorization: Bearer {token(till)}")
    raw = "\r\n".join([*head, "Connection: close", "", ""]).encode()
    return await exchange(till.agent.port, raw, head_only=method in {"HEAD", "OPTIONS"})


async def test_the_answer_is_an_event_stream_that_nothing_keeps(till):
    async with listening(till.agent.port, token(till)) as stream:
        head = stream.head.lower()
        assert stream.status == 200
        assert "content-type: text/event-stream\r\n" in head
        assert "cache-control: no-store\r\n" in head
        assert "content-length" not in head
        assert "cross-origin-resource-policy: same-origin\r\n" in head
        assert "x-content-type-options: nosniff\r\n" in head
        assert "access-control" not in head
        assert "server: flash-pos-agent" in head


async def test_an_allowed_page_may_read_it_and_a_foreign_one_gets_nothing(till):
    async with listening(till.agent.port, token(till), Origin=POS) as stream:
        assert f"access-control-allow-origin: {POS}" in stream.head.lower()
        assert "vary: origin" in stream.head.lower()
    for origin in ("https://evil.example", "null", ""):
        answer = await ask(till, f"Origin: {origin}")
        assert (answer.status, answer.json["code"]) == (403, "origin-not-allowed")
    preflight = await ask(till, f"Origin: {POS}", "Access-Control-Request-Method: GET", method="OPTIONS", known=False)
    assert preflight.status == 204
    assert "Last-Event-ID" in preflight.headers["access-control-allow-headers"]


async def test_without_a_token_in_the_header_there_is_nothing_to_hear(till):
    for target in ("/v1/events", f"/v1/events?token={token(till)}", f"/v1/events?access_token={token(till)}"):
        answer = await ask(till, target=target, known=False)
        assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert (await ask(till, f"Authorization: Bearer {'x' * 40}", known=False)).status == 401


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
async def test_it_is_read_with_get_alone(till, method):
    answer = await ask(till, "Content-Length: 0", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


async def test_an_old_client_hears_it_too(till):
    reader, writer = await asyncio.open_connection("127.0.0.1", till.agent.port)
    try:
        writer.write(
            f"GET /v1/events HTTP/1.0\r\nHost: 127.0.0.1:{till.agent.port}\r\n"
            f"Authorization: Bearer {token(till)}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b"chunked" not in head
        assert b"keep-alive" not in head.lower()
        first = await asyncio.wait_for(reader.readuntil(b"\n\n"), 10)
        assert first.startswith(b"event: connectivity\nid: ")
    finally:
        writer.transport.abort()


async def test_too_many_streams_are_refused_and_a_register_leaves_room_for_the_operator(till):
    port = till.agent.port
    async with contextlib.AsyncExitStack() as streams:
        for _ in range(REGISTER_STREAMS):
            await streams.enter_async_context(listening(port, token(till)))
        answer = await ask(till)
        assert (answer.status, answer.json["code"], answer.json["retryable"]) == (429, "too-many-streams", True)
        assert int(answer.headers["retry-after"]) > 0
        for _ in range(MAX_STREAMS - REGISTER_STREAMS):
            await streams.enter_async_context(listening(port, token(till, "operator")))
        async with listening(port, token(till, "operator")) as refused:
            assert refused.status == 429
        assert (await till.sell()).status == 202

    async def there_is_room():
        async with listening(port, token(till)) as stream:
            return stream.status == 200

    await until(there_is_room, 5)  # at once, and not at the next heartbeat


async def test_listeners_that_come_and_go_leave_nothing_behind(till):
    for _ in range(5 * MAX_STREAMS):
        async with listening(till.agent.port, token(till)) as stream:
            if stream.status == 200:
                await stream.next()

    async def all_places_are_free():
        async with contextlib.AsyncExitStack() as streams:
            opened = [
                await streams.enter_async_context(listening(till.agent.port, token(till)))
                for _ in range(REGISTER_STREAMS)
            ]
            return {stream.status for stream in opened} == {200}

    await until(all_places_are_free, 5)


@pytest.mark.parametrize("behind", ["requests", "body"])
async def test_a_listener_that_sends_on_and_goes_leaves_its_place(till, behind):
    """What is sent behind the request is not read, but that the listener has gone is noticed."""
    port = till.agent.port
    head = f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token(till)}\r\n"
    more = f"{head}\r\n" * 2000 if behind == "requests" else "x" * 500_000
    head += "\r\n" if behind == "requests" else "Content-Length: 1000000\r\n\r\n"
    for _ in range(REGISTER_STREAMS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((head + more).encode())
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 10)
        await asyncio.wait_for(writer.drain(), 10)
        writer.close()

    async def there_is_room():
        async with listening(port, token(till)) as stream:
            return stream.status == 200

    await until(there_is_room, 5)  # at once, and not at the next heartbeat


async def test_line_and_conditions_are_told_while_the_data_key_is_missing(till, tmp_path):
    (tmp_path / "data.key").rename(tmp_path / "elsewhere")
    await till.agent.stop()
    async with running(tmp_path) as locked, listening(locked.agent.port, token(locked), "00000000-1-1") as stream:
        await stream.until(lambda heard: len(heard) >= 2)
        assert [each.event for each in stream.heard[:2]] == ["connectivity", "attention"]
        assert "data-key-unavailable" in stream.heard[1].data["raised"]
