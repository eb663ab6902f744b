"""The line to Flash: what may be sent when, and what people are told."""

import pytest

from agent.clock import Clock
from agent.delivery import Contact, Fate, Outcome
from agent.flash.client import FlashClient
from agent.flash.outcome import judge
from agent.outbox.line import TROUBLES_UNTIL_OFFLINE, Connectivity, Line
from agent.outbox.retry import LINE_CEILING_S

HOLD_S = 60.0
MAX_IN_FLIGHT = 8


class ManualClock(Clock):
    """A clock that shows what it is told."""

    def __init__(self):
        super().__init__()
        self.elapsed_s = 1000.0

    def monotonic(self):
        return self.elapsed_s

    def steady_ms(self):
        return int(self.elapsed_s * 1000)

    def advance(self, seconds):
        self.elapsed_s += seconds


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def line(clock):
    return Line(clock, max_in_flight=MAX_IN_FLIGHT, start_delay_s=0.0, hold_probe_s=HOLD_S)


def yes():
    return judge("sale", 200, b'{"data":{"id":"x"}}')


ANSWERED = Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=200)
UNREACHABLE = Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", unsent=True)
STRANGER = judge("sale", 200, b"<html>")
TROUBLED = judge("sale", 500, b"{}")
KEY_REFUSED = judge("sale", 401, b"{}")
FORBIDDEN = judge("sale", 403, b"{}")


def throttled(retry_after=None):
    return judge("sale", 429, b"", retry_after=retry_after)


def succeed(line, times=1):
    for _ in range(times):
        line.report("sale", ANSWERED)


def permits(line, endpoint="sale"):
    return line.permits_backlog(endpoint), line.permits_waiting(endpoint)
