"""What attackers and reviewers once broke, each held by a test."""

import asyncio
import time

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from agent import jsons
from agent.api import calls
from agent.api.calls import read_object
from agent.clock import Clock, to_ms
from agent.delivery import Kind
from agent.errors import StorageUnavailableError
from agent.health import Health
from agent.outbox import MIGRATIONS
from agent.outbox.operation import Content, Draft, Settlement, Verdict
from agent.outbox.state import Status
from agent.outbox.store import Store
from agent.storage import Database, KeyFile, Sealer
from agent.storage.migrations import migrate
from tests.support.agents import exchange, read_answer, running, settings, strict_flash, until
from tests.support.listening import listening


def enrollment(number: int) -> Draft:
    content = Content({"externalId": "C-1", "phone": str(number)}, "/members", jsons.raw({"n": number}), "enrollment~x")
    return Draft(Kind.ENROLLMENT, "member:C-1", content, str(number), subjects=["member:C-1"])


@pytest.fixture
async def store(tmp_path):
    clock = Clock()
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(clock))
    await database.open()
    await migrate(database, "outbox", MIGRATIONS)
    store = Store(database, Sealer(KeyFile(tmp_path / "data.key").load_or_create(None)), clock)
    await store.start()
    yield store
    await store.stop()
    await database.close()


async def test_a_key_whose_next_number_is_taken_goes_on_behind_it(store):
    """An upsert that needs a new generation while a newer one of its key holds the next number already."""
    first = (await store.accept(enrollment(1))).operation
    second = (await store.accept(enrollment(2))).operation
    assert (first.generation, second.generation, second.blocked) == (1, 2, True)
    (claimed,) = await store.claim(Kind.ENROLLMENT, 10, fresh=True)
    await store.settle([Settlement(claimed, Status.PENDING, Verdict(), None, new_generation=True)])
    assert (await store.get(first.id)).upstream_key == "enrollment~x.3"
    (claimed,) = await store.claim(Kind.ENROLLMENT, 10, fresh=False)
    now = to_ms(Clock().now())
    await store.settle([Settlement(claimed, Status.FAILED, Verdict(code="validation", definitive=True), now)])
    # It was replaced already, so its failure is nobody's business and its successor goes on.
    assert (await store.get(first.id)).status is Status.DISCARDED
    assert [operation.id for operation in await store.claim(Kind.ENROLLMENT, 10, fresh=True)] == [second.id]


