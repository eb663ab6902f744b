"""Kill -9 while catalogs are taken in, and lost answers while they are sent: each row lands once."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.support.agents import AgentProcess, agent_process, strict_flash, until
from tests.support.strict_flash import StrictFlash

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
DOCUMENTS, ROWS = 20, 300


def document(number: int) -> bytes:
    """One document of an export: three catalogs of a hundred articles each."""
    numbers = range(number * ROWS, (number + 1) * ROWS)
    rows = [{"externalId": f"P-{each}", "title": f"Article {each}"} for each in numbers]
    parts = [{"source": "erp", "products": rows[start : start + 100]} for start in range(0, ROWS, 100)]
    return b"".join(json.dumps({"kind": "catalog", "document": part}).encode() + b"\n" for part in parts)


async def call(agent: AgentProcess, session: aiohttp.ClientSession, method: str, path: str, raw: bytes | None = None):
    """One call with the operator's token; raises what aiohttp raises where nobody answers."""
    headers = {"Authorization": f"Bearer {(agent.data_dir / 'operator.token').read_text()}"}
    headers |= {"Content-Type": "application/x-ndjson"} if raw is not None else {}
    async with session.request(method, f"http://127.0.0.1:{agent.port}{path}", data=raw, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def import_all(agent: AgentProcess, session: aiohttp.ClientSession, done: Counter[str]) -> None:
    """From the beginning; whoever is interrupted begins again."""
    for number in range(DOCUMENTS):
        taken = await call(agent, session, "POST", "/v1/documents/canonical", document(number))
        done.update(taken["catalogTotals"])


def landed(flash: StrictFlash) -> Counter[str]:
    """How often each row was taken."""
    return Counter(name for effect in flash.effects if effect["kind"] == "catalog" for name in effect["row"]["rows"])


async def test_kills_during_an_import_and_lost_answers_land_each_row_once(tmp_path: Path) -> None:
    with strict_flash() as flash, agent_process(tmp_path, flash.base_url) as agent:
        flash.stop()
        async with aiohttp.ClientSession() as session:
            for least in (1_500, 3_000):
                done: Counter[str] = Counter()
                importing = asyncio.create_task(import_all(agent, session, done))

                async def is_under_way(done: Counter[str] = done, least: int = least) -> bool:
                    return done["rows"] >= least

                await until(is_under_way)
                agent.kill()
                with pytest.raises((aiohttp.ClientError, OSError)):
                    await importing
                agent.start()
            flash.fault("lost-answer", every=6, path="/catalog/import")
            flash.start()
            done = Counter()
            await import_all(agent, session, done)
            assert done["rows"] == DOCUMENTS * ROWS
            assert 3_000 <= done["unchanged"] < DOCUMENTS * ROWS

            async def is_drained() -> bool:
                return (await call(agent, session, "GET", "/v1/status"))["pending"] == 0

            await until(is_drained, 60)
            assert landed(flash) == {f"P-{each}": 1 for each in range(DOCUMENTS * ROWS)}
            assert flash.violations == []
            done = Counter()
            await import_all(agent, session, done)
            assert (done["unchanged"], done["operations"]) == (DOCUMENTS * ROWS, 0)
