"""A small model of Flash, written from the contract alone: keys, natural keys, members, orders, refunds, coupons.

Pure: a request and the time go in, a status and a document come out. It keeps what it did (`effects`) and what each
request was answered (`heard`), for the oracle. It shares no code with the agent, its sandbox or the strict Flash.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

STORE = "st_1"
Document = dict[str, Any]
Result = tuple[int, Document | None]


@dataclass(slots=True)
class Call:
    """One request on its way: who sent it, in which of its lives, and when it left."""

    number: int
    till: str
    life: int
    method: str
    path: str
    auth: str
    key: str
    body: bytes
    left_at: float
    waited_for: bool = False  # a redemption: whether a register waited for it as it left
    is_copy: bool = False

    @property
    def is_write(self) -> bool:
        return self.method == "POST"

    def text(self) -> str:
        return f"{self.till} #{self.number} {self.method} {self.path}" + (f" [{self.key}]" if self.key else "")


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that happened in Flash, once and for all. `natural` is its natural key."""

    at: float
    kind: str
    natural: str
    call: Call
    detail: Document


@dataclass(slots=True)
class Coupon:
    """A coupon of a member; `uses` is how often it may be used."""

    id: str
    member: str
    uses: int = 1
    used: int = 0

    def shown(self) -> Document:
        shown: Document = {"id": self.id, "status": "active" if self.used < self.uses else "used", "title": "5 off"}
        if self.uses > 1:
            shown |= {"uses": self.uses, "used": self.used}
        return {**shown, "terms": {"type": "amount", "value": 5}}


