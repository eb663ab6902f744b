"""What is typed or piped in another encoding is said, where Python would make half characters of it."""

import io

import pytest

from agent.cli import passphrases
from agent.cli.commands import keys
from agent.errors import ConfigError

LATIN = "passwörd-langes-wort\n".encode("latin-1")


def _piped(monkeypatch, content, errors):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8", errors))


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # as the locale has it
@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda: passphrases.read("-"), "The passphrase"),
        (passphrases.asked, "The passphrase"),
        (passphrases.chosen, "The passphrase"),
        (lambda: keys._asked_for("write"), "The write key"),
    ],
)
def test_another_encoding_is_named(monkeypatch, ask, what, errors):
    _piped(monkeypatch, LATIN, errors)
    with pytest.raises(ConfigError, match=f"{what} is not UTF-8"):
        ask()


def test_utf_8_is_taken_as_it_is(monkeypatch):
    _piped(monkeypatch, "passwörd-langes-wort\n".encode(), "strict")
    assert passphrases.read("-") == "passwörd-langes-wort"
