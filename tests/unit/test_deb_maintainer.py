"""Whose the Debian package says it is."""

import pytest

from installer.linux import deb


@pytest.fixture(autouse=True)
def nobody_said(monkeypatch):
    monkeypatch.delenv("DEBFULLNAME", raising=False)
    monkeypatch.delenv("DEBEMAIL", raising=False)


def test_it_is_whose_the_environment_of_the_build_says(monkeypatch, tmp_path):
    monkeypatch.setenv("DEBFULLNAME", "Chain IT")
    monkeypatch.setenv("DEBEMAIL", "it@chain.example")
    assert deb.maintainer() == "Chain IT <it@chain.example>"
    assert (
        deb.changelog("1.0-1", 0)
        .rstrip()
        .endswith("\n -- Chain IT <it@chain.example>  Thu, 01 Jan 1970 00:00:00 +0000")
    )
    (tmp_path / "program").write_bytes(b"\x7fELF GLIBC_2.36")
    deb.control(tmp_path, "1.0-1")
    assert "\nMaintainer: Chain IT <it@chain.example>\n" in (tmp_path / "DEBIAN" / "control").read_text()


def test_where_nobody_says_so_no_address_is_anybodys():
    assert deb.maintainer().endswith("@flash-pos-agent.invalid>")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Chain IT <it@chain.example>", "it@chain.example"),
        ("Chain\nDepends: x", "it@chain.example"),
        ("Chain IT", "Chain IT <it@chain.example>"),
        ("Chain IT", "chain.example"),
    ],
)
def test_what_would_break_the_packages_fields_ends_the_build(monkeypatch, name, address):
    monkeypatch.setenv("DEBFULLNAME", name)
    monkeypatch.setenv("DEBEMAIL", address)
    with pytest.raises(SystemExit, match="DEBEMAIL an address alone"):
        deb.maintainer()
