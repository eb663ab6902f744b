"""Documents of megabytes are read piece by piece, and come to the same as in one go."""

import io
import json
import random
import sys
from decimal import Decimal
from typing import Any

import pytest

from agent import jsons
from agent.adapters import json_documents
from agent.adapters.base import UnreadableError

CHANCE = random.Random(20261122)
SCALARS = (1, -2, "x", "ü€😀", True, None, 'a"\\b', "", 12345678901234567890, "{[", "long " * 40_000)


def made(depth: int = 0) -> Any:
    """Any value, now and then a large one."""
    match CHANCE.randrange(8) if depth < 5 else 0:
        case 0 | 1 | 2:
            return CHANCE.choice(SCALARS)
        case 3 | 4 | 5:
            return [made(depth + 1) for _ in range(CHANCE.randrange(6))]
        case _:
            return {CHANCE.choice(("a", "b", "ä", 'c"d', "")): made(depth + 1) for _ in range(CHANCE.randrange(6))}


def damaged(document: bytes) -> bytes:
    """Now and then with a byte or two changed or lost."""
    damage = bytearray(document)
    for _ in range(CHANCE.choice((0, 0, 1, 2))):
        at = CHANCE.randrange(len(damage) + 1)
        damage[at : at + CHANCE.randrange(3)] = bytes([CHANCE.choice(b'[]{},:"\\ 19eE-.\xff\xc3nt')])
    return bytes(damage)


def read(how: Any, document: bytes) -> Any:
    try:
        return how(document)
    except ValueError:
        return ValueError


def test_in_pieces_is_as_in_one_go():
    outcomes = []
    for _ in range(300):
        document = damaged(json.dumps([made() for _ in range(4)], ensure_ascii=CHANCE.random() < 0.5).encode())
        at_once, in_pieces = read(jsons.loads, document), read(jsons.loads_large, document)
        assert in_pieces == at_once
        outcomes.append((at_once is ValueError, len(document) > 200_000))
    assert len(set(outcomes)) == 4  # sound and malformed, small and large


@pytest.mark.parametrize("document", [b"[" * 300_000, b'{"a":' * 100_000, b"[" * 65 + b" " * 200_000 + b"]" * 65])
def test_what_is_too_deep_is_refused(document: bytes):
    with pytest.raises(ValueError, match=r"deep|malformed|truncated"):
        jsons.loads_large(document)


def test_the_interpreter_is_let_go_of_many_times():
    """In one go 16 MiB held it for a second, and with it every register."""
    record = {"id": "R-1", "total": 12.5, "lines": [{"sku": "A", "price": 3.25}] * 20}
    document = b" " * 99 + json.dumps({"data": {"orders": [record] * 9_000}}).encode()
    assert len(document) > 5_000_000
    calls = []

    def watch(_frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ == "decode":
            calls.append(called)

    sys.setprofile(watch)
    try:
        found = jsons.loads_large(document)
    finally:
        sys.setprofile(None)
    assert len(calls) > 9_000
    assert found["data"]["orders"][-1]["total"] == Decimal("12.5")


def test_a_fault_in_a_large_document_is_told_where_that_is_known():
    filling = b'["' + b"x" * 200_000 + b'", '
    for ending, words in ((b'"\xff"]', "no sound UTF-8 at byte 200006"), (b"1e99999999999999999999]", "no sound JSON."),
                          (b"nope]", "no sound JSON at byte 200006")):  # fmt: skip
        with pytest.raises(UnreadableError, match=words):
            json_documents.load(io.BytesIO(filling + ending), 10**6)


def test_a_document_that_is_too_large_to_be_held_whole_says_what_to_do():
    sound = b'["' + b"x" * 4092 + b'"]'
    assert json_documents.load(io.BytesIO(sound), 4096)
    with pytest.raises(UnreadableError, match=r"more than 0\.003906 MiB.* raise \[documents\] max_bytes") as caught:
        json_documents.load(io.BytesIO(sound + b" "), 4096)
    assert caught.value.code == "too-large"
