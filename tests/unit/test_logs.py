"""Logs: fields by allow-list, libraries quiet, tracebacks without locals."""

import json
import logging

import pytest
import structlog

from agent import logs

EMAIL = "ada@example.com"
KEY = "fl_live_0123456789abcdef"


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def written(capsys):
    def read():
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return read


def fail_over(secret):
    kept = f"{secret} in a local"
    raise ValueError("it failed") from LookupError(len(kept))


def test_a_line_is_one_json_object_with_its_fields(written):
    logs.set_up()
    logs.get().info("accepted", operation="op_1", kind="sale", status="pending", attempts=2)
    line = written()
    assert line.count("\n") == 1
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "accepted", "level": "info", "operation": "op_1", "kind": "sale", "status": "pending", "attempts": 2,
    }  # fmt: skip


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(
    "name", ["email", "customer", "key", "write_key", "body", "headers", "Authorization", "detail", "full_name"]
)
def test_a_field_that_is_not_on_the_list_is_not_written(written, style, name):
    logs.set_up(style=style)
    logs.get().warning("sent", operation="op_1", **{name: f"{EMAIL} {KEY}"})
    logs.get().bind(**{name: EMAIL}).warning("bound", operation="op_2")
    shown = written()
    assert "op_1" in shown
    assert "op_2" in shown
    assert EMAIL not in shown
    assert KEY not in shown
    assert name not in shown


def test_no_allowed_field_is_made_for_persons_or_keys():
    suspicious = {
        "email",
        "customer",
        "member",
        "name",
        "phone",
        "key",
        "token",
        "body",
        "request",
        "result",
        "headers",
    }
    assert suspicious.isdisjoint(logs.ALLOWED_FIELDS)


@pytest.mark.parametrize("style", ["json", "text"])
def test_an_exception_shows_where_it_was_and_no_locals(written, style):
    logs.set_up(style=style)
    try:
        fail_over(KEY)
    except ValueError:
        logs.get().exception("send failed", operation="op_1", email=EMAIL)
    shown = written()
    assert "send failed" in shown
    assert "it failed" in shown
    assert "fail_over" in shown
    assert "test_logs.py" in shown
    assert KEY not in shown
    assert EMAIL not in shown


def test_a_library_that_logs_whole_addresses_is_heard_only_in_trouble(written):
    for level in ("info", "debug"):
        logs.set_up(level)
        for name in ("httpx", "httpcore", "httpcore.http11", "aiohttp.access", "asyncio", "aiosqlite", "some.library"):
            logging.getLogger(name).debug("GET /members?email=%s", EMAIL)
            logging.getLogger(name).info("GET /members?email=%s", EMAIL)
    assert written() == ""
    logging.getLogger("httpx").warning("trouble")
    assert written() == "WARNING httpx trouble\n"


@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_configured_one(written, level, heard):
    logs.set_up(level)
    log = logs.get()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(written().splitlines()) == heard


def test_what_is_logged_stays_one_line(written):
    logs.set_up()
    logs.get().info("two\nlines", error='x\n{"event": "forged"}')
    assert written().count("\n") == 1
