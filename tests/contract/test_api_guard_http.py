"""Old and odd HTTP stacks, and bodies that are too long, too deep, or not what they say."""

import asyncio
import gzip
import json
import os
import socket
import zlib

import psutil
import pytest

from agent.api.connections import KEEP_ALIVE_S
from tests.support.agents import exchange, read_answer, running

SALE = {"externalOrderId": "90871", "customer": {"externalId": "C1"}, "totalAmount": 120}
BODY = json.dumps(SALE).encode()
LIMIT = 256 * 1024
PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "retryable", "stored"}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


async def nothing_stored(register):
    return (await register.call("GET", "/v1/operations")).json["operations"] == []


def head(register, *lines, method="POST", path="/v1/sales", version="1.1"):
    own = [f"Host: 127.0.0.1:{register.agent.port}", f"Authorization: {register.headers()['Authorization']}"]
    kind = ["Content-Type: application/json"] if method == "POST" else []
    return "\r\n".join([f"{method} {path} HTTP/{version}", *own, *kind, *lines, "", ""]).encode()


async def test_both_loopback_addresses_work(register):
    raw = head(register, f"Content-Length: {len(BODY)}") + BODY
    assert (await exchange(register.agent.port, raw)).status == 202
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):  # noqa: PTH110
        pytest.skip("this machine has no IPv6")
    assert (await exchange(register.agent.port, raw, host="::1")).status == 202


async def test_who_closes_the_sending_half_has_hung_up_and_may_send_again(register):
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", register.agent.port)
        writer.write(head(register, f"Content-Length: {len(BODY)}") + BODY)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        again = await register.call("POST", "/v1/sales", SALE)
    assert again.status == 202
    assert len((await register.call("GET", "/v1/operations")).json["operations"]) == 1


async def test_a_lan_address_is_refused(register):
    families = {socket.AF_INET, socket.AF_INET6}
    found = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in families and not address.address.startswith(("127.", "::1", "fe80"))
    ]
    if not found:
        pytest.skip("this machine has no address but loopback")
    for address in found:
        with pytest.raises(OSError):
            await asyncio.open_connection(address, register.agent.port)


async def test_a_body_of_just_the_limit_is_taken_and_one_more_byte_is_not(register):
    answer = await register.call("POST", "/v1/sales", raw=BODY + b" " * (LIMIT - len(BODY)))
    assert answer.status == 202
    other = BODY.replace(b"90871", b"90872")
    answer = await register.call("POST", "/v1/sales", raw=other + b" " * (LIMIT + 1 - len(other)))
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (413, "body-too-large", False)
    assert len((await register.call("GET", "/v1/operations")).json["operations"]) == 1


async def test_a_gigabyte_is_refused_long_before_its_end(register):
    raw = head(register, "Content-Length: 1000000000") + b" " * (LIMIT + 70_000)
    answer = await exchange(register.agent.port, raw)
    assert (answer.status, answer.json["code"]) == (413, "body-too-large")


async def test_an_endless_chunked_body_is_refused(register):
    raw = head(register, "Transfer-Encoding: chunked") + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 6
    assert (await exchange(register.agent.port, raw)).status == 413
    assert await nothing_stored(register)


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'{"externalOrderId":"1","lines":[', b"]}")]
)
async def test_deep_json_is_refused_and_others_are_served(register, opening, closing):
    depth = 200_000 // len(opening)
    for raw in (opening * 10_000 + b"1" + closing * 10_000, opening * depth):
        answer = await register.call("POST", "/v1/sales", raw=raw)
        assert answer.status in {400, 413, 422}
        assert answer.json.keys() >= PROBLEM_KEYS
        assert answer.json["stored"] is False
    assert (await register.sell()).status == 202


async def test_deep_metadata_and_lines_are_answered(register):
    for field, value in (("metadata", '{"a":' * 600 + "1" + "}" * 600), ("lines", "[" * 600 + "]" * 600)):
        raw = BODY[:-1] + f', "{field}": {value}}}'.encode()
        answer = await register.call("POST", "/v1/sales", raw=raw)
        assert answer.status in {202, 400, 422}, field
        if answer.status == 202:
            assert (await register.call("GET", answer.json["href"])).status == 200


async def test_invalid_utf8_is_named(register):
    answer = await register.call("POST", "/v1/sales", raw=BODY.replace(b"C1", b"Caf\xe9"))
    assert (answer.status, answer.json["code"]) == (400, "invalid-utf8")
    assert "UTF-8" in answer.json["detail"]
    assert await nothing_stored(register)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
async def test_other_encodings_are_refused(register, encoding):
    answer = await register.call("POST", "/v1/sales", raw=BODY.decode().encode(encoding))
    assert (answer.status, answer.json["stored"]) == (400, False)


async def test_a_byte_order_mark_is_passed_over(register):
    answer = await register.call("POST", "/v1/sales", raw=b"\xef\xbb\xbf" + BODY)
    assert answer.status == 202


async def test_malformed_json_is_refused_with_its_place_and_nothing_of_it(register):
    answer = await register.call("POST", "/v1/sales", raw=b'{"externalOrderId": "SECRET",}')
    assert answer.json["detail"] == "The body is not valid JSON (byte 29)."


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a" 1}', b"{'a': 1}", BODY + b"x", b"\xef\xbb\xbf"])
async def test_malformed_json_is_refused(register, raw):
    answer = await register.call("POST", "/v1/sales", raw=raw)
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (400, "malformed-json", False)


