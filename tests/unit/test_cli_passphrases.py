"""A passphrase is the same whether it is typed or lies in a file."""

import io

import pytest

from agent.cli import passphrases
from agent.errors import ConfigError

WORDS = "über sieben Brücken"


def test_letters_of_any_language_are_read_from_a_file(tmp_path):
    file = tmp_path / "passphrase.txt"
    file.write_text(f"{WORDS}\r\n", "utf-8")
    assert passphrases.read(str(file)) == WORDS


def test_they_are_read_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{WORDS}\n".encode()), "utf-8"))
    assert passphrases.read("-") == WORDS


def test_a_file_in_another_encoding_is_named(tmp_path):
    file = tmp_path / "passphrase.txt"
    file.write_bytes(WORDS.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"passphrase\.txt cannot be read: it is not UTF-8"):
        passphrases.read(str(file))
