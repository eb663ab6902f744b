"""Files of other systems, of a wanted size: receipts as POSLog, CSV and JSON Lines, one member each; invented data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

STORES = {"12": "st_1"}  # what the receipts call their store, and what Flash calls it
_CARD = "LOY-{:08d}"
_SALE = {"externalOrderId": "erp-{Store}-{Receipt}", "totalAmount": "Total", "customer.externalId": "Card"}
_MAPPED = {"mappings": {"receipts": {"sale": {**_SALE, "businessDate": "Day"}}}}
_LINE = (
    "<LineItem><SequenceNumber>{0}</SequenceNumber><Sale><ItemID>4001{0}</ItemID><Description>An article</Description>"
    "<ExtendedAmount>10.00</ExtendedAmount><Quantity>1</Quantity><Tax><TaxableAmount>10.00</TaxableAmount>"
    "<Amount>0.80</Amount></Tax></Sale></LineItem>\n"
)
_TRANSACTION = (
    "<Transaction><RetailStoreID>12</RetailStoreID><WorkstationID>4</WorkstationID>"
    "<SequenceNumber>{number}</SequenceNumber><BusinessDayDate>2026-03-14</BusinessDayDate>"
    "<EndDateTime>2026-03-14T09:12:00-05:00</EndDateTime><CurrencyCode>USD</CurrencyCode>\n"
    f"<RetailTransaction>\n{''.join(_LINE.format(line) for line in range(1, 6))}"
    '<Total TotalType="TransactionGrandAmount">54.00</Total>'
    "<LoyaltyAccount><LoyaltyProgram><LoyaltyAccountID>{card}</LoyaltyAccountID></LoyaltyProgram></LoyaltyAccount>\n"
    "</RetailTransaction></Transaction>\n"
)


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write receipts: what stands before, one receipt, what stands behind; and how the adapter is set."""

    adapter: str
    suffix: str
    options: Mapping[str, object]
    head: str
    receipt: Callable[[int], str]
    tail: str = ""

    def settings(self) -> dict[str, str]:
        """The same, for an agent's environment."""
        own = {"FLASH_AGENT_ADAPTERS__" + self.adapter.upper(): json.dumps(self.options)} if self.options else {}
        return {**own, "FLASH_AGENT_DOCUMENTS__STORES": json.dumps(STORES)}


def _poslog(number: int) -> str:
    return _TRANSACTION.format(number=number, card=_CARD.format(number))


def _csv(number: int) -> str:
    return f'S12,{number:08d},2026-03-14,"1 article, and 4 others",54.00,USD,{_CARD.format(number)},PAID,till 4\n'


def _jsonl(number: int) -> str:
    fields = {"Store": "S12", "Receipt": number, "Day": "2026-03-14", "Total": 54.5, "Card": _CARD.format(number)}
    return json.dumps({**fields, "Status": "PAID", "Lines": [{"Item": "40011", "Amount": 54.5}]}) + "\n"


POSLOG = Form(
    "poslog", ".xml", {}, '<?xml version="1.0"?>\n<POSLog xmlns="http://www.nrf-arts.org/IXRetail/namespace/">\n',
    _poslog, "</POSLog>\n",
)  # fmt: skip
CSV = Form("csv", ".csv", _MAPPED, "Store,Receipt,Day,Articles,Total,Currency,Card,Status,Till\n", _csv)
JSONL = Form("jsonl", ".jsonl", _MAPPED, "", _jsonl)
FORMS = (POSLOG, CSV, JSONL)


def write(form: Form, directory: Path, size_bytes: int) -> tuple[Path, int]:
    """A file of about that size in a directory; returns its path and how many receipts it holds."""
    path, count = directory / f"{size_bytes}{form.suffix}", 0

    def pieces() -> Iterator[str]:
        nonlocal count
        yield form.head
        written = 0
        while written < size_bytes:
            receipt = form.receipt(count)
            written += len(receipt)
            count += 1
            yield receipt
        yield form.tail

    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces())
    return path, count
