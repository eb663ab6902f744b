"""A till on a machine: what its registers and its operator do with the agent there."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.packaging.linux.machine import Machine

DATA = "var/lib/flash-agent"
CONFIG = "etc/flash-agent/agent.toml"


class Till:
    """The agent of a machine, at a port of the host's."""

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine = machine
        self.port = port

    def configure(self, base_url: str, key: str, store: str = "st_1") -> None:
        """Write the configuration as `flash-agent setup` does."""
        text = (
            f'[flash]\nbase_url = "{base_url}"\nwrite_key = "{key}"\n[store]\nstore_id = "{store}"\n'
            f"[api]\nport = {self.port}\n[relay]\nstart_jitter_s = 0\n"
        )
        (self.machine.root / CONFIG).write_text(text)
        self.machine.run("chown", "root:flash-agent", f"/{CONFIG}")
        self.machine.run("chmod", "0640", f"/{CONFIG}")

    def call(self, method: str, path: str, body: Any = None, *, scope: str = "register") -> Any:
        """One call of the local API; raises urllib's errors."""
        token = (self.machine.root / DATA / f"{scope}.token").read_text()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own address
            return json.load(answer)

    def sell(self, order: str) -> Any:
        """A sale; its answer."""
        body = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 10}
        return self.call("POST", "/v1/sales", body)

    def sell_many(self, orders: list[str]) -> None:
        """Sales from several registers at once."""
        with ThreadPoolExecutor(16) as registers:
            list(registers.map(self.sell, orders))

    @property
    def status(self) -> Any:
        return self.call("GET", "/v1/status")

    @property
    def version(self) -> str:
        """The folder of the version that is switched to."""
        return (self.machine.root / "usr/lib/flash-agent/current").readlink().name

    @property
    def runs_from(self) -> Path:
        """The program that the service's process is."""
        return Path(self.machine.run("readlink", f"/proc/{self.machine.show('MainPID')}/exe").stdout.strip())
