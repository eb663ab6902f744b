"""POSLog, the transaction log of tills (ARTS, IXRetail, now OMG), versions 2.x and 6.x, as tills really write it.

What becomes of one `Transaction`:

| it is | it becomes |
|---|---|
| a closed basket with a member | a sale of the basket's total |
| returned items whose sale is named (`TransactionLink`) | a refund of the total; one for each sale named |
| both in one (an exchange), the sale named | a sale of the total with the returned items added, and their refund |
| both in one, no sale named | a sale of what was left to pay, where that is above zero |
| a post-void | a refund of the whole sale that it names |
| suspended, cancelled, voided, of training, of control, blank | nothing, with the reason |

Totals are what counts, never the sums of lines: a voided line stands there twice, once as it was and once with VoidFlag
and its amount negative, so that neither all lines nor all unflagged ones add up to what was paid. Lines are looked at
only to see what was taken back. Names are taken without their namespaces, and no schema is asked: real files fail it.

`options.py` has what a site may set, `docs/adapters/poslog.md` the rest.
"""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.poslog.identity import identity_of
from agent.adapters.poslog.options import PoslogOptions
from agent.adapters.poslog.transactions import items_of
from agent.adapters.xml_documents import elements

ROOTS, TRANSACTIONS = frozenset({"POSLog"}), frozenset({"Transaction"})


def read(source: BinaryIO, options: PoslogOptions, site: Site) -> Iterator[Item]:
    """See the package."""
    for number, transaction in enumerate(elements(source, TRANSACTIONS, ROOTS), 1):
        try:
            own = identity_of(transaction)
        except ValueError as error:
            place = f"transaction number {number} of the document"
            yield Skipped("unsound", f"It could not be sent: {error}.", place, fault=True)
            continue
        place = own.place(number)
        yield from guarded(place, partial(items_of, transaction, own, place, options, site))


ADAPTER = Adapter(
    name="poslog",
    title="POSLog (ARTS, IXRetail)",
    read=read,
    media=("application/xml", "text/xml"),
    suffixes=(".xml",),
    covers=Coverage(orders="Sale", returns="Return, TransactionLink, PostVoid"),
    validated=(
        "public samples of seven systems, 2.1 to 6.0, two of them test documents (sales, voided lines, "
        "a return without its sale); "
        "hand-made: returns with their sale, exchange, post-void, training, suspended and resumed, coupon tender"
    ),
    options=PoslogOptions,
    streams=True,
)
