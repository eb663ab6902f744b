"""What Flash has on its books, and whether the agent tells the same story. Values in, values out.

A booking is one movement of points, a new member or a burned coupon; a `Line` is one movement on the two sides.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.sandbox import LedgerEntry, Sandbox

SALE, REFUND, ENROLLMENT, COUPON = "sale", "refund", "enrollment", "coupon"
Movement = tuple[str, str, str]
"""Order id, sale or refund, refund id (empty for a sale)."""


@dataclass(frozen=True, slots=True)
class Booking:
    """One thing that Flash booked; `points` and `balance` are None for a new member and for a coupon."""

    at: datetime
    what: str
    order_id: str | None
    member: str
    points: int | None = None
    balance: int | None = None
    coupon: str | None = None


class Books:
    """Flash's books, read as they grow."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._state = sandbox.state
        self._entries_seen = len(self._state.ledger())
        self._members_seen = {member.id for member in self._members()}
        self._uses_left = {coupon["id"]: coupon["usesLeft"] for coupon in self._coupons()}

    def _members(self) -> Iterable[Any]:
        return self._state.tenant().members.find(None, None)

    def _coupons(self) -> Iterator[dict[str, Any]]:
        for member in self._members():
            yield from self._state.tenant().coupons.of_member(member.id)

    def news(self) -> list[Booking]:
        """What was booked since the last look, in the order in which Flash did it."""
        names = {member.id: str(member.full_name) for member in self._members()}
        entries = self._state.ledger()[self._entries_seen :]
        found = [
            Booking(entry.at, _what(entry), entry.order_id, names[entry.member_id], entry.points, entry.balance)
            for entry in entries
        ]
        fresh = [member for member in self._members() if member.id not in self._members_seen]
        found += [Booking(member.stamp.created_at, ENROLLMENT, None, names[member.id]) for member in fresh]
        for coupon in self._coupons():
            burns = self._uses_left.get(coupon["id"], coupon["usesLeft"]) - coupon["usesLeft"]
            if burns:
                at = datetime.fromisoformat(coupon["redeemedAt"])
                found += [Booking(at, COUPON, None, names[coupon["memberId"]], coupon=coupon["code"])] * burns
            self._uses_left[coupon["id"]] = coupon["usesLeft"]
        self._entries_seen += len(entries)
        self._members_seen |= names.keys()
        return sorted(found, key=lambda booking: (booking.at, booking.what != ENROLLMENT))

    def movements(self) -> Iterator[tuple[Movement, int]]:
        """Every movement of points of an order."""
        for entry in self._state.ledger():
            if entry.order_id is not None:
                yield (entry.order_id, _what(entry), entry.refund_id or ""), entry.points


def _what(entry: "LedgerEntry") -> str:
    return REFUND if entry.kind == "claw-back" else SALE


def told(operations: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Movement, int]]:
    """The movements of points as the agent's settled operations tell them."""
    for operation in operations:
        order_id, result = operation["upstreamOrderId"], operation["result"]
        if operation["kind"] == SALE and "awarded" in result:
            yield (order_id, SALE, ""), result["awarded"]
        if operation["kind"] == REFUND and "clawedBack" in result:
            yield (order_id, REFUND, operation["request"]["refundId"]), -result["clawedBack"]


@dataclass(frozen=True, slots=True)
class Line:
    """One movement on both sides; a side has one number where all is well, none or several where it is not."""

    movement: Movement
    agent: tuple[int, ...]
    flash: tuple[int, ...]

    @property
    def agrees(self) -> bool:
        """Booked once on each side, with the same points."""
        return len(self.flash) == 1 and self.agent == self.flash


def side_by_side(agent: Iterable[tuple[Movement, int]], flash: Iterable[tuple[Movement, int]]) -> list[Line]:
    """Both ledgers, movement by movement, by order."""
    sides: dict[Movement, tuple[list[int], list[int]]] = {}
    for number, side in enumerate((agent, flash)):
        for movement, points in side:
            sides.setdefault(movement, ([], []))[number].append(points)
    key = sorted(sides, key=lambda movement: (movement[0], movement[2]))
    return [Line(movement, tuple(sides[movement][0]), tuple(sides[movement][1])) for movement in key]
