"""What the stand-in remembers of Idempotency-Keys: bounded, and never at the cost of a call that still runs."""

import pytest

from agent.sandbox import assumed
from agent.sandbox.calls import Answer
from agent.sandbox.idempotency import IdempotencyMemory
from agent.sandbox.refusals import Refusal

DONE = Answer.data({"awarded": 6})


def slot(key):
    return "t1", "POST /orders", key


def begin(memory, key, body=b"{}"):
    return memory.begin(slot(key), "/orders", body)


def test_beyond_its_size_the_oldest_that_are_finished_are_forgotten_and_none_that_runs():
    memory = IdempotencyMemory(2)
    assert begin(memory, "runs") is None
    for key in ("1", "2", "3"):
        assert begin(memory, key) is None
        memory.finish(slot(key), DONE)
    assert len(memory) == 2
    assert begin(memory, "3") is DONE
    assert begin(memory, "1") is None
    with pytest.raises(Refusal) as refused:
        begin(memory, "runs")
    assert (refused.value.status, refused.value.code) == assumed.IDEMPOTENCY_IN_FLIGHT


def test_a_call_without_a_result_frees_its_key_and_another_payload_is_refused():
    memory = IdempotencyMemory(2)
    begin(memory, "1")
    memory.abandon(slot("1"))
    assert begin(memory, "1", b'{"other": 1}') is None
    with pytest.raises(Refusal) as refused:
        begin(memory, "1")
    assert (refused.value.status, refused.value.code) == assumed.IDEMPOTENCY_CONFLICT
