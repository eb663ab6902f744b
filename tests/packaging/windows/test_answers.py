"""A mass roll-out: setup.exe with an answers file beside it makes a till that sells, unattended."""

import json
import shutil
from pathlib import Path

import pytest

from tests.packaging.windows.till import Till
from tests.support.strict_flash import WRITE_KEY, StrictFlash

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture
def flash():
    with StrictFlash(members=[{"externalId": "POS-CUST-5512", "email": "ada@example.com"}]) as flash:
        flash.add_store("st_1")
        yield flash


def answers(flash: StrictFlash, port: int, key: str = WRITE_KEY) -> str:
    return (
        f'base_url = "{flash.base_url}"\nwrite_key = "{key}"\ntill_id = "lane-3"\nstore_id = "st_1"\ncurrency = "USD"\n'
        f'order_numbers = "repeat-by-till"\nport = {port}\nallowed_origins = ["https://pos.example.com"]\n'
    )


def test_wrong_answers_change_no_till_and_right_ones_beside_the_setup_make_one(
    till: Till, flash: StrictFlash, setup: Path, tmp_path: Path
) -> None:
    assert till.setup(setup, r"/ANSWERS=C:\nowhere.toml") == 11
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(answers(flash, till.port, "fl_live_wrong_0000000000"))
    assert till.setup(setup, f"/ANSWERS=Z:{wrong}".replace("/", "\\").replace("\\ANSWERS", "/ANSWERS")) == 16
    assert till.registration == {}
    assert "fl_live_wrong" not in till.setup_log()

    beside = Path(shutil.copy(setup, tmp_path))
    (tmp_path / "setup.toml").write_text(answers(flash, till.port))
    assert till.setup(beside, "/POLICY") == 0, till.setup_log() + till.log()
    code, sale = till.sell("7", wait=10)
    assert (code, sale["status"]) == (200, "succeeded"), sale
    assert list(flash.awards.values()) == [1]
    assert flash.violations == []

    kept = json.loads((till.data / "flash-write.key").read_text())
    assert kept["store"] == "dpapi"
    assert WRITE_KEY not in (till.data / "agent.toml").read_text()
    assert WRITE_KEY not in till.setup_log() + till.log()
    policy = r"HKLM\Software\Policies\Microsoft\Edge\LoopbackNetworkAllowedForUrls"
    assert "https://pos.example.com" in till.wine.run("reg", "query", policy).stdout

    assert till.uninstall(beside, "/PURGE") == 0
    assert not till.programs.exists()
    assert not till.data.exists()
    assert "https://pos.example.com" not in till.wine.run("reg", "query", policy, check=False).stdout
