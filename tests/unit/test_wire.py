"""What goes upstream: keys that tell operations apart, bodies with nothing undocumented, digits as they came."""

from decimal import Decimal
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import jsons
from agent.delivery import Kind
from agent.flash import wire
from agent.outbox.operation import key_of_generation

IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128)
SHORT = st.text("ab1.:-_2", min_size=1, max_size=4)
GENERATIONS = st.integers(1, 99_999_999_999)
NAMED = st.tuples(st.sampled_from(list(Kind)), st.lists(SHORT | IDS, min_size=1, max_size=3).map(tuple), GENERATIONS)


def key(named):
    kind, parts, generation = named
    return key_of_generation(wire.readable_key(kind, *parts), generation)


# ---- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "parts", "readable"),
    [
        (Kind.SALE, ["90871"], "sale-90871"),
        (Kind.REFUND, ["90871", "re_1"], "refund-90871:re_1"),
        (Kind.SALE, ["st_1-till-1-2026-11-22-7"], "sale-st_1-till-1-2026-11-22-7"),
        (Kind.SALE, ["a.b"], "sale-a.b"),
    ],
)
def test_a_key_is_readable_where_it_can_be(kind, parts, readable):
    assert wire.readable_key(kind, *parts) == readable
    assert key_of_generation(readable, 1) == readable
    assert key_of_generation(readable, 2) == f"{readable}.2"


@pytest.mark.parametrize(
    "order", ["a:b", "a b", "Größe", "a/b", "ada@example.com", "90871.2", "a..b", ".", "x" * 244, "a\n"]
)
def test_a_key_is_a_digest_where_an_id_could_be_taken_for_something_else(order):
    made = wire.readable_key(Kind.SALE, order)
    assert order not in made
    assert made.startswith("sale~")
    assert len(made) == len("sale~") + 64


@pytest.mark.parametrize("length", [1, 128, 238, 239, 5000])
def test_a_key_fits_with_its_generation_at_any_length(length):
    assert len(key((Kind.SALE, ("x" * length,), 99_999_999_999))) <= wire.MAX_KEY_CHARS
    assert len(key((Kind.ENROLLMENT, ("x" * length, "y" * length), 99_999_999_999))) <= wire.MAX_KEY_CHARS


@given(NAMED)
def test_a_key_is_printable_ascii_of_at_most_255_characters(named):
    made = key(named)
    assert len(made) <= 255
    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    assert made == key(named)


@given(st.lists(NAMED, min_size=2, max_size=8, unique=True))
def test_different_operations_and_generations_never_share_a_key(named):
    assert len({key(each) for each in named}) == len(named)


@given(st.lists(st.tuples(st.just(Kind.SALE), st.lists(SHORT, min_size=1, max_size=3).map(tuple), st.integers(1, 3)),
                min_size=2, max_size=30, unique=True))  # fmt: skip
def test_ids_made_of_separators_and_digits_never_share_a_key(named):
    assert len({key(each) for each in named}) == len(named)


def test_an_id_that_is_another_ids_digest_has_a_key_of_its_own():
    theirs = wire.readable_key(Kind.SALE, "Größe 1")
    assert wire.readable_key(Kind.SALE, theirs.removeprefix("sale-")) != theirs


@given(st.lists(st.text("abc.:-", min_size=1, max_size=6), min_size=2, max_size=6, unique=True))
def test_a_batchs_key_tells_its_items_and_their_order(keys):
    assert wire.batch_key(keys) == wire.batch_key(list(keys))
    assert wire.batch_key(keys) != wire.batch_key(keys[::-1])
    assert wire.batch_key(keys) != wire.batch_key(keys[:-1])
    assert wire.batch_key(keys) != wire.batch_key(["".join(keys[:2]), *keys[2:]])
    assert len(wire.batch_key(keys)) <= wire.MAX_KEY_CHARS


# ---- bodies --------------------------------------------------------------------------------------------------------

SALE = {
    "externalOrderId": "7",
    "customer": {"memberId": "m", "externalId": "c", "email": "a@b", "loyaltyCard": "x"},
    "totalAmount": Decimal("120.00"),
    "currency": "USD",
    "storeId": "another",
    "businessDate": "2026-11-22",
    "transactionId": "t",
    "occurredAt": "2026-11-22T19:04:00Z",
    "lines": [{"sku": "1", "price": Decimal("1.10")}],
    "metadata": {"own": 1},
    "tip": 1,
}


def test_an_order_carries_only_what_flash_documents():
    assert wire.order_body("up-7", SALE, "st_1", extended=False) == {
        "externalOrderId": "up-7",
        "customer": {"memberId": "m", "externalId": "c", "email": "a@b"},
        "totalAmount": Decimal("120.00"),
        "storeId": "st_1",
    }


