"""A newer version of the agent, for tests: a copy of its source with a later version number and further migrations.

The shipped code has no switch for that: what is newer is another tree, and runs as a process of its own.
"""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import agent
from tests.support.agents import AgentProcess, Launch, running
from tests.support.weakened import Change

NEWER = "0.2.0"
MEMBER = {"externalId": "POS-CUST-5512"}
# Touches every row, and builds a table anew: what a migration may come to at the most.
OUTBOX = """-- A migration; with a semicolon in its first line.
ALTER TABLE operation ADD COLUMN proof INTEGER NOT NULL DEFAULT 0;
UPDATE operation SET proof = seq;
CREATE TABLE proof (seq INTEGER PRIMARY KEY, scope BLOB NOT NULL) STRICT;
INSERT INTO proof SELECT seq, scope FROM operation;
CREATE TRIGGER proof_removed AFTER DELETE ON operation
BEGIN
  DELETE FROM proof WHERE seq = OLD.seq;
END;
"""
MEMBERS = "CREATE TABLE member_proof (seq INTEGER PRIMARY KEY) STRICT;\n"


def newer_copy(
    folder: Path,
    *,
    outbox: str = OUTBOX,
    members: str = MEMBERS,
    version: str = NEWER,
    changes: Sequence[Change] = (),
    source: Path = Path(agent.__file__).parent,
) -> Path:
    """Make a newer version in `folder`, whose package is `folder / "agent"`; an empty script is no migration."""
    shutil.copytree(source, folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    for room, script in (("outbox", outbox), ("members", members)):
        migrations = folder / "agent" / room / "migrations"
        number = max(int(file.name.split("_")[0]) for file in migrations.glob("*.sql")) + 1
        if script:
            (migrations / f"{number:04d}_proof.sql").write_text(script, encoding="utf-8")
    renamed = Change("agent/__init__.py", f'__version__ = "{agent.__version__}"', f'__version__ = "{version}"')
    for change in (renamed, *changes):
        file = folder / change.file
        text = file.read_text(encoding="utf-8")
        assert text.count(change.old) == 1, change
        file.write_text(text.replace(change.old, change.new), encoding="utf-8")
    return folder


def launch_from(folder: Path) -> Launch:
    """`launch` for an AgentProcess: the version in `folder`, in an interpreter of its own."""

    def launch(arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "agent", *arguments]
        return subprocess.Popen(command, cwd=folder, env={**environment, "PYTHONPATH": str(folder)}, stderr=log)

    return launch


async def queue(data_dir: Path, count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Let this version accept so many operations for a Flash that is not there: sales, every tenth one's customer
    enrolled before and a part of it refunded after. Each as it was acknowledged, and what was asked.
    """
    async with running(data_dir) as register:
        accepted: list[tuple[dict[str, Any], dict[str, Any]]] = []

        async def accept(path: str, bodies: list[dict[str, Any]]) -> None:
            answers = await asyncio.gather(*(register.call("POST", path, body) for body in bodies))
            assert all(answer.status == 202 for answer in answers), answers
            accepted.extend((answer.json, body) for answer, body in zip(answers, bodies, strict=True))

        tenth = range(count // 10)
        await accept("/v1/enrollments", [{"externalId": f"m{n}", "email": f"m{n}@example.com"} for n in tenth])
        members = [{"externalId": f"m{n}"} if n in tenth else MEMBER for n in range(count - 2 * len(tenth))]
        sales = [
            {"externalOrderId": f"u{n}", "customer": member, "totalAmount": 20} for n, member in enumerate(members)
        ]
        await accept("/v1/sales", sales)
        await accept("/v1/refunds", [{"externalOrderId": f"u{n}", "refundId": "r1", "amount": 5} for n in tenth])
        return accepted


def copy_of(data_dir: Path, target: Path) -> Path:
    """A data directory, byte for byte, without the lock."""
    shutil.copytree(data_dir, target, ignore=shutil.ignore_patterns("agent.lock", "agent.json"))
    return target


def refusal(agent_process: AgentProcess) -> str:
    """What an agent says that does not start; fails where it starts."""
    before = agent_process.log.stat().st_size if agent_process.log.exists() else 0
    try:
        agent_process.start()
    except AssertionError:
        return agent_process.log.read_bytes()[before:].decode(errors="replace")
    agent_process.kill()
    raise AssertionError("it started")


def rows(database: Path, sql: str) -> list[tuple]:
    """What a SELECT finds in a database that nobody has open."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
