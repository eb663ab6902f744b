"""How fast the line may be used: nobody inside a Retry-After, then more with each success."""

import pytest

from agent.delivery import Contact, Fate, Kind, Outcome
from agent.flash.outcome import judge
from agent.outbox.line import Connectivity, Line
from agent.outbox.pace import CEILING_S, FIRST_S, OUTAGE_LEAST_S, OUTAGE_SHARE, Pace
from agent.outbox.retry import LINE_CEILING_S


@pytest.fixture
def line(clock):
    return Line(clock, max_in_flight=8, start_delay_s=0.0, hold_probe_s=60.0)


ANSWERED = Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=200)
UNREACHABLE = Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", unsent=True)
STRANGER = judge(Kind.SALE, 200, b"<html>")
TROUBLED = judge(Kind.SALE, 500, b"{}")
KEY_REFUSED = judge(Kind.SALE, 401, b"{}")
FORBIDDEN = judge(Kind.SALE, 403, b"{}")


def throttled(retry_after=None):
    return judge(Kind.SALE, 429, b"", retry_after=retry_after)


def succeed(line, times=1):
    for _ in range(times):
        line.report("sale", ANSWERED)


def due_s(line, clock):
    return line.next_change_s(clock.monotonic())


def permits(line, endpoint="sale"):
    return line.permits_backlog(endpoint), line.permits_waiting(endpoint)


# ---- throttling ----------------------------------------------------------------------------------------------------


def test_nobody_sends_inside_a_retry_after(line, clock):
    line.report("sale", throttled(90.0))
    for _ in range(9):
        assert permits(line, "sale") == permits(line, "redemption") == (False, False)
        clock.advance(10)
    assert permits(line)[1]
    clock.advance(FIRST_S)
    assert permits(line) == (True, True)


def test_a_503s_retry_after_holds_waiting_ones_too(line, clock):
    line.report("sale", judge(Kind.SALE, 503, b"", retry_after=90.0))
    clock.advance(89)
    assert permits(line) == (False, False)
    clock.advance(1)
    assert permits(line) == (True, True)


def test_a_shorter_retry_after_does_not_shorten_a_longer_one(line, clock):
    line.report("sale", throttled(90.0))
    line.report("sale", throttled(1.0))
    line.report("sale", judge(Kind.SALE, 503, b"", retry_after=2.0))
    clock.advance(89)
    assert permits(line) == (False, False)


def test_a_success_that_was_under_way_does_not_end_a_retry_after(line, clock):
    line.report("sale", throttled(90.0))
    succeed(line)
    line.report("", ANSWERED, probe=True)
    assert permits(line) == (False, False)
    assert line.connectivity is Connectivity.THROTTLED
    clock.advance(90)
    succeed(line)
    assert line.connectivity is Connectivity.ONLINE


@pytest.mark.parametrize("lost", [UNREACHABLE, KEY_REFUSED])
def test_no_probe_goes_inside_a_retry_after(line, clock, lost):
    line.report("sale", throttled(3600.0))
    line.report("sale", lost)
    clock.advance(3599)
    assert (line.probe_due(), permits(line)) == (False, (False, False))
    assert due_s(line, clock) == 1
    clock.advance(1)
    assert line.probe_due()


def test_a_429_without_a_time_pauses_briefly(line, clock):
    line.report("sale", throttled())
    assert permits(line) == (False, False)
    clock.advance(LINE_CEILING_S)
    assert permits(line) == (True, True)


def test_a_retry_after_can_be_taken_up_after_a_restart(line, clock):
    line.close_for(30.0)
    assert (line.connectivity, permits(line), due_s(line, clock)) == (Connectivity.THROTTLED, (False, False), 30.0)
    clock.advance(30)
    assert permits(line) == (True, True)


# ---- the window ----------------------------------------------------------------------------------------------------


def test_the_window_opens_by_one_with_each_success_up_to_its_maximum(line):
    seen = [line.window]
    for _ in range(10):
        succeed(line)
        seen.append(line.window)
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]


def test_a_probe_opens_a_window_of_one(line):
    succeed(line, 10)
    line.report("sale", UNREACHABLE)
    line.report("", ANSWERED, probe=True)
    assert line.window == 1
    succeed(line)
    assert line.window == 2


def test_what_a_drill_piled_up_begins_in_a_window_of_one(line):
    succeed(line, 10)
    line.begin_drill()
    line.end_drill()
    assert (line.window, line.is_open) == (1, True)


def test_a_429_halves_the_window_and_never_closes_it(line):
    succeed(line, 10)
    seen = []
    for _ in range(5):
        line.report("sale", throttled(1.0))
        seen.append(line.window)
    assert seen == [4, 2, 1, 1, 1]


def test_after_a_429_the_window_grows_on_from_its_half(line, clock):
    succeed(line, 10)
    line.report("sale", throttled(5.0))
    clock.advance(LINE_CEILING_S)
    succeed(line)
    assert line.window == 5


# ---- spread over time -----------------------------------------------------------------------------------------------


@pytest.fixture
def paced(clock):
    """A line on which whoever is told to wait for a random moment within a spread waits for all of it."""
    return Line(clock, max_in_flight=8, start_delay_s=0.0, hold_probe_s=60.0, pace=Pace(lambda least, most: most))


