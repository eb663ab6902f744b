"""A process under siege: thousands of connections, a gigabyte, bombs; its memory stays bounded and a register sells."""

import asyncio
import contextlib
import gzip
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.agents import AgentProcess, agent_process, exchange
from tests.support.commands import NOWHERE, call

pytestmark = pytest.mark.e2e
CONNECTIONS = 10_000
MEMORY_BYTES = 50 * 1024 * 1024  # on top of what the agent takes by itself; 8 to 15 MB are what was seen


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with agent_process(tmp_path / "data", NOWHERE) as started:
        yield started


async def sells(agent: AgentProcess, order: str) -> bool:
    sale = {"externalOrderId": order, "customer": {"externalId": "C-1"}, "totalAmount": 1}
    status, _ = await asyncio.to_thread(call, "POST", f"http://127.0.0.1:{agent.port}/v1/sales", agent.token, sale)
    return status == 202


@contextlib.asynccontextmanager
async def watched(agent: AgentProcess) -> AsyncIterator[None]:
    """Fails when the agent took more than its share of memory meanwhile, or no longer sells afterwards."""
    assert await sells(agent, "before")
    assert agent.process is not None
    process = psutil.Process(agent.process.pid)
    least = most = process.memory_info().rss

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield
        assert await sells(agent, "after")
    finally:
        watching.cancel()
    assert most - least < MEMORY_BYTES, f"{(most - least) / 1e6:.0f} MB"


def head(agent: AgentProcess, *lines: str, known: bool = True) -> bytes:
    own = [f"Host: 127.0.0.1:{agent.port}", "Content-Type: application/json"]
    own += [f"Authorization: Bearer {agent.token}"] if known else []
    return "\r\n".join(["POST /v1/sales HTTP/1.1", *own, *lines, "", ""]).encode()


@pytest.mark.skipif(sys.platform == "win32", reason="its clients run out of ports first")
@pytest.mark.parametrize("sent", ["half a head", "a head, and no body"])
async def test_ten_thousand_connections(agent: AgentProcess, sent: str) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(CONNECTIONS, hard - 500)
    said = {"half a head": head(agent)[:60], "a head, and no body": head(agent, "Content-Length: 99")}

    def connect() -> socket.socket:
        made = stack.enter_context(socket.create_connection(("127.0.0.1", agent.port), timeout=10))
        with contextlib.suppress(ConnectionError):  # room was made for the next one already
            made.sendall(said[sent])
        return made

    with contextlib.ExitStack() as stack:
        async with watched(agent):
            for thousand in range(count // 1000):
                await asyncio.to_thread(lambda: [connect() for _ in range(1000)])
                assert await sells(agent, f"o-{thousand}")


@pytest.mark.parametrize("known", [True, False])
async def test_a_gigabyte(agent: AgentProcess, known: bool) -> None:
    """Sent for real, as fast as it is taken, on some connections at once."""
    gigabyte, piece = 1_000_000_000, b" " * 1_000_000

    async def send() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        with contextlib.suppress(ConnectionError):
            writer.write(head(agent, f"Content-Length: {gigabyte}", known=known))
            for _ in range(gigabyte // len(piece)):
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()

    async with watched(agent):
        sending = [asyncio.create_task(send()) for _ in range(8)]
        assert await sells(agent, "meanwhile")
        await asyncio.gather(*sending)


async def test_bombs(agent: AgentProcess) -> None:
    packed = gzip.compress(b" " * 100_000_000)
    deep = b'{"externalOrderId":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    wide = b"[" + b"{}," * 80_000 + b"{}]"
    async with watched(agent):
        for lines, body in (
            (["Content-Encoding: gzip"], packed),
            ([], deep),
            ([], wide),
            ([], b"1" * 250_000),
            ([], b'{"totalAmount": 1e' + b"9" * 100_000 + b"}"),
        ):
            for _ in range(5):
                answer = await exchange(agent.port, head(agent, *lines, f"Content-Length: {len(body)}") + body)
                assert 400 <= answer.status < 500
