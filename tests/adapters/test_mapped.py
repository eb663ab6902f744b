"""`csv` and `jsonl`: the traps of files that a site maps itself."""

import io
import json
from decimal import Decimal

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Item, Site, Skipped
from agent.adapters.spelling import Spelling
from agent.errors import ConfigError

SALE = {"externalOrderId": "{Store}-{No}", "totalAmount": "Total", "customer.externalId": "Card"}
SITE = Site("EUR", others_are_own=True)


def parse(name: str, document: bytes | str, **mappings: dict) -> list[Item]:
    raw = document.encode() if isinstance(document, str) else document
    return registry.adapter(name).parse(raw, registry.options_of(name, {"mappings": mappings}), SITE)


def sent(items: list[Item]) -> list[dict]:
    assert all(isinstance(item, Found) for item in items), items
    return [item.document.sent() for item in items if isinstance(item, Found)]


def only_skip(items: list[Item]) -> Skipped:
    assert len(items) == 1
    assert isinstance(items[0], Skipped)
    return items[0]


@pytest.mark.parametrize(
    ("written", "spelling", "amount"),
    [
        ("1234.50", Spelling(), "1234.50"),
        ("+3", Spelling(), "3"),
        ("-12,50", Spelling(","), "-12.50"),
        ("12,50-", Spelling(","), "-12.50"),
        ("1.234.567,8", Spelling(",", "."), "1234567.8"),
        ("1'234.50", Spelling(".", "'"), "1234.50"),
        ("1\u202f234,50", Spelling(",", " "), "1234.50"),
        ("999", Spelling(",", "."), "999"),
    ],
)
def test_numbers_are_read_as_their_system_writes_them(written, spelling, amount):
    assert spelling.number(written) == Decimal(amount)


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        ("1.234", Spelling(",")),  # a thousand, or one and a bit? it was not said
        ("1,234.50", Spelling()),
        ("1.23", Spelling(",", ".")),
        ("12.34.567,00", Spelling(",", ".")),
        (".234,00", Spelling(",", ".")),
        ("1234,", Spelling(",")),
        ("12,50 €", Spelling(",")),
        ("1e3", Spelling()),
        ("--5", Spelling()),
        ("-5-", Spelling()),
        ("-", Spelling()),
        ("\u0661\u0662", Spelling()),
        ("9" * 61, Spelling()),
        (True, Spelling()),
    ],
)
def test_what_may_mean_two_numbers_is_none(written, spelling):
    with pytest.raises(ValueError, match="must be a number"):
        spelling.number(written)


def test_a_number_with_a_mark_that_nobody_named_says_which_setting_names_it():
    with pytest.raises(ValueError, match=r"1234,50 .*thousands"):
        Spelling(",").number("1.250,00")
    with pytest.raises(ValueError, match=r"such as 1\.234,50$"):
        Spelling(",", ".").number("1,250.00")


def test_dates_and_times_in_a_format_of_the_site():
    spelling = Spelling(date_format="%d/%m/%y", time_format="%d.%m.%Y %H:%M %z")
    assert spelling.day("03/04/26") == "2026-04-03"
    assert spelling.moment("14.03.2026 09:26 +0100") == "2026-03-14T09:26:00+01:00"
    assert Spelling(time_format="%Y%m%d%H%M").moment("202603140926") is None
    with pytest.raises(ValueError, match="must be a date as %d/%m/%y"):
        spelling.day("2026-04-03")


def test_a_missing_column_is_one_fault_of_the_whole_file_that_names_those_there_are():
    document = "Store;No;Sum;Card\n" + "1;1;5;C-1\n" * 50
    skip = only_skip(parse("csv", document, receipts={"delimiter": ";", "sale": SALE}))
    assert (skip.code, skip.fault, skip.place) == ("no-mapping-fits", True, "line 1")
    assert "receipts: it lacks Total; its columns are: Store, No, Sum, Card." in skip.reason


