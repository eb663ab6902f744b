"""What happens in a run: a list of events, made from a seed before anything happens, so that it can be shortened.

Everything that the run itself decides by chance (how long an answer takes, which call of a bad hour is hit) it draws
from `Plan.salt`. Times are seconds from the beginning.
"""

import random
from dataclasses import dataclass, field
from typing import Any

TILLS = ("till-1", "till-2", "till-3")
FIRST_KEY, SECOND_KEY, FOREIGN_KEY = "fl_live_first", "fl_live_second", "fl_live_of_others"

FAULTS = (
    "refused", "lost-request", "lost-answer", "reset-before", "reset-after", "late", "duplicate", "error",
    "error-after", "unavailable", "throttled", "asked-to-wait", "portal", "torn", "slow", "unauthorized", "forbidden",
    "in-flight", "too-large",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events: when it happens."""

    at: float

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__ if name != "at")
        return f"{self.at:8.3f}  {type(self).__name__}({shown})"


@dataclass(frozen=True, slots=True)
class Ask(Event):
    """A register of a till posts a document; `wait_s` is its Prefer: wait. It sends again until it has an answer."""

    till: str
    kind: str
    fields: dict[str, Any]
    wait_s: float = 0.0
    patience: int = 1000  # how often it sends again
    hangs_up: bool = False  # it is gone before its answer is written
    request_key: str | None = None


@dataclass(frozen=True, slots=True)
class LookUp(Event):
    """A register looks a member up."""

    till: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Operate(Event):
    """An operator retries, discards or closes one of what is failed (or, to discard, pending)."""

    till: str
    deed: str
    index: int
    burned: bool = False


@dataclass(frozen=True, slots=True)
class Drill(Event):
    """An operator rehearses an outage."""

    till: str
    for_s: int


@dataclass(frozen=True, slots=True)
class Weather(Event):
    """For a while this share of the calls (of one till or of all, with this text) suffers one of these faults."""

    for_s: float
    faults: tuple[str, ...]
    share: float
    till: str | None = None
    asks_s: float = 30.0  # what a Retry-After says
    text: str = ""  # in the method and path


@dataclass(frozen=True, slots=True)
class Strike(Event):
    """The next call whose method and path contain this text suffers this fault. For plans that are written by hand."""

    text: str
    fault: str
    asks_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Crash(Event):
    """A till dies so many steps after this time, and is started again after a while."""

    till: str
    steps: int
    down_s: float


@dataclass(frozen=True, slots=True)
class Restart(Event):
    """A till is stopped in good order and started again, with another key where one is named."""

    till: str
    down_s: float = 1.0
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Revoke(Event):
    """Flash takes a key no more."""

    key: str


@dataclass(frozen=True, slots=True)
class ClockJump(Event):
    """A till's wall clock is set."""

    till: str
    by_s: float


@dataclass(frozen=True, slots=True)
class ForgetKeys(Event):
    """Flash forgets its Idempotency-Keys."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: how many tills, their settings, and what happens. `ends_at`: then all faults cease."""

    seed: int
    salt: int
    tills: tuple[str, ...]
    ends_at: float
    events: tuple[Event, ...]
    batch_size: int = 100
    offline: str = "decline"
    hides_used: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def generate(seed: int) -> Plan:
    """The plan of a seed."""
    return _Maker(seed).plan()


class _Maker:
    """Draws a plan."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.tills = TILLS[: self.chance.choice((1, 1, 2, 2, 3))]
        self.theme = self.chance.choices(("mixed", "coupons", "crashes"), (0.5, 0.3, 0.2))[0]
        self.length = self.chance.choice((30.0, 120.0, 120.0, 600.0, 3600.0) if self.theme == "mixed" else (20.0, 90.0))
        self.events: list[Event] = []
        self.sold: list[tuple[float, str, int]] = []
        self.bursts = [self.chance.uniform(0, self.length) for _ in range(self.chance.randint(1, 4))]

    def plan(self) -> Plan:
        chance = self.chance
        for _ in range(chance.randint(8, 26)):
            self._business()
        for _ in range(chance.randint(0, 5)):
            self._weather()
        for _ in range(chance.choice((3, 5, 8) if self.theme == "crashes" else (0, 1, 1, 2, 3))):
            self._crash()
        for _ in range(chance.choice((0, 0, 1, 2))):
            self._operator()
        if chance.random() < 0.3:
            self._clock()
        if chance.random() < 0.2:
            self._rotation()
        if chance.random() < 0.2:
            self.events.append(Restart(self._time(), self._till(), chance.choice((0.1, 5.0))))
        if chance.random() < 0.1:
            self.events.append(Drill(self._time(), self._till(), chance.choice((10, 60))))
        if chance.random() < 0.04:
            self._outage()
        if chance.random() < 0.1:
            self.events.append(ForgetKeys(self._time()))
        return Plan(
            seed=self.seed,
            salt=chance.getrandbits(32),
            tills=self.tills,
            ends_at=self.length,
            events=tuple(sorted(self.events, key=lambda event: event.at)),
            batch_size=chance.choice((100, 100, 3, 1)),
            offline=chance.choice(("decline", "decline", "limited")),
            hides_used=chance.random() < 0.5,
        )

    def _outage(self) -> None:
        """A long one, in which more is sold than one batch holds."""
        till, at = self._till(), self.chance.uniform(0, self.length / 3)
        self.events.append(Weather(round(at, 3), self.length - at, ("refused",), 1.0, till))
        for _ in range(120):
            self._sale(round(self.chance.uniform(at, self.length), 3), till)

    def _time(self) -> float:
        """Things come in bursts, or else nothing would ever meet."""
        chance = self.chance
        if chance.random() < 0.7:
            at = chance.choice(self.bursts) + chance.expovariate(0.5)
        else:
            at = chance.uniform(0, self.length)
        return round(min(at, self.length), 3)

    def _business(self) -> None:
        draw = self.chance.random()
        if self.theme == "coupons" and draw < 0.7:
            self._redemption()
        elif draw < 0.45 or not self.sold:
            self._sale()
        elif draw < 0.57:
            self._refund()
        elif draw < 0.68:
            self._enrollment()
        elif draw < 0.75:
            self.events.append(LookUp(self._time(), self._till(), self._member()))
        else:
            self._redemption()

    def _till(self) -> str:
        return self.chance.choice(self.tills)

    def _member(self) -> str:
        return f"C{self.chance.randint(1, 6)}"  # the first three are members from the beginning

    def _wait(self) -> float:
        return self.chance.choice((0.0, 0.0, 1.0, 3.0, 10.0))

    def _sale(self, at: float | None = None, till: str | None = None) -> None:
        chance = self.chance
        at = self._time() if at is None else at
        again = self.sold and chance.random() < 0.12
        if again:
            _, order, amount = chance.choice(self.sold)
            amount += chance.choice((0, 0, 1))
        else:
            order, amount = f"{len(self.sold) + 1}", chance.randint(1, 50) * 20
            if chance.random() < 0.05:
                order = f"bad-{order}"  # Flash finds it invalid
        self.sold.append((at, order, amount))
        fields = {"externalOrderId": order, "customer": {"externalId": self._member()}, "totalAmount": amount}
        key = f"r-{order}" if chance.random() < 0.2 else None
        self.events.append(Ask(at, till or self._till(), "sale", fields, self._wait(), request_key=key))

    def _refund(self) -> None:
        chance = self.chance
        at, order, amount = chance.choice(self.sold)
        fields: dict[str, Any] = {"externalOrderId": order, "refundId": f"re_{chance.randint(1, 3)}"}
        if chance.random() < 0.6:
            fields["amount"] = min(amount, 20 * chance.randint(1, 10))
        at = round(min(at + chance.expovariate(0.2), self.length), 3) if chance.random() < 0.8 else self._time()
        self.events.append(Ask(at, self._till(), "refund", fields, self._wait()))

    def _enrollment(self) -> None:
        chance = self.chance
        fields = {"externalId": self._member(), "fullName": chance.choice(("Ada", "Ada", "Grace"))}
        at, till = self._time(), self._till()
        self.events.append(Ask(at, till, "enrollment", fields, self._wait()))
        if chance.random() < 0.6:  # and the new member buys something
            order, amount = f"{len(self.sold) + 1}", chance.randint(1, 50) * 20
            at = round(min(at + chance.choice((0.1, 1.0, 5.0)), self.length), 3)
            self.sold.append((at, order, amount))
            fields = {"externalOrderId": order, "customer": {"externalId": fields["externalId"]}, "totalAmount": amount}
            self.events.append(Ask(at, till, "sale", fields, self._wait()))

    def _redemption(self) -> None:
        chance = self.chance
        few = self.theme == "coupons"
        coupon, basket = chance.randint(1, 2 if few else 5), f"B{chance.randint(1, 2 if few else 4)}"
        till = self._till()
        at, attempt = self._time(), 1
        member = f"C{min(coupon, 3)}"
        if chance.random() < 0.7:
            self.events.append(LookUp(round(max(0.0, at - chance.uniform(0.5, 20)), 3), till, member))
        for _ in range(chance.choice((1, 1, 2, 3, 5) if few else (1, 1, 2, 3))):
            fields: dict[str, Any] = {"couponId": f"K{coupon}", "transactionId": basket, "attempt": attempt}
            if chance.random() < 0.8:
                fields["customer"] = {"externalId": member}
            wait_s = chance.choice((3.0, 3.0, 1.0, 0.3, 10.0))
            self.events.append(
                Ask(at, till, "redemption", fields, wait_s, chance.choice((0, 0, 1, 3)), chance.random() < 0.1)
            )
            at = round(min(at + chance.expovariate(1.0 if few else 0.15), self.length), 3)
            attempt += chance.choice((0, 1))
        if chance.random() < 0.2:
            fields = {"couponId": f"K{coupon}", "transactionId": basket}
            self.events.append(Ask(at, till, "void", fields))

    def _weather(self) -> None:
        chance = self.chance
        faults = tuple(sorted(chance.sample(FAULTS, chance.choice((1, 1, 2, 4)))))
        for_s = chance.choice((0.5, 3.0, 15.0, 60.0, self.length))
        share = chance.choice((0.2, 0.5, 1.0))
        till = self._till() if chance.random() < 0.3 else None
        asks_s = chance.choice((0.5, 2.0, 20.0, 120.0))
        text = chance.choice(("", "", "/redeem", "GET ", "POST ", "/coupons"))
        self.events.append(Weather(self._time(), for_s, faults, share, till, asks_s, text))

    def _crash(self) -> None:
        chance = self.chance
        steps = int(chance.expovariate(1 / 60)) + 1
        self.events.append(Crash(self._time(), self._till(), steps, chance.choice((0.5, 2.0, 30.0))))

    def _operator(self) -> None:
        chance = self.chance
        deed = chance.choice(("retry", "discard", "close"))
        at = round(chance.uniform(self.length / 3, self.length), 3)
        self.events.append(Operate(at, self._till(), deed, chance.randint(0, 5), chance.random() < 0.5))

    def _clock(self) -> None:
        by_s = self.chance.choice((-86400.0 * 30, -3600.0, -5.0, 5.0, 3600.0, 86400.0 * 30))
        self.events.append(ClockJump(self._time(), self._till(), by_s))

    def _rotation(self) -> None:
        chance = self.chance
        at = chance.uniform(0, self.length * 0.7)
        self.events.append(Revoke(round(at + chance.uniform(0, self.length * 0.3), 3), FIRST_KEY))
        for till in self.tills:
            if chance.random() < 0.2:
                self.events.append(Restart(round(at, 3), till, 1.0, FOREIGN_KEY))
            if chance.random() < 0.8:
                self.events.append(Restart(round(chance.uniform(at, self.length), 3), till, 1.0, SECOND_KEY))
