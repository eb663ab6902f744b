"""How answers leave: whole, in the order of the requests, whatever the connection is."""

import asyncio
from email.utils import parsedate_to_datetime

import pytest

from agent.api.answers import Answer, Departures
from tests.support.agents import read_answer, running


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


def sale(register, order_id, *lines, version="1.1"):
    body = f'{{"externalOrderId": "{order_id}", "customer": {{"externalId": "C1"}}, "totalAmount": 1}}'
    head = [
        f"POST /v1/sales HTTP/{version}",
        f"Host: 127.0.0.1:{register.agent.port}",
        f"Authorization: {register.headers()['Authorization']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *lines,
    ]
    return ("\r\n".join([*head, "", ""]) + body).encode()


def healthz(register, *lines, method="GET", version="1.1"):
    return "\r\n".join(
        [f"{method} /healthz HTTP/{version}", f"Host: 127.0.0.1:{register.agent.port}", *lines, "", ""]
    ).encode()


async def connect(register):
    return await asyncio.open_connection("127.0.0.1", register.agent.port)


async def test_requests_sent_ahead_are_answered_in_their_order_also_where_the_last_one_closes(register):
    reader, writer = await connect(register)
    numbers = [f"A{number}" for number in range(20)]
    ahead = b"".join(sale(register, number) + healthz(register) for number in numbers)
    writer.write(ahead + sale(register, "last", "Connection: close"))
    for number in numbers:
        assert (await read_answer(reader)).json["upstreamOrderId"] == number
        assert (await read_answer(reader)).json == {"status": "ok"}
    last = await read_answer(reader)
    assert (last.json["upstreamOrderId"], last.headers["connection"]) == ("last", "close")
    assert await reader.read() == b""
    writer.close()


async def test_an_old_register_is_answered_as_it_asked(register):
    for lines, lasting in (((), False), (("Connection: keep-alive",), True)):
        reader, writer = await connect(register)
        for _ in range(2 if lasting else 1):
            writer.write(healthz(register, *lines, version="1.0"))
            answer = await read_answer(reader)
            assert answer.status == 200
            assert answer.headers.get("connection") == ("keep-alive" if lasting else None)
        if not lasting:
            assert await reader.read() == b""
        writer.close()


async def test_head_has_the_length_and_no_body_and_every_answer_a_date(register):
    reader, writer = await connect(register)
    writer.write(healthz(register, method="HEAD").replace(b"/healthz", b"/openapi.json") + healthz(register))
    answer = await read_answer(reader, head_only=True)
    assert int(answer.headers["content-length"]) > 1000
    after = await read_answer(reader)
    assert after.json == {"status": "ok"}
    parsedate_to_datetime(after.headers["date"])
    writer.close()


class Wire:
    """A connection of which `unread` bytes were not taken yet; also the writer that waits for that."""

    def __init__(self, *, closing=False, unread=0):
        self.closing, self.unread, self.written, self.waited_for = closing, unread, b"", []

    def is_closing(self):
        return self.closing

    def get_write_buffer_size(self):
        return self.unread

    def write(self, data):
        assert not self.closing
        self.written += data


class Request:
    """As much of a request as an answer looks at."""

    def __init__(self, transport, *, keep_alive=True):
        self.transport, self.keep_alive, self.version, self.method = transport, keep_alive, (1, 1), "GET"
        self.writer = self

    async def write(self, data):
        self.transport.waited_for.append(data)


async def leave(request, departures, body, **headers):
    answer = Answer(body, headers=headers)
    answer.departures = departures
    await answer.prepare(request)
    await answer.write_eof()


@pytest.mark.parametrize("why", [{"unread": 1}, {"keep_alive": False}])
async def test_an_answer_that_cannot_leave_later_is_waited_for_after_those_before_it(why):
    departures, other = Departures(), Wire()
    await leave(Request(other), departures, b"earlier")
    assert other.written == b""
    wire = Wire(unread=why.get("unread", 0))
    await leave(Request(wire, keep_alive=why.get("keep_alive", True)), departures, b"now")
    assert other.written.endswith(b"earlier")
    assert [whole.endswith(b"now") for whole in wire.waited_for] == [True]
    assert wire.written == b""


async def test_a_header_that_would_start_another_line_is_never_written():
    with pytest.raises(ValueError, match="line"):
        await leave(Request(Wire()), Departures(), b"", Allow="GET\r\nSet-Cookie: a=b")


async def test_whoever_hung_up_is_told_so_and_stops_nobody_elses_answer():
    departures, gone, there = Departures(), Wire(), Wire()
    for wire, body in ((gone, b"1"), (there, b"2"), (there, b"3")):
        await leave(Request(wire), departures, body)
    gone.closing = True
    await asyncio.sleep(0)
    assert (gone.written, there.written.count(b"HTTP/1.1 200 OK")) == (b"", 2)
    assert there.written.endswith(b"3")
    with pytest.raises(ConnectionResetError):
        await leave(Request(gone), departures, b"4")