@dataclass
class FlashModel:
    """One tenant's Flash. Orders whose id begins with `bad-` are invalid."""

    keys: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)  # keys of another tenant
    members: dict[str, Document] = field(default_factory=dict)
    coupons: dict[str, Coupon] = field(default_factory=dict)
    orders: dict[str, Document] = field(default_factory=dict)
    refunds: dict[tuple[str, str], Document] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    hides_used: bool = False
    _remembered: dict[str, tuple[str, Result]] = field(default_factory=dict)

    def add_member(self, external_id: str, **fields: Any) -> Document:
        number = len(self.members) + 1
        member = {"id": f"m_{number}", "externalId": external_id, "points": 0, **fields}
        self.members[member["id"]] = member
        return member

    # ---- the door ----------------------------------------------------------------------------------------------------

    def take(self, call: Call, now: float, *, fails: int = 0) -> Result:
        """Answer one request. `fails`: a status that it fails with after it was done, remembered with its key."""
        if call.auth in self.foreign:
            if call.is_write:
                self.breaches.append(f"{call.text()} went to another tenant")
            return 200, {"data": [{"id": "st_other", "externalId": "other"}]}
        if call.auth not in self.keys:
            return _error(401, "UNAUTHORIZED")
        if not call.is_write:
            return self._read(call.path)
        if not call.key:
            self.breaches.append(f"{call.text()} has no Idempotency-Key")
        fingerprint = f"{call.path} {call.body.decode()}"
        if call.key in self._remembered:
            before, result = self._remembered[call.key]
            return result if before == fingerprint else _error(422, "IDEMPOTENCY_CONFLICT")
        result = self._write(call, now)
        failure = _error(fails, "INTERNAL")
        # A failure that is stored under a redemption's key could only be cleared up by a person, after a day.
        stored = failure if fails and "/redeem" not in call.path else result
        self._remembered[call.key] = (fingerprint, stored)
        return failure if fails else result

    def forget_keys(self) -> None:
        """The time for which keys are remembered is over; not a redemption's, which counts on a day."""
        kept = {key: known for key, known in self._remembered.items() if known[0].startswith("/coupons/")}
        self._remembered = kept

    # ---- writes ------------------------------------------------------------------------------------------------------

    def _write(self, call: Call, now: float) -> Result:  # noqa: PLR0911 - a table, one row a return
        body = json.loads(call.body, parse_float=Decimal) if call.body else {}
        parts = [unquote(part) for part in call.path.strip("/").split("/")]
        match parts:
            case ["orders"]:
                return self._order(call, body, now)
            case ["orders", "batch"]:
                return self._batch(call, body["orders"], self._order, now)
            case ["members"]:
                return self._member(call, body, now)
            case ["members", "batch"]:
                return self._batch(call, body["members"], self._member, now)
            case ["orders", order, "refund"]:
                return self._refund(call, order, body, now)
            case ["coupons", coupon, "redeem"]:
                return self._redeem(call, coupon, now)
            case _:
                self.breaches.append(f"{call.text()} is no call of Flash's")
                return _error(404, "NOT_FOUND")

    def _batch(self, call: Call, rows: list[Document], one: Any, now: float) -> Result:
        data = []
        for row in rows:
            status, document = one(call, row, now)
            data.append({"status": status, **(document or {})})
        return 207, {"data": data}

    def _order(self, call: Call, body: Document, now: float) -> Result:
        order, amount = body["externalOrderId"], Decimal(body["totalAmount"])
        if order.startswith("bad-"):
            return _error(422, "VALIDATION")
        known = self.orders.get(order)
        if known is not None:
            return (200, {"data": known["result"]}) if known["amount"] == amount else _error(409, "ORDER_CONFLICT")
        member = self._resolve(body["customer"])
        result: Document = {"awarded": 0, "reason": "not-a-member", "memberId": None}
        if member is not None:
            awarded = int(amount / 20)
            member["points"] += awarded
            result = {"awarded": awarded, "balance": member["points"], "memberId": member["id"]}
        self.orders[order] = {"amount": amount, "result": result, "member": member and member["id"], "left": amount}
        self._did(now, "sale", f"order:{order}", call, {"customer": body["customer"], **result})
        return 200, {"data": result}

    def _refund(self, call: Call, order: str, body: Document, now: float) -> Result:
        if order not in self.orders:
            self.effects.append(Effect(now, "refund-too-early", f"order:{order}", call, {}))
            return _error(404, "NOT_FOUND")
        refund = body["refundId"]
        if (known := self.refunds.get((order, refund))) is not None:
            return 200, {"data": known}
        sale = self.orders[order]
        amount = min(Decimal(body.get("amount", sale["left"])), sale["left"])
        sale["left"] -= amount
        result = {"clawedBack": int(amount / 20), "balance": 0}
        self.refunds[order, refund] = result
        self._did(now, "refund", f"refund:{order}/{refund}", call, {"amount": str(amount)})
        return 200, {"data": result}

    def _member(self, call: Call, body: Document, now: float) -> Result:
        found = self._resolve(body)
        fields = {name: body[name] for name in ("email", "externalId", "fullName") if name in body}
        natural = f"member:{body.get('externalId') or body.get('email')}"
        if found is not None:
            found |= fields
            self.effects.append(Effect(now, "update", natural, call, fields))
            return 200, {"data": _shown(found)}
        created = self.add_member(fields.pop("externalId", ""), **fields)
        self._did(now, "enrollment", natural, call, fields)
        return 201, {"data": _shown(created)}

    def _redeem(self, call: Call, coupon_id: str, now: float) -> Result:
        coupon = self.coupons.get(coupon_id)
        if coupon is None or coupon.used >= coupon.uses:
            return _error(404, "NOT_FOUND")
        coupon.used += 1
        self._did(now, "redemption", f"coupon:{coupon_id}#{coupon.used}", call, {"coupon": coupon_id})
        return 200, {"data": {"id": coupon_id, "status": "used"}}

    def _did(self, now: float, kind: str, natural: str, call: Call, detail: Document) -> None:
        self.effects.append(Effect(now, kind, natural, call, detail))

    def _resolve(self, customer: Document) -> Document | None:
        if (found := self.members.get(customer.get("memberId", ""))) is not None:
            return found
        for name in ("externalId", "email"):
            for member in self.members.values():
                if customer.get(name) and member.get(name) == customer[name]:
                    return member
        return None

    # ---- reads -------------------------------------------------------------------------------------------------------

    def _read(self, path: str) -> Result:  # noqa: PLR0911 - as above
        split = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        match [unquote(part) for part in split.path.strip("/").split("/")]:
            case ["stores"]:
                return 200, {"data": [{"id": STORE, "externalId": STORE}]}
            case ["members"]:
                found = self._resolve(query)
                return 200, {"data": [] if found is None else [_shown(found)], "total": int(found is not None)}
            case ["members", member] if member in self.members:
                return 200, {"data": _shown(self.members[member])}
            case ["members", member, "points"] if member in self.members:
                return 200, {"data": {"balance": self.members[member]["points"]}}
            case ["members", member, "tier"] if member in self.members:
                return 200, {"data": {"name": "Gold"}}
            case ["members", member, "coupons"] if member in self.members:
                own = [coupon for coupon in self.coupons.values() if coupon.member == member]
                return 200, {"data": [each.shown() for each in own if each.used < each.uses or not self.hides_used]}
            case _:
                return _error(404, "NOT_FOUND")


def _shown(member: Document) -> Document:
    return {name: value for name, value in member.items() if name != "points"}


def _error(status: int, code: str) -> Result:
    return status, {"error": {"code": code, "message": code.lower()}}
