"""The Flash client: carries parcels over HTTPS and says what came of it.

One total time limit an attempt. TLS is verified against the operating system's trust store; no proxies from the
environment, no redirects, no retries: those belong to the outbox. Network faults are outcomes, not exceptions. The
keys never leave this module but in the Authorization header to the configured base URL.
"""

import asyncio
import ssl
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx
import truststore
from pydantic import SecretStr

from agent import __version__
from agent.clock import Clock
from agent.delivery import Contact, Fate, Outcome, Parcel
from agent.flash import outcome as table
from agent.flash import wire

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_STORE_PAGES = 50


class FlashClient:
    """A Sender to Flash v2. `clock_skew_s` is Flash's time less ours, as last seen; None before the first contact."""

    def __init__(
        self,
        base_url: str,
        clock: Clock,
        *,
        write_key: SecretStr | None,
        read_key: SecretStr | None = None,
        till: str = "",
        attempt_timeout_s: float = 8.0,
        proxy: str | None = None,
        ca_file: str | None = None,
        connections: int = 8,
    ) -> None:
        self._base_url = base_url
        self._clock = clock
        self._write_key = write_key
        self._read_key = read_key or write_key
        self._attempt_timeout_s = attempt_timeout_s
        self.clock_skew_s: float | None = None
        self._http = httpx.AsyncClient(
            verify=_trust(base_url, ca_file),
            proxy=proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(attempt_timeout_s),
            limits=httpx.Limits(max_connections=connections + 2, max_keepalive_connections=connections),
            headers={"User-Agent": f"flash-pos-agent/{__version__} ({till})", "Accept": "application/json"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, parcel: Parcel) -> Outcome:
        """One attempt for one operation."""
        answer = await self._post(parcel.path, parcel.body, parcel.key)
        if isinstance(answer, Outcome):
            return answer
        status, body, retry_after = answer
        return table.judge(parcel.kind, status, body, retry_after=retry_after, if_known=parcel.if_known)

    async def send_batch(self, parcels: Sequence[Parcel]) -> Sequence[Outcome] | Outcome:
        """One attempt for several operations of one kind."""
        kind = parcels[0].kind
        body = wire.batch_body(kind, [parcel.body for parcel in parcels])
        answer = await self._post(wire.BATCH_PATHS[kind], body, wire.batch_key([parcel.key for parcel in parcels]))
        if isinstance(answer, Outcome):
            return answer
        status, content, retry_after = answer
        return table.judge_batch(parcels, status, content, retry_after=retry_after)

    async def probe(self) -> Outcome:
        """`GET /stores` with the write key: any answer of Flash's own shows that the line works."""
        answer = await self._call("GET", wire.STORES_PATH, self._write_key)
        if isinstance(answer, Outcome):
            return answer
        status, body, retry_after = answer
        parsed = table.parse(body)
        if parsed is not None and status in {200, 403, 404}:
            # The key is taken; whether it may read stores is not the question.
            return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=status)
        verdict = table.judge_parsed(_ANY_KIND, status, parsed, retry_after=retry_after)
        if verdict.fate in {Fate.RETRY, Fate.HOLD}:
            return verdict
        return Outcome(Fate.RETRY, Contact.UNREACHABLE, "unexpected-answer", http_status=status)

    async def shows_store(self, store_id: str) -> bool | None:
        """Whether the write key's tenant has this store, by Flash's id or ours; None when stores cannot be read."""
        path = wire.STORES_PATH
        for _ in range(MAX_STORE_PAGES):
            answer = await self._call("GET", path, self._write_key)
            if isinstance(answer, Outcome) or answer[0] != 200:
                return None
            parsed = table.parse(answer[1])
            stores = parsed.get("data") if parsed else None
            if parsed is None or not isinstance(stores, list):
                return None
            if any(
                store_id in {store.get("id"), store.get("externalId")} for store in stores if isinstance(store, dict)
            ):
                return True
            cursor = parsed.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return False
            path = f"{wire.STORES_PATH}?cursor={wire.segment(cursor)}"
        return None

    async def _post(self, path: str, body: bytes, key: str) -> tuple[int, bytes, float | None] | Outcome:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return await self._call("POST", path, self._write_key, body, headers)

    async def _call(
        self,
        method: str,
        path: str,
        key: SecretStr | None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, float | None] | Outcome:
        """Status, body and Retry-After of an answer, or the outcome of there being none."""
        if key is None:
            return Outcome(Fate.HOLD, Contact.KEY_REFUSED, "key-missing", "No Flash key is configured.", unsent=True)
        request = self._http.build_request(
            method,
            self._base_url + path,
            content=body,
            headers={
                **(headers or {}),
                "Authorization": f"Bearer {key.get_secret_value()}",
                "X-Request-Id": uuid.uuid4().hex,
            },
        )
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                response = await self._http.send(request, stream=True)
                try:
                    content = await _read(response)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            return _unreachable(_reason(error), unsent=True)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, ValueError, OSError) as error:
            return _unreachable(_reason(error), unsent=False)
        self._learn_skew(response.headers, content)
        retry_after = table.retry_after_s(response.headers.get("Retry-After"), self._clock.now())
        return response.status_code, content, retry_after

    def _learn_skew(self, headers: httpx.Headers, content: bytes) -> None:
        """Flash's own answers tell the time; a portal's HTML does not."""
        if not content.lstrip().startswith(b"{"):
            return
        try:
            moment = parsedate_to_datetime(headers["Date"])
        except (KeyError, ValueError):
            return
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        self.clock_skew_s = round((moment - self._clock.now()).total_seconds(), 1)


_ANY_KIND = next(iter(wire.BATCH_PATHS))


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
    return bytes(content)


def _trust(base_url: str, ca_file: str | None) -> ssl.SSLContext | bool:
    if base_url.startswith("http://"):
        return True  # loopback alone; the configuration refuses anything else
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _unreachable(reason: str, *, unsent: bool) -> Outcome:
    detail = f"Flash could not be reached: {reason}."
    return Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", detail, unsent=unsent)
