"""The attack list at the door: Host, Origin, token, content type, methods; nothing gets past, nothing is stored.

Raw sockets where an HTTP client would tidy up what is sent. See also test_api_guard_http.py for old and odd stacks.
"""

import asyncio
import json

import pytest

from agent.api.routes import ROUTES
from agent.tokens import Scope
from tests.support.agents import exchange, running, settings

SALE = {"externalOrderId": "90871", "customer": {"externalId": "C1"}, "totalAmount": 120}
BODY = json.dumps(SALE).encode()
POS = "https://pos.example.com"
PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "retryable", "stored"}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path, settings(api={"port": 0, "allowed_origins": [POS]})) as offline:
        yield offline


async def nothing_stored(register):
    return (await register.call("GET", "/v1/operations")).json["operations"] == []


def post(register, *lines, target="/v1/sales", version="1.1", body=BODY):
    """A sale, sound but for what the lines say."""
    token = register.headers()["Authorization"]
    head = [f"POST {target} HTTP/{version}", f"Authorization: {token}", "Content-Type: application/json", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def knock(register, *lines, host="127.0.0.1", **more):
    named = [line.replace("PORT", str(register.agent.port)) for line in lines]
    return await exchange(register.agent.port, post(register, *named, **more), host=host)


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "localhost:PORT", "LocalHost:PORT", "[::1]:PORT"])
async def test_loopback_names_with_our_port_are_ours(register, host):
    assert (await knock(register, f"Host: {host}")).status == 202


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:PORT",
        "evil:PORT",
        "127.0.0.1.evil:PORT",
        "localhost.evil:PORT",
        "evil@127.0.0.1:PORT",
        "0.0.0.0:PORT",
        "[::]:PORT",
        "127.0.0.2:PORT",
        "2130706433:PORT",
        "localhost",
        "127.0.0.1:1",
        "127.0.0.1:PORT, evil:PORT",
        "",
    ],
)
async def test_a_foreign_host_is_turned_away(register, host):
    answer = await knock(register, f"Host: {host}")
    assert answer.status == 421, answer
    assert answer.json["code"] == "wrong-host"
    assert await nothing_stored(register)


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        ([], {}),
        ([], {"version": "1.0"}),
        (["Host: evil:PORT"], {"version": "1.0"}),
        (["Host: 127.0.0.1:PORT", "Host: 127.0.0.1:PORT"], {}),
        (["Host: 127.0.0.1:PORT", "Host: evil:PORT"], {}),
        (["Host: evil:PORT"], {"target": "http://127.0.0.1:PORT/v1/sales"}),
        (["Host: 127.0.0.1:PORT"], {"target": "http://evil:PORT/v1/sales"}),
        (["Host: 127.0.0.1:PORT"], {"target": "http://127.0.0.1:PORT/v1/sales"}),
    ],
    ids=["none", "none 1.0", "evil 1.0", "two", "good and evil", "absolute good", "absolute evil", "absolute"],
)
async def test_no_host_two_hosts_and_absolute_targets_are_turned_away(register, lines, more):
    if "target" in more:
        more = {**more, "target": more["target"].replace("PORT", str(register.agent.port))}
    answer = await knock(register, *lines, **more)
    assert (answer.status, answer.json["code"]) == (421, "wrong-host"), answer
    assert f"http://127.0.0.1:{register.agent.port}" in answer.json["detail"]
    assert await nothing_stored(register)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
async def test_open_pages_need_no_token_but_a_sound_host_and_origin(register, path):
    port = register.agent.port
    good = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n"
    assert (await exchange(port, f"{good}\r\n".encode())).status == 200
    assert (await exchange(port, f"GET {path} HTTP/1.1\r\nHost: evil:{port}\r\n\r\n".encode())).status == 421
    assert (await exchange(port, f"{good}Origin: https://evil.example\r\n\r\n".encode())).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        f"{POS}.evil.example",
        "https://evilpos.example.com",
        "https://example.com",
        "http://pos.example.com",
        f"{POS}:444",
        f"{POS}/",
        f"{POS} https://evil.example",
        "http://127.0.0.1:1",
        "https://127.0.0.1:PORT",
        "",
    ],
)
async def test_a_foreign_origin_is_turned_away(register, origin):
    answer = await knock(register, "Host: localhost:PORT", f"Origin: {origin}")
    assert (answer.status, answer.json["code"]) == (403, "origin-not-allowed")
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.headers["vary"] == "Origin"
    assert await nothing_stored(register)


async def test_two_origins_are_turned_away(register):
    answer = await knock(register, "Host: localhost:PORT", f"Origin: {POS}", "Origin: https://evil.example")
    assert 400 <= answer.status < 500
    assert await nothing_stored(register)


@pytest.mark.parametrize("origin", [POS, "http://127.0.0.1:PORT", "http://localhost:PORT", "http://[::1]:PORT"])
async def test_an_allowed_origin_may_read_its_answer(register, origin):
    answer = await knock(register, "Host: localhost:PORT", f"Origin: {origin}")
    assert answer.status == 202
    assert answer.headers["access-control-allow-origin"] == origin.replace("PORT", str(register.agent.port))
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {"Idempotency-Replayed", "Retry-After"}
    assert "access-control-allow-credentials" not in answer.headers


async def preflight(register, origin, path="/v1/sales"):
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with register.session.options(register.base_url + path, headers=ask) as response:
        return response.status, response.headers


