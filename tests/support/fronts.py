"""What may stand between a till and Flash in a store: a server with TLS, and a proxy that opens TLS to look inside.

Threads of this process, one connection at a time each; both lead to a Flash that speaks plain HTTP.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

CHUNK = 65536


class Front:
    """Listens on 127.0.0.1:`port`. `context` is None where nothing is encrypted."""

    def __init__(
        self, upstream: tuple[str, int], context: ssl.SSLContext | None, *, connects: bool, status: int
    ) -> None:
        self._upstream = upstream
        self._context = context
        self._connects = connects
        self._status = status
        self.asked: list[str] = []  # the first lines of what a proxy was asked
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                made, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(made,), daemon=True).start()

    def _serve(self, made: socket.socket) -> None:
        with contextlib.suppress(OSError), made:
            if self._connects:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    if not (more := made.recv(1)):
                        return
                    head += more
                self.asked.append(head.split(b"\r\n", 1)[0].decode())
                made.sendall(f"HTTP/1.1 {self._status} X\r\nContent-Length: 0\r\n\r\n".encode())
                if self._status != 200:
                    return
            with self._secured(made) as client, socket.create_connection(self._upstream) as behind:
                back = threading.Thread(target=_pump, args=(behind, client), daemon=True)
                back.start()
                _pump(client, behind)
                back.join()

    def _secured(self, made: socket.socket) -> socket.socket:
        return made if self._context is None else self._context.wrap_socket(made, server_side=True)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tls_server(upstream: tuple[str, int], context: ssl.SSLContext) -> Iterator[Front]:
    """HTTPS before a Flash."""
    front = Front(upstream, context, connects=False, status=200)
    try:
        yield front
    finally:
        front.close()


@contextlib.contextmanager
def proxy(upstream: tuple[str, int], context: ssl.SSLContext | None = None, *, status: int = 200) -> Iterator[Front]:
    """A proxy that takes CONNECT to wherever and answers itself, with its own certificate; or refuses with a status."""
    front = Front(upstream, context, connects=True, status=status)
    try:
        yield front
    finally:
        front.close()
