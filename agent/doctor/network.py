"""The way to Flash, step by step: name, proxy, connection, certificate, and whether Flash answers at its end.

Done by this process, without a key: what answers before a key is said is the same for every program on the till. The
last step is one read without a key, which Flash refuses; its answer also tells the time.
"""

import http.client
import ipaddress
import os
import socket
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from agent import __version__, jsons
from agent.doctor.bounded import within
from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.dialling import STEP_S, Dialled, ProxyRefusedError, ProxyUnreachableError, Route
from agent.doctor.findings import Finding, fine
from agent.doctor.tls import look_at_certificate

_SLOW_S = 2.0
_SKEW_S = 120.0  # as the agent's own condition
_WRONG_S = 1800.0
_READ_BYTES = 65536


class Answer(NamedTuple):
    """What came back from the one request. `said` is its body where that is a JSON object."""

    status: int
    date: str | None
    kind: str
    is_json: bool


def look(case: Case) -> Iterator[Finding]:
    """Findings of the checks dns, proxy, network, tls, flash and clock."""
    if case.offline:
        yield found("offline")
        return
    if case.settings is None:
        return
    if case.kept_off == "drill":
        yield found("flash-unasked", "an outage drill runs.")
        yield from _clock(case, None)
        return
    walk = _Walk(case)
    yield from walk.findings()
    yield from _clock(case, walk.skew_s)


class _Walk:
    """From the till to Flash, until a step fails."""

    def __init__(self, case: Case) -> None:
        assert case.settings is not None  # noqa: S101 - the caller looked
        flash = case.settings.flash
        self._case = case
        self._base = urlsplit(flash.base_url)
        self._ca_file = flash.ca_file
        self._proxy = urlsplit(flash.proxy.get_secret_value()) if flash.proxy else None
        self._route = Route(self._base, self._proxy)
        self.skew_s: float | None = None

    def findings(self) -> Iterator[Finding]:
        yield from self._look_at_system_proxy()
        resolved = yield from self._resolve()
        if not resolved:
            return
        if self._proxy is not None and self._proxy.scheme == "https":
            yield found("flash-unasked", "its proxy is spoken to by TLS, which this check cannot look through.")
            return
        try:
            dialled = self._route.dial()
        except (ProxyRefusedError, ProxyUnreachableError) as error:
            code = "proxy-refuses" if isinstance(error, ProxyRefusedError) else "proxy-unreachable"
            yield found(code, f"{_place(self._proxy)}: {error}.")
            return
        except OSError as error:
            yield found("network-unreachable", f"{_place(self._base)}: {_reason(error)}.", **_host(self._base))
            return
        yield fine("network", f"{_place(self._base)} takes connections, in {dialled.took_ms} ms.", ms=dialled.took_ms)
        if self._proxy is not None:
            yield fine("proxy", f"{_place(self._proxy)} lets the agent through.")
        with dialled:
            yield from self._speak(dialled)

    def _look_at_system_proxy(self) -> Iterator[Finding]:
        named = getproxies().get("https")
        if named and self._proxy is None and self._base.hostname not in {"127.0.0.1", "::1", "localhost"}:
            yield found("proxy-ignored", f"{_place(urlsplit(named if '//' in named else f'http://{named}'))}.")

    def _resolve(self) -> Generator[Finding, None, bool]:
        """Returns whether there is an address."""
        target = self._proxy or self._base
        host = target.hostname or ""
        if _is_address(host):
            return True
        begun = time.monotonic()
        try:
            within(STEP_S, lambda: socket.getaddrinfo(host, target.port or 443, type=socket.SOCK_STREAM), "dns")
        except OSError as error:  # TimeoutError among them
            reason = f"no answer in {STEP_S:.0f} s" if isinstance(error, TimeoutError) else _reason(error)
            yield found("dns-fails", f"{host}: {reason}.", host=host)
            return False
        took_s = time.monotonic() - begun
        if took_s > _SLOW_S:
            yield found("dns-slow", f"{host}, in {took_s:.1f} s.", host=host, ms=round(took_s * 1000))
        else:
            yield fine("dns", f"{host} is found, in {took_s * 1000:.0f} ms.", host=host, ms=round(took_s * 1000))
        return True

    def _speak(self, dialled: Dialled) -> Iterator[Finding]:
        if self._base.scheme == "https":
            secured = yield from look_at_certificate(self._route, dialled, self._ca_file)
            if secured is not None:
                with secured:
                    yield from self._converse(secured)
        else:
            yield fine("tls", "Not used: Flash's address is on this till.")
            yield from self._converse(dialled.socket)

    def _converse(self, connection: socket.socket) -> Iterator[Finding]:
        if self._case.kept_off:
            yield found("flash-unasked", "it asked to be left alone for a while.")
            return
        try:
            answer = self._ask(connection)
        except (OSError, http.client.HTTPException) as error:
            yield found("network-unreachable", f"{_place(self._base)}: {_reason(error)}.", **_host(self._base))
            return
        yield from self._judge(answer)

    def _ask(self, connection: socket.socket) -> Answer:
        speaking = http.client.HTTPConnection(self._base.hostname or "", self._base.port)
        speaking.sock = connection
        path = f"{self._base.path}/stores"
        target = path if self._route.is_tunnelled else f"{self._base.scheme}://{self._base.netloc}{path}"
        headers = {"User-Agent": f"flash-pos-agent/{__version__} (doctor)", "Accept": "application/json"}
        speaking.request("GET", target, headers=headers)
        response = speaking.getresponse()
        body = response.read(_READ_BYTES)
        return Answer(
            response.status, response.headers.get("Date"), response.headers.get_content_type(), _is_json(body)
        )

    def _judge(self, answer: Answer) -> Iterator[Finding]:
        facts = {"httpStatus": answer.status, "contentType": answer.kind}
        if answer.status >= 500:
            yield found("flash-troubled", f"{answer.status}.", **facts)
        elif not answer.is_json:
            yield found("flash-not-flash", f"{answer.kind}, status {answer.status}.", **facts)
        else:
            self.skew_s = _skew_s(answer.date)
            yield fine("flash", f"Flash answers at {_place(self._base)}.", **facts)


def _clock(case: Case, skew_s: float | None) -> Iterator[Finding]:
    """By the answer just now, else by what the agent last heard."""
    if skew_s is None and case.status is not None:
        skew_s = case.status.get("clockSkewSeconds")
    if skew_s is None:
        yield found("clock-unknown")
        return
    off = f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead'}"
    facts = {"flashLessTillSeconds": skew_s}
    if abs(skew_s) > _WRONG_S:
        yield found("clock-wrong", f"it is {off} of Flash's.", **facts)
    elif abs(skew_s) > _SKEW_S:
        yield found("clock-skewed", f"it is {off}.", **facts)
    else:
        yield fine("clock", f"It agrees with Flash's, to {max(1, round(abs(skew_s)))} s.", **facts)


def _skew_s(date: str | None) -> float | None:
    """Flash's time less the till's."""
    try:
        moment = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((moment - datetime.now(UTC)).total_seconds(), 1)


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(jsons.loads(body), dict)
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _place(address: SplitResult | None) -> str:
    """Host and port, without what else an address may hold."""
    if address is None:
        return ""
    port = address.port or (443 if address.scheme == "https" else 80)
    return f"{address.hostname}:{port}"


def _host(address: SplitResult) -> dict[str, object]:
    return {"host": address.hostname, "port": address.port or (443 if address.scheme == "https" else 80)}


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno)
    return type(error).__name__
