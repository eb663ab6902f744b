"""Orders of operators and voided baskets: a field that is misspelled is named, or refused where one asks for that."""

import pytest

from tests.support.agents import running, settings, strict_flash

VOID = {"couponId": "C-5", "transactionId": "T-17", "bussinessDate": "2026-11-22"}
ORDERS = {
    "/v1/redemptions/void": (VOID, "bussinessDate"),
    "/v1/members/forget": ({"email": "canary@example.com", "externalid": "C-1"}, "externalid"),
    "/v1/drill": ({"minutes": 1}, "minutes"),
    "/v1/tokens": ({"name": "web-pos", "orgin": "https://pos.example.com"}, "orgin"),
    "/v1/key": ({"which": "read", "key": "fl_live_canary_0001", "forced": True}, "forced"),
}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


@pytest.mark.parametrize("path", ORDERS)
async def test_an_unknown_field_is_named_or_where_asked_for_refused(register, path):
    body, unknown = ORDERS[path]
    strict = await register.call("POST", path, body, scope="operator", Prefer="handling=strict")
    assert (strict.status, [fault["field"] for fault in strict.json["errors"]]) == (422, [unknown])
    taken = await register.call("POST", path, body, scope="operator")
    assert taken.status in {200, 201}, taken
    (warning,) = taken.json["warnings"]
    assert unknown in warning
    assert "canary" not in warning
    known = {name: value if name != "name" else "web-2" for name, value in body.items() if name != unknown}
    assert (await register.call("POST", path, known, scope="operator")).json.keys() == taken.json.keys() - {"warnings"}


async def test_an_operation_that_is_given_up_names_them_among_its_warnings(tmp_path):
    with strict_flash() as flash:
        flash.poison("90871")
        async with running(tmp_path, settings(flash.base_url)) as register:
            sold = (await register.sell(cashierMood="fine", wait=10)).json
            order, discard = {"reason": "entered twice", "resaon": "x"}, f"{sold['href']}/discard"
            strict = await register.call("POST", discard, order, scope="operator", Prefer="handling=strict")
            assert (strict.status, (await register.operation(sold["id"]))["status"]) == (422, "failed")
            given_up = await register.call("POST", discard, order, scope="operator")
            assert (given_up.status, given_up.json["status"]) == (200, "discarded")
            mood, reason = given_up.json["warnings"]
            assert ("cashierMood" in mood, "resaon" in reason) == (True, True)
