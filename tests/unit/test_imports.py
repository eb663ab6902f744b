"""What a till that does nothing has in memory: what is rarely needed is loaded when it is."""

import subprocess
import sys

RARELY_NEEDED = {
    "aiohttp.client", "aiohttp.connector", "aiohttp.web_app", "agent.api.views", "agent.api.openapi",
    "agent.api.day_documents", "agent.api.diagnostic_documents", "agent.api.flash_order_documents",
    "agent.api.member_documents", "agent.api.token_documents", "agent.diagnosis", "agent.doctor", "agent.flashorders",
    "agent.outbox.left", "agent.outbox.rescued", "agent.outbox.salvage", "agent.reconcile", "agent.rescue",
    "agent.sandbox", "agent.spool", "agent.summary", "anyio", "babel",
    "ctypes", "difflib", "frozenlist", "httpx", "multiprocessing", "prometheus_client", "psutil", "pyrage",
    "truststore", "watchfiles",
}  # fmt: skip


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_idle_agent_has_not_loaded_what_it_does_not_need():
    loaded = set(run("import sys, agent.app, agent.cli.run; print(*sys.modules)").split())
    assert {"agent.api.server", "aiohttp.web_protocol", "agent.cli.run"} <= loaded
    assert not loaded & RARELY_NEEDED


def test_aiohttp_is_whole_for_whoever_asks_for_more_of_it():
    shown = run("""
import sys
import agent.api.web
import aiohttp
assert "aiohttp.client" not in sys.modules
from aiohttp import ClientSession, hdrs, web
assert ClientSession is aiohttp.client.ClientSession and hdrs.HOST
assert web.Response is agent.api.web.Response is sys.modules["aiohttp.web_response"].Response
try:
    aiohttp.no_such_name
except AttributeError as error:
    print(error, aiohttp.__version__)
""")
    assert shown.startswith("module 'aiohttp' has no attribute 'no_such_name'")
    assert shown.split()[-1].count(".") == 2


def test_aiohttp_that_was_loaded_whole_before_is_left_alone():
    run("""
import aiohttp
before = aiohttp.ClientSession
import agent.api.web
import sys
assert sys.modules["aiohttp"] is aiohttp and aiohttp.ClientSession is before
""")


def test_what_aiohttp_does_not_have_is_said_though_nothing_was_asked_before():
    shown = run("""
import agent.api.web
import aiohttp
print(hasattr(aiohttp, "no_such_name"), hasattr(aiohttp, "ClientTimeout"), hasattr(aiohttp, "__nothing__"))
""")
    assert shown.split() == ["False", "True", "False"]