def test_a_first_line_that_is_no_header_is_not_repeated():
    row = "S1;1;5,00;Ada Lovelace;ada@example.com\n"
    skip = only_skip(parse("csv", row, receipts={"delimiter": ";", "sale": SALE}))
    assert "has 5 values by ';' and is no header" in skip.reason
    assert "Ada" not in skip.reason


def test_a_column_that_is_there_twice_is_ambiguous():
    skip = only_skip(parse("csv", "Store,No,Total,Card,Total\n1,1,5,C,6\n", receipts={"sale": SALE}))
    assert "the column Total is there twice" in skip.reason


def test_a_file_goes_to_the_first_mapping_whose_columns_it_has():
    mappings = {
        "stores": {"store": {"externalId": "Code", "name": "Name"}},
        "receipts": {"delimiter": ";", "sale": SALE},
    }
    assert sent(parse("csv", "Code,Name\nS1,Downtown\n", **mappings)) == [{"externalId": "S1", "name": "Downtown"}]
    assert sent(parse("csv", "Store;No;Total;Card\nS1;7;5;C-1\n", **mappings))[0]["externalOrderId"] == "S1-7"
    neither = only_skip(parse("csv", "a,b\n1,2\n", **mappings))
    assert "stores: " in neither.reason
    assert "receipts: " in neither.reason


def test_a_template_with_an_empty_column_is_empty_as_a_whole():
    """`S1-` would be one id of all receipts without a number."""
    skip = only_skip(parse("csv", "Store,No,Total,Card\nS1,,5,C-1\n", receipts={"sale": SALE}))
    assert (skip.place, skip.fault) == ("line 2", True)
    assert "externalOrderId (Store, No) is empty" in skip.reason


@pytest.mark.parametrize("card", ["0000", "****1234", "undefined", "99", "0099", "STAFF"])
@pytest.mark.parametrize("column", ["Card", "card-{Card}"])
def test_a_number_that_is_everybodys_earns_for_nobody(card, column):
    sale = {"externalOrderId": "{No}", "totalAmount": "Total", "customer.externalId": column}
    refund = {"externalOrderId": "{Of}", "refundId": "No", "amount": "Total", "customer.externalId": column}
    mapping = {"kind": {"sign_of": "Total"}, "sale": sale, "refund": refund}
    options = {"mappings": {"receipts": mapping}, "anonymous_customers": ["99", "staff"]}
    document = f"No,Total,Card,Of\n1,5,{card},\n2,-5,{card},1\n3,5,991,\n".encode()
    first, back, third = registry.adapter("csv").parse(document, registry.options_of("csv", options), SITE)
    assert first.code == "no-customer"
    assert back.document.if_known is True
    assert third.document.customer.external_id == ("991" if column == "Card" else "card-991")


def test_an_empty_amount_of_a_refund_is_not_the_whole_sale():
    refund = {"externalOrderId": "Of", "refundId": "No", "amount": "Total"}
    skip = only_skip(parse("csv", "Of,No,Total\n1,2,\n", returns={"refund": refund}))
    assert (skip.code, skip.fault) == ("unsound", True)
    del refund["amount"]
    assert "amount" not in sent(parse("csv", "Of,No,Total\n1,2,\n", returns={"refund": refund}))[0]


def test_the_sign_of_a_total_tells_a_return():
    refund = {"externalOrderId": "{Store}-{Of}", "refundId": "{Store}-{No}", "amount": "Total"}
    mapping = {"kind": {"sign_of": "Total"}, "sale": SALE, "refund": refund}
    items = parse("csv", "Store,No,Total,Card,Of\nS,1,5,C,\nS,2,-2,C,1\nS,3,x,C,1\n", receipts=mapping)
    assert sent(items[:2])[1] == {"externalOrderId": "S-1", "refundId": "S-2", "amount": Decimal(2), "ifKnown": True}
    assert "Total must be a number" in only_skip(items[2:]).reason


