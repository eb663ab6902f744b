"""A till's life on Windows, as far as Wine can show it: installed, selling, killed, upgraded, rolled back, removed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from installer.windows import installers
from tests.packaging.windows.till import Till, rss
from tests.support.strict_flash import WRITE_KEY, StrictFlash

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
QUEUED = 1000


@pytest.fixture
def flash():
    with StrictFlash(members=[{"externalId": "POS-CUST-5512", "email": "ada@example.com"}]) as flash:
        flash.add_store("st_1")
        yield flash


@pytest.fixture(scope="module")
def broken_setup(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that starts, and whose service never gets ready: its database library is no library."""
    folder = tmp_path_factory.mktemp("broken")
    broken = Path(shutil.copytree(program, folder / "program"))
    (broken / "_internal" / "sqlite3.dll").write_bytes(b"not a library")
    return installers.setup(broken, folder / "agent-setup.exe", "0.1.2", quick=True)


def test_a_till_is_installed_sells_is_killed_upgraded_rolled_back_and_removed(
    till: Till, flash: StrictFlash, setup: Path, next_setup: Path, broken_setup: Path
) -> None:
    till.configure(flash.base_url, WRITE_KEY)
    assert till.setup(setup) == 0, till.setup_log() + till.log()
    assert till.image_path == r"C:\Program Files\Flash POS Agent\0.1.0\flash-agent.exe"
    assert (till.programs / "0.1.0" / "_internal" / "docs" / "spool.md").is_file()  # a finding's mend names it
    registered = till.registration
    assert registered["ObjectName"] == r"NT SERVICE\FlashAgent"
    assert registered["Start"] == "0x2"

    code, sale = till.sell("1", wait=10)
    assert (code, sale["status"]) == (200, "succeeded"), sale
    assert "flash_agent_" in till.metrics()
    (process,) = till.processes()
    print(f"RSS of the service: {rss(process) / 2**20:.0f} MiB")

    assert "connectivity    online" in till.agent("status")
    till.kill_service()
    with till.stranger() as heard:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            till.agent("status")
        assert "Another program listens" in refused.value.output
        assert heard.readline().strip() == b"0"

    till.power_off()
    till.power_on()
    print(f"from power on to ready, Wine's own boot included: {till.wait_until_it_answers():.1f} s")
    assert till.sell("1")[1]["id"] == sale["id"]

    till.agent("service", "stop")
    assert till.processes() == []
    till.agent("service", "start")

    flash.stop()
    for number in range(QUEUED):
        assert till.sell(f"offline-{number}")[0] == 202
    assert till.setup(next_setup) == 0, till.setup_log() + till.log()
    assert till.image_path == r"C:\Program Files\Flash POS Agent\0.1.1\flash-agent.exe"
    assert till.status()["pending"] == QUEUED
    assert (till.programs / "0.1.0" / "flash-agent.exe").exists()

    assert till.setup(broken_setup) == 14, till.setup_log() + till.log()
    assert till.image_path == r"C:\Program Files\Flash POS Agent\0.1.1\flash-agent.exe"
    assert not (till.programs / "0.1.2").exists()
    assert till.status()["pending"] == QUEUED

    record = till.data / "upgrades" / "state.json"  # as a newer version leaves it that was ready, and ended then
    ours = json.loads(record.read_text())
    newer = {**ours["to"], "schema": {room: number + 1 for room, number in ours["to"]["schema"].items()}}
    record.write_text(json.dumps({**ours, "phase": "ready", "to": newer}))
    assert till.setup(broken_setup) == 18, till.setup_log() + till.log()
    assert till.image_path == r"C:\Program Files\Flash POS Agent\0.1.2\flash-agent.exe"
    assert (till.programs / "flash-agent.cmd").read_text().startswith(r'@"%~dp00.1.2\flash-agent.exe"')
    record.write_text(json.dumps(ours))

    assert till.uninstall(next_setup) == 0
    assert till.registration == {}
    assert not till.programs.exists()
    assert (till.data / "agent.db").exists()

    assert till.setup(next_setup) == 0, till.setup_log() + till.log()
    assert till.status()["pending"] == QUEUED
    flash.start()
    orders = {f"till-1-offline-{number}" for number in range(QUEUED)}
    assert flash.wait_for(lambda flash: orders <= flash.awards.keys(), 60)
    assert {order: flash.awards[order] for order in orders} == dict.fromkeys(orders, 1)
    assert flash.awards["till-1-1"] == 1
    assert till.uninstall(next_setup, "/PURGE") == 0
    assert not till.data.exists()
    assert flash.violations == []