def test_an_extended_order_adds_currency_time_and_lines_alone():
    plain = wire.order_body("up-7", SALE, "st_1", extended=False)
    extended = wire.order_body("up-7", SALE, "st_1", extended=True)
    assert extended.items() >= plain.items()
    assert set(extended) - set(plain) == {"currency", "occurredAt", "lines"}


def test_what_was_not_given_is_not_sent():
    least = {"customer": {"email": "a@b"}, "totalAmount": 0}
    for extended in (False, True):
        body = wire.order_body("7", least, None, extended=extended)
        assert body == {"externalOrderId": "7", "customer": {"email": "a@b"}, "totalAmount": 0}
    assert wire.refund_body("r", {}) == {"refundId": "r"}
    assert wire.member_body({"email": "a@b"}) == {"email": "a@b"}


def test_a_refund_carries_only_what_flash_documents():
    ours = {"externalOrderId": "7", "currency": "USD", "orderRef": {}, "businessDate": "2026-11-22", "metadata": {}}
    refund = {**ours, "refundId": "own", "amount": Decimal("5.00"), "reason": "broken", "ifKnown": True}
    assert wire.refund_body("up-r", refund) == {"refundId": "up-r", "amount": Decimal("5.00"), "reason": "broken"}


@pytest.mark.parametrize("consent", [False, None, "yes", 1])
def test_no_consent_is_sent_but_an_explicit_yes(consent):
    asked = {
        "externalId": "c",
        "marketingConsent": consent,
        "marketingConsentAt": "2026-11-22T19:04:00Z",
        "metadata": {},
    }
    assert wire.member_body(asked) == {"externalId": "c"}


def test_a_consent_is_sent_with_its_time():
    fields = {"email": "a@b", "externalId": "c", "fullName": "Ada", "phone": "1", "marketingConsent": True,
              "marketingConsentAt": "2026-11-22T19:04:00Z"}  # fmt: skip
    assert wire.member_body({**fields, "metadata": {}, "tip": 1}) == fields


@pytest.mark.parametrize("digits", ["120.00", "120.0", "120", "0.10", "0", "999999999999.99", "0.30000000000000004"])
def test_amounts_keep_their_digits_in_the_text(digits):
    body = wire.order_body("7", {"customer": {}, "totalAmount": jsons.loads(digits)}, None, extended=False)
    assert bytes(wire.encode(body)).decode().endswith(f'"totalAmount":{digits}}}')
    refund = bytes(wire.encode(wire.refund_body("r", {"amount": Decimal(digits)}))).decode()
    assert refund == f'{{"refundId":"r","amount":{digits}}}'


def test_a_body_carries_any_text():
    text = bytes(wire.encode({"externalOrderId": "Größe 日本 \u2028"}))
    assert jsons.loads(text) == {"externalOrderId": "Größe 日本 \u2028"}


@pytest.mark.parametrize(("kind", "name"), [(Kind.SALE, "orders"), (Kind.ENROLLMENT, "members")])
def test_a_batch_is_the_stored_bodies_unchanged(kind, name):
    bodies = [b'{"totalAmount":120.00}', b'{ "totalAmount" : 7.50 }']
    assert wire.batch_body(kind, bodies) == b'{"' + name.encode() + b'":[' + bodies[0] + b"," + bodies[1] + b"]}"
    assert jsons.loads(wire.batch_body(kind, bodies[:1])) == {name: [{"totalAmount": Decimal("120.00")}]}


# ---- paths and codes -----------------------------------------------------------------------------------------------


@given(IDS)
def test_an_id_is_one_segment_and_comes_back_whole(value):
    encoded = wire.segment(value)
    assert not set(encoded) & set("/?#%\\ ;&") - {"%"}
    assert encoded.isascii()
    assert unquote(encoded) == value


@pytest.mark.parametrize(
    ("order", "path"), [("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("%2F", "%252F"), ("ü", "%C3%BC")]
)
def test_an_order_number_stays_within_its_place(order, path):
    assert wire.refund_path(order) == f"/orders/{path}/refund"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "ORDER_CONFLICT"}}, "ORDER_CONFLICT"),
        ({"code": "ORDER_CONFLICT"}, "ORDER_CONFLICT"),
        ({"error": {"message": "x"}, "code": "OUTER"}, ""),
        ({"error": "ORDER_CONFLICT"}, ""),
        ({"error": {"code": 409}}, ""),
        ({"error": {"code": None}}, ""),
        ({}, ""),
    ],
)
def test_the_code_of_an_error(body, code):
    assert wire.error_code(body) == code


def test_where_one_id_ends_and_the_next_begins_is_part_of_the_key():
    assert wire.readable_key(Kind.REFUND, "a:", "b") != wire.readable_key(Kind.REFUND, "a", ":b")
    assert wire.readable_key(Kind.REFUND, "a b", "c") != wire.readable_key(Kind.REFUND, "a", "b c")
