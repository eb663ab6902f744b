"""The three systems for which Flash has connectors of its own."""

import json

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Site
from agent.errors import ConfigError

CHANNELS = ["shopify", "amazon", "tiktok"]
OFF = {"native_connector": "off"}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("settings", [{}, {"native_connector": "on"}, {"native_connector": False}])
def test_it_does_not_start_beside_the_native_connector(name, settings):
    with pytest.raises(ConfigError, match="awarded twice") as caught:
        registry.options_of(name, settings)
    assert f'Set [adapters.{name}] native_connector = "off" once it is switched off in Flash' in str(caught.value)
    with pytest.raises(ConfigError, match=rf"\[adapters.{name}\] native_connector: must be"):
        registry.check({name: settings}, {})
    with pytest.raises(ConfigError, match="native_connector"):
        registry.check({}, {name: "/srv/spool"})


@pytest.mark.parametrize("name", CHANNELS)
def test_an_answer_that_tells_of_an_error_is_no_empty_document(name):
    """It must not look as if there had been nothing to award."""
    for answer in ({"errors": [{"code": "Unauthorized"}]}, {"code": 105005, "message": "no", "data": None}):
        (item,) = registry.adapter(name).parse(
            json.dumps(answer).encode(), registry.options_of(name, OFF), Site("USD", others_are_own=True)
        )
        assert (item.code, item.fault) == ("error-answer", True)


@pytest.mark.parametrize("name", CHANNELS)
def test_an_empty_page_holds_nothing(name):
    pages = ({"orders": []}, {"payload": {"Orders": []}}, {"code": 0, "data": {"orders": [], "total_count": 0}})
    for page in pages:
        items = registry.adapter(name).parse(
            json.dumps(page).encode(), registry.options_of(name, OFF), Site("USD", others_are_own=True)
        )
        assert [(item.code, item.fault) for item in items] in (
            [("nothing-in-it", False)],
            [("unknown-record", True)],  # another system's page
        )


ORDERS = {
    "shopify": {"id": 1, "financial_status": "paid", "total_price": "9.00", "email": "Till@example.com"},
    "amazon": {
        "AmazonOrderId": "7-1",
        "OrderStatus": "Shipped",
        "OrderTotal": {"Amount": "9"},
        "No": "Till@example.com",
    },
    "tiktok": {"id": "5764", "status": "COMPLETED", "payment": {"total_amount": "9.00"}, "user_id": "Till@example.com"},
}


@pytest.mark.parametrize("name", CHANNELS)
def test_an_order_of_nobody_in_particular_earns_nothing(name):
    adapter, told = registry.adapter(name), OFF | ({"customer_field": "No"} if name == "amazon" else {})
    document = json.dumps(ORDERS[name]).encode()
    (sale,) = adapter.parse(document, registry.options_of(name, told), Site("USD", others_are_own=True))
    assert isinstance(sale, Found)
    options = registry.options_of(name, told | {"anonymous_customers": ["till@example.com"]})
    (skipped,) = adapter.parse(document, options, Site("USD", others_are_own=True))
    assert (skipped.code, skipped.fault) == ("no-customer", False)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("shopify", {"data": {"orders": {"nodes": [ORDERS["shopify"]], "pageInfo": {"hasNextPage": True}}}}),
        ("amazon", {"payload": {"Orders": [ORDERS["amazon"]], "NextToken": "T"}}),
        ("amazon", {"orders": [ORDERS["amazon"]], "pagination": {"nextToken": "T"}}),
        ("amazon", {"payload": {"transactions": [], "nextToken": "T"}}),
        ("tiktok", {"code": 0, "data": {"orders": [ORDERS["tiktok"]], "next_page_token": "T"}}),
        ("tiktok", {"code": 0, "data": {"order_list": [ORDERS["tiktok"]], "more": True}}),
    ],
)
def test_one_page_of_several_says_so(name, page):
    options = registry.options_of(name, OFF)
    *_, last = registry.adapter(name).parse(json.dumps(page).encode(), options, Site("USD", others_are_own=True))
    assert (last.code, last.place, last.fault) == ("more-pages", "document", False)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("shopify", {"data": {"orders": {"nodes": [ORDERS["shopify"]], "pageInfo": {"hasNextPage": False}}}}),
        ("amazon", {"payload": {"Orders": [ORDERS["amazon"]], "NextToken": None}}),
        ("tiktok", {"code": 0, "data": {"orders": [ORDERS["tiktok"]], "next_page_token": ""}}),
    ],
)
def test_the_last_page_does_not(name, page):
    items = registry.adapter(name).parse(
        json.dumps(page).encode(), registry.options_of(name, OFF), Site("USD", others_are_own=True)
    )
    assert "more-pages" not in [getattr(item, "code", "") for item in items]


def test_a_currency_that_says_there_is_none_is_the_tills():
    order = ORDERS["tiktok"] | {"payment": {"total_amount": "9.00", "currency": "XXX"}}
    options = registry.options_of("tiktok", OFF)
    (sale,) = registry.adapter("tiktok").parse(json.dumps(order).encode(), options, Site("USD", others_are_own=True))
    assert sale.document.currency is None
