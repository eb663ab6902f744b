"""A Windows till under Wine, from outside: its installers are run, its agent is spoken to over loopback."""

import contextlib
import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil

from installer.windows import build
from installer.windows.wine import Wine

_SERVICE_KEY = r"HKLM\System\CurrentControlSet\Services\FlashAgent"
_STRANGER = """
import socket, sys
own = socket.socket()
own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
own.bind(("127.0.0.1", int(sys.argv[1])))
own.listen()
print("listens", flush=True)
connection, _ = own.accept()
connection.settimeout(60)
print(len(connection.recv(65536)), flush=True)
"""


class Till:
    """One Wine prefix with the agent in it."""

    def __init__(self, wine: Wine, port: int) -> None:
        self._on = contextlib.ExitStack()
        self.wine = wine
        self.port = port
        self.programs = wine.drive / "Program Files" / "Flash POS Agent"
        self.data = wine.drive / "ProgramData" / "flash-agent"

    def configure(self, base_url: str, write_key: str) -> None:
        """As a roll-out lays a configuration down before the program comes."""
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "agent.toml").write_text(
            f'[flash]\nbase_url = "{base_url}"\nwrite_key = "{write_key}"\nattempt_timeout_s = 3.0\n'
            f'[store]\nstore_id = "st_1"\ntill_id = "till-1"\n[api]\nport = {self.port}\n'
            '[orders]\nid_template = "{till_id}-{external_order_id}"\n[relay]\nstart_jitter_s = 0.0\n'
        )

    def setup(self, installer: Path, *switches: str) -> int:
        """Run a setup silently; its exit code."""
        with timed(" ".join((installer.parent.name, *switches))):
            return self.wine.run(installer, "/S", *switches, check=False, within_s=240).returncode

    def uninstall(self, installer: Path, *switches: str) -> int:
        """Have a setup run the uninstaller and wait for it; its exit code."""
        return self.setup(installer, "/UNINSTALL", *switches)

    def agent(self, *words: str) -> str:
        """What `flash-agent …` of the version that the service runs prints; raises CalledProcessError."""
        program = self.image_path
        with timed(" ".join(words)):
            return self.wine.run(program, *words).stdout

    @property
    def registration(self) -> dict[str, str]:
        """The service's values in the registry; empty where there is no service."""
        done = self.wine.run("reg", "query", _SERVICE_KEY, check=False)
        return dict(re.findall(r"^ {4}(\w+) {4}REG_\w+ {4}(.*?)\r?$", done.stdout, flags=re.MULTILINE))

    @property
    def image_path(self) -> str:
        """The program that the service runs."""
        quoted = re.fullmatch(r'"([^"]+)" service host', self.registration["ImagePath"])
        assert quoted, self.registration
        return quoted[1]

    def log(self) -> str:
        """What the service wrote down."""
        with contextlib.suppress(OSError):
            return (self.data / "logs" / "agent.log").read_text("utf-8")
        return ""

    def setup_log(self) -> str:
        """What the setup wrote down."""
        with contextlib.suppress(OSError):
            return (self.programs / "setup.log").read_text("utf-16-le", errors="replace")
        return ""

    def processes(self) -> list[psutil.Process]:
        """The service's, as Linux sees them."""
        return [
            each
            for each in psutil.process_iter(["cmdline", "environ"])
            if "service host" in " ".join(each.info["cmdline"] or ())
            and (each.info["environ"] or {}).get("WINEPREFIX") == str(self.wine.prefix)
        ]

    def power_on(self) -> None:
        """Boot, which starts what starts with the machine; a program waits, so that services live on between two."""
        self._on.enter_context(self.wine.kept_alive())

    def kill_service(self) -> None:
        """As a crash ends it; Wine's service manager does not notice, and starts no new one."""
        for process in self.processes():
            process.send_signal(signal.SIGKILL)
            process.wait(20)

    @contextlib.contextmanager
    def stranger(self) -> Iterator[IO[bytes]]:
        """Somebody else's program on the agent's port; what it prints: how much the first who calls has sent."""
        python = build.CACHE / "python" / "python.exe"
        with self.wine.started(python, "-c", _STRANGER, str(self.port)) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().strip() == b"listens"
                yield process.stdout
            finally:
                process.kill()  # a test that fails would wait for it for ever

    def power_off(self) -> None:
        """End everything as a power cut would, but for the disk."""
        self.kill_service()
        self._on.close()

    def wait_until_it_answers(self, within_s: float = 60) -> float:
        """Seconds until the agent is ready."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            with contextlib.suppress(OSError):
                code, _ = self.call("GET", "/readyz")
                if code == 200:
                    return time.monotonic() - began
            time.sleep(0.05)
        raise AssertionError(f"it does not get ready: {self.log()[-2000:]}")

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One request of a register: status and document."""
        token = (self.data / "register.token").read_text()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self) -> str:
        """What `GET /metrics` shows the operator; raises HTTPError where it is not 200."""
        token = (self.data / "operator.token").read_text()
        url = f"http://127.0.0.1:{self.port}/metrics"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    def sell(self, order: str, *, wait: int = 0) -> tuple[int, Any]:
        """One sale of the member that everybody knows."""
        body = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
        return self.call("POST", "/v1/sales", body, **({"Prefer": f"wait={wait}"} if wait else {}))

    def status(self) -> dict[str, Any]:
        """The running agent's."""
        code, document = self.call("GET", "/v1/status")
        assert code == 200, document
        return dict(document)


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long it took; pytest -rA shows it."""
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:5.1f} s  {what}")


def rss(process: psutil.Process) -> int:
    """Resident bytes, Wine's part of it included."""
    return int(process.memory_info().rss)