async def test_the_deepest_document_that_is_taken_can_be_read_and_sent(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            taken = 0
            for depth in range(1, 80):
                deep = "[" * depth + "]" * depth
                body = (
                    f'{{"externalOrderId":"d{depth}","customer":{{"externalId":"POS-CUST-5512"}},'
                    f'"totalAmount":1,"lines":[{{"a":{deep}}}]}}'
                )
                answer = await register.call("POST", "/v1/sales", raw=body.encode())
                assert answer.status in {202, 400}
                taken += answer.status == 202
            assert 10 < taken < 79

            async def nothing_is_pending():
                return (await register.status())["pending"] == 0

            await until(nothing_is_pending)
            listed = (await register.call("GET", "/v1/operations?limit=200")).json["operations"]
            assert {operation["status"] for operation in listed} == {"succeeded"}
            assert len(listed) == taken == sum(flash.awards.values())


async def test_a_database_that_was_deleted_is_never_written_with_a_yes(tmp_path):
    async with running(tmp_path) as register:
        assert (await register.sell("before")).status == 202
        (tmp_path / "agent.db").unlink()
        answer = await register.sell("after")
        assert (answer.status, answer.json["code"], answer.json["stored"]) == (503, StorageUnavailableError.code, True)
        assert "storage-unavailable" in await register.conditions()


async def test_what_was_set_aside_is_said_until_somebody_has_looked(tmp_path):
    async with running(tmp_path) as register:
        await register.sell("1")
    with (tmp_path / "agent.db").open("r+b") as file:
        file.write(b"garbage" * 20)
    for _ in range(2):
        async with running(tmp_path) as register:
            assert "database-quarantined" in await register.conditions()
    for folder in (tmp_path / "quarantine").iterdir():
        folder.rename(tmp_path / f"sent-to-support-{folder.name}")
    async with running(tmp_path) as register:
        assert "database-quarantined" not in await register.conditions()


async def test_a_stop_does_not_wait_for_the_registers_waits(tmp_path):
    with strict_flash() as flash:
        flash.fault("hang")
        async with running(tmp_path, settings(flash.base_url, flash={"attempt_timeout_s": 30})) as register:
            waiting = asyncio.create_task(register.sell("slow", wait=25))
            await asyncio.to_thread(flash.wait_for, lambda f: f.in_flight > 0, 5)
            began = time.monotonic()
            await register.agent.stop()
            assert time.monotonic() - began < 15
            assert (await waiting).status == 202


async def test_a_register_key_of_other_bytes_is_a_bad_header_and_no_crash(register_raw):
    answer = await register_raw(b"Idempotency-Key: caf\xe9")
    assert answer.status == 400


@pytest.fixture
async def register_raw(tmp_path):
    from tests.support.agents import exchange

    async with running(tmp_path) as register:
        body = b'{"externalOrderId":"1","customer":{"externalId":"C"},"totalAmount":1}'
        token = register.agent.data_dir.token_path("register").read_text()

        async def send(header: bytes):
            head = (
                f"POST /v1/sales HTTP/1.1\r\nHost: 127.0.0.1:{register.agent.port}\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            ).encode()
            return await exchange(register.agent.port, head + header + b"\r\n\r\n" + body)

        yield send


async def test_a_refund_of_the_rest_sent_again_differs_in_nothing(tmp_path):
    async with running(tmp_path) as register:
        await register.sell("90871", 120)
        body = {"externalOrderId": "90871", "refundId": "r"}
        first = await register.call("POST", "/v1/refunds", body)
        again = await register.call("POST", "/v1/refunds", body)
        assert (again.json["id"], again.json["replayed"], again.json["warnings"]) == (first.json["id"], True, [])


async def test_a_gateways_page_cannot_silence_the_till_for_a_day(tmp_path):
    with strict_flash() as flash:
        flash.fault("status", status=503, retry_after=86400, body="<html>maintenance</html>", times=1)
        async with running(tmp_path, settings(flash.base_url)) as register:
            operation = (await register.sell("1", wait=2)).json
            assert operation["status"] == "pending"
            status = await register.status()
            assert status["connectivity"] == "throttled"
            (text,) = [c["text"] for c in status["conditions"] if c["code"] == "flash-throttled"]
            seconds = float(text.split("asked for ")[1].split(" s")[0])
            assert 0 < seconds <= 60


async def test_one_refused_member_takes_no_line_down(tmp_path):
    """A refusal in Flash's own voice that the contract does not know pauses that operation, not the till."""
    with strict_flash() as flash:
        flash.fault("status", status=409, code="EMAIL_TAKEN", path="/members")
        async with running(tmp_path, settings(flash.base_url)) as register:
            await register.call("POST", "/v1/enrollments", {"email": "taken@example.com"}, Prefer="wait=1")
            assert (await register.sell("1", wait=5)).json["status"] == "succeeded"
            assert (await register.status())["connectivity"] == "online"
            assert "flash-offline" not in await register.conditions()


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("GET /v1/members?email=cänary@example.com HTTP/1.1", ""),
        ("GET /v1/members?email=canary' OR 1=1 HTTP/1.1", ""),
        ("GET /v1/status HTTP/1.1", "X-Canary: canary\x00"),
        ("GET /v1/status HTTP/1.1", f"X-Canary: {'canary' * 2000}"),
        ("GET /v1/status HTTP/1.1", "Transfer-Encoding: chunked, chunked"),
        ("GET /v1/status HTTP/1.1", "Content-Length: canary"),
        ("canary", ""),
    ],
)
async def test_what_cannot_be_parsed_is_a_problem_that_repeats_nothing(tmp_path, line, header):
    async with running(tmp_path) as register:
        port = register.agent.port
        head = [line, f"Host: 127.0.0.1:{port}", *([header] if header else []), "", ""]
        answer = await exchange(port, "\r\n".join(head).encode("latin-1"))
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        assert (answer.json["code"], answer.json["stored"]) == ("malformed-http", False)
        assert answer.headers["cache-control"] == "no-store"
        assert b"anary" not in answer.body
        assert (await register.sell()).status == 202


async def test_a_body_that_does_not_come_is_given_up_and_nothing_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "BODY_LIMIT_S", 1.0)
    async with running(tmp_path) as register:
        port, token = register.agent.port, register.headers()["Authorization"]
        head = f"POST /v1/sales HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {token}\r\n"
        sent = f"{head}Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n" + " " * 100_000
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent.encode())
        answer = await asyncio.wait_for(read_answer(reader), 10)
        assert (answer.status, answer.json["code"], answer.json["stored"]) == (408, "body-timeout", False)
        writer.transport.abort()
        assert (await register.call("GET", "/v1/operations")).json["operations"] == []


async def test_a_list_and_a_listener_are_told_of_an_enrollment_but_not_who_joined(tmp_path):
    """Flash echoes the member in its answer; that is for whoever asks for this one enrollment."""
    person = {"email": "canary@leak.example", "fullName": "Canary Bird", "phone": "+15550199", "externalId": "CANARY-7"}
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            token = register.headers()["Authorization"].removeprefix("Bearer ")
            async with listening(register.agent.port, token) as stream:
                made = (await register.call("POST", "/v1/enrollments", person, Prefer="wait=5")).json
                heard = await stream.until(
                    lambda heard: any(
                        each.event == "operation" and each.data["status"] == "succeeded" for each in heard
                    )
                )
            page = (await register.call("GET", "/v1/operations?kind=enrollment")).json
            assert page["operations"][0]["result"]["id"] == heard[-1].data["result"]["id"] == made["result"]["id"]
            told = str([page, [each.data for each in heard]]).casefold()
            assert not [value for value in person.values() if value.casefold() in told]
            assert (await register.operation(made["id"]))["result"]["fullName"] == "Canary Bird"


async def test_a_register_that_hung_up_before_its_body_came_is_no_fault_of_the_agents():
    """Or each one would be an error in the log, with a traceback."""
    gone = BaseProtocol(asyncio.get_running_loop())
    body = StreamReader(gone, 2**16, loop=asyncio.get_running_loop())
    body.feed_data(b'{"externalOrderId": ')
    assert await body.readany()
    with pytest.raises(ConnectionError):
        await read_object(make_mocked_request("POST", "/v1/sales", payload=body))