def test_a_quote_that_is_never_closed_says_which_lines_it_swallowed():
    document = 'Store,No,Total,Card\nS,1,5,C\nS,2,5,"C\nS,3,5,C\n'
    items = parse("csv", document, receipts={"sale": SALE})
    assert isinstance(items[0], Found)
    assert (items[1].place, items[1].fault) == ("lines 3 to 4", True)


def test_broken_quoting_costs_its_own_row_alone():
    document = 'Store,No,Total,Card\nS,1,5,"C"x\nS,2,5,C\n'
    items = parse("csv", document, receipts={"sale": SALE})
    assert (items[0].place, items[0].code) == ("line 2", "unreadable")
    assert sent(items[1:])[0]["externalOrderId"] == "S-2"


def test_line_numbers_count_lines_and_not_rows():
    document = 'Store,No,Total,Card,Note\n\nS,1,5,C,"a\nb\nc"\nS,2,x,C,\n'
    items = parse("csv", document, receipts={"sale": SALE})
    assert [item.place for item in items] == ["line 3", "line 6"]


def test_bytes_that_the_encoding_has_not_cost_their_row():
    document = b"Store,No,Total,Card,Note\nS,1,5,C,ok\nS,2,5,C,\xfc\nS,3,5,C,\xc3\xbc\n"
    items = parse("csv", document, receipts={"sale": SALE})
    assert [type(item) for item in items] == [Found, Skipped, Found]
    assert items[1].place == "line 3"
    assert "encoding" in items[1].reason


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-8-sig", "cp1252"])
def test_encodings_and_their_byte_order_marks(encoding):
    columns = {"externalOrderId": "Näme", "totalAmount": "Total", "customer.externalId": "Card"}
    written = "utf-8-sig" if encoding == "utf-8" else encoding  # a mark that was not announced is no part of a name
    items = parse("csv", "Näme,Total,Card\nä1,5,C\n".encode(written), receipts={"encoding": encoding, "sale": columns})
    assert sent(items)[0]["externalOrderId"] == "ä1"


def test_a_line_without_end_is_not_read_into_memory():
    endless = "Store,No,Total,Card\nS,1,5,C\n" + "x" * 3_000_000
    items = parse("csv", endless, receipts={"sale": SALE})
    assert [item.place for item in items] == ["line 2", "line 3"]
    assert items[1].code == "too-large"
    items = parse("jsonl", '{"No": 1}\n' + " " * 5_000_000, receipts={"sale": SALE})
    assert items[-1].code == "too-large"


def test_a_row_without_end_is_not_read_into_memory():
    endless = "Store,No,Total,Card\nS,1,5,C\n" + '"' + 'x\n","' * 1_000_000
    items = parse("csv", endless, receipts={"sale": SALE})
    assert [(item.place, getattr(item, "code", "")) for item in items] == [("line 2", ""), ("line 3", "too-large")]


