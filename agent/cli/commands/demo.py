"""`demo`: an agent and a stand-in for Flash in one process, a short story between them, then both serve.

Needs nothing but itself: a temporary data directory, free ports, settings of its own. Exit code 1 when the story does
not come out as told.
"""

import argparse
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli import options, text

if TYPE_CHECKING:
    from agent.app import Agent
    from agent.config import Settings
    from agent.sandbox import Sandbox

_CURL = (
    'curl -s {address}/v1/sales -H "Authorization: Bearer $(cat {token})" -H "Content-Type: application/json" '
    '-H "Prefer: wait=5" -d \'{{"externalOrderId":"91001","customer":{{"externalId":"{customer}"}},"totalAmount":60}}\''
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--once`, `--port`."""
    parser.add_argument("--once", action="store_true", help="end after the story instead of serving")
    parser.add_argument("--port", type=options.port, default=0, help="the agent's port (default: a free one)")


def run(arguments: argparse.Namespace) -> int:
    """Play; exit code 1 when the two ledgers differ."""
    from agent import logs
    from agent.cli import process

    logs.set_up("error", "text")
    with tempfile.TemporaryDirectory(prefix="flash-agent-demo-", ignore_cleanup_errors=True) as place:
        return process.run(_play(Path(place), arguments.port, once=arguments.once))


async def _play(data_dir: Path, port: int, *, once: bool) -> int:
    from agent.app import Agent
    from agent.cli.story import Story
    from agent.cli.till import Till
    from agent.sandbox import Sandbox

    async with Sandbox() as sandbox:
        agent = Agent(_settings(sandbox, port), data_dir)
        await agent.start()
        try:
            token = agent.data_dir.token_path("register").read_text("ascii")
            async with Till(f"http://127.0.0.1:{agent.port}", token) as till:
                agrees = await Story(till, sandbox).play()
            if not once:
                await _serve(agent)
        finally:
            await agent.stop()
    return 0 if agrees else 1


def _settings(sandbox: "Sandbox", port: int) -> "Settings":
    from agent.config import Settings

    return Settings.isolated(
        flash={"base_url": sandbox.base_url, "write_key": sandbox.write_key},
        store={"store_id": sandbox.store_id},
        api={"port": port},
        relay={"start_jitter_s": 0.0},
        members={"fresh_s": 0.0},  # each look-up asks Flash, so that the story shows whose answer it is
    )


async def _serve(agent: "Agent") -> None:
    from agent.cli import process
    from agent.cli.story import ADA

    address = f"http://127.0.0.1:{agent.port}"
    token = shlex.quote(str(agent.data_dir.token_path("register")))
    print(f"\nThe agent and the stand-in go on serving; the API is shown at {address}/docs. Ring up a sale yourself:\n")
    print(f"  {_CURL.format(address=address, token=token, customer=ADA)}\n")
    place = shlex.quote(str(agent.data_dir.path))
    print(f"Ask how the agent is: {text.own_name()} status --data-dir {place}")
    print("Stop with Ctrl-C.", flush=True)
    await process.until_told_to_stop()
