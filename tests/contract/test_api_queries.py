"""Queries that choose what is shown: one that is misspelled must not show something else; and HEAD, as GET."""

import pytest

from tests.support.agents import exchange, running

OTHERS = {
    "/v1/operations": "limit=1",
    "/v1/members": "externalId=C-1",
    "/v1/summary": "businessDate=2026-11-22",
    "/v1/exposure": "businessDate=2026-11-22",
    "/v1/flash-orders": "updatedSince=2026-11-22T00:00:00Z",
}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


async def refused(register, address, status=422, code="validation"):
    """The faults of a query, by field."""
    answer = await register.call("GET", address, scope="operator")
    assert (answer.status, answer.json["code"]) == (status, code), (address, answer)
    return {fault["field"]: fault["message"] for fault in answer.json.get("errors", ())}


async def test_an_unknown_parameter_is_named_by_those_there_are(register):
    for path, sound in OTHERS.items():
        for unknown in ("Status=failed", "date=2026-11-22", "canary="):
            faults = await refused(register, f"{path}?{sound}&{unknown}")
            assert sound.partition("=")[0] in faults["query"]
            assert "canary" not in faults["query"]


async def test_what_pages_add_against_caches_is_passed_over(register):
    for path, sound in OTHERS.items():
        assert (await register.call("GET", f"{path}?{sound}&_=1763838240", scope="operator")).status != 422


async def test_a_parameter_that_is_given_twice_is_named(register):
    for path, sound in OTHERS.items():
        name = sound.partition("=")[0]
        assert await refused(register, f"{path}?{sound}&{sound}") == {name: "is given more than once"}
    assert (await refused(register, "/v1/operations?status=failed&status=pending")).keys() == {"status"}


async def test_bytes_that_are_no_text_are_named(register):
    for path in OTHERS:
        await refused(register, f"{path}?externalOrderId=%ff", 400, "invalid-utf8")


async def test_a_plus_that_became_a_blank_is_explained(register):
    assert "%2B" in (await refused(register, "/v1/members?email=ada+x@example.com"))["email"]


async def test_a_date_that_is_none_is_no_empty_list(register):
    for wrong in ("22.11.2026", "2026-02-30", "20261122", ""):
        assert (await refused(register, f"/v1/operations?businessDate={wrong}")).keys() == {"businessDate"}


@pytest.mark.parametrize("cursor", ["MA", "LTE", "KzE", "MV8x"], ids=["0", "-1", "+1", "1_1"])
async def test_a_cursor_of_no_list_is_refused(register, cursor):
    assert (await refused(register, f"/v1/operations?cursor={cursor}")).keys() == {"cursor"}


async def test_where_nothing_is_chosen_a_parameter_does_no_harm(register):
    for path in ("/healthz", "/v1/status", (await register.sell()).json["href"]):
        assert (await register.call("GET", f"{path}?_=1732294800")).status == 200


async def test_head_answers_as_get_without_a_body(register):
    operation = (await register.sell()).json["href"]
    port, token = register.agent.port, register.headers("operator")["Authorization"]
    some = ["/healthz", "/readyz", "/metrics", "/v1/status", "/v1/operations?limit=1", "/v1/members", "/docs"]
    for path in (*some, operation):
        found = []
        for method in ("GET", "HEAD"):
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: {token}\r\n\r\n"
            found.append(await exchange(port, head.encode(), head_only=method == "HEAD"))
        got, headed = found
        assert (headed.status, headed.headers["content-type"]) == (got.status, got.headers["content-type"]), path
        assert int(headed.headers["content-length"]) > 0
        assert headed.body == b""


async def test_what_a_path_takes_is_said_with_head(register):
    answer = await register.call("PUT", "/v1/status")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    options = await register.call("OPTIONS", "/v1/status")
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert options.headers["Cache-Control"] == "no-store"