async def test_an_unpaired_surrogate_is_refused_and_never_breaks_the_agent(register):
    for part in ({"externalOrderId": "a\ud800"}, {"metadata": {"n": "\ud800"}}, {"unknown\ud800": 1}):
        answer = await register.call("POST", "/v1/sales", raw=json.dumps({**SALE, **part}).encode())
        assert (answer.status, answer.json["code"]) == (400, "malformed-json"), part
    assert (await register.call("GET", "/v1/operations")).json["operations"] == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity"])
async def test_compressed_bodies_are_refused(register, coding):
    packed = zlib.compress(BODY) if coding == "deflate" else gzip.compress(BODY)
    raw = head(register, f"Content-Encoding: {coding}", f"Content-Length: {len(packed)}") + packed
    answer = await exchange(register.agent.port, raw)
    assert answer.status in ({415, 400} if coding == "br" else {415})
    assert await nothing_stored(register)


async def test_a_gzip_bomb_is_refused(register):
    packed = gzip.compress(b" " * 100_000_000)
    raw = head(register, "Content-Encoding: gzip", f"Content-Length: {len(packed)}") + packed
    before = psutil.Process().memory_info().rss
    answer = await exchange(register.agent.port, raw)
    assert answer.status in {413, 415}
    assert psutil.Process().memory_info().rss - before < 50_000_000


async def test_answers_have_a_length_and_are_never_cached(register):
    sale = await register.sell()
    await register.sell(amount=7)
    calls = [
        ("POST", "/v1/sales", SALE, 202),
        ("POST", "/v1/sales", {**SALE, "totalAmount": 7}, 409),
        ("POST", "/v1/sales", {}, 422),
        ("GET", "/v1/sales", None, 405),
        ("GET", sale.json["href"], None, 200),
        ("GET", "/v1/operations", None, 200),
        ("GET", "/v1/operations/op_1", None, 404),
        ("GET", "/v1/nowhere", None, 404),
        ("GET", "/v1/status", None, 200),
        ("POST", f"{sale.json['href']}/retry", None, 403),
    ]
    for method, path, body, status in calls:
        answer = await register.call(method, path, body)
        assert answer.status == status, path
        assert answer.headers["Cache-Control"] == "no-store", path
        assert "Content-Length" in answer.headers, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        assert "Transfer-Encoding" not in answer.headers
        if status >= 400:
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert answer.json.keys() >= PROBLEM_KEYS
            assert answer.json["status"] == status
            assert answer.json["detail"]
    metrics = await register.call("GET", "/metrics", scope="operator")
    assert (metrics.status, metrics.headers["Cache-Control"]) == (200, "no-store")


async def test_a_connection_is_kept_for_the_next_request(register):
    assert KEEP_ALIVE_S >= 120
    reader, writer = await asyncio.open_connection("127.0.0.1", register.agent.port)
    for number in range(3):
        body = BODY.replace(b"90871", f"9087{number}".encode())
        writer.write(head(register, f"Content-Length: {len(body)}") + body)
        answer = await read_answer(reader)
        assert answer.status == 202
        assert answer.headers.get("connection", "keep-alive").lower() == "keep-alive"
    writer.close()


async def test_requests_in_one_packet_are_answered_in_order(register):
    reader, writer = await asyncio.open_connection("127.0.0.1", register.agent.port)
    ids = [f"9087{number}" for number in range(5)]
    raw = b"".join(head(register, f"Content-Length: {len(BODY)}") + BODY.replace(b"90871", i.encode()) for i in ids)
    writer.write(raw)
    answers = [await read_answer(reader) for _ in ids]
    assert [answer.json["request"]["externalOrderId"] for answer in answers] == ids
    writer.close()


async def test_http_1_0_with_a_sound_host_is_served_and_closed(register):
    reader, writer = await asyncio.open_connection("127.0.0.1", register.agent.port)
    writer.write(head(register, f"Content-Length: {len(BODY)}", version="1.0") + BODY)
    answer = await read_answer(reader)
    assert answer.status in {202, 421}
    assert await reader.read() == b""
    writer.close()


async def test_expect_100_continue_is_answered(register):
    reader, writer = await asyncio.open_connection("127.0.0.1", register.agent.port)
    writer.write(head(register, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert (await read_answer(reader)).status == 202
    writer.close()


async def test_an_unknown_expectation_is_a_problem_and_stores_nothing(register):
    raw = head(register, f"Content-Length: {len(BODY)}", "Expect: tea") + BODY
    answer = await exchange(register.agent.port, raw)
    assert 400 <= answer.status < 500
    assert await nothing_stored(register)


async def test_header_floods_and_garbage_close_the_line_and_nobody_else_notices(register):
    port = register.agent.port
    for raw in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", head(register, f"X: {'x' * 100_000}")):
        answer = await exchange(port, raw)
        assert 400 <= answer.status < 500
    assert (await register.sell()).status == 202


async def test_conflicting_lengths_are_refused(register):
    """Request smuggling: a body whose length is said twice."""
    for lines in (
        ("Content-Length: 2", f"Content-Length: {len(BODY)}"),
        ("Transfer-Encoding: chunked", f"Content-Length: {len(BODY)}"),
        ("Content-Length: -1",),
        ("Content-Length: 0x10",),
    ):
        answer = await exchange(register.agent.port, head(register, *lines) + BODY)
        assert 400 <= answer.status < 500, lines
    assert await nothing_stored(register)
