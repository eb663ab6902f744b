"""`run`: the agent in the foreground, which is also how a service manager runs it."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli import options

if TYPE_CHECKING:  # what a command does not need is not imported
    from agent.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    options.add_place(parser)
    parser.add_argument("--port", type=options.port, help="listen here instead of [api] port; 0 takes a free one")


def run(arguments: argparse.Namespace) -> int:
    from agent.cli import process, stderr

    process.collect_less()
    from agent import config, logs

    flags = {"api": {"port": arguments.port}} if arguments.port is not None else None
    settings = config.load(arguments.config, flags)
    logs.set_up(settings.log.level, settings.log.format)
    with stderr.unblocked():
        return process.run(_serve(settings, config.data_dir(arguments.data_dir)))


async def _serve(settings: "Settings", data_dir: Path) -> int:
    from agent.app import Agent
    from agent.cli import process
    from agent.servicemanager.notifier import Notifier

    service = Notifier()
    agent = Agent(settings, data_dir)
    with service.starting():
        await agent.start()
    process.spare_collections()
    try:
        print(f"registers send the token in {agent.data_dir.token_path('register')}", file=sys.stderr, flush=True)
        print(f"flash-agent listens on http://127.0.0.1:{agent.port}", file=sys.stderr, flush=True)
        service.ready(f"listens on http://127.0.0.1:{agent.port}")
        await process.until_told_to_stop()
    finally:
        service.stopping()
        await agent.stop()
    return 0
