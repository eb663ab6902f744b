"""Values in, lines out: what a receipt says of an operation or a member, in one language.

Rules: nothing is promised that Flash has not said; a line for which a value is unknown is left out; what an operator
discarded prints nothing. Lines without a number (all that are pending) are made once a language, so that an accepted
sale costs a look-up. Pure; the callers are the API's documents and the look-up of members.
"""

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from agent.delivery import Kind
from agent.receipt import LANGUAGES, negotiation
from agent.receipt.numbers import Numbers
from agent.receipt.templates import FORMS, Lines, built_in, placeholders

_REMEMBERED_HEADERS = 32
_MAX_TAGS = 24
_MAX_POINTS = 10**15  # beyond that somebody is joking, and a printer should not
# By kind and status; what an operator discarded prints nothing, nor does a refund of a sale that nobody knew.
_UNCONFIRMED: Mapping[tuple[str, str], str] = {
    (Kind.SALE, "pending"): "sale_pending",
    (Kind.SALE, "failed"): "sale_failed",
    (Kind.SALE, "declined"): "sale_failed",
    (Kind.REFUND, "pending"): "refund_pending",
    (Kind.REFUND, "failed"): "refund_failed",
    (Kind.ENROLLMENT, "pending"): "enrollment_pending",
    (Kind.ENROLLMENT, "failed"): "enrollment_failed",
    (Kind.ENROLLMENT, "declined"): "enrollment_failed",
}
_NOTHING: tuple[str, ...] = ()


class Wording:
    """The lines of one tag, `de` or `de-AT`."""

    def __init__(self, tag: str, own: Mapping[str, Lines], currency: str) -> None:
        language = tag.partition("-")[0]
        self.tag = tag
        self._numbers = Numbers(tag)
        self._currency = currency
        self._templates = {**built_in(language), **own.get(language, {})}
        self._plain = {
            name: (line["other"],) if line["other"] else _NOTHING
            for name, line in self._templates.items()
            if FORMS[name].counted is None and not placeholders(line["other"])
        }

    def operation(
        self, kind: str, status: str, result: Mapping[str, Any] | None = None, request: Mapping[str, Any] | None = None
    ) -> Sequence[str]:
        """Lines of a sale, refund or enrollment: `result` is Flash's data, `request` what the register sent."""
        if status == "succeeded":
            return self._confirmed(kind, result or {}, request)
        name = _UNCONFIRMED.get((kind, status))
        return self._say(name, request=request) if name else _NOTHING

    def redemption(self, honor: bool | None, basis: str | None) -> Sequence[str]:
        """Lines of a redemption, as its answer has `honor` and `basis`; nothing while neither is known."""
        if honor is None:
            return _NOTHING
        if honor:
            return self._say("redemption_honored")
        match basis:
            case "not-sent":
                return self._say("redemption_not_sent")
            case "unconfirmed":
                return self._say("redemption_unconfirmed")
            case _:
                return self._say("redemption_refused")

    def member(
        self,
        balance: int | None,
        *,
        as_of: datetime | None = None,
        now: datetime | None = None,
        sales: int = 0,
        amount: Decimal | None = None,
        local: bool = False,
    ) -> Sequence[str]:
        """Lines of a look-up.

        `balance` in points, as far as it is known; `as_of` (aware) is given where it is stale, with `now`. `sales` are
        not counted yet by Flash, `amount` is their sum in the store's currency. `local`: enrolled here, not confirmed.
        """
        lines: list[str] = []
        if local:
            lines += self._say("member_local")
        if (points := _points(balance)) is not None:
            written = self._numbers.integer(points)
            if as_of is None:
                lines += self._say("balance", balance=written)
            else:
                local_as_of, local_now = as_of.astimezone(), (now or as_of).astimezone()
                lines += self._say(
                    "member_balance_as_of", balance=written, time=self._numbers.moment(local_as_of, local_now)
                )
        if sales > 0:
            request = None if amount is None else {"amount": amount}
            lines += self._say("member_sales_pending", count=sales, request=request)
        return lines

    def _confirmed(self, kind: str, result: Mapping[str, Any], request: Mapping[str, Any] | None) -> Sequence[str]:
        match kind:
            case Kind.SALE if result.get("reason") == "not-a-member":
                return self._say("sale_not_member", request=request)
            case Kind.SALE:
                return self._moved("sale_earned", result.get("awarded"), result, request)
            case Kind.REFUND:
                return self._moved("refund_taken_back", result.get("clawedBack"), result, request)
            case Kind.ENROLLMENT:
                return self._say("enrollment_welcome")
            case _:
                return _NOTHING

    def _moved(
        self, name: str, moved: Any, result: Mapping[str, Any], request: Mapping[str, Any] | None
    ) -> Sequence[str]:
        lines: list[str] = []
        points = _points(moved)
        if points is not None and points > 0:
            lines += self._say(name, count=points, request=request)
        if (balance := _points(result.get("balance"))) is not None:
            lines += self._say("balance", balance=self._numbers.integer(balance))
        return lines

    def _say(
        self, name: str, *, count: int | None = None, request: Mapping[str, Any] | None = None, **values: str
    ) -> Sequence[str]:
        if (plain := self._plain.get(name)) is not None:
            return plain
        line, counted = self._templates[name], FORMS[name].counted
        template = line["other"]
        if counted and count is not None:
            template = line.get(self._numbers.plural(count), template)
            values[counted] = self._numbers.integer(count)
        needed = placeholders(template)
        if "amount" in needed and (money := self._money(request or {})):
            values["amount"] = money
        if not template or needed - values.keys():
            return _NOTHING
        return (template.format_map(values),)

    def _money(self, request: Mapping[str, Any]) -> str | None:
        amount = request.get("totalAmount", request.get("amount"))
        if amount is None:
            return None
        return self._numbers.money(Decimal(str(amount)), request.get("currency") or self._currency)


class Wordings:
    """The store's language, and what registers ask for."""

    def __init__(
        self, language: str, currency: str, own: Mapping[str, Lines] | None = None, *, negotiate: bool = True
    ) -> None:
        self._own = own or {}
        self._currency = currency
        self._negotiate = negotiate
        self._by_tag: dict[str, Wording] = {}
        self._asked = functools.lru_cache(_REMEMBERED_HEADERS)(self._choose)
        self.default = self.of(negotiation.supported(language) or negotiation.DEFAULT)

    def asked(self, accept_language: str | None) -> Wording:
        """The wording for an `Accept-Language` header; the store's own without one."""
        if accept_language is None or not self._negotiate:
            return self.default
        return self._asked(accept_language)

    def _choose(self, accept_language: str) -> Wording:
        return self.of(negotiation.choose(accept_language, self.default.tag))

    def of(self, tag: str) -> Wording:
        """The wording of a supported tag, made once.

        Of regions so many are told apart, for Babel keeps what it has read of each.
        """
        if tag not in self._by_tag and len(self._by_tag) >= _MAX_TAGS - len(LANGUAGES):
            tag = tag.partition("-")[0]
        if tag not in self._by_tag:
            self._by_tag[tag] = Wording(tag, self._own, self._currency)
        return self._by_tag[tag]


def _points(value: Any) -> int | None:
    """A number of points that can be printed, else None."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_POINTS:
        return value
    return None
