"""Tokens for one client each: made, shown once, bound to an origin, revoked at once, and kept as hashes alone."""

import asyncio
import json
import stat
import sys

import pytest

from agent import logs
from tests.support.agents import running, settings
from tests.support.listening import listening

POS, OTHER = "https://pos.example.com", "https://other.example.com"


@pytest.fixture
async def till(tmp_path):
    async with running(tmp_path, settings(api={"port": 0, "allowed_origins": [OTHER]})) as offline:
        yield offline


async def create(till, name="lane-3", **more):
    answer = await till.call("POST", "/v1/tokens", {"name": name, **more}, scope="operator")
    assert answer.status == 201, answer
    return answer.json


async def status_with(till, token, path="/v1/status", **headers):
    answer = await till.call("GET", path, Authorization=f"Bearer {token}", **headers)
    return answer.status, answer.json.get("code")


def revoke(till, which, scope="operator"):
    return till.call("DELETE", f"/v1/tokens/{which}", scope=scope)


async def test_a_client_sells_with_a_token_of_its_own(till):
    made = await create(till)
    assert made["token"].startswith("fat_")
    assert (made["name"], made["scope"], made["origin"], made["createdBy"]) == ("lane-3", "register", None, "operator")
    assert await status_with(till, made["token"]) == (200, None)
    assert await status_with(till, made["token"], "/metrics") == (403, "forbidden")
    operator = await create(till, "desk", scope="operator")
    listed = await till.call("GET", "/v1/tokens", Authorization=f"Bearer {operator['token']}")
    assert [token["name"] for token in listed.json["tokens"]] == ["lane-3", "desk"]
    assert "token" not in listed.json["tokens"][0]


async def test_a_token_is_kept_as_a_hash_alone_for_its_owner_alone(till, tmp_path):
    made = await create(till)
    file = tmp_path / "tokens.json"
    assert made["id"] in file.read_text()
    secret = made["token"].encode()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("by", ["name", "id"])
async def test_a_revoked_token_is_refused_at_once_and_after_a_restart(tmp_path, by):
    async with running(tmp_path) as till:
        kept, made = await create(till, "lane-1"), await create(till)
        answer = await revoke(till, made[by])
        assert (answer.status, answer.json["id"]) == (200, made["id"])
        assert await status_with(till, made["token"]) == (401, "unauthorized")
        assert (await revoke(till, made[by])).status == 404
    async with running(tmp_path) as till:
        assert await status_with(till, made["token"]) == (401, "unauthorized")
        assert await status_with(till, kept["token"]) == (200, None)
        again = await create(till)
        assert again["token"] != made["token"]
        assert await status_with(till, made["token"]) == (401, "unauthorized")


async def test_a_revoked_token_is_refused_on_the_connection_that_it_was_used_on(till):
    made = await create(till)
    for _ in range(3):
        assert await status_with(till, made["token"]) == (200, None)
    await revoke(till, "lane-3")
    assert await status_with(till, made["token"]) == (401, "unauthorized")


async def test_what_a_revoked_client_listens_to_ends_and_others_go_on(till):
    made, other = await create(till), await create(till, "lane-4")
    port = till.agent.port
    async with listening(port, made["token"]) as stream, listening(port, other["token"]) as going_on:
        await stream.next()
        await revoke(till, "lane-3")
        await stream.to_the_end()
        await till.sell()
        await going_on.until(lambda heard: any(each.event == "operation" for each in heard))


async def test_a_token_that_is_damaged_or_cut_is_none(till):
    token = (await create(till))["token"]
    for wrong in (token[:-1], token + "A", token.swapcase(), token[4:], f"{token}\u00e9", "fat_", ""):
        assert (await status_with(till, wrong))[0] == 401, wrong


async def test_the_scheme_may_be_spelt_as_rfc_9110_lets_it(till):
    token = (await create(till))["token"]
    for spelt in (f"bearer {token}", f"BEARER {token}", f"Bearer   {token}"):
        assert (await till.call("GET", "/v1/status", Authorization=spelt)).status == 200, spelt
    for spelt in (f"Bearer{token}", f"Bearer\t{token}", f"Bearer {token} {token}"):
        assert (await till.call("GET", "/v1/status", Authorization=spelt)).status == 401, spelt


