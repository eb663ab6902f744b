"""HTTPS to Flash: one request, one total time limit, and either a whole answer or why there is none.

TLS is verified against the operating system's trust store; no proxies from the environment, no redirects, no cookies,
no retries: those belong to the outbox. Network faults are outcomes, not exceptions. An answer is unpacked here, no
further than it may be long: httpx would unpack a few packets to gigabytes. Imported at the first call, for httpx takes
as long to load as the rest of the Flash client together.
"""

import asyncio
import ssl
import uuid
import zlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
import truststore
from pydantic import SecretStr

from agent.delivery import NOT_LEFT, Contact, Fate, MayLeave, Outcome
from agent.flash.address import FlashAddress

CONNECT_SHARE = 0.6  # of the total: so that a connection that was never made is known as such
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say it
_WORDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (  # the first that fits; for people
    (httpx.ProxyError, "the proxy did not let it through"),
    (httpx.ConnectError, "there is no connection"),
    ((httpx.TimeoutException, TimeoutError), "there was no answer in time"),
    ((httpx.NetworkError, httpx.RemoteProtocolError), "the connection ended before the answer was whole"),
)
READ_CONNECTIONS = 6  # beside those of the relay, so that a rush of look-ups never holds up a sale


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; header names are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Transport:
    """A pool of connections to one base URL."""

    def __init__(self, address: FlashAddress, user_agent: str) -> None:
        self._address = address
        self._http = httpx.AsyncClient(
            verify=_trust(address),
            proxy=address.proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(address.attempt_timeout_s, connect=address.attempt_timeout_s * CONNECT_SHARE),
            limits=httpx.Limits(
                max_connections=address.connections + READ_CONNECTIONS + 2,
                max_keepalive_connections=address.connections + READ_CONNECTIONS,
            ),
            headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip"},
        )

        # A cookie would go with the next key, too, and one a call would make requests too long for any server.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        key: SecretStr,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        may_leave: MayLeave | None = None,
    ) -> Answer | Outcome:
        """Send one request; `path` is relative to the base URL and percent-encoded.

        `may_leave` is asked when the connection is there, which may take seconds; where it says no, nothing was sent.
        """
        own = {"Authorization": f"Bearer {key.get_secret_value()}", "X-Request-Id": uuid.uuid4().hex}
        request = self._http.build_request(
            method,
            self._address.base_url + path,
            content=body,
            headers={**headers, **own},
            extensions={} if may_leave is None else {"trace": _asking(may_leave)},
        )
        try:
            async with asyncio.timeout(self._address.attempt_timeout_s):
                response = await self._http.send(request, stream=True)
                try:
                    content = await _read(response)
                finally:
                    await response.aclose()
        except _NotToLeaveError:
            return NOT_LEFT
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            return _unreachable(error, unsent=True)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, ValueError, OSError) as error:
            return _unreachable(error, unsent=False)
        return Answer(response.status_code, content, dict(response.headers))


class _NotToLeaveError(Exception):
    """Raised between the connection and the first byte."""


def _asking(may_leave: MayLeave) -> Callable[[str, Any], Coroutine[Any, Any, None]]:
    """httpcore's word at each step of a request; what is raised before the head is written keeps it from leaving."""

    async def step(name: str, _info: Any) -> None:
        if name.endswith("send_request_headers.started") and not may_leave():
            raise _NotToLeaveError

    return step


async def _read(response: httpx.Response) -> bytes:
    """The whole body, unpacked; raises ValueError for one that is too long, cut, or packed in another way."""
    packing = response.headers.get("content-encoding", "").strip().lower() or "identity"
    if packing not in {"identity", "gzip", "x-gzip"}:
        raise ValueError("the answer is packed in a way that was not asked for")
    unpacking = None if packing == "identity" else zlib.decompressobj(_GZIP)
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk if unpacking is None else _unpacked(unpacking, chunk, MAX_ANSWER_BYTES + 1 - len(content))
        if max(len(content), response.num_bytes_downloaded) > MAX_ANSWER_BYTES:  # zlib keeps what is behind the end
            raise ValueError("the answer is too long")
    if unpacking is not None and response.num_bytes_downloaded and not unpacking.eof:
        raise ValueError("the answer was cut")
    return bytes(content)


def _unpacked(unpacking: "zlib._Decompress", chunk: bytes, most: int) -> bytes:
    try:
        return unpacking.decompress(chunk, most)
    except zlib.error:
        raise ValueError("the answer is not packed as it says") from None


def _trust(address: FlashAddress) -> ssl.SSLContext | bool:
    if address.base_url.startswith("http://"):
        return False  # loopback alone, there is no certificate to verify; the configuration refuses anything else
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if address.ca_file:
        context.load_verify_locations(cafile=address.ca_file)
    return context


def _unreachable(error: BaseException, *, unsent: bool) -> Outcome:
    detail = f"Flash could not be reached: {_reason(error)}."
    return Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", detail, unsent=unsent)


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    name = type(error).__name__
    return next((f"{words} ({name})" for kinds, words in _WORDS if isinstance(error, kinds)), name)
