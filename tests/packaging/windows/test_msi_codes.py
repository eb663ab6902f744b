"""What msiexec makes of each way in which the setup that it carries can end."""

from pathlib import Path

import pytest

from installer.windows import installers
from tests.packaging.windows.stand_in import Site

pytestmark = [pytest.mark.timeout(300), pytest.mark.unsteady]
# Of ERROR_INSTALL_FAILURE, 1603, Linux sees the last eight bits. Wine says ERROR_FUNCTION_FAILED, 1627, for any action
# that failed; Windows has that for none of them.
FAILED = {1603 & 0xFF, 1627 & 0xFF}
RESTARTS_NOT = "0.2.0 service restart"
SET_UP = r"0.2.0 setup --from C:\codes.txt"


@pytest.fixture(scope="module")
def msi(site: Site) -> Path:
    return installers.msi(site.installer, site.installer.with_name("agent.msi"), "0.2.0")


@pytest.fixture
def before(site: Site) -> Site:
    """The version before runs, of which no list of programs tells."""
    site.forget()
    site.lay_down()
    return site


@pytest.mark.parametrize(
    ("own", "codes"),
    [
        (13, {"0.2.0 --version": 1}),
        (14, {RESTARTS_NOT: 1}),
        (15, {RESTARTS_NOT: 1, "0.1.0 service start": 1}),
        (17, {"0.2.0 browsers allow": 1}),
        (18, {RESTARTS_NOT: 1, "0.1.0 upgrade check": 1}),
    ],
)
def test_a_setup_that_fails_is_a_failed_installation(before: Site, msi: Path, own: int, codes: dict[str, int]) -> None:
    """And what stays in spite of it can be seen and removed."""
    assert before.run_msi(msi, "/i", "POLICY=/POLICY", **codes) in FAILED
    assert f"(exit code {own})" in before.log
    stays = own in {17, 18}
    assert (before.programs / "0.2.0").exists() == (stays or own == 15)
    assert before.listed == ({"FlashPosAgent": "0.2.0"} if stays else {})


@pytest.mark.parametrize(
    ("own", "answers", "codes"), [(11, r"C:\nowhere.toml", {}), (16, r"C:\codes.txt", {SET_UP: 2})]
)
def test_a_first_one_that_fails_is_a_failed_installation(
    site: Site, msi: Path, own: int, answers: str, codes: dict[str, int]
) -> None:
    site.forget()
    assert site.run_msi(msi, "/i", f"ANSWERS={answers}", **codes) in FAILED
    assert site.listed == ({"FlashPosAgent": "0.2.0"} if own == 16 else {})


def test_one_that_succeeds_after_all_stands_once_in_the_list_of_programs(before: Site, msi: Path) -> None:
    assert before.run_msi(msi, "/i", "POLICY=/POLICY", **{"0.2.0 browsers allow": 1}) in FAILED
    assert before.run_msi(msi, "/i", "POLICY=/POLICY") == 0
    assert list(before.listed.values()) == ["0.2.0.0"]
    assert before.run_msi(msi, "/x") == 0
    assert before.listed == {}
    assert list(before.programs.rglob("*")) == []


def test_a_service_that_cannot_be_removed_is_a_failed_removal(before: Site, msi: Path) -> None:
    assert before.run_msi(msi, "/i") == 0
    assert before.run_msi(msi, "/x", **{"0.1.0 service uninstall": 1}) in FAILED
    assert (before.programs / "0.2.0" / "flash-agent.exe").exists()