async def test_a_bound_token_is_good_in_its_origin_alone(till):
    made = await create(till, origin=POS)
    answer = await till.call("GET", "/v1/status", Authorization=f"Bearer {made['token']}", Origin=POS)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, POS)
    own = f"http://127.0.0.1:{till.agent.port}"
    for origin in (OTHER, own):
        assert await status_with(till, made["token"], Origin=origin) == (403, "token-origin"), origin
    assert await status_with(till, made["token"], Origin="https://evil.example") == (403, "origin-not-allowed")
    assert await status_with(till, made["token"]) == (403, "token-origin")


async def test_an_origin_known_by_its_tokens_alone_takes_no_others(till):
    made, free = await create(till, origin=POS), await create(till, "lane-4")
    register = till.headers()["Authorization"].removeprefix("Bearer ")
    for token in (free["token"], register):
        assert await status_with(till, token, Origin=POS) == (403, "token-origin")
        assert await status_with(till, token, Origin=OTHER) == (200, None)
    await revoke(till, made["name"])
    assert await status_with(till, made["token"], Origin=POS) == (403, "origin-not-allowed")


async def test_preflights_are_answered_for_the_origin_of_a_token_until_it_is_revoked(till):
    async def preflight():
        ask = {"Origin": POS, "Access-Control-Request-Method": "POST"}
        async with till.session.options(f"{till.base_url}/v1/sales", headers=ask) as response:
            return response.status, response.headers.get("Access-Control-Allow-Origin")

    assert await preflight() == (403, None)
    made = await create(till, origin=POS.upper().replace("HTTPS", "https") + ":443")
    assert made["origin"] == POS
    assert await preflight() == (204, POS)
    await revoke(till, made["id"])
    assert await preflight() == (403, None)


async def test_the_log_says_whose_token_was_made_and_revoked_and_never_the_token(tmp_path, capfd):
    logs.set_up()
    async with running(tmp_path) as till:
        made = await create(till)
        assert (await revoke(till, "lane-3")).status == 200
    said = capfd.readouterr().err
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    told = [(line["event"], line["client"], line["by"]) for line in lines if "token" in line["event"]]
    assert told == [("a token was created", "lane-3", "operator"), ("a token was revoked", "lane-3", "operator")]
    assert made["token"] not in said


async def test_a_page_cannot_step_out_of_its_origin(till):
    made = await create(till, scope="operator", origin=POS)
    headers = {"Authorization": f"Bearer {made['token']}", "Origin": POS}
    for method, path, body in (
        ("POST", "/v1/tokens", {"name": "free", "scope": "operator"}),
        ("GET", "/v1/tokens", None),
        ("DELETE", "/v1/tokens/lane-3", None),
        ("POST", "/v1/key", {"which": "write", "key": "fl_live_of_another_tenant"}),
        ("POST", "/v1/key/confirm", None),
        ("POST", "/v1/data-key/rotate", None),
    ):
        answer = await till.call(method, path, body, **headers)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert (await till.call("GET", "/metrics", **headers)).status == 200


async def test_clients_do_not_share_their_request_keys(till):
    tokens = [(await create(till, name))["token"] for name in ("lane-1", "lane-2")]
    ids = set()
    for number, token in enumerate(tokens):
        body = {"externalOrderId": f"o{number}", "customer": {"externalId": "C"}, "totalAmount": 1}
        headers = {"Authorization": f"Bearer {token}", "Idempotency_Key": "same"}
        answer = await till.call("POST", "/v1/sales", body, **headers)
        assert answer.status == 202, answer
        ids.add(answer.json["id"])
    assert len(ids) == 2


FAULTS = [
    ({}, "name"),
    ({"name": ""}, "name"),
    ({"name": "a/b"}, "name"),
    ({"name": ".."}, "name"),
    ({"name": "x" * 65}, "name"),
    ({"name": "Register"}, "name"),
    ({"name": "operator"}, "name"),
    ({"name": "tok_1"}, "name"),
    ({"name": "lane\n"}, "name"),
    ({"name": "lane", "scope": "public"}, "scope"),
    ({"name": "lane", "scope": "admin"}, "scope"),
    ({"name": "lane", "origin": "null"}, "origin"),
    ({"name": "lane", "origin": "*"}, "origin"),
    ({"name": "lane", "origin": f"{POS}/"}, "origin"),
    ({"name": "lane", "origin": "pos.example.com"}, "origin"),
]


async def test_an_order_with_a_fault_makes_no_token(till):
    for fields, fault in FAULTS:
        answer = await till.call("POST", "/v1/tokens", fields, scope="operator")
        assert (answer.status, [each["field"] for each in answer.json["errors"]]) == (422, [fault]), fields
    assert (await till.call("GET", "/v1/tokens", scope="operator")).json == {"tokens": []}


