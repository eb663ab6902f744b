"""The shortcut for ordinary sales against the model: where it reads a sale, the same operation is stored."""

import codecs
import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent import jsons
from agent.errors import InvalidError
from agent.intake import Intake, Request, common_sale
from agent.storage import NoSealer
from tests.support.agents import settings
from tests.support.redeeming import NoSightings

ORDINARY = {
    "externalOrderId": "90871",
    "customer": {"memberId": "mem_1"},
    "totalAmount": "120.00",
    "currency": "USD",
    "storeId": "st_1",
    "businessDate": "2026-11-22",
    "transactionId": "T-1",
    "occurredAt": "2026-11-22T19:04:00+01:00",
    "lines": [{"sku": "1", "price": 1.5}],
    "metadata": {"lane": 4},
}


class ToldError(Exception):
    """What the intake wanted to store."""


class Store:
    async def accept(self, draft):
        raise ToldError(draft)


INTAKES = [
    Intake(
        Store(),
        NoSealer("none"),
        settings(orders={"id_template": template}, flash={"extended_orders": extended}),
        NoSightings(),
    )
    for template, extended in (("{external_order_id}", False), ("{business_date}.{external_order_id}", True))
]


async def outcome(intake, request):
    """Everything about the draft, each value as it is written; or the faults."""
    try:
        await intake.sale(request)
    except ToldError as told:
        draft = told.args[0]
        names = [name for name in draft.__struct_fields__ if name != "content"]
        return [draft.content.to_bytes(), *(repr(getattr(draft, name)) for name in names)]
    except InvalidError as error:
        return sorted((fault.field, fault.message) for fault in error.faults)
    return None


async def assert_same(body):
    taken = False
    for intake in INTAKES:
        for strict in (False, True):
            common = intake.common_sale(body)
            if common is None:
                continue
            taken = True
            by_model = Request(jsons.loads(body), "key", strict)
            assert await outcome(intake, Request({}, "key", strict, common)) == await outcome(intake, by_model)
    return taken


TEXTS = st.one_of(
    st.sampled_from(
        ["", ".", "..", " ", "a b", "C1", "-1", "x" * 128, "x" * 129, "Größe", "日本", "\ud800", "a\nb", "\x7f"]
    ),
    st.text(max_size=6),
)
EMAILS = st.sampled_from(
    ["ada@example.com", " Ada@Example.com ", "a@b", "@", "a b@c", "ß@ü.de", "x" * 250 + "@a.b", ""]
)
NUMBERS = st.one_of(
    st.integers(-3, 10**13),
    st.sampled_from(
        ["0", "-0", "+1", "1.", ".5", "01.50", "1e2", "1.005", "1,5", " 1", "\uff11", "9" * 12, "9" * 13, "0.10"]
    ),
    st.sampled_from([Decimal(text) for text in ("0.0", "-0.0", "1.50", "0.001", "1E+3", "1E-50", "1e15", "12.340")]),
    st.booleans(),
    st.none(),
)
DATES = st.sampled_from(["2026-11-22", "2026-02-30", "2026-1-2", "20261122", "", "\uff12026-11-22"])
MOMENTS = st.sampled_from([
    "2026-11-22T19:04:00+01:00", "2026-11-22t19:04:00z", "2026-11-22 19:04Z", "2026-11-22T25:04:00Z",
    "2026-11-22T19:04:00", "2016-12-31T23:59:60Z",
])  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
CUSTOMERS = st.dictionaries(
    st.sampled_from(["memberId", "externalId", "email", "loyaltyId"]), TEXTS | EMAILS | st.none(), max_size=3
)
FIELDS = {
    "externalOrderId": TEXTS,
    "customer": CUSTOMERS,
    "totalAmount": NUMBERS,
    "currency": st.sampled_from(["USD", "EUR", "JPY", "KWD", "usd", ""]),
    "storeId": TEXTS,
    "businessDate": DATES,
    "transactionId": TEXTS,
    "occurredAt": MOMENTS,
    "lines": st.lists(st.dictionaries(TEXTS, ANYTHING, max_size=2), max_size=2),
    "metadata": st.dictionaries(TEXTS, ANYTHING, max_size=3) | st.just({"note": "x" * 5000}),
}
CHANGES = st.dictionaries(
    st.sampled_from([*FIELDS, "total", "external_order_id"]), st.just(0), min_size=0, max_size=4
).flatmap(lambda names: st.fixed_dictionaries({name: FIELDS.get(name, ANYTHING) | ANYTHING for name in names}))


