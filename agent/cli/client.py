"""Talks to the running agent through its local API; light imports alone, so that commands start quickly."""

import contextlib
import http.client
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from agent import jsons, plainfile
from agent.cli.listeners import reach
from agent.cli.options import read_small_file
from agent.errors import AgentError, ConfigError

TIMEOUT_S = 35.0
_START = (
    "A till's service: flash-agent service start (a new till: flash-agent setup). Without a service: flash-agent run."
)
_AGAIN = "A service that ended is started again within seconds; if this stays: flash-agent doctor."
PAGE = 200
_STRANGER, _WHO = (
    ("Another program", "flash-agent doctor")
    if sys.platform == "win32"
    else ("Another user's program", "sudo flash-agent doctor")
)


class ApiError(AgentError):
    """The agent said no; `code` is the problem's own, `retry_after_s` how long it asks to wait (None: it does not)."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: str | None = None) -> None:
        self.status = status
        self.retry_after_s = int(retry_after) if retry_after and retry_after.isdecimal() else None
        self.problem = problem
        self.code = problem.get("code", "unknown")
        faults = "; ".join(f"{fault['field']} {fault['message']}" for fault in problem.get("errors") or ())
        super().__init__(f"{problem.get('detail', 'The agent refused.')} {faults}".rstrip())


class AgentClient:
    """One running agent, found by its data directory.

    Raises AgentError when none runs or answers there, ConfigError when its files may not be read. `scope` is the token
    to use: `register` where that is enough. `timeout_s` bounds each wait for an answer.
    """

    def __init__(self, data_dir: Path, scope: str = "operator", timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._data_dir = data_dir
        about = data_dir / "agent.json"
        try:
            self.port = int(jsons.loads(plainfile.read(about).decode("ascii"))["port"])
        except PermissionError:
            raise ConfigError(
                f"You may not read the data directory {data_dir}. Run this as the agent's own user or as administrator."
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise AgentError(
                f"No agent runs with the data directory {data_dir}. "
                f"{_START} Another data directory: name it with --data-dir."
            ) from None
        self._token = read_small_file(data_dir / f"{scope}.token", f"The {scope} token", follow=False)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        media: str = "application/json",
    ) -> Any:
        """One call; returns the parsed answer (amounts as Decimal; plain text as it is), raises ApiError for a problem.

        `body` is sent as JSON; bytes are sent as they are, with `media`.
        """
        if query:
            path = f"{path}?{urlencode(query)}"
        headers = {"Authorization": f"Bearer {self._token}"}
        payload = None
        if body is not None:
            payload = body if isinstance(body, bytes) else jsons.encode(body)
            headers["Content-Type"] = media
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self._timeout_s)
        try:
            self._connect(connection)
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            content = response.read() or b"{}"
            is_text = (response.headers["Content-Type"] or "").startswith("text/plain")
            parsed = content.decode() if is_text else jsons.loads(content)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise AgentError(f"The agent on port {self.port} does not answer: {error}. {_AGAIN}") from None
        finally:
            connection.close()
        if response.status >= 400:
            problem = parsed if isinstance(parsed, dict) else {}
            raise ApiError(response.status, problem, response.headers.get("Retry-After"))
        return parsed

    @contextlib.contextmanager
    def stream(self, path: str, headers: dict[str, str], silence_s: float) -> Iterator[http.client.HTTPResponse]:
        """An answer that goes on, to be read line by line; raises ApiError for a problem.

        Reading raises OSError or HTTPException where the connection breaks, or nothing comes for `silence_s`.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=silence_s)
        try:
            self._connect(connection)
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}", **headers})
            response = connection.getresponse()
            if response.status >= 400:
                raise ApiError(response.status, jsons.loads(response.read()))
            yield response
        finally:
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        """To the agent: nothing is sent to another program that has its port."""
        if not reach(self._data_dir, connection):
            raise AgentError(
                f"{_STRANGER} listens on port {self.port}, not the agent of {self._data_dir}. Nothing was "
                f"sent to it. End that program ({_WHO} names it) and start the agent."
            )

    def operations(self, query: dict[str, str], page: int = PAGE) -> Iterator[dict[str, Any]]:
        """Every operation that matches, newest first, page by page for as long as the caller asks for more."""
        cursor: str | None = ""
        while cursor is not None:
            asked = {**query, "limit": str(page), **({"cursor": cursor} if cursor else {})}
            answer = self.call("GET", "/v1/operations", query=asked)
            yield from answer["operations"]
            cursor = answer["nextCursor"]
