"""Catalogs of which something failed or was refused: its rows go again, until somebody says that they may stay."""

import pytest

from tests.support.agents import running, settings, strict_flash
from tests.support.cataloging import catalog, kept_rows, product, sent_products, settled, take


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def test_what_flash_did_not_take_is_sent_again_and_the_rest_is_not(online, flash):
    flash.state.refused_rows["P-2"] = "no"
    rows = [product(1), product(2), product(3)]
    (first,) = await settled(online, await take(online, catalog(products=rows)))
    assert first["warnings"][1] == "products P-2: no"
    (again,) = await settled(online, await take(online, catalog(products=rows)))
    (and_again,) = await settled(online, await take(online, catalog(products=rows)))
    assert len({first["id"], again["id"], and_again["id"]}) == 3, "Flash may have been mended"
    flash.state.refused_rows.clear()
    (mended,) = await settled(online, await take(online, catalog(products=rows)))
    assert mended["warnings"] == []
    assert (await take(online, catalog(products=rows)))["totals"]["replayed"] == 1
    assert sent_products(flash) == ["P-1", "P-2", "P-3", "P-2", "P-2", "P-2"]
    assert "catalog-rows-refused" not in await online.conditions()


async def test_where_flash_does_not_say_which_row_all_of_its_operation_go_again(online, flash):
    answer = {"data": {"products": {"inserted": 1, "updated": 0}, "errors": ["one of them is bad"]}}
    rows = [product(1), product(2)]
    flash.fault("status", status=200, body=answer, method="POST", path="/catalog/import", times=1)
    (first,) = await settled(online, await take(online, catalog(products=rows)))
    assert first["warnings"][1] == "a row: one of them is bad"
    assert "catalog-rows-refused" in await online.conditions()
    (again,) = await settled(online, await take(online, catalog(products=rows)))
    assert again["request"]["rows"] == {"products": 2}
    assert "catalog-rows-refused" not in await online.conditions()


async def test_rows_of_one_that_failed_go_again_and_it_is_superseded(online, flash):
    flash.fault("status", status=422, method="POST", path="/catalog/import", times=1)
    rows = [product(number) for number in range(600)]
    taken = await take(online, catalog(products=rows))
    first, second = taken["items"][0]["catalog"]["operations"]
    assert (await online.settled(first))["status"] == "failed"
    assert (await online.operation(second))["waitingFor"] == [first], "catalogs follow each other"
    again = await take(online, catalog(products=rows))
    assert again["catalogTotals"] == {"rows": 600, "unchanged": 100, "operations": 1}
    assert [each["status"] for each in await settled(online, again)] == ["succeeded"]
    assert (await online.operation(first))["error"]["detail"].endswith("superseded")
    assert (await online.operation(second))["status"] == "succeeded"
    assert (await take(online, catalog(products=rows)))["totals"]["replayed"] == 1


async def test_rows_of_one_that_was_retried_are_there(online, flash):
    flash.fault("status", status=422, method="POST", path="/catalog/import", times=1)
    (failed,) = await settled(online, await take(online, catalog(products=[product(1)])))
    await online.call("POST", f"/v1/operations/{failed['id']}/retry", scope="operator")
    assert (await online.settled(failed["id"]))["status"] == "succeeded"
    assert (await take(online, catalog(products=[product(1)])))["totals"]["replayed"] == 1


async def test_rows_of_one_that_was_discarded_go_again(tmp_path):
    async with running(tmp_path) as register:
        await take(register, catalog(products=[product(0)]))
        taken = await take(register, catalog(products=[product(1), product(2)]))
        (operation_id,) = taken["items"][0]["catalog"]["operations"]
        path, reason = f"/v1/operations/{operation_id}/discard", {"reason": "wrong file"}
        assert (await register.call("POST", path, reason, scope="operator")).status == 200
        again = await take(register, catalog(products=[product(1)]))
        assert again["totals"]["accepted"] == 1
        assert again["items"][0]["catalog"]["operations"] != [operation_id]
    assert kept_rows(tmp_path, "status = 'pending'") == 2
    assert kept_rows(tmp_path, "status = 'discarded'") == 0


async def test_one_that_failed_stays_where_an_import_brings_other_rows(online, flash):
    flash.fault("status", status=422, method="POST", path="/catalog/import", times=1)
    (failed,) = await settled(online, await take(online, catalog(products=[product(1)])))
    other = (await take(online, catalog(products=[product(2)])))["items"][0]["operation"]
    assert (await online.operation(failed["id"]))["status"] == "failed"
    assert (await online.operation(other["id"]))["waitingFor"] == [failed["id"]]
    await settled(online, await take(online, catalog(products=[product(1)])))
    assert (await online.operation(failed["id"]))["status"] == "discarded"
    assert (await online.settled(other["id"]))["status"] == "succeeded"


async def close(register, operation, **said):
    said = {"reason": "not sold here", **said}
    return await register.call("POST", f"{operation['href']}/close", said, scope="operator")


async def test_refused_rows_that_may_stay_are_closed_and_go_again_when_they_say_something_else(online, flash):
    flash.state.refused_rows["P-2"] = "no"
    rows = [product(1), product(2)]
    (first,) = await settled(online, await take(online, catalog(products=rows)))
    assert (await close(online, first, burned=True)).json["code"] == "illegal-transition"
    assert "catalog-rows-refused" in await online.conditions()
    closed = await close(online, first)
    assert (closed.status, closed.json["status"]) == (200, "succeeded")
    assert closed.json["error"]["code"] == "closed"
    assert closed.json["error"]["detail"].endswith(": not sold here")
    assert closed.json["warnings"] == first["warnings"], "what Flash said is still there"
    assert "catalog-rows-refused" not in await online.conditions()
    assert (await take(online, catalog(products=rows)))["totals"]["replayed"] == 1, "it is left as it is"
    (other,) = await settled(online, await take(online, catalog(products=[product(1), product(2, "B")])))
    assert other["request"]["rows"] == {"products": 1}
    assert "catalog-rows-refused" in await online.conditions()
    assert sent_products(flash) == ["P-1", "P-2", "P-2"]
    again = await close(online, first)
    assert (again.status, again.json["code"]) == (409, "illegal-transition"), "a newer operation carries its row"


async def test_a_catalog_in_doubt_is_closed_as_a_whole(online, flash):
    answer = {"data": {"products": {"inserted": 1, "updated": 0}, "errors": ["one of them is bad"]}}
    flash.fault("status", status=200, body=answer, method="POST", path="/catalog/import", times=1)
    rows = [product(1), product(2)]
    (first,) = await settled(online, await take(online, catalog(products=rows)))
    assert (await close(online, first)).status == 200
    assert "catalog-rows-refused" not in await online.conditions()
    assert (await take(online, catalog(products=rows)))["totals"]["replayed"] == 1
