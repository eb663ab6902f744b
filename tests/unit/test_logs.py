"""Logs: fields by allow-list, libraries quiet, tracebacks without locals."""

import ast
import json
import logging
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import structlog

from agent import logs

EMAIL = "ada@example.com"
KEY = "fl_live_0123456789abcdef"


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.captureWarnings(capture=False)  # another test's agent may have left it on, with pytest's own taken away
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
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
    try:
        raise LookupError(kept)
    except LookupError:
        raise ValueError(f"it failed over {secret}") from OSError(28, f"No space for {secret}"[:8])


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
    assert "it failed" not in shown  # the text of an exception may hold anything
    assert "ValueError" in shown
    assert "OSError: No space" in shown
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
    logging.getLogger("httpx").warning("trouble with %s", EMAIL)
    assert re.fullmatch(r"WARNING httpx test_logs:\d+ in test_a_library_\w+\n", written())


def test_what_a_library_says_stays_out_and_where_and_what_kind_is_told(written):
    logs.set_up()
    try:
        fail_over(EMAIL)
    except ValueError:
        logging.getLogger("asyncio").exception("Exception in callback handle(%s)", EMAIL)
    warnings.showwarning(f"Expected str with value {EMAIL}", RuntimeWarning, "serializer.py", 3)  # as Python calls it
    shown = written()
    assert EMAIL not in shown
    assert "ERROR asyncio test_logs:" in shown
    assert "ValueError" in shown
    assert "WARNING py.warnings" in shown


@pytest.mark.parametrize(
    "fields",
    [
        {"code": EMAIL},
        {"count": EMAIL},
        {"operation": ["Canarina Vogelsang"]},
        {"status": {"email": EMAIL}},
        {"error": f"no route to {EMAIL}"},
        {"error": f"refused {KEY}"},
        {"path": f"/v1/members?email={EMAIL.replace('@', '%40')}"},
        {"by": "two\nlines"},
    ],
)
def test_a_value_that_is_not_of_its_fields_kind_is_masked(written, fields):
    logs.set_up()
    logs.get().warning("said", **fields)
    event = json.loads(written())
    assert "***" in event[next(iter(fields))]
    assert "ada" not in json.dumps(event)
    assert "Canarina" not in json.dumps(event)
    assert KEY[:8] not in json.dumps(event)


# ---- every call in the source --------------------------------------------------------------------------------------

SOURCES = sorted((Path(logs.__file__).parent).rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def log_calls():
    """Every call of a logger in the shipped code: file, line, call."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            is_method = isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS | {"bind", "log", "msg"}
            if (is_method and "log" in called.rpartition(".")[0].lower()) or called == "say":
                yield path, node


def test_every_log_call_names_allowed_fields_and_says_a_literal():
    calls = list(log_calls())
    assert len(calls) > 30
    for path, call in calls:
        where = f"{path.name}:{call.lineno}"
        if "cli" in path.parts[-3:-1]:
            continue  # commands print; what is called say there tells a story
        assert len(call.args) == 1, where
        assert isinstance(call.args[0], ast.Constant), f"{where}: the event must be a literal"
        assert isinstance(call.args[0].value, str), where
        for keyword in call.keywords:
            assert keyword.arg in logs.ALLOWED_FIELDS, f"{where}: {keyword.arg}"
            if keyword.arg == "error":
                assert ast.unparse(keyword.value) in {"error.strerror", "error.detail"}, where
            assert not isinstance(keyword.value, ast.JoinedStr), f"{where}: {keyword.arg} is put together"


def test_nothing_else_writes_to_the_log_or_the_terminal():
    for path in SOURCES:
        if "cli" in path.parts[-3:-1] or path.name in {"logs.py", "tracebacks.py"}:
            continue
        source = path.read_text("utf-8")
        assert "getLogger" not in source, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in {"print", "sys.stderr.write", "traceback.print_exc"}, path


FAULTS = """
import sys, threading
from agent import tracebacks
tracebacks.install()
class Odd:
    def __del__(self): raise ValueError("ada@example.com")
Odd()
def fail(): raise KeyError("ada@example.com")
thread = threading.Thread(target=fail)
thread.start(); thread.join()
raise LookupError("ada@example.com") from OSError(28, "No space left")
"""


def test_what_nobody_catches_is_written_without_its_words():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ada@" not in done.stderr + done.stdout
    for kind in ("ValueError", "KeyError", "LookupError", "OSError: No space left"):
        assert kind in done.stderr
    assert "in fail" in done.stderr


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
