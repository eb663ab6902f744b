"""Connections to Flash's host, directly or through the proxy of the settings, as the agent makes them."""

import base64
import http.client
import socket
import time
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import SplitResult, unquote

STEP_S = 3.0  # for each step: a name, a connection, a handshake, an answer


class ProxyUnreachableError(OSError):
    """Nobody answers where the proxy should be."""


class ProxyRefusedError(OSError):
    """The proxy answers and says no; the text is its status."""


class Dialled(NamedTuple):
    """An open connection, to the host or through the proxy to it, and how long it took (milliseconds)."""

    socket: socket.socket
    took_ms: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


class Route:
    """How to get to Flash. `dial` makes a new connection each time."""

    def __init__(self, base: SplitResult, proxy: SplitResult | None) -> None:
        self.host = base.hostname or ""
        self.port = base.port or (443 if base.scheme == "https" else 80)
        self._proxy = proxy
        self.is_tunnelled = proxy is None or base.scheme == "https"  # else the proxy is asked for whole addresses

    def dial(self) -> Dialled:
        """Raises the two errors above, or OSError."""
        begun = time.monotonic()
        made = self._through_proxy(self._proxy) if self._proxy is not None else self._directly(self.host, self.port)
        made.settimeout(STEP_S)
        return Dialled(made, round((time.monotonic() - begun) * 1000))

    def _directly(self, host: str, port: int) -> socket.socket:
        return socket.create_connection((host, port), timeout=STEP_S)

    def _through_proxy(self, proxy: SplitResult) -> socket.socket:
        try:
            made = self._directly(proxy.hostname or "", proxy.port or 80)
        except OSError as error:
            raise ProxyUnreachableError(error.strerror or "no answer in time") from None
        if not self.is_tunnelled:
            return made
        try:
            return self._connect(made, proxy)
        except BaseException:
            made.close()
            raise

    def _connect(self, made: socket.socket, proxy: SplitResult) -> socket.socket:
        """CONNECT by hand: the library hides the proxy's status in a text."""
        target = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.username is not None:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        made.sendall("\r\n".join([*lines, "", ""]).encode())
        response = http.client.HTTPResponse(made, method="CONNECT")
        try:
            response.begin()
        except (OSError, http.client.HTTPException):
            raise ProxyRefusedError("it hung up") from None
        if response.status != 200:
            wants = " (it wants a log-in)" if response.status == 407 else ""
            raise ProxyRefusedError(f"status {response.status}{wants}")
        return made
