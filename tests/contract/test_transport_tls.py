"""TLS: the key is said to nobody whose certificate is not trusted; with the certificate's authority it works."""

import asyncio
import json
import ssl

import pytest
import trustme

from tests.support.agents import running, settings

ANSWER = json.dumps({"data": {"awarded": 6, "balance": 1820, "memberId": "mem_1"}}).encode()


class TlsFlash:
    """The least of Flash behind TLS: answers every POST with six points, keeps what it hears."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.heard = b""

    async def __aenter__(self) -> "TlsFlash":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.base_url = f"https://localhost:{self._server.sockets[0].getsockname()[1]}/api/v2"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heard += head
                length = next(
                    (line.split(b":")[1] for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
                )
                await reader.readexactly(int(length))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
                )
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def context_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_with_its_authority_a_sale_earns(tmp_path, authority):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with TlsFlash(context_for(authority, "localhost")) as flash:
        chosen = settings(flash.base_url, flash={"ca_file": tmp_path / "ca.pem"})
        async with running(tmp_path / "data", chosen) as register:
            assert (await register.sell("1", wait=5)).json["result"]["awarded"] == 6
    assert b"POST /api/v2/orders " in flash.heard


@pytest.mark.parametrize(("trusted", "names"), [(False, ["localhost"]), (True, ["flash.example.com"])])
async def test_nobody_else_hears_the_key(tmp_path, authority, trusted, names):
    """An unknown authority, and a known one's certificate for another host."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = {"ca_file": tmp_path / "ca.pem"} if trusted else {}
    async with (
        TlsFlash(context_for(authority, *names)) as flash,
        running(tmp_path / "data", settings(flash.base_url, flash=options)) as register,
    ):
        operation = (await register.sell("1", wait=2)).json
        assert operation["status"] == "pending"
        assert "certificate" in operation["error"]["detail"]
        assert (await register.status())["connectivity"] == "offline"
    assert flash.heard == b""
