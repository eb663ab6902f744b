"""`flash-agent setup` on a Debian under its own systemd: from the package to a till that sells, and again."""

import json
from pathlib import Path

from tests.packaging.linux.machine import Machine
from tests.packaging.linux.till import CONFIG, DATA, Till
from tests.support.agents import WRITE_KEY
from tests.support.commands import free_port
from tests.support.strict_flash import StrictFlash


def answers(flash: StrictFlash, port: int, key: str = WRITE_KEY, till: str = "lane-3") -> str:
    return (
        f'base_url = "{flash.base_url}"\nwrite_key = "{key}"\ntill_id = "{till}"\nstore_id = "st_1"\ncurrency = "USD"\n'
        f'order_numbers = "repeat-by-till"\nport = {port}\n'
    )


def test_from_the_package_to_a_till_that_sells(machine: Machine, flash: StrictFlash, package: Path) -> None:
    machine.install(package)
    till = Till(machine, free_port())
    told = machine.root / "root" / "answers.toml"

    def setup(text: str, *, check: bool = True) -> str:
        told.write_text(text)
        done = machine.run("flash-agent", "setup", "--from", "/root/answers.toml", check=check)
        assert WRITE_KEY not in done.stdout
        return done.stdout

    with machine.booted():
        refused = setup(answers(flash, till.port, "fl_live_wrong_0000000000"), check=False)
        assert "it knows no such key" in refused
        assert not (machine.root / CONFIG).exists()
        assert machine.show("ActiveState") == "inactive"

        said = setup(answers(flash, till.port))
        assert "keys: write: kept, read: none" in said
        assert machine.run("stat", "-c", "%U:%G %a", f"/{CONFIG}").stdout.strip() == "root:flash-agent 640"
        assert machine.run("systemctl", "is-enabled", "flash-agent").stdout.strip() == "enabled"
        kept = machine.root / DATA / "flash-write.key"
        assert json.loads(kept.read_text())["store"] == "credentials"
        assert WRITE_KEY not in (machine.root / CONFIG).read_text()
        till.sell("7")
        assert flash.wait_for(lambda seen: seen.awards["st_1-lane-3-7"] == 1, 30)

        process = machine.show("MainPID")
        assert f"/{CONFIG} is as it should be." in setup(answers(flash, till.port))
        assert machine.show("MainPID") == process
        assert '+till_id = "lane-4"' in setup(answers(flash, till.port, till="lane-4"))
        assert machine.show("MainPID") != process
        assert till.status["tillId"] == "lane-4"
        assert WRITE_KEY not in machine.log()
    assert flash.violations == []