def outage(line, clock, length_s):
    line.report("sale", UNREACHABLE)
    clock.advance(length_s)
    line.report("", ANSWERED, probe=True)


def test_after_a_short_outage_nothing_is_spread(paced, clock):
    outage(paced, clock, OUTAGE_LEAST_S - 1)
    assert permits(paced) == (True, True)


def test_after_a_long_outage_the_backlog_waits_its_turn_and_a_register_does_not(paced, clock):
    outage(paced, clock, 1000.0)
    assert permits(paced) == (False, True)
    assert (paced.places, due_s(paced, clock)) == (1, 1000.0 * OUTAGE_SHARE)
    clock.advance(1000.0 * OUTAGE_SHARE)
    assert permits(paced) == (True, True)


def test_the_longest_outage_spreads_no_more_than_the_ceiling(paced, clock):
    outage(paced, clock, 30 * 86_400.0)
    assert due_s(paced, clock) == CEILING_S


def test_each_success_of_the_backlog_shortens_the_next_turn_until_there_is_none(paced, clock):
    outage(paced, clock, 1000.0)
    turns = []
    while (turn := due_s(paced, clock)) is not None:
        turns.append(turn)
        clock.advance(turn)
        succeed(paced)
    assert turns == sorted(turns, reverse=True)
    assert len(turns) < 30
    assert sum(turns) < 1.1 * 5 * OUTAGE_SHARE * 1000.0  # a geometric series: a fifth less each time
    assert paced.places == paced.window > 1


def test_a_turn_that_nobody_took_for_long_ends_the_spread(paced, clock):
    """Else a quiet till's sales would each wait for minutes, hours after the outage."""
    outage(paced, clock, 1000.0)
    spread = due_s(paced, clock)
    clock.advance(2 * spread)
    succeed(paced)
    assert due_s(paced, clock) is not None
    clock.advance(due_s(paced, clock) + spread)
    succeed(paced)
    assert due_s(paced, clock) is None
    assert permits(paced) == (True, True)
    assert paced.places == paced.window


def test_a_registers_success_before_its_turn_changes_nothing(paced, clock):
    outage(paced, clock, 1000.0)
    before = due_s(paced, clock)
    succeed(paced, 5)
    assert due_s(paced, clock) == before


def test_a_429_doubles_the_spread_behind_the_retry_after(paced, clock):
    outage(paced, clock, 500.0)
    spread = due_s(paced, clock)
    clock.advance(spread)
    paced.report("sale", throttled(30.0))
    clock.advance(30.0)
    assert permits(paced) == (False, True)
    assert due_s(paced, clock) == 2 * spread


def test_429s_of_registers_put_the_backlogs_turn_off_no_further_than_their_own_end(paced, clock):
    """A till that sells without rest, now and then too fast: its backlog keeps its turn."""
    outage(paced, clock, 1000.0)
    turn = clock.monotonic() + due_s(paced, clock)
    while clock.monotonic() < turn - 10.0:
        paced.report("sale", throttled(2.0))
        clock.advance(5.0)
        succeed(paced)
    clock.advance(turn - clock.monotonic())
    assert permits(paced) == (True, True)
    paced.report("sale", throttled(30.0))
    clock.advance(30.0)
    assert due_s(paced, clock) == pytest.approx(min(2 * OUTAGE_SHARE * 1000.0, CEILING_S))


def test_a_503s_retry_after_puts_the_turn_behind_it(paced, clock):
    outage(paced, clock, 500.0)
    spread = due_s(paced, clock)
    clock.advance(spread)
    paced.report("sale", judge(Kind.SALE, 503, b"", retry_after=600.0))
    clock.advance(600.0)
    assert permits(paced) == (False, True)
    assert due_s(paced, clock) == spread
    clock.advance(spread)
    succeed(paced)
    assert due_s(paced, clock) == pytest.approx(0.8 * spread)


def test_a_503s_retry_after_spreads_nothing_that_was_not(paced, clock):
    paced.report("sale", judge(Kind.SALE, 503, b"", retry_after=600.0))
    clock.advance(600.0)
    assert permits(paced) == (True, True)


def test_429s_to_requests_that_were_under_way_together_count_as_one(paced, clock):
    outage(paced, clock, 500.0)
    spread = due_s(paced, clock)
    clock.advance(spread)
    for _ in range(5):
        paced.report("sale", throttled(30.0))
    clock.advance(30.0)
    assert due_s(paced, clock) == 2 * spread


def test_a_429_to_a_probe_shows_that_the_line_lives(paced, clock):
    paced.report("sale", UNREACHABLE)
    clock.advance(1000.0)
    paced.report("", throttled(30.0), probe=True)
    assert not paced.needs_probe
    clock.advance(30.0)
    assert permits(paced) == (False, True)


def test_a_retry_after_is_kept_to_its_length_for_registers(paced, clock):
    for _ in range(10):
        paced.report("sale", throttled(2.0))
    clock.advance(2.0)
    assert permits(paced)[1]


def test_a_drill_spreads_nothing(paced, clock):
    paced.begin_drill()
    paced.report("sale", Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", unsent=True))
    clock.advance(3600.0)
    paced.end_drill()
    assert permits(paced) == (True, True)
