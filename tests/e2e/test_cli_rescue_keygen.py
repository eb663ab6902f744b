"""`flash-agent rescue keygen`, and what its recipient is good for."""

import os
import stat

import pytest

from agent import agefile
from tests.support.commands import flash_agent

pytestmark = pytest.mark.e2e


def test_it_prints_the_recipient_and_keeps_the_identity_apart(tmp_path):
    path = tmp_path / "recovery.key"
    made = flash_agent("rescue", "keygen", "--output", path)
    assert made.returncode == 0, made.stderr
    recipient = made.stdout.splitlines()[0]
    assert f'recovery = "{recipient}"' in made.stdout
    assert "AGE-SECRET-KEY" not in made.stdout + made.stderr
    assert "never on a till" in made.stdout
    assert agefile.unseal(agefile.seal(b"yes", recipient), path.read_text()) == b"yes"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    again = flash_agent("rescue", "keygen", "--output", path)
    assert (again.returncode, path.read_bytes()) == (2, before)
    assert "is there already" in again.stderr
    nowhere = flash_agent("rescue", "keygen", "--output", tmp_path / "no" / "where")
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (2, True)
    assert [each.name for each in tmp_path.iterdir()] == ["recovery.key"]
    mistyped = recipient[:-1] + ("q" if recipient[-1] != "q" else "p")
    good = flash_agent("config", "check", FLASH_AGENT_KEYS__RECOVERY=recipient)
    assert (good.returncode, recipient in good.stdout) == (0, True)
    for wrong, said in ((recipient[:-1], "must be what"), (mistyped, "is no age recipient"), ("", "must")):
        bad = flash_agent("config", "check", FLASH_AGENT_KEYS__RECOVERY=wrong)
        assert (bad.returncode, said in bad.stderr) == (2, True), bad.stderr
