"""An update that failed leaves dpkg's package half done, and the doctor tells of it."""

import os
from pathlib import Path

import pytest

from agent.doctor import package
from agent.doctor.case import Case

pytestmark = pytest.mark.skipif(os.name != "posix", reason="dpkg is Debian's")
NOWHERE = Case(Path("none"), Path("none"))


@pytest.fixture
def dpkg(tmp_path, monkeypatch):
    """A dpkg-query of these words on the path."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def says(script):
        program = tmp_path / "dpkg-query"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return says


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("half-configured ok 0.1.1-1", "version 0.1.1-1 is half-configured."),
        ("unpacked ok 0.1.1-1", "version 0.1.1-1 is unpacked."),
        ("half-installed ok ", "version unknown is half-installed."),
        ("half-installed reinstreq 0.1.1-1", "is half-installed, to be installed again."),
        ("installed reinstreq 0.1.1-1", "is installed, to be installed again."),
        ("installed ok 0.1.1-1", None),
        ("triggers-pending ok 0.1.1-1", None),
        ("config-files ok 0.1.0-1", None),
        ("not-installed ok ", None),
        ("", None),
    ],
)
def test_what_is_half_done_is_said_with_its_version(dpkg, held, said):
    dpkg(f'[ "$3" = flash-pos-agent ] && printf "%s" "{held}"')
    titles = [each.title for each in package.look(NOWHERE)]
    assert [title.endswith(said or "") for title in titles] == ([True] if said else [])


def test_a_package_that_is_unknown_or_a_dpkg_that_does_not_answer_is_no_finding(dpkg, tmp_path, monkeypatch):
    dpkg("echo half-configured ok 1; exit 1")
    assert list(package.look(NOWHERE)) == []
    os.mkfifo(tmp_path / "never")
    dpkg(f"exec cat {tmp_path / 'never'}")
    monkeypatch.setattr(package, "LIMIT_S", 0.2)
    assert list(package.look(NOWHERE)) == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert list(package.look(NOWHERE)) == []


def test_the_real_dpkg_takes_the_question(tmp_path):
    """Its fields' names are what a stand-in cannot show."""
    admin = tmp_path / "dpkg"
    admin.mkdir()
    status = "Package: flash-pos-agent\nStatus: install ok half-configured\nVersion: 0.1.1-1\nArchitecture: all\n"
    (admin / "status").write_text(f"{status}Maintainer: x <x@example.com>\nDescription: x\n\n")
    (admin / "info").mkdir()
    (admin / "updates").mkdir()
    program = package.shutil.which("dpkg-query")
    if program is None:
        pytest.skip("no dpkg here")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DPKG_ADMINDIR", str(admin))
        (finding,) = package.look(NOWHERE)
    assert finding.title.endswith("version 0.1.1-1 is half-configured.")
    assert finding.kind.code == "package-unfinished"
