"""How the total of a basket divides into what was sold and what was taken back, and of which sale. Pure.

The total is the difference of both. Where nothing was sold, all of it was taken back, whatever its sign. Where both
happened, the returned items of a sale that is named are added to the total, which makes the sale, and are its refund;
the two together come to the total again. Items of a sale that is not named stay in the total.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from xml.etree.ElementTree import Element

from agent.adapters.poslog.identity import Naming
from agent.adapters.poslog.lines import Line, lines_of, standing
from agent.adapters.poslog.links import reason_of
from agent.adapters.poslog.options import plain_code

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a basket comes to. `sold` is the sale's amount, None: no sale; `refunds` are the amounts by sale.

    `unlinked`: something was taken back that cannot be refunded, since its sale is not named.
    """

    sold: Decimal | None
    refunds: Mapping[str, Decimal] = field(default_factory=dict)
    unlinked: bool = False


def settle(basket: Element, whole: Element | None, total: Decimal, places: int, naming: Naming) -> Settled:
    """Divide a basket's total, whose currency has so many decimals; `whole` is the link of the basket as a whole.

    Raises ValueError where a line that matters, or a link, cannot be read.
    """
    lines = standing(lines_of(basket))
    taken_back = [line for line in lines if line.taken_back]
    if not taken_back:
        return _without_returned_lines(total, whole, naming)
    by_sale = _by_sale(taken_back, whole, naming)
    unlinked = None in by_sale
    if len(taken_back) == len(lines):
        amounts = _shares(abs(total), places, by_sale)
        return Settled(None, _linked(amounts), unlinked)
    amounts = {sale: _amount_of(lines_of_sale) for sale, lines_of_sale in by_sale.items()}
    refunds = _linked(amounts)
    sold = total + sum(refunds.values(), _NOTHING)
    if sold > 0 or (sold == 0 and not unlinked):
        return Settled(sold, refunds)
    if unlinked:
        return Settled(None, refunds, unlinked)
    return Settled(None, _linked(_shares(-total, places, by_sale)))


def _without_returned_lines(total: Decimal, whole: Element | None, naming: Naming) -> Settled:
    if total < 0:
        if whole is None:
            return Settled(None, unlinked=True)
        return Settled(None, {naming.of_link(whole): -total})
    if whole is not None and plain_code(reason_of(whole)) == "return" and total > 0:
        raise ValueError("TransactionLink says that it is a return, and no line of it, nor its total, is one")
    return Settled(total)


def _by_sale(taken_back: Sequence[Line], whole: Element | None, naming: Naming) -> dict[str | None, list[Line]]:
    """The lines taken back by the sale that they, or else the basket, name; None: no sale is named."""
    found: dict[str | None, list[Line]] = {}
    for line in taken_back:
        link = whole if line.link is None else line.link
        found.setdefault(None if link is None else naming.of_link(link), []).append(line)
    return found


def _amount_of(lines: Sequence[Line]) -> Decimal:
    amounts = [line.amount for line in lines]
    if None in amounts:
        raise ValueError("ExtendedAmount of an item taken back is missing, or no number")
    return sum((abs(amount) for amount in amounts if amount is not None), _NOTHING)


def _shares(total: Decimal, places: int, by_sale: Mapping[str | None, Sequence[Line]]) -> dict[str | None, Decimal]:
    """A total divided in proportion to the lines, which may lack taxes that it has; the last gets what is left over."""
    *others, last = by_sale
    if not others:
        return {last: total}
    weights = {sale: _amount_of(lines) for sale, lines in by_sale.items()}
    whole = sum(weights.values(), _NOTHING)
    if not whole:
        raise ValueError("ExtendedAmount is nought in all items taken back, so that the total cannot be divided")
    unit = Decimal(1).scaleb(-places)
    shares = {sale: (total * weights[sale] / whole).quantize(unit, ROUND_DOWN) for sale in others}
    return {**shares, last: total - sum(shares.values(), _NOTHING)}


def _linked(amounts: Mapping[str | None, Decimal]) -> dict[str, Decimal]:
    return {sale: amount for sale, amount in amounts.items() if sale is not None and amount > 0}
