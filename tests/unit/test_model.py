"""What a register may send, and every refusal: named by the sender's field names, all at once, no input repeated."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from agent import jsons
from agent.api.bodies import Discard
from agent.fields import minor_units, plain
from agent.model import Customer, Enrollment, Refund, Sale, faults_of

LEFT_OUT = object()


def document(base, changes):
    return {name: value for name, value in (base | changes).items() if value is not LEFT_OUT}


def sale(**changes):
    return document({"externalOrderId": "1", "customer": {"externalId": "c"}, "totalAmount": Decimal(120)}, changes)


def refund(**changes):
    return document({"externalOrderId": "1", "refundId": "r", "amount": Decimal(5)}, changes)


def enrollment(**changes):
    return document({"externalId": "c"}, changes)


def read(model, fields, currency="USD"):
    return model.model_validate(fields, context={"currency": currency})


def faults(model, fields, currency="USD"):
    with pytest.raises(ValidationError) as caught:
        read(model, fields, currency)
    return faults_of(caught.value)


def fields_at_fault(model, fields, currency="USD"):
    return [fault.field for fault in faults(model, fields, currency)]


# ---- amounts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["120", "120.0", "120.00", '"120"', '"120.00"', '"+120.00"', "1.2e2", "120.000000"])
def test_equal_amounts_are_one_amount(text):
    amount = read(Sale, sale(totalAmount=jsons.loads(text))).total_amount
    assert amount == Decimal(120)
    assert plain(amount) == "120"


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0"), ("0.00", "0"), ("-0", "0"), ("-0.00", "0"), ("100", "100"), ("0.50", "0.5"), ("1E+3", "1000")],
)
def test_plain_spells_an_amount_one_way(amount, text):
    assert plain(read(Sale, sale(totalAmount=Decimal(amount))).total_amount) == text


def test_the_digits_that_came_are_the_digits_that_stay():
    assert str(read(Sale, sale(totalAmount=jsons.loads("120.00"))).total_amount) == "120.00"
    assert str(read(Sale, sale(totalAmount="120.0")).total_amount) == "120.0"


@pytest.mark.parametrize(
    ("currency", "fits", "too_fine"),
    [("USD", "1.05", "1.055"), ("JPY", "105", "105.5"), ("KWD", "1.055", "1.0555"), ("CLF", "1.0555", "1.05555")],
)
@pytest.mark.parametrize("own", [True, False])
def test_no_more_decimals_than_the_currency_has(currency, fits, too_fine, own):
    named = {"currency": currency} if own else {}
    tills = "EUR" if own else currency
    for model, make, field in ((Sale, sale, "totalAmount"), (Refund, refund, "amount")):
        assert read(model, make(**named, **{field: fits + "000"}), tills)
        (fault,) = faults(model, make(**named, **{field: Decimal(too_fine)}), tills)
        assert fault.field == field
        assert fault.message == f"must have at most {minor_units(currency)} decimals in {currency}"


@pytest.mark.parametrize(
    "amount",
    [
        *(Decimal(text) for text in ("-0.01", "-120", "NaN", "sNaN", "Infinity", "-Infinity", "1E+12", "0.001")),
        *("-0.01", "1e2", "1,5", "1.", ".5", "", " 1", "1 ", "1\n", "0x10", "1_0", "NaN", "Infinity", "٣", "120.001"),
        *(True, False, None, [], {}, [120], {"value": 120}, 10**12, -1, 1.5, float("nan")),
    ],
    ids=repr,
)
def test_what_is_not_an_amount_of_a_sale_is_refused(amount):
    assert fields_at_fault(Sale, sale(totalAmount=amount)) == ["totalAmount"]


@pytest.mark.parametrize(
    "text", ["120." + "0" * 33 + "1", "1e-30", "1e-999999999", "1e999999999999", "-1e999999999999"]
)
@pytest.mark.parametrize(("model", "make", "field"), [(Sale, sale, "totalAmount"), (Refund, refund, "amount")])
def test_no_amount_is_rounded_into_one_that_fits(text, model, make, field):
    assert fields_at_fault(model, make(**{field: jsons.loads(text)})) == [field]


@pytest.mark.parametrize("text", ["0e-60000", "0.0e-60000", "-0e-60000", "0e60000"])
def test_a_zero_has_no_room_to_hide_in(text):
    """Written out, a zero of a billion decimals would fill the memory."""
    try:
        amount = read(Sale, sale(totalAmount=jsons.loads(text))).total_amount
    except ValidationError:
        return
    assert len(f"{amount:f}") < 100


def test_a_sale_of_nothing_is_allowed_and_one_without_an_amount_is_not():
    assert read(Sale, sale(totalAmount=0)).total_amount == 0
    assert fields_at_fault(Sale, sale(totalAmount=LEFT_OUT)) == ["totalAmount"]


@pytest.mark.parametrize("amount", [Decimal(0), Decimal("-0.0"), Decimal(-5), "0.00", 0, -1, True])
def test_a_refund_gives_something_back(amount):
    assert fields_at_fault(Refund, refund(amount=amount)) == ["amount"]


def test_a_refund_without_an_amount_is_of_what_is_left():
    assert read(Refund, refund(amount=LEFT_OUT)).amount is None


@pytest.mark.parametrize("currency", ["usd", "US", "USDD", "U$D", "", 840, "\ud800\ud800\ud800"])
def test_a_currency_is_an_iso_code(currency):
    assert "currency" in fields_at_fault(Sale, sale(currency=currency))


# ---- ids, customers, texts -----------------------------------------------------------------------------------------

BAD_IDS = [
    "",
    " ",
    "\t",
    "x" * 129,
    ".",
    "..",
    "a\nb",
    "a\x00",
    "\x7f",
    "a\x85",
    "\ud800",
    "a\udfff",
    7,
    True,
    None,
    [],
]


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
@pytest.mark.parametrize(
    ("model", "make", "field"),
    [(Sale, sale, "externalOrderId"), (Refund, refund, "externalOrderId"), (Refund, refund, "refundId")],
)
def test_an_id_that_could_not_be_a_path_segment_is_refused(model, make, field, bad):
    assert fields_at_fault(model, make(**{field: bad})) == [field]


@pytest.mark.parametrize("bad", [bad for bad in BAD_IDS if bad is not None], ids=ascii)
def test_optional_ids_are_ids_too(bad):
    assert fields_at_fault(Sale, sale(storeId=bad, transactionId=bad)) == ["storeId", "transactionId"]
    assert fields_at_fault(Sale, sale(customer={"memberId": bad})) == ["customer.memberId"]
    assert fields_at_fault(Refund, refund(orderRef={"upstreamOrderId": bad})) == ["orderRef.upstreamOrderId"]


@pytest.mark.parametrize("good", ["x" * 128, "a.b", "...", ".a", "a/b?c#d%2F", "Größe 1", "日本", "4111111111111111"])
def test_other_ids_come_through_unchanged(good):
    assert read(Sale, sale(externalOrderId=good)).external_order_id == good


@pytest.mark.parametrize(
    "customer", [{}, {"email": None}, {"memberId": None, "externalId": None}, {"loyaltyCard": "1"}]
)
def test_a_customer_has_a_key(customer):
    assert fields_at_fault(Sale, sale(customer=customer)) == ["customer"]


@pytest.mark.parametrize("customer", [LEFT_OUT, None, "c", [], 5])
def test_a_sale_has_a_customer(customer):
    assert fields_at_fault(Sale, sale(customer=customer)) == ["customer"]


def test_an_email_is_trimmed_kept_as_written_and_compared_case_folded():
    customer = read(Customer, {"email": "  Ada@Example.com \t"})
    assert customer.email == "Ada@Example.com"
    assert customer.subjects() == ["member:email:ada@example.com"]
    assert read(Enrollment, {"email": " ADA@example.com"}).subjects() == customer.subjects()


def test_each_key_of_a_customer_is_a_subject():
    keys = {"memberId": "m", "externalId": "C", "email": "a@b"}
    assert read(Customer, keys).subjects() == ["member:memberId:m", "member:externalId:C", "member:email:a@b"]


@pytest.mark.parametrize(
    "email", ["", "  ", "ada", "@example.com", "ada@", "a da@b", "a@b\n@c", "a\x00@b", "\ud800@b", "a" * 253 + "@b", 5]
)
def test_what_is_no_email_is_refused(email):
    assert fields_at_fault(Enrollment, {"email": email}) == ["email"]
    assert fields_at_fault(Sale, sale(customer={"email": email})) == ["customer.email"]


def test_a_card_number_is_masked_in_free_text_and_nowhere_else():
    card = "4111111111111111"
    assert card not in read(Refund, refund(reason=f"card {card}")).reason
    assert card not in read(Enrollment, enrollment(fullName=f"Ada {card}")).full_name
    assert read(Refund, refund(refundId=card, metadata={"till": card})).sent()["metadata"] == {"till": card}


@pytest.mark.parametrize("text", ["x" * 1001, "\ud800", 5, ["x"]], ids=ascii)
def test_a_text_is_a_text_of_bounded_length(text):
    assert fields_at_fault(Refund, refund(reason=text)) == ["reason"]
    assert fields_at_fault(Discard, {"reason": text}) == ["reason"]


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_discard_says_why(reason):
    assert fields_at_fault(Discard, {"reason": reason}) == ["reason"]


# ---- dates, consent, metadata --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "date", ["2026-02-30", "2026-13-01", "26-01-01", "2026-1-1", "20260101", "2026-W01-1", "", 20260101]
)
def test_what_is_no_date_is_refused(date):
    assert fields_at_fault(Sale, sale(businessDate=date)) == ["businessDate"]
    assert fields_at_fault(Refund, refund(orderRef={"businessDate": date})) == ["orderRef.businessDate"]


@pytest.mark.parametrize(
    "moment",
    ["2026-11-22T19:04:00", "2026-11-22", "2026-11-22T19:04:00 CET", "2026-11-22T25:00:00Z", "2026-02-30T01:00:00Z",
     "2026-11-22T19:04:00+0100", "2026-11-22T19:04:00+25:00", "2026-11-22T24:00:00Z", "2026-11-22T19:04:60Z",
     "2026-11-22T23:59:61Z",
     "2026-11-22T23:59:60+01:00", "0001-01-01T00:59:60+05:00", "19:04:00Z", "", 1763838240, True],
)  # fmt: skip
def test_a_time_without_an_offset_or_sense_is_refused(moment):
    assert fields_at_fault(Sale, sale(occurredAt=moment)) == ["occurredAt"]


@pytest.mark.parametrize(
    "moment",
    ["2026-11-22T19:04:00Z", "2026-11-22t19:04:00.123456789z", "2026-11-22T19:04:00-05:30"],
)  # fmt: skip
def test_a_time_with_an_offset_stays_as_it_was_written(moment):
    assert read(Sale, sale(occurredAt=moment, businessDate="2026-11-22")).occurred_at == moment


@pytest.mark.parametrize(
    ("moment", "taken"),
    [("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"), ("2016-12-31T15:59:60.5-08:00", "2016-12-31T15:59:59.5-08:00")],
)
def test_a_leap_second_is_taken_and_not_sent_on(moment, taken):
    assert read(Sale, sale(occurredAt=moment, businessDate="2016-12-31")).occurred_at == taken


def test_a_consent_needs_the_time_it_was_given():
    given_at = {"marketingConsentAt": "2026-11-22T19:04:00Z"}
    assert len(faults(Enrollment, enrollment(marketingConsent=True))) == 1
    assert read(Enrollment, enrollment(marketingConsent=True, **given_at)).marketing_consent is True
    assert read(Enrollment, enrollment(marketingConsent=False)).marketing_consent is False
    assert read(Enrollment, enrollment(marketingConsent=None)).marketing_consent is None


@pytest.mark.parametrize("consent", ["true", "yes", 1, 0, []])
def test_a_consent_is_a_plain_yes_or_no(consent):
    assert fields_at_fault(Enrollment, enrollment(marketingConsent=consent)) == ["marketingConsent"]


@pytest.mark.parametrize("if_known", ["true", 1, []])
def test_a_flag_is_a_bool(if_known):
    assert fields_at_fault(Refund, refund(ifKnown=if_known)) == ["ifKnown"]


@pytest.mark.parametrize("fields", [{}, {"fullName": "Ada"}, {"email": None}])
def test_an_enrollment_names_its_member(fields):
    assert len(faults(Enrollment, fields)) == 1


def test_an_order_reference_says_which_order():
    assert fields_at_fault(Refund, refund(orderRef={"storeId": "s", "tillId": "t"})) == ["orderRef"]
    assert read(Refund, refund(orderRef={"upstreamOrderId": "u"})).order_ref.upstream_order_id == "u"


@pytest.mark.parametrize("metadata", [{"k": "x" * (4096 - 8)}, {"k": "ü" * 2000}, {str(n): n for n in range(400)}])
def test_metadata_of_4_kib_is_taken(metadata):
    assert read(Sale, sale(metadata=metadata)).metadata == metadata


@pytest.mark.parametrize("metadata", [{"k": "x" * (4097 - 8)}, {"k": "日" * 1400}, [], "x", 5])
def test_more_metadata_or_other_than_an_object_is_refused(metadata):
    assert fields_at_fault(Sale, sale(metadata=metadata)) == ["metadata"]
