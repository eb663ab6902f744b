"""Documents as a whole: every fault at once, unknown fields found, inputs never repeated, and nothing else raised."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent import jsons
from agent.api.bodies import Discard, DrillOrder
from agent.errors import Fault
from agent.fields import MAX_AMOUNT_DECIMALS, plain
from agent.model import Customer, Document, Enrollment, OrderRef, Refund, Sale, faults_of

MODELS = [Sale, Refund, Enrollment, Discard, Customer, OrderRef]
CONTEXT = {"currency": "USD"}
MARK = "ZEBRA7731"
SALE = {"externalOrderId": "1", "customer": {"externalId": "c"}, "totalAmount": Decimal(120)}
REFUND = {"externalOrderId": "1", "refundId": "r"}


def faults(model, fields):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields, context=CONTEXT)
    return faults_of(caught.value), caught.value


def named(model, fields):
    return {fault.field for fault in faults(model, fields)[0]}


def test_every_fault_of_a_sale_is_named_at_once_by_the_senders_names():
    bad = {
        "externalOrderId": "..",
        "customer": {"memberId": "", "email": "ada"},
        "currency": "usd",
        "totalAmount": "-1",
        "storeId": "\x00",
        "businessDate": "today",
        "transactionId": 5,
        "occurredAt": "now",
        "lines": [{}, "x"],
        "metadata": [],
    }
    assert named(Sale, bad) == {
        "externalOrderId", "customer.memberId", "customer.email", "currency", "totalAmount", "storeId", "businessDate",
        "transactionId", "occurredAt", "lines.1", "metadata",
    }  # fmt: skip
    assert named(Sale, {}) == {"externalOrderId", "customer", "totalAmount"}


def test_every_fault_of_a_refund_is_named_at_once():
    bad = {"amount": 0, "reason": 5, "orderRef": {"storeId": "", "tillId": "."}, "businessDate": "x", "ifKnown": "no"}
    assert named(Refund, bad) == {
        "externalOrderId", "refundId", "amount", "reason", "orderRef.storeId", "orderRef.tillId", "businessDate",
        "ifKnown",
    }  # fmt: skip


def test_every_fault_of_an_enrollment_is_named_at_once():
    bad = {"email": "ada", "externalId": "", "fullName": 5, "phone": "x" * 65, "marketingConsentAt": "x"}
    assert named(Enrollment, bad) == set(bad)


def test_a_missing_consent_time_is_named_beside_the_other_faults():
    found, _ = faults(Enrollment, {"externalId": "..", "marketingConsent": True})
    assert len(found) == 2


def test_a_missing_member_is_named_beside_the_other_faults():
    found, _ = faults(Enrollment, {"fullName": 5, "marketingConsent": True})
    assert len(found) == 3


def test_a_missing_customer_key_is_named_beside_the_other_faults():
    assert named(Sale, {**SALE, "customer": {}, "totalAmount": -1}) == {"customer", "totalAmount"}


def test_a_fault_says_what_would_be_right():
    found, _ = faults(Sale, {**SALE, "totalAmount": Decimal("-0.5")})
    assert found == [Fault("totalAmount", "must not be negative; a return is POST /v1/refunds")]


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Sale, {"externalOrderId": MARK * 20, "customer": MARK, "currency": MARK, "totalAmount": MARK}),
        (Sale, {**SALE, "customer": {"email": MARK, "memberId": f"{MARK}\x00", "externalId": [MARK]}}),
        (Sale, {**SALE, "businessDate": MARK, "occurredAt": MARK, "lines": [MARK], "metadata": MARK}),
        (Sale, {**SALE, "metadata": {MARK: MARK * 600}}),
        (Refund, {**REFUND, "amount": f"{MARK}", "reason": MARK * 200, "ifKnown": MARK, "orderRef": MARK}),
        (Enrollment, {"email": MARK, "externalId": f"\n{MARK}", "fullName": [MARK], "phone": MARK * 10}),
        (Enrollment, {"email": f"{MARK}@", "marketingConsent": MARK, "marketingConsentAt": MARK}),
        (Sale, MARK),
        (Sale, [MARK]),
    ],
)
def test_no_input_is_repeated_in_an_error(model, fields):
    found, error = faults(model, fields)
    assert found
    assert MARK not in str(found)
    assert MARK not in str(error)
    assert MARK not in repr(error)


# ---- unknown fields ------------------------------------------------------------------------------------------------


def test_unknown_fields_are_taken_and_named_also_the_nested_ones():
    sale = Sale.model_validate({**SALE, "tip": 1, "customer": {"externalId": "c", "card": "x"}}, context=CONTEXT)
    assert sorted(sale.unknown_fields()) == ["customer.card", "tip"]
    reference = {"businessDate": "2026-11-22", "lane": 4}
    refund = Refund.model_validate({**REFUND, "orderRef": reference, "voucher": None}, context=CONTEXT)
    assert sorted(refund.unknown_fields()) == ["orderRef.lane", "voucher"]


def test_names_of_our_own_are_unknown_to_the_sender():
    fields = {**SALE, "store_id": "s", "model_config": {}, "sent": 1, "__class__": 2, "self": 3}
    sale = Sale.model_validate(fields, context=CONTEXT)
    assert set(sale.unknown_fields()) == {"store_id", "model_config", "sent", "__class__", "self"}
    assert sale.store_id is None
    assert named(Sale, {"external_order_id": "1", "customer": {"external_id": "c"}, "totalAmount": 1}) == {
        "externalOrderId",
        "customer",
    }


def test_what_lies_in_lines_and_metadata_is_the_registers_own():
    sale = Sale.model_validate({**SALE, "lines": [{"sku": 1}], "metadata": {"any": {"thing": 1}}}, context=CONTEXT)
    assert sale.unknown_fields() == []
    assert (sale.lines, sale.metadata) == ([{"sku": 1}], {"any": {"thing": 1}})


def test_sent_holds_what_was_given_and_is_known_also_inside():
    fields = {**SALE, "storeId": None, "tip": 1, "customer": {"externalId": "c", "card": "x"}}
    assert Sale.model_validate(fields, context=CONTEXT).sent() == SALE


def test_documents_are_frozen():
    sale = Sale.model_validate(SALE, context=CONTEXT)
    with pytest.raises(ValidationError):
        sale.total_amount = Decimal(1)


# ---- totality ------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(), max_size=8)  # lone surrogates too: JSON can spell them
SAMPLES = ["a@b", "2026-11-22", "2026-11-22T00:00:00Z", "USD", "1.00", "..", Decimal("1E-999999999")]
HUGE = Decimal("1E+999999999")
SCALARS = (
    st.sampled_from([*SAMPLES, HUGE]) | st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | TEXTS
)
NAMES = sorted({field.alias or name for model in MODELS for name, field in model.model_fields.items()})
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | TEXTS, inner, max_size=6),
    max_leaves=12,
)
DOCUMENTS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, SCALARS | JSON))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=150)
@given(fields=DOCUMENTS | JSON)
def test_any_json_is_a_document_or_has_named_faults(model, fields):
    try:
        document = model.model_validate(fields, context=CONTEXT)
    except ValidationError as error:
        document, found = None, faults_of(error)
    else:
        found = []
    assert found or isinstance(document, Document)
    assert found or jsons.loads(jsons.dumps(document.sent())) is not None


AMOUNTS = st.builds(
    lambda sign, units, places: Decimal((sign, tuple(map(int, str(units))), -places)),
    st.integers(0, 1),
    st.integers(0, 10**15) | st.integers(0, 10**45),
    st.integers(-3, 45),
)


ALMOST = st.builds(lambda units, zeros: Decimal(f"{units}.{'0' * zeros}1"), st.integers(0, 10**9), st.integers(0, 40))


@given(AMOUNTS | ALMOST | st.decimals(allow_nan=False, allow_infinity=False))
@example(Decimal("156.25" + "0" * MAX_AMOUNT_DECIMALS))
@example(Decimal("156.25" + "0" * (MAX_AMOUNT_DECIMALS - 2)))
def test_an_amount_is_taken_as_it_is_or_not_at_all(amount):
    fits = 0 <= amount < 10**12 and amount == amount.quantize(Decimal("0.01"))
    endless = not amount.is_zero() and int(amount.as_tuple().exponent) < -MAX_AMOUNT_DECIMALS  # be it with zeros
    fits = fits and not endless
    try:
        sale = Sale.model_validate({**SALE, "totalAmount": amount}, context=CONTEXT)
    except ValidationError:
        assert not fits
    else:
        assert fits
        assert sale.total_amount == amount
        assert Decimal(plain(sale.total_amount)) == amount


def test_faults_are_in_plain_words():
    wrong = {"externalOrderId": 5, "customer": 3, "lines": [3], "metadata": 5}
    assert {fault.field: fault.message for fault in faults(Sale, wrong)[0]} == {
        "externalOrderId": "must be a string",
        "customer": "must be an object",
        "totalAmount": "is required",
        "lines.0": "must be an object",
        "metadata": "must be an object",
    }
    more = {"email": "a@b.c", "phone": "x" * 65, "marketingConsent": "yes"}
    assert {fault.message for fault in faults(Enrollment, more)[0]} == {
        "must have at most 64 characters",
        "must be true or false",
    }
    bounds = {"x": "must be a whole number", 0: "must be at least 1", 9999: "must be at most 7200"}
    for seconds, message in bounds.items():
        assert [fault.message for fault in faults(DrillOrder, {"seconds": seconds})[0]] == [message]