def test_a_source_is_read_row_by_row():
    """What was found first is handed out long before the rest is read."""

    class Watched(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            piece = super().read(size)
            self.taken += len(piece)
            return piece

    source = Watched(b"Store,No,Total,Card\n" + b"S,1,5,C\n" * 1_000_000)
    options = registry.options_of("csv", {"mappings": {"receipts": {"sale": SALE}}})
    assert isinstance(next(registry.adapter("csv").items(source, options, SITE)), Found)
    assert source.taken < 300_000


def test_rows_of_a_catalog_are_gathered_and_a_bad_one_stays_alone():
    mapping = {
        "source": "erp",
        "kind": {"column": "T", "values": {"P": "product", "V": "variant", "I": "inventory"}},
        "product": {"externalId": "Id", "title": "Name", "brandExternalId": "Brand"},
        "variant": {"externalId": "Id", "productExternalId": "Of", "sku": "Sku", "price": "Price"},
        "inventory": {"variantSku": "Sku", "locationRef": {"value": "S18"}, "available": "Left"},
    }
    rows = ["T,Id,Name,Brand,Of,Sku,Price,Left", "V,V1,,,P1,SKU-1,19.90,", "P,P1,Tea,,,,,", "P,,Nameless,,,,,"]
    rows += ["I,,,,,SKU-1,,3", "I,,,,,SKU-1,,some"] + [f"P,Q{number},Tea,B1,,,," for number in range(250)]
    items = parse("csv", "\n".join(rows), goods=mapping)
    assert [item.place for item in items] == ["line 4", "line 6", "lines 2 to 203", "lines 204 to 256"]
    assert "externalId (Id) is empty" in items[0].reason
    assert "available (Left) must be a number" in items[1].reason
    first = sent(items[2:3])[0]
    assert first["source"] == "erp"
    assert first["products"][0] == {"externalId": "P1", "title": "Tea"}
    assert first["variants"] == [
        {"externalId": "V1", "productExternalId": "P1", "sku": "SKU-1", "price": Decimal("19.90")}
    ]
    assert first["inventory"] == [{"variantSku": "SKU-1", "locationRef": "S18", "available": 3}]
    assert len(first["products"]) + len(sent(items[3:])[0]["products"]) == 251


def test_amounts_of_json_keep_their_digits():
    line = json.dumps({"Store": 1, "No": 7, "Card": "C", "Total": 0}).replace('"Total": 0', '"Total": 0.10')
    assert str(sent(parse("jsonl", line, receipts={"sale": SALE}))[0]["totalAmount"]) == "0.10"


def test_a_name_with_a_dot_is_taken_as_it_stands_where_it_is_there():
    sale = {"externalOrderId": "no", "totalAmount": "sum.total", "customer.externalId": "card"}
    flat = '{"no": "1", "card": "C", "sum.total": 5}'
    deep = '{"no": "1", "card": "C", "sum": {"total": 5}}'
    for line in (flat, deep):
        assert sent(parse("jsonl", line, receipts={"sale": sale}))[0]["totalAmount"] == 5


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, "needs a table of fields"),
        ({"sale": {**SALE, "points": "P"}}, "sale: points is unknown"),
        ({"sale": {"externalOrderId": "No", "totalAmount": "T"}}, "one of customer.memberId"),
        ({"sale": {**SALE, "currency": 5}}, "mappings.receipts.sale.currency: must be a column"),
        ({"sale": {**SALE, "currency": "{Cur"}}, "must be a column, a template"),
        ({"sale": SALE, "refund": {"externalOrderId": "A", "refundId": "B"}}, "kind must say which rows"),
        ({"kind": {"column": "T", "values": {"S": "sale", "R": "refund"}}, "sale": SALE}, "must name the same"),
        ({"kind": {"column": "T", "values": {"S": "sales"}}, "sale": SALE}, "must be one of sale, refund"),
        ({"kind": {"column": "T"}, "sale": SALE}, "sign_of"),
        ({"product": {"externalId": "A", "title": "B"}}, "source must name the system"),
        ({"delimeter": ";", "sale": SALE}, "delimeter is unknown; there are: "),
        ({"delimiter": ";;", "sale": SALE}, "single character"),
        ({"encoding": "rot13", "sale": SALE}, "encoding must be one that Python knows"),
        ({"decimal": ",", "thousands": ",", "sale": SALE}, "decimal and thousands must differ"),
        ({"columns": ["Store", "No"], "sale": SALE}, "columns does not hold Total, Card"),
        ({"date_format": "DD.MM.YYYY", "sale": SALE}, "strptime"),
        ({"member": {"externalId": "A", "marketingConsent": "B"}}, "member: marketingConsent is unknown"),
    ],
)
def test_a_wrong_mapping_stops_the_start_with_its_name_and_the_mend(mapping, words):
    with pytest.raises(ConfigError) as refused:
        registry.options_of("csv", {"mappings": {"receipts": mapping}})
    assert words in str(refused.value)
    assert "mappings.receipts" in str(refused.value)


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_without_a_mapping_it_says_where_to_write_one(name):
    with pytest.raises(ConfigError, match=rf"^\[adapters.{name}\] *: say in \[adapters.{name}.mappings.NAME\] which"):
        registry.options_of(name, {})
