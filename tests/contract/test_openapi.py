"""The served OpenAPI document is valid, complete, and true of real answers."""

import json
from datetime import date

import jsonschema
import pytest
from openapi_spec_validator import validate

from agent.api.routes import ROUTES
from agent.tokens import Scope
from tests.support.agents import running, settings, strict_flash

SALE = {"externalOrderId": "90871", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
SERVED_BESIDE = {"/openapi.json", "/docs"}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


async def served(register):
    async with register.session.get(f"{register.base_url}/openapi.json") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        return await response.json()


async def test_the_document_is_valid(register):
    document = await served(register)
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_the_routes_are_sorted_and_told_apart():
    order = [(route.path, route.method) for route in ROUTES]
    assert order == sorted(order)
    assert len(order) == len(set(order))
    names = [route.handler.__name__ for route in ROUTES]
    assert len(names) == len(set(names))


async def test_every_route_is_in_it_and_nothing_else(register):
    paths = (await served(register))["paths"]
    described = {(path, method.upper()) for path, item in paths.items() for method in item if method != "parameters"}
    assert {pair for pair in described if pair[0] not in SERVED_BESIDE} == {(r.path, r.method) for r in ROUTES}
    for path, item in paths.items():
        for method, operation in item.items():
            assert operation["summary"], (path, method)
            needed = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == needed


async def test_scopes_and_problems_are_described(register):
    paths = (await served(register))["paths"]
    for route in ROUTES:
        operation = paths[route.path][route.method.lower()]
        if route.scope is Scope.PUBLIC:
            assert operation["security"] == []
        else:
            assert [list(each) for each in operation["security"]] == [[route.scope.value]]
            assert "401" in operation["responses"]
        assert {"403", "421"} <= operation["responses"].keys()


def schemas_in(node, place=""):
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "schema":
                yield f"{place}.{name}", value
            if name == "schemas":
                yield from ((f"{place}.{inner}", schema) for inner, schema in value.items())
            yield from schemas_in(value, f"{place}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from schemas_in(value, f"{place}[{index}]")


def properties_in(schema, place):
    for name, inner in schema.get("properties", {}).items():
        yield f"{place}.{name}", inner
        if isinstance(inner, dict):
            yield from properties_in(inner, f"{place}.{name}")


async def test_no_schema_is_empty(register):
    document = await served(register)
    found = list(schemas_in(document))
    assert len(found) > 20
    for place, schema in found:
        assert schema, place
        assert schema.keys() & {"$ref", "type", "anyOf", "allOf", "oneOf", "enum", "const"}, place
        for inner_place, inner in properties_in(schema, place):
            assert (inner or {}).keys() - {"title", "description", "default"}, inner_place
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("properties") or schema.get("enum") or schema.get("additionalProperties"), name


def check(document, method, path, answer):
    """The answer is one that the document describes."""
    responses = document["paths"][path][method.lower()]["responses"]
    assert str(answer.status) in responses, (method, path, answer)
    content_type = answer.headers["Content-Type"].split(";")[0]
    content = responses[str(answer.status)]["content"]
    assert content_type in content, (method, path, answer.status, content_type)
    if "json" in content_type:
        schema = {**content[content_type]["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json)


async def test_real_answers_are_as_described(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            document = await served(register)

            async def call(status, method, path, body=None, *, template=None, **more):
                answer = await register.call(method, path, body, **more)
                assert answer.status == status, (path, answer)
                check(document, method, template or path.split("?")[0], answer)
                return answer

            sale = await call(200, "POST", "/v1/sales", SALE, Prefer="wait=10")
            await call(409, "POST", "/v1/sales", {**SALE, "totalAmount": 1})
            await call(422, "POST", "/v1/sales", {})
            await call(415, "POST", "/v1/sales", SALE, Content_Type="text/plain")
            await call(400, "POST", "/v1/sales", raw=b"{")
            await call(413, "POST", "/v1/sales", raw=b" " * 300_000)
            await call(401, "POST", "/v1/sales", SALE, Authorization="Bearer wrong")
            await call(403, "POST", "/v1/sales", SALE, Origin="https://evil.example")
            await call(421, "POST", "/v1/sales", SALE, Host="evil.example")
            refund = {"externalOrderId": "90871", "refundId": "r"}
            await call(200, "POST", "/v1/refunds", refund, Prefer="wait=10")
            await call(422, "POST", "/v1/refunds", {**refund, "refundId": "r2"})
            await call(200, "POST", "/v1/enrollments", {"email": "new@example.com"}, Prefer="wait=10")
            flash.poison("bad", 422)
            failed = await call(200, "POST", "/v1/sales", {**SALE, "externalOrderId": "bad"}, Prefer="wait=10")
            one = "/v1/operations/{id}"
            await call(200, "GET", failed.json["href"], template=one)
            await call(404, "GET", "/v1/operations/op_1", template=one)
            await call(200, "GET", "/v1/operations?limit=2")
            await call(422, "GET", "/v1/operations?limit=0")
            today = date.today().isoformat()  # noqa: DTZ011 - the till's own day
            await call(200, "GET", f"/v1/summary?businessDate={today}")
            await call(410, "GET", "/v1/summary?businessDate=2020-01-01")
            await call(422, "GET", "/v1/summary?businessDate=today")
            for verb in ("retry", "discard"):
                body = {"reason": "x"} if verb == "discard" else None
                path, template = f"/{verb}", f"{one}/{verb}"
                await call(409, "POST", sale.json["href"] + path, body, template=template, scope="operator")
                await call(403, "POST", sale.json["href"] + path, body, template=template)
            await call(200, "GET", "/v1/members?externalId=POS-CUST-5512")
            await call(404, "GET", "/v1/members?externalId=nobody")
            await call(422, "GET", "/v1/members")
            member_id = sale.json["result"]["memberId"]
            await call(200, "GET", f"/v1/members/{member_id}", template="/v1/members/{memberId}")
            await call(200, "POST", "/v1/sync", scope="operator")
            await call(200, "GET", "/v1/sync")
            await call(403, "POST", "/v1/sync")
            flash.stop()
            await call(200, "GET", "/v1/members?email=ada@example.com")
            await call(503, "GET", "/v1/members?externalId=never-met")
            forget = "/v1/members/forget"
            await call(200, "POST", forget, {"externalId": "never-met"}, scope="operator")
            await call(422, "POST", forget, {}, scope="operator")
            await call(202, "POST", "/v1/enrollments", {"email": "local@example.com"})
            await call(200, "GET", "/v1/members?email=local@example.com")
            await call(202, "POST", "/v1/sales", {**SALE, "externalOrderId": "3"})
            await call(200, "GET", "/v1/status")
            await call(200, "GET", "/healthz")
            await call(200, "GET", "/readyz")
            await call(200, "GET", "/metrics", scope="operator")


async def test_the_answer_to_a_discard_is_as_described(tmp_path):
    async with running(tmp_path, settings(flash={"write_key": None})) as register:
        sale = await register.call("POST", "/v1/sales", SALE)
        await register.call("POST", "/v1/refunds", {"externalOrderId": "90871", "refundId": "r"})
        path = f"{sale.json['href']}/discard"
        answer = await register.call("POST", path, {"reason": "x"}, scope="operator")
        assert (answer.status, len(answer.json["dependents"])) == (200, 1)
        check(await served(register), "POST", "/v1/operations/{id}/discard", answer)


async def test_sound_requests_are_as_described(register):
    document = await served(register)
    bodies = {
        "/v1/sales": [
            SALE,
            {**SALE, "totalAmount": "120.00", "currency": "USD", "businessDate": "2026-11-22", "metadata": {"a": 1}},
            {**SALE, "occurredAt": "2026-11-22T10:00:00Z", "lines": [{"sku": "1"}], "newerField": True},
        ],
        "/v1/refunds": [{"externalOrderId": "1", "refundId": "r", "amount": 1.5, "ifKnown": True}],
        "/v1/enrollments": [{"email": "a@example.com", "marketingConsent": False}],
    }
    for path, documents in bodies.items():
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
        for body in documents:
            validator.validate(body)
            assert (await register.call("POST", path, body)).status == 202 or path == "/v1/sales"
        assert validator.is_valid({}) == (path == "/v1/enrollments")  # "one of two" is said in words there
        assert not validator.is_valid([])


async def test_the_pages_are_for_people_and_never_cached(register):
    async with register.session.get(f"{register.base_url}/docs") as response:
        page = await response.text()
        assert (response.status, response.content_type) == (200, "text/html")
        assert response.headers["Cache-Control"] == "no-store"
        assert "script" not in response.headers["Content-Security-Policy"]
    for route in ROUTES:
        assert route.path in page
    for name, schema in (await served(register))["components"]["schemas"].items():
        assert f"<h2 id={name}>" in page
        assert all(f"<code>{field}" in page for field in schema["properties"])
    assert "<script" not in page
    assert json.dumps(await served(register)) == json.dumps(await served(register))


async def test_headers_that_a_register_reads_are_described_and_sent(register):
    paths = (await served(register))["paths"]
    responses = paths["/v1/sales"]["post"]["responses"]
    first, again = [await register.call("POST", "/v1/sales", SALE) for _ in range(2)]
    described = responses[str(again.status)]["headers"]["Idempotency-Replayed"]
    jsonschema.validate(again.headers["Idempotency-Replayed"], described["schema"])
    assert ("Idempotency-Replayed" in first.headers, described.get("required", False)) == (False, False)
    nobody = await register.call("GET", "/v1/members?externalId=nobody")
    described = paths["/v1/members"]["get"]["responses"][str(nobody.status)]["headers"]["Retry-After"]
    jsonschema.validate(int(nobody.headers["Retry-After"]), described["schema"])
    for item in paths.values():
        for operation in item.values():
            later = operation["responses"].keys() & {"429", "503", "507"}
            assert all(operation["responses"][status]["headers"].keys() == {"Retry-After"} for status in later)
