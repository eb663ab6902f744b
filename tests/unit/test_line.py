"""The line to Flash: what may be sent when, and what people are told."""

import pytest

from agent.clock import to_ms
from agent.delivery import Contact, Fate, Kind, Outcome
from agent.flash.outcome import judge
from agent.outbox.line import TROUBLES_UNTIL_OFFLINE, Connectivity, Line
from agent.outbox.retry import LINE_CEILING_S

HOLD_S = 60.0
MAX_IN_FLIGHT = 8


@pytest.fixture
def line(clock):
    return Line(clock, max_in_flight=MAX_IN_FLIGHT, start_delay_s=0.0, hold_probe_s=HOLD_S)


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


# ---- the states ----------------------------------------------------------------------------------------------------


def test_a_line_starts_open_and_unsure(line, clock):
    assert line.connectivity is Connectivity.STARTING
    assert permits(line) == (True, True)
    assert not line.probe_due()
    assert due_s(line, clock) is None


def test_start_jitter_holds_the_backlog_and_never_a_register(clock):
    line = Line(clock, max_in_flight=MAX_IN_FLIGHT, start_delay_s=2.0, hold_probe_s=HOLD_S)
    assert permits(line) == (False, True)
    assert due_s(line, clock) == 2.0
    clock.advance(2.0)
    assert permits(line) == (True, True)


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (ANSWERED, Connectivity.ONLINE),
        (FORBIDDEN, Connectivity.ONLINE),
        (UNREACHABLE, Connectivity.OFFLINE),
        (STRANGER, Connectivity.OFFLINE),
        (KEY_REFUSED, Connectivity.UNAUTHORIZED),
        (throttled(), Connectivity.THROTTLED),
        (TROUBLED, Connectivity.STARTING),
    ],
)
@pytest.mark.parametrize("probe", [False, True])
def test_connectivity_is_what_the_last_contact_showed(line, outcome, shown, probe):
    line.report("sale", outcome, probe=probe)
    assert line.connectivity is shown


def test_who_listens_is_told_of_every_change(line):
    seen = []
    line.changed = lambda: seen.append(line.connectivity)
    for outcome in (ANSWERED, UNREACHABLE, throttled(), KEY_REFUSED):
        line.report("sale", outcome)
    assert seen == [Connectivity.ONLINE, Connectivity.OFFLINE, Connectivity.THROTTLED, Connectivity.UNAUTHORIZED]


def test_a_stranger_is_known_until_flash_speaks(line):
    line.report("sale", STRANGER)
    assert line.heard_a_stranger
    line.report("", ANSWERED, probe=True)
    assert not line.heard_a_stranger


def test_the_times_of_contact_and_success_are_kept(line, clock):
    line.report("sale", UNREACHABLE)
    assert (line.last_contact_ms, line.last_success_ms) == (None, None)
    line.report("", ANSWERED, probe=True)
    assert (line.last_contact_ms, line.last_success_ms) == (to_ms(clock.now()), None)
    clock.advance(5)
    line.report("sale", ANSWERED)
    assert line.last_contact_ms == line.last_success_ms == to_ms(clock.now())


# ---- outages and probes --------------------------------------------------------------------------------------------


def test_an_outage_closes_the_backlog_until_a_probe_succeeds(line, clock):
    succeed(line)
    line.report("sale", UNREACHABLE)
    assert permits(line) == (False, True)
    assert line.needs_probe
    assert not line.probe_due()
    assert 0 < due_s(line, clock) <= LINE_CEILING_S
    clock.advance(LINE_CEILING_S)
    assert line.probe_due()
    assert not line.permits_backlog("sale")
    line.report("", ANSWERED, probe=True)
    assert (line.connectivity, line.needs_probe, line.probe_due()) == (Connectivity.ONLINE, False, False)
    assert permits(line) == (True, True)


def test_a_failed_probe_sets_the_next_one_within_the_ceiling(line, clock):
    line.report("sale", UNREACHABLE)
    for _ in range(20):
        clock.advance(LINE_CEILING_S)
        assert line.probe_due()
        line.report("", UNREACHABLE, probe=True)
        assert not line.probe_due()
        assert 0 < due_s(line, clock) <= LINE_CEILING_S


def pauses(line, clock, answer):
    """The first pause of each of many outages that an answer ended; every outage has twenty failed probes."""
    found = []
    for _ in range(20):
        line.report("sale", UNREACHABLE)
        found.append(due_s(line, clock))
        for _ in range(20):
            clock.advance(LINE_CEILING_S)
            line.report("", UNREACHABLE, probe=True)
        line.report("sale" if answer == "operation" else "", ANSWERED, probe=True)
    return found


def test_an_operations_success_forgets_the_outage_and_a_reads_does_not(line, clock):
    assert max(pauses(line, clock, "operation")) <= 1
    assert max(pauses(line, clock, "read")[1:]) > 1


def test_only_a_probes_failure_lengthens_the_pause(line, clock):
    line.report("sale", UNREACHABLE)
    due = due_s(line, clock)
    for number, outcome in enumerate((UNREACHABLE, STRANGER, TROUBLED) * 10):
        line.report("sale", outcome, source=f"op_{number}")
    assert due_s(line, clock) == due
    assert line.connectivity is Connectivity.OFFLINE


