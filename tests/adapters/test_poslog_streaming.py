"""POSLog: a day's log of any size takes the memory of its largest receipt."""

import tracemalloc

from agent.adapters.base import Found, Site
from tests.adapters.poslog_xml import ADAPTER, HEAD, sold, total, transaction


class Till:
    """A log that is written while it is read: so many receipts, none of them ever held as a whole."""

    def __init__(self, receipts: int) -> None:
        image = f"<ReceiptImage><ReceiptLine>{'x' * 20_000}</ReceiptLine></ReceiptImage>"
        basket = transaction(*(sold(f"{n}.00", item=f"I-{n}") for n in range(8)), total("28.00"), head=HEAD + image)
        self.receipt = basket.encode()
        self.left = receipts
        self.size = 0
        self._buffer = b"<POSLog>"

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "it is read in pieces"
        while len(self._buffer) < size and self.left:
            self.left -= 1
            self._buffer += self.receipt if self.left else self.receipt + b"</POSLog>"
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        self.size += len(piece)
        return piece


def peak_of(till: Till) -> tuple[int, int]:
    """How many sales were found, and the most memory that reading them took, in bytes."""
    tracemalloc.start()
    try:
        sales = sum(
            isinstance(item, Found) for item in ADAPTER.items(till, ADAPTER.options(), Site("USD", others_are_own=True))
        )
        return sales, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_log_of_fifty_megabytes_takes_the_memory_of_a_small_one():
    small, large = Till(40), Till(2400)
    assert peak_of(Till(40))[0] == 40  # whatever is loaded at first use
    few, little = peak_of(small)
    many, much = peak_of(large)
    assert (few, many) == (40, 2400)
    assert large.size > 50_000_000
    assert large.size > 50 * small.size
    assert much < 1.2 * little
