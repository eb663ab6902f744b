"""Documents as programs of every age write them: in other encodings than UTF-8, or than their first line names."""

import gzip
import json

import pytest

from agent.adapters import registry
from agent.adapters.base import Found, Item, Site, Skipped
from tests.adapters.poslog_xml import sold, told, total, transaction

ANY_STORE = Site("USD", others_are_own=True)
ORDER = {
    "EnterpriseCode": "SHOP", "DocumentType": "0001", "OrderNo": "77", "CustomerEMailID": "ada@example.com",
    "MinOrderStatus": "3700", "MaxOrderStatus": "3700", "PriceInfo": {"TotalAmount": "10.00", "Currency": "USD"},
    "OrderName": "Grüße",
}  # fmt: skip


def receipt(declared: str, words: str) -> str:
    body = transaction(sold("10.00"), f"<Operator><Name>{words}</Name></Operator>", total("10.00"))
    return f'<?xml version="1.0" encoding="{declared}"?>\n<POSLog xmlns="urn:poslog">{body}</POSLog>'


def read(document: bytes, adapter: str = "poslog") -> list[Item]:
    return registry.adapter(adapter).parse(document, registry.options_of(adapter, {}), ANY_STORE)


@pytest.mark.parametrize(
    ("declared", "written", "words"),
    [
        ("utf-8", "utf-8", "Müller"),
        ("utf-8", "utf-8-sig", "Müller"),
        ("utf-16", "utf-16", "Müller"),
        ("utf-16", "utf-8", "Müller"),  # as a program of .NET writes it
        ("utf-16", "utf-8-sig", "Müller"),
        ("utf-8", "utf-16", "Müller"),  # as a tool leaves it that converts files
        ("windows-1252", "cp1252", "Müller €"),
        ("windows-1252", "utf-8-sig", "Müller €"),
        ("iso-8859-15", "iso8859-15", "Müller €"),
        ("Shift_JIS", "cp932", "レジ①ｱ"),
        ("Windows-31J", "cp932", "髙橋"),
        ("EUC-JP", "euc_jp", "高橋"),
        ("GB2312", "gbk", "收银員"),
        ("Big5", "big5", "收銀員"),
        ("EUC-KR", "cp949", "계산원"),
    ],
)
def test_a_receipt_is_read_in_the_encoding_that_it_is_in(declared: str, written: str, words: str):
    document = receipt(declared, words * 3000)  # longer than the pieces in which it is read
    assert told(read(document.encode(written))) == ["sale 10.00"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_blanks_before_the_declaration_do_not_count(encoding: str):
    assert told(read(f"\n  {receipt('utf-8', 'A')}".encode())) == ["sale 10.00"]
    assert told(read(receipt(encoding, "A").encode(encoding))) == ["sale 10.00"]


def test_a_character_that_its_encoding_does_not_have_is_a_fault_of_the_rest():
    document = receipt("Shift_JIS", "A").encode().replace(b"<Name>A", b"<Name>\x81\x00")
    (item,) = read(document)
    assert isinstance(item, Skipped)
    assert item.reason.endswith("send UTF-8.")


def test_bytes_that_are_no_utf8_say_how_to_name_their_encoding():
    (item,) = read(receipt("utf-8", "Müller").encode("cp1252"))
    assert isinstance(item, Skipped)
    assert 'its first line must name it: <?xml version="1.0" encoding="windows-1252"?>' in item.reason


def test_whoever_names_their_encoding_is_not_told_to():
    (item,) = read(receipt("windows-1252", "Müller & Söhne").encode("cp1252"))
    assert isinstance(item, Skipped)
    assert "first line" not in item.reason


@pytest.mark.parametrize(
    ("ending", "mend"),
    [
        (receipt("utf-8", "A"), "put each into a file of its own"),
        ("<POSLog/>", "put each into a file of its own"),
    ],
)
def test_a_second_document_behind_the_first_says_what_to_do(ending: str, mend: str):
    first, second = read((receipt("utf-8", "A") + ending).encode())
    assert isinstance(first, Found)
    assert isinstance(second, Skipped)
    assert mend in second.reason


@pytest.mark.parametrize("cut", [20, 40, 60, 120])
def test_what_was_cut_off_says_so(cut: int):
    *_, item = read(receipt("utf-8", "Ä" * 50).encode()[:-cut])
    assert isinstance(item, Skipped)
    assert "send the whole" in item.reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_of_windows_shell_is_read_and_told_from_xml(encoding: str):
    document = json.dumps({"Order": [ORDER]}, ensure_ascii=False).encode(encoding)
    assert told(read(document, "sterling")) == ["sale 10.00"]


def test_xml_in_utf16_is_told_from_json():
    document = (
        '<?xml version="1.0" encoding="UTF-16"?>\n<Order EnterpriseCode="SHOP" DocumentType="0001" OrderNo="77" '
        'CustomerEMailID="ada@example.com" MinOrderStatus="3700" MaxOrderStatus="3700">'
        '<PriceInfo TotalAmount="10.00" Currency="USD"/></Order>'
    )
    assert told(read(document.encode("utf-16"), "sterling")) == ["sale 10.00"]
    assert told(read(document.encode("utf-16-be").join([b"\xfe\xff", b""]), "sterling")) == ["sale 10.00"]


def test_a_pipe_that_gives_one_byte_at_a_time_is_read_the_same():
    class Slow:
        def __init__(self, content: bytes) -> None:
            self.left = content

        def read(self, size: int = -1, /) -> bytes:
            piece, self.left = self.left[:1], self.left[1:]
            return piece if size else b""

    adapter, options = registry.adapter("poslog"), registry.options_of("poslog", {})
    for declared, written in (("utf-8", "utf-16"), ("Shift_JIS", "cp932")):
        source = Slow(receipt(declared, "高橋").encode(written))
        assert told(list(adapter.items(source, options, ANY_STORE))) == ["sale 10.00"]
    order = json.dumps(ORDER).encode("utf-16")
    sterling = registry.adapter("sterling")
    assert told(list(sterling.items(Slow(order), registry.options_of("sterling", {}), ANY_STORE))) == ["sale 10.00"]


@pytest.mark.parametrize(
    ("document", "mend"),
    [
        (b'{"Order": []}\n{"Order": []}', "put them into one list, or each into its own file"),
        (b'{"Order": [', "send the whole"),
        ('{"Order": "ü"}'.encode("cp1252"), "Send it in UTF-8"),
        (b"\xff\xfe{", "Send it in UTF-8"),
    ],
)
def test_json_that_cannot_be_read_says_what_to_do(document: bytes, mend: str):
    (item,) = read(document, "sterling")
    assert isinstance(item, Skipped)
    assert mend in item.reason


@pytest.mark.parametrize("adapter", ["poslog", "sterling", "sap", "manhattan", "salesforce", "csv"])
@pytest.mark.parametrize("packed", [gzip.compress(b"<POSLog/>", mtime=0), b"PK\x03\x04" + b"\0" * 40])
def test_what_is_compressed_is_said_to_be(adapter: str, packed: bytes):
    mapping = {"sale": {"externalOrderId": "No", "customer.externalId": "Card", "totalAmount": "Total"}}
    options = {"mappings": {"day": mapping}} if adapter == "csv" else {}
    found = registry.adapter(adapter)
    (item,) = found.parse(packed, registry.options_of(adapter, options), ANY_STORE)
    assert isinstance(item, Skipped)
    assert (item.code, item.fault) == ("compressed", True)
    assert "Unpack it" in item.reason