async def test_a_preflight_of_an_allowed_page_names_what_it_may_send(register):
    status, headers = await preflight(register, POS)
    assert status in {200, 204}
    assert headers["Access-Control-Allow-Origin"] == POS
    assert "POST" in headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed == {"authorization", "content-type", "prefer", "idempotency-key", "last-event-id"}
    assert headers["Vary"] == "Origin"
    assert headers["Access-Control-Allow-Private-Network"] == "true"  # older browsers ask for it


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://pos.example.com", f"{POS}.evil"])
async def test_a_preflight_of_a_foreign_page_gets_no_allow_header(register, origin):
    status, headers = await preflight(register, origin)
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert headers["Vary"] == "Origin"


async def test_a_wildcard_is_never_sent(register):
    for origin in (POS, "https://evil.example", "*"):
        for path in ("/v1/sales", "/healthz", "/nowhere"):
            _, headers = await preflight(register, origin, path)
            assert "*" not in [value for name, value in headers.items() if name.lower().startswith("access-control-")]


async def test_tokens_open_what_they_are_for(register):
    known = register.headers()["Authorization"].removeprefix("Bearer ")
    for sent in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {known}",
        known,
        f"Bearer {known}x",
        "Bearer é",
    ):
        headers = {} if sent is None else {"Authorization": sent}
        async with register.session.post(register.base_url + "/v1/sales", json=SALE, headers=headers) as response:
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"], problem["stored"]) == (401, "unauthorized", False), sent
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    async with register.session.get(f"{register.base_url}/v1/status?token={known}&access_token={known}") as response:
        assert response.status == 401
    assert await nothing_stored(register)


async def test_everything_but_the_open_pages_wants_a_token_and_its_scope(register):
    public = {"/healthz", "/readyz", "/openapi.json", "/docs", "/"}
    for route in ROUTES:
        if route.scope is Scope.PUBLIC:
            assert route.path in public or not route.path.startswith("/v1/"), route.path
            continue
        path = route.path.replace("{id}", "op_00000000000000000000000000000000").replace("{adapter}", "x")
        async with register.session.request(route.method, register.base_url + path, json={}) as response:
            assert response.status == 401, route
        if route.scope is Scope.OPERATOR:
            answer = await register.call(route.method, path, {})
            assert (answer.status, answer.json["code"]) == (403, "forbidden"), route


async def test_a_revoked_token_opens_nothing(tmp_path):
    async with running(tmp_path) as register:
        revoked = register.headers()
    register.agent.data_dir.token_path("register").unlink()
    async with running(tmp_path) as register:
        assert register.headers() != revoked
        async with register.session.get(register.base_url + "/v1/status", headers=revoked) as response:
            assert response.status == 401
        assert (await register.call("GET", "/v1/status")).status == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""],
)
async def test_what_a_page_can_send_without_asking_is_refused(register, kind):
    answer = await register.call("POST", "/v1/sales", raw=BODY, Content_Type=kind)
    assert (answer.status, answer.json["code"]) == (415, "unsupported-media-type")
    assert await nothing_stored(register)


async def test_a_body_without_a_content_type_is_refused(register):
    raw = post(register, f"Host: localhost:{register.agent.port}").replace(b"Content-Type: application/json\r\n", b"")
    assert (await exchange(register.agent.port, raw)).status == 415
    assert await nothing_stored(register)


async def test_json_with_a_charset_is_json(register):
    answer = await register.call("POST", "/v1/sales", raw=BODY, Content_Type="Application/JSON; charset=utf-8")
    assert answer.status == 202


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_another_method_on_a_write_is_refused(register, method):
    answer = await exchange(
        register.agent.port,
        f"{method} /v1/sales?externalOrderId=1 HTTP/1.1\r\nHost: localhost:{register.agent.port}\r\n"
        f"Authorization: {register.headers()['Authorization']}\r\nConnection: close\r\n\r\n".encode(),
        head_only=method == "HEAD",
    )
    assert answer.status in {405, 400} if method == "BREW" else answer.status == 405
    if answer.status == 405:
        assert "POST" in answer.headers["allow"]
    assert await nothing_stored(register)


async def test_an_upgrade_by_a_foreign_page_is_refused(register):
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="]
    lines = [f"Host: localhost:{register.agent.port}", "Origin: https://evil.example", *upgrade]
    raw = "\r\n".join(["GET /v1/events HTTP/1.1", *lines, "", ""]).encode()
    assert (await exchange(register.agent.port, raw)).status == 403


async def test_paths_do_not_climb(register):
    for path in ("/v1/operations/../status", "/v1/operations/%2e%2e/status", "/v1//status", "/v1/operations/op_%00"):
        answer = await exchange(
            register.agent.port,
            f"GET {path} HTTP/1.1\r\nHost: localhost:{register.agent.port}\r\n"
            f"Authorization: {register.headers()['Authorization']}\r\n\r\n".encode(),
        )
        assert (answer.status, answer.json.keys() >= PROBLEM_KEYS) == (404, True), path


async def test_half_open_connections_keep_nobody_out(register):
    port = register.agent.port
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    try:
        for _, writer in lines:
            writer.write(b"POST /v1/sales HTTP/1.1\r\nHost: loc")
        async with asyncio.timeout(3):
            assert (await register.sell()).status == 202
    finally:
        for _, writer in lines:
            writer.transport.abort()
