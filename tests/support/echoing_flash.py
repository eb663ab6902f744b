"""An upstream that repeats everything it was sent, keys included, wherever an answer has room for it."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


class Echo:
    """`answered` counts requests."""

    def __init__(self) -> None:
        self.answered = 0
        self.arrived = threading.Condition()
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2"

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until so many were answered."""
        with self.arrived:
            return self.arrived.wait_for(lambda: self.answered >= count, seconds)


def _json(status: int, document: Any) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document, ensure_ascii=False).encode()


def _ways(said: str, sent: Any, key: str) -> Iterator[Callable[[], Answer]]:
    email = (sent.get("customer") or sent).get("email") or "nobody" if isinstance(sent, dict) else "nobody"
    yield lambda: _json(422, {"error": {"code": "VALIDATION", "message": said}})
    yield lambda: _json(409, {"error": {"code": email, "message": said}})
    yield lambda: _json(400, {"error": {"code": key, "message": f"{key} {email}"}})
    yield lambda: (500, {"Content-Type": "text/plain"}, said.encode())
    yield lambda: (200, {"Content-Type": "text/html"}, f"<html>{said}</html>".encode())
    yield lambda: _json(503, {"error": {"code": key.upper(), "message": said}, "code": email})
    yield lambda: (429, {"Retry-After": key, "Date": email}, said.encode())
    yield lambda: (302, {"Location": f"/{email}?key={key}"}, said.encode())
    yield lambda: _json(409, {"error": {"code": f"{key}_IN_FLIGHT", "message": said}})
    yield lambda: _json(207, {"data": [{"status": 422, "error": {"code": "VALIDATION", "message": said}}]})
    yield lambda: (200, {"Content-Type": "application/json", "Content-Length": "9999"}, said.encode())


def _stores() -> Answer:
    return _json(200, {"data": [{"id": "st_1", "externalId": "ERP-st_1"}]})


@contextmanager
def echoing_flash() -> Iterator[Echo]:
    """One that listens, until the end."""
    echo = Echo()
    turn = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            try:
                sent = json.loads(body or b"{}")
            except ValueError:
                sent = {}
            said = f"{key} {self.command} {self.path} {dict(self.headers)} {body.decode(errors='replace')}"
            ways = list(_ways(said, sent, key))
            stores = self.path.endswith("/stores")  # where the line must be well, or nothing would be sent
            way = _stores if stores else ways[next(turn) % len(ways)]
            status, headers, content = way()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True
            with echo.arrived:
                echo.answered += 1
                echo.arrived.notify_all()

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    echo.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield echo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
