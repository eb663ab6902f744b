"""What a till that does nothing has in memory: what is rarely needed is loaded when it is."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agent

RARELY_NEEDED = {
    "agent.adapters", "agent.api.handlers.documents_taken", "agent.api.openapi", "agent.api.views", "agent.doctor",
    "agent.importing", "agent.outbox.left", "agent.outbox.rescued", "agent.outbox.salvage", "agent.reconcile",
    "agent.rescue", "agent.sandbox", "agent.service.diagnosis", "agent.service.summary", "agent.setup", "agent.spool",
    "aiohttp.client", "aiohttp.connector", "aiohttp.web_app", "anyio", "babel", "ctypes", "difflib", "frozenlist",
    "httpx", "multiprocessing", "platformdirs", "prometheus_client", "psutil", "pyrage", "tenacity", "tqdm",
    "truststore", "watchfiles",
}  # fmt: skip
TREE = Path(agent.__file__).parent
NAMED_BY_WHAT_THEY_ARE_FOR = {"adapters", "api/handlers", "api/views", "cli/commands", "sandbox"}
IDLE = """
import asyncio, sys
from agent import config
from agent.app import Agent
from agent.cli import main, process
from agent.cli.commands import run

async def idle():
    agent = Agent(config.load(None, {"api": {"port": 0}}), config.data_dir(None))
    await agent.start()
    print(*sys.modules)
    await agent.stop()
    return 0

process.run(idle())
"""


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_idle_agent_has_not_loaded_what_it_does_not_need(tmp_path):
    config = tmp_path / "agent.toml"
    config.touch()
    shown = run(IDLE, FLASH_AGENT_CONFIG=str(config), FLASH_AGENT_DATA_DIR=str(tmp_path / "data"))
    loaded = set(shown.split())
    assert {"agent.api.server", "aiohttp.web_protocol", "agent.cli.commands.run"} <= loaded
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


def mapped(text):
    """What the rows of a package's map name."""
    rows = re.findall(r"^    ((?:\w+(?:\.py)?, )*\w+(?:\.py)?)  +\S", text, re.MULTILINE)
    return {name.removesuffix(".py") for row in rows for name in row.split(", ")}


@pytest.mark.parametrize("package", sorted(TREE.glob("**/__init__.py")), ids=lambda path: path.parent.name)
def test_a_package_maps_all_of_its_modules_and_nothing_that_is_not_there(package):
    folder = package.parent
    named = mapped(ast.get_docstring(ast.parse(package.read_text("utf-8")), clean=False) or "")
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    if not named and (len(modules) < 9 or folder.relative_to(TREE).as_posix() in NAMED_BY_WHAT_THEY_ARE_FOR):
        return
    assert named == modules