def written(document, *, ascii_only=True):
    """As JSON, Decimals as numbers; a lone surrogate can only be written escaped."""

    def text(value):
        if isinstance(value, Decimal):
            return str(value)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(name)}: {text(item)}" for name, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(text, value)) + "]"
        return json.dumps(value, ensure_ascii=ascii_only)

    return text(document).encode("utf-8", "surrogatepass")


@given(changes=CHANGES, dropped=st.sets(st.sampled_from([*ORDINARY]), max_size=5), ascii_only=st.booleans())
@example(changes={}, dropped=set(), ascii_only=True)
async def test_what_the_shortcut_reads_is_stored_as_the_model_has_it(changes, dropped, ascii_only):
    document = {**{name: value for name, value in ORDINARY.items() if name not in dropped}, **changes}
    await assert_same(written(document, ascii_only=ascii_only))


ALSO_ORDINARY = {
    "least": {"externalOrderId": "1", "customer": {"email": "ada@example.com"}, "totalAmount": 0},
    "nulls": {**dict.fromkeys(ORDINARY), "externalOrderId": "1", "customer": {"externalId": "C"}, "totalAmount": 1},
    "a key that is null": {**ORDINARY, "customer": {"externalId": "C", "email": None}},
    "e-mail to be trimmed": {**ORDINARY, "customer": {"email": " Ada@Example.com ", "memberId": "m"}},
    "own currency": {**ORDINARY, "currency": "JPY", "totalAmount": 1200},
    "many zeros": {**ORDINARY, "totalAmount": Decimal("1.5000000000")},
    "large numbers": {**ORDINARY, "metadata": {"n": 10**30, "d": Decimal("1.10"), "e": [[1], {}]}},
}  # fmt: skip


@pytest.mark.parametrize("document", ALSO_ORDINARY.values(), ids=ALSO_ORDINARY.keys())
async def test_ordinary_sales_take_the_shortcut(document):
    assert await assert_same(written(document))
    assert await assert_same(written(document, ascii_only=False))


LEFT = {
    "malformed": b'{"externalOrderId": "1"',
    "not UTF-8": written(ORDINARY).replace(b"90871", b"\xff"),
    "a byte order mark": codecs.BOM_UTF8 + written(ORDINARY),
    "an unknown field": written({**ORDINARY, "discount": 1}),
    "an unknown field of the customer": written({**ORDINARY, "customer": {"memberId": "m", "tier": "gold"}}),
    "nobody": written({**ORDINARY, "customer": {}}),
    "nested too deeply": written({**ORDINARY, "metadata": {"a": json.loads("[" * 70 + "]" * 70)}}),
    "an amount that is no number": written({**ORDINARY, "totalAmount": True}),
    "a negative amount": written({**ORDINARY, "totalAmount": -1}),
    "an amount beyond measure": written(ORDINARY).replace(b'"120.00"', b"1e999999999999999999"),
    "more decimals than the currency has": written({**ORDINARY, "totalAmount": "1.005"}),
    "more decimals than the till's currency has": written({**ORDINARY, "currency": None, "totalAmount": "1.005"}),
    "an id of the wrong type": written({**ORDINARY, "storeId": 1}),
    "an array": b"[]",
    "nothing": b"",
}


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT.keys())
def test_everything_else_is_left_to_the_model(body):
    assert common_sale.read(body, "USD") is None


async def test_of_a_field_given_twice_both_take_the_last():
    twice = written(ORDINARY)[:-1] + b', "totalAmount": 7, "customer": {"email": "b@c.de"}}'
    assert await assert_same(twice)
    common = common_sale.read(twice, "USD")
    assert (common.total_amount, common.customer.member_id) == (Decimal(7), None)


def test_the_text_of_a_sale_shows_nothing():
    common = common_sale.read(written(ORDINARY), "USD")
    assert repr((common, common.customer)) == "(<CommonSale>, <CommonCustomer>)"
