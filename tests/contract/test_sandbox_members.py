"""Members, coupons, stores and the catalogue of the Flash stand-in."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from agent.sandbox import Sandbox


@pytest.fixture
async def sandbox():
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def http(sandbox):
    headers = {"Authorization": f"Bearer {sandbox.write_key}"}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as client:
        yield client


ALAN = {"email": "alan@example.com", "fullName": "Alan Turing", "externalId": "POS-CUST-1"}


async def test_an_enrolment_creates_once_and_then_updates(http):
    created = await http.post("/members", json=ALAN)
    assert created.status_code == 201
    member = created.json()["data"]
    assert {key: member[key] for key in ALAN} == ALAN
    assert member["marketingConsent"] is False
    assert member["tier"] == "Bronze"
    changed = await http.post("/members", json=ALAN | {"fullName": "A. M. Turing"})
    assert changed.status_code == 200
    assert changed.json()["data"]["id"] == member["id"]
    assert changed.json()["data"]["fullName"] == "A. M. Turing"
    assert (await http.get("/members", params={"externalId": "POS-CUST-1"})).json()["total"] == 1


async def test_without_an_external_id_the_case_folded_e_mail_decides(http):
    created = await http.post("/members", json={"email": "Strasse@Example.com"})
    again = await http.post("/members", json={"email": " STRASSE@example.COM ", "fullName": "S"})
    assert (created.status_code, again.status_code) == (201, 200)
    assert created.json()["data"]["id"] == again.json()["data"]["id"]


async def test_a_member_known_by_e_mail_takes_on_an_external_id(http):
    created = await http.post("/members", json={"email": "alan@example.com"})
    linked = await http.post("/members", json=ALAN)
    assert (linked.status_code, linked.json()["data"]["id"]) == (200, created.json()["data"]["id"])
    assert (await http.get("/members", params={"externalId": "POS-CUST-1"})).json()["total"] == 1


@pytest.mark.parametrize("external_id", ["POS-CUST-1", "POS-CUST-5513"])
async def test_an_e_mail_never_belongs_to_two_members(http, external_id):
    answer = await http.post("/members", json={"externalId": external_id, "email": "ADA@example.com"})
    assert answer.status_code == 422
    assert "email:" in answer.json()["error"]["message"]
    assert (await http.get("/members", params={"email": "ada@example.com"})).json()["total"] == 1


async def test_a_changed_e_mail_frees_the_old_one(http):
    await http.post("/members", json=ALAN)
    await http.post("/members", json=ALAN | {"email": "turing@example.com"})
    assert (await http.get("/members", params={"email": "alan@example.com"})).json()["total"] == 0
    assert (await http.post("/members", json={"email": "alan@example.com"})).status_code == 201


async def test_consent_is_off_unless_said_and_only_an_explicit_value_changes_it(http):
    async def consent(**fields):
        return (await http.post("/members", json=ALAN | fields)).json()["data"]["marketingConsent"]

    assert await consent() is False
    assert await consent(marketingConsent=True, marketingConsentAt="2026-06-26T10:00:00+02:00") is True
    assert await consent() is True
    assert await consent(marketingConsent=None) is False
    for vague in ("true", 1):
        refused = await http.post("/members", json=ALAN | {"marketingConsent": vague})
        assert refused.status_code == 422
        assert "marketingConsent:" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "externalId"),
        ({"fullName": "Nobody"}, "externalId"),
        ({"email": "a@b@c"}, "email"),
        ({"email": 5}, "email"),
        ({"externalId": " "}, "externalId"),
        ({"externalId": "x", "fullName": " "}, "fullName"),
        ({"externalId": "x", "marketingConsentAt": "2026-06-26T10:00:00"}, "marketingConsentAt"),
    ],
)
async def test_a_faulty_enrolment_is_refused_with_its_field_named(http, body, field):
    answer = await http.post("/members", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION")
    assert field in answer.json()["error"]["message"]


async def test_a_batch_of_members_answers_each_in_order(http):
    members = [ALAN, {"fullName": "Nobody"}, ALAN, {"externalId": "POS-CUST-5512"}]
    answer = await http.post("/members/batch", json={"members": members})
    assert answer.status_code == 207
    results = answer.json()["data"]
    assert [result["status"] for result in results] == [201, 422, 200, 200]
    assert results[3]["data"]["id"] == "mem_ada"
    assert (await http.post("/members/batch", json={"members": [ALAN] * 101})).status_code == 422


async def test_look_ups_match_exactly(http):
    found = (await http.get("/members", params={"externalId": "POS-CUST-5512"})).json()
    assert (found["total"], found["data"][0]["id"]) == (1, "mem_ada")
    assert (await http.get("/members", params={"email": "ADA@EXAMPLE.COM"})).json()["total"] == 1
    assert (await http.get("/members", params={"externalId": "pos-cust-5512"})).json()["total"] == 0
    assert (await http.get("/members", params={"email": "ada@"})).status_code == 422


async def test_what_a_register_shows(http):
    assert (await http.get("/members/mem_ada")).json()["data"]["fullName"] == "Ada Lovelace"
    assert (await http.get("/members/mem_ada/points")).json() == {"data": {"balance": 1814}}
    assert (await http.get("/members/mem_grace/tier")).json() == {"data": {"name": "Silver", "multiplier": 1.25}}
    coupons = (await http.get("/members/mem_ada/coupons")).json()
    assert {coupon["id"]: coupon["status"] for coupon in coupons["data"]} == {
        "cpn_ada_10off": "active",
        "cpn_ada_coffee": "active",
        "cpn_ada_spring": "expired",
    }


@pytest.mark.parametrize("tail", ["", "/points", "/tier", "/coupons"])
async def test_an_unknown_member_is_404(http, tail):
    answer = await http.get(f"/members/mem_nobody{tail}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "MEMBER_NOT_FOUND")


async def test_the_members_feed_misses_no_change_while_it_is_paged():
    now = datetime(2026, 6, 26, tzinfo=UTC)
    async with Sandbox(clock=lambda: now) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.write_key}"}
        async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as client:
            query = {"updatedSince": "2026-06-26T00:00:00Z", "limit": 2}
            first = (await client.get("/members", params=query)).json()
            assert (len(first["data"]), first["total"]) == (2, 3)
            order = {"externalOrderId": "1", "customer": {"memberId": "mem_ada"}, "totalAmount": 120}
            await client.post("/orders", json=order)
            rest = (await client.get("/members", params=query | {"cursor": first["nextCursor"]})).json()
            assert [row["id"] for row in rest["data"]] == ["mem_katherine", "mem_ada"]
            now += timedelta(seconds=1)
            unchanged = {"externalId": "POS-CUST-5513", "fullName": "Grace Hopper"}
            await client.post("/members", json=unchanged)
            later = {"updatedSince": "2026-06-26T00:00:01Z"}
            assert (await client.get("/members", params=later)).json()["total"] == 0


async def test_a_coupon_is_redeemed_once(http):
    redeemed = await http.post("/coupons/cpn_ada_10off/redeem")
    assert redeemed.status_code == 200
    assert redeemed.json()["data"]["id"] == "cpn_ada_10off"
    assert redeemed.json()["data"]["status"] == "redeemed"
    again = await http.post("/coupons/cpn_ada_10off/redeem")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "COUPON_NOT_FOUND")
    coupons = (await http.get("/members/mem_ada/coupons")).json()["data"]
    assert coupons[0]["status"] == "redeemed"


@pytest.mark.parametrize("coupon", ["cpn_nobody", "cpn_ada_spring"])
async def test_an_unknown_and_an_expired_coupon_are_not_honoured(http, coupon):
    assert (await http.post(f"/coupons/{coupon}/redeem")).status_code == 404


async def test_a_coupon_of_three_uses_stays_active_until_the_third(http):
    statuses = []
    for _ in range(4):
        answer = await http.post("/coupons/cpn_katherine_gift/redeem")
        (coupon,) = (await http.get("/members/mem_katherine/coupons")).json()["data"]
        statuses.append((answer.status_code, coupon["status"]))
    assert statuses == [(200, "active"), (200, "active"), (200, "redeemed"), (404, "redeemed")]


async def test_a_redemption_takes_no_body(http):
    assert (await http.post("/coupons/cpn_ada_10off/redeem", json={"member": "x"})).status_code == 422
    assert (await http.post("/coupons/cpn_ada_10off/redeem", json={})).status_code == 200


async def test_stores_are_upserted_changed_and_listed(http):
    body = {"name": "Downtown Flagship", "externalId": "ERP-STORE-018", "city": "New York"}
    created = await http.post("/stores", json=body)
    updated = await http.post("/stores", json=body | {"name": "Downtown"})
    assert (created.status_code, updated.status_code) == (201, 200)
    store_id = created.json()["data"]["id"]
    assert updated.json()["data"]["id"] == store_id
    changed = await http.put(f"/stores/{store_id}", json={"city": "Boston"})
    assert (changed.status_code, changed.json()["data"]["city"]) == (200, "Boston")
    listed = (await http.get("/stores")).json()
    assert [(row["id"], row["name"], row["city"]) for row in listed["data"]] == [
        ("st_demo", "Demo Store", "New York"),
        (store_id, "Downtown", "Boston"),
    ]
    assert listed["total"] == 2


async def test_faulty_store_calls_are_refused(http):
    missing = await http.post("/stores", json={"name": "No id"})
    assert missing.status_code == 422
    assert "externalId:" in missing.json()["error"]["message"]
    unknown = await http.put("/stores/st_nowhere", json={"name": "X"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "STORE_NOT_FOUND")
    other = (await http.post("/stores", json={"name": "Other", "externalId": "S2"})).json()["data"]
    taken = await http.put(f"/stores/{other['id']}", json={"externalId": "DEMO-STORE"})
    assert taken.status_code == 422
    assert "externalId:" in taken.json()["error"]["message"]


CATALOG = {
    "source": "erp",
    "brands": [{"externalId": "B-AURELIA", "name": "Aurelia"}],
    "categories": [{"externalId": "C-RINGS", "name": "Rings"}],
    "products": [
        {
            "externalId": "P-9001",
            "title": "Solitaire Ring",
            "brandExternalId": "B-AURELIA",
            "categoryExternalId": "C-RINGS",
            "descriptionHtml": "<p>18k…</p>",
            "content": [{"externalId": "P-9001-spec", "contentType": "spec", "body": "1.0ct"}],
        }
    ],
    "variants": [{"externalId": "V-9001-7", "productExternalId": "P-9001", "sku": "AUR-RING-7", "price": 4200}],
    "inventory": [{"variantSku": "AUR-RING-7", "locationRef": "WH-1", "available": 12}],
}
ENTITIES = ("brands", "categories", "products", "content", "variants", "inventory")


async def test_the_documented_import_inserts_then_updates(http):
    first = (await http.post("/catalog/import", json=CATALOG)).json()["data"]
    second = (await http.post("/catalog/import", json=CATALOG)).json()["data"]
    assert first == {entity: {"inserted": 1, "updated": 0} for entity in ENTITIES} | {"errors": []}
    assert second == {entity: {"inserted": 0, "updated": 1} for entity in ENTITIES} | {"errors": []}


async def test_the_catalogue_reads_back(http):
    await http.post("/catalog/import", json=CATALOG)
    (product,) = (await http.get("/products")).json()["data"]
    assert product["title"] == "Solitaire Ring"
    assert product["content"][0]["body"] == "1.0ct"
    assert product["variants"][0]["price"] == 4200
    assert product["variants"][0]["inventory"][0]["available"] == 12
    assert (await http.get(f"/products/{product['id']}")).json()["data"] == product
    assert (await http.get("/brands")).json()["data"][0]["name"] == "Aurelia"
    assert (await http.get("/categories")).json()["total"] == 1
    missing = await http.get("/products/P-9001")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "PRODUCT_NOT_FOUND")


async def test_a_bad_row_is_named_and_never_stops_the_import(http):
    document = {
        "source": "erp",
        "brands": [{"name": "No id"}, {"externalId": "B-1", "name": "One", "id": "forged"}],
        "products": [
            {"externalId": "P-1", "title": "Fine", "brandExternalId": "B-1", "content": [{"body": "?"}]},
            {"externalId": "P-2", "title": "Orphan", "brandExternalId": "B-GONE"},
            7,
        ],
        "variants": [{"externalId": "V-2", "productExternalId": "P-2", "sku": "S-2"}],
        "inventory": [{"variantSku": "S-2", "locationRef": "WH", "available": 1.5}],
    }
    answer = await http.post("/catalog/import", json=document)
    assert answer.status_code == 200
    result = answer.json()["data"]
    assert result["brands"] == result["products"] == {"inserted": 1, "updated": 0}
    assert [(e["entity"], e["index"]) for e in result["errors"]] == [
        ("brands", 0),
        ("content", 0),
        ("products", 1),
        ("products", 2),
        ("variants", 0),
        ("inventory", 0),
    ]
    assert "externalId:" in result["errors"][0]["message"]
    assert "brandExternalId:" in result["errors"][2]["message"]
    assert (await http.get("/brands")).json()["data"][0]["id"] != "forged"


async def test_two_sources_may_use_the_same_ids(http):
    await http.post("/catalog/import", json=CATALOG)
    other = await http.post("/catalog/import", json=CATALOG | {"source": "pim"})
    assert other.json()["data"]["products"] == {"inserted": 1, "updated": 0}
    assert [len(row["variants"]) for row in (await http.get("/products")).json()["data"]] == [1, 1]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "source"), ({"source": "erp", "brands": {}}, "brands"), ({"source": "erp", "brnds": []}, "brnds")],
)
async def test_a_faulty_import_is_refused_as_a_whole(http, body, field):
    answer = await http.post("/catalog/import", json=body)
    assert answer.status_code == 422
    assert f"{field}:" in answer.json()["error"]["message"]
