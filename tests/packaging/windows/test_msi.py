"""The MSI, under Wine's msiexec: installs what the setup installs, upgrades, and removes it with its queue kept."""

from pathlib import Path

import pytest

from installer.windows import installers
from installer.windows.wine import windows_path
from tests.packaging.windows.till import Till

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_an_msi_installs_upgrades_and_removes(till: Till, setup: Path, next_setup: Path, tmp_path: Path) -> None:
    first = installers.msi(setup, tmp_path / "first.msi", "0.1.0")
    second = installers.msi(next_setup, tmp_path / "second.msi", "0.1.1")
    till.configure("http://127.0.0.1:9/api/v2", "fl_live_write_0123456789")

    till.wine.run("msiexec", "/i", windows_path(first), "/qn", within_s=240)
    assert till.image_path.endswith(r"\0.1.0\flash-agent.exe"), till.setup_log()
    assert till.sell("1")[0] == 202

    till.wine.run("msiexec", "/i", windows_path(second), "/qn", within_s=240)
    assert till.image_path.endswith(r"\0.1.1\flash-agent.exe"), till.setup_log()
    assert till.status()["pending"] == 1

    till.wine.run("msiexec", "/x", windows_path(second), "/qn", within_s=240)
    assert till.registration == {}
    assert not (till.programs / "0.1.1").exists()
    assert (till.data / "agent.db").exists()