def test_an_operation_somebody_waits_for_may_find_the_way_back(line):
    line.report("sale", UNREACHABLE)
    assert permits(line) == (False, True)
    line.report("sale", ANSWERED)
    assert (line.connectivity, permits(line)) == (Connectivity.ONLINE, (True, True))


def trouble(line, *operations):
    for operation in operations:
        line.report("sale", TROUBLED, source=operation)
    return line.connectivity is Connectivity.OFFLINE


def test_three_operations_in_trouble_are_an_outage_and_two_are_not(line):
    assert TROUBLES_UNTIL_OFFLINE == 3
    succeed(line)
    assert not trouble(line, "op_1", "op_2")
    assert line.is_open
    assert trouble(line, "op_3")
    assert permits(line) == (False, True)


def test_one_operation_in_trouble_again_and_again_is_no_outage(line):
    assert not trouble(line, *["op_1"] * 10, *["op_2"] * 10)
    assert line.is_open


def test_an_answer_starts_the_count_of_troubles_anew(line):
    assert not trouble(line, "op_1", "op_2")
    succeed(line)
    assert not trouble(line, "op_3", "op_4")
    assert trouble(line, "op_5")


def test_a_reads_success_does_not_forget_that_operations_fail(line, clock):
    trouble(line, "op_1", "op_2", "op_3")
    clock.advance(LINE_CEILING_S)
    line.report("", ANSWERED, probe=True)
    assert line.is_open
    assert trouble(line, "op_4")


def test_a_troubled_probe_is_no_way_back(line, clock):
    line.report("sale", UNREACHABLE)
    clock.advance(LINE_CEILING_S)
    line.report("", TROUBLED, probe=True)
    assert (line.connectivity, line.is_open, line.probe_due()) == (Connectivity.OFFLINE, False, False)


# ---- holds ---------------------------------------------------------------------------------------------------------


def test_a_refused_key_holds_everything_and_is_probed_every_minute(line, clock):
    line.report("sale", KEY_REFUSED)
    for _ in range(3):
        assert permits(line, "sale") == permits(line, "redemption") == (False, False)
        clock.advance(HOLD_S - 1)
        assert (line.probe_due(), permits(line)) == (False, (False, False))
        clock.advance(1)
        assert line.probe_due()
        line.report("", KEY_REFUSED, probe=True)
    clock.advance(HOLD_S)
    line.report("", ANSWERED, probe=True)
    assert (line.connectivity, permits(line)) == (Connectivity.ONLINE, (True, True))


def test_a_key_that_is_held_at_start_may_be_probed_at_once(line):
    line.hold_key(probe_now=True)
    assert (line.connectivity, line.probe_due(), permits(line)) == (Connectivity.UNAUTHORIZED, True, (False, False))
    line.release_key()
    assert (line.connectivity, line.needs_probe, permits(line)) == (Connectivity.STARTING, False, (True, True))


def test_a_held_key_survives_an_outage(line, clock):
    line.report("sale", KEY_REFUSED)
    clock.advance(HOLD_S)
    line.report("", UNREACHABLE, probe=True)
    assert (line.connectivity, permits(line)) == (Connectivity.OFFLINE, (False, False))
    clock.advance(LINE_CEILING_S)
    assert line.probe_due()
    line.report("", ANSWERED, probe=True)
    assert permits(line) == (True, True)


def test_a_403_holds_its_endpoint_alone(line, clock):
    succeed(line)
    line.report("refund", FORBIDDEN)
    assert line.held_endpoints == ["refund"]
    assert (permits(line, "refund"), permits(line, "sale")) == ((False, False), (True, True))
    assert (line.connectivity, line.needs_probe, due_s(line, clock)) == (Connectivity.ONLINE, False, HOLD_S)
    clock.advance(HOLD_S)
    assert permits(line, "refund") == (True, True)  # its own probe
    assert line.held_endpoints == ["refund"]
    line.report("refund", FORBIDDEN)
    assert permits(line, "refund") == (False, False)
    clock.advance(HOLD_S)
    line.report("refund", ANSWERED)
    assert line.held_endpoints == []


def test_one_operation_at_a_time_tries_a_held_endpoint(line, clock):
    line.report("refund", FORBIDDEN)
    clock.advance(HOLD_S)
    assert permits(line, "refund") == (True, True)
    line.try_endpoint("refund")
    assert permits(line, "refund") == (False, False)
    assert permits(line, "sale") == (True, True)
    line.report("refund", ANSWERED)
    assert permits(line, "refund") == (True, True)


def test_a_key_in_question_is_told_from_an_outage(line):
    line.report("sale", UNREACHABLE)
    assert (line.needs_probe, line.key_held) == (True, False)
    line.report("sale", KEY_REFUSED)
    assert (line.needs_probe, line.key_held) == (True, True)
    line.report("", ANSWERED, probe=True)
    assert (line.needs_probe, line.key_held) == (False, False)


def test_success_elsewhere_releases_no_held_endpoint(line):
    line.report("refund", FORBIDDEN)
    succeed(line, 5)
    line.report("", ANSWERED, probe=True)
    assert permits(line, "refund") == (False, False)


def test_a_probe_that_may_not_read_holds_nothing_and_shows_that_the_line_works(line):
    line.report("sale", UNREACHABLE)
    line.report("", FORBIDDEN, probe=True)
    assert (line.held_endpoints, line.connectivity, permits(line)) == ([], Connectivity.ONLINE, (True, True))