async def test_a_name_is_taken_once_whatever_its_case(till):
    await create(till)
    answer = await till.call("POST", "/v1/tokens", {"name": "LANE-3"}, scope="operator")
    assert (answer.status, answer.json["code"]) == (409, "token-exists")


async def test_tokens_made_at_once_are_all_kept(tmp_path):
    async with running(tmp_path) as till:
        made = await asyncio.gather(*(create(till, f"lane-{number}") for number in range(20)))
        await asyncio.gather(*(revoke(till, token["id"]) for token in made[::2]))
    async with running(tmp_path) as till:
        for number, token in enumerate(made):
            assert (await status_with(till, token["token"]))[0] == (200 if number % 2 else 401)


async def test_there_is_an_end_of_tokens(till, tmp_path):
    await create(till)
    (one,) = json.loads((tmp_path / "tokens.json").read_text())["tokens"]
    many = [{**one, "id": f"tok_{number}", "name": f"n{number}", "sha256": f"{number:064x}"} for number in range(200)]
    await till.agent.stop()
    (tmp_path / "tokens.json").write_text(json.dumps({"version": 1, "tokens": many}))
    async with running(tmp_path) as full:
        answer = await full.call("POST", "/v1/tokens", {"name": "more"}, scope="operator")
        assert (answer.status, answer.json["code"]) == (409, "too-many-tokens")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1, "tokens": [{"id": "x"}]}', "\x00" * 100])
async def test_a_damaged_list_is_said_and_kept_and_locks_out_no_register_with_the_directorys_token(tmp_path, content):
    async with running(tmp_path) as till:
        made = await create(till)
    sound = (tmp_path / "tokens.json").read_text()
    (tmp_path / "tokens.json").write_text(content)
    async with running(tmp_path) as till:
        assert "tokens-unreadable" in await till.conditions()
        assert await status_with(till, made["token"]) == (401, "unauthorized")
        assert (await till.sell()).status == 202
        answer = await till.call("POST", "/v1/tokens", {"name": "lane-4"}, scope="operator")
        assert (answer.status, answer.json["code"]) == (503, "storage-unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert (await revoke(till, "lane-3")).status == 503
    assert (tmp_path / "tokens.json").read_text() == content
    (tmp_path / "tokens.json").write_text(sound)
    async with running(tmp_path) as till:
        assert "tokens-unreadable" not in await till.conditions()
        assert await status_with(till, made["token"]) == (200, None)


async def test_tokens_and_their_revocation_outlive_a_damaged_database(tmp_path):
    async with running(tmp_path) as till:
        kept, made = await create(till, "lane-1"), await create(till)
        await revoke(till, "lane-3")
    with (tmp_path / "agent.db").open("r+b") as file:
        file.write(b"garbage" * 20)
    async with running(tmp_path) as till:
        assert "database-quarantined" in await till.conditions()
        assert await status_with(till, kept["token"]) == (200, None)
        assert await status_with(till, made["token"]) == (401, "unauthorized")


async def test_a_revocation_that_cannot_be_written_counts_all_the_same_and_says_so(till, tmp_path):
    made = await create(till)
    blocker = tmp_path / "tokens.json.new"  # where the new list would be drafted
    blocker.mkdir()
    answer = await revoke(till, "lane-3")
    assert (answer.status, answer.json["retryable"]) == (503, True)
    assert "again" in answer.json["detail"]
    assert await status_with(till, made["token"]) == (401, "unauthorized")
    refused = await till.call("POST", "/v1/tokens", {"name": "lane-4"}, scope="operator")
    assert (refused.status, refused.json["stored"], int(refused.headers["Retry-After"]) > 0) == (503, False, True)
    blocker.rmdir()
    assert (await revoke(till, "lane-3")).status == 200
    assert made["id"] not in (tmp_path / "tokens.json").read_text()


async def test_a_revocation_that_could_not_be_written_is_not_undone_by_a_token_made_later(till, tmp_path):
    made = await create(till)
    blocker = tmp_path / "tokens.json.new"
    blocker.mkdir()
    assert (await revoke(till, "lane-3")).status == 503
    blocker.rmdir()
    await create(till, "lane-4")
    assert await status_with(till, made["token"]) == (401, "unauthorized")
    assert made["id"] not in (tmp_path / "tokens.json").read_text()
