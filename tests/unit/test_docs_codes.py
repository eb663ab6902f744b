"""Every code that a register can be refused with stands in the guide for those who write registers."""

import ast
from pathlib import Path

import pytest

import agent.errors
from agent.errors import Refusal, SealBrokenError

ROOT = Path(__file__).parents[2]
PACKAGE = Path(agent.errors.__file__).parent
KINDS = {
    name: kind
    for name, kind in vars(agent.errors).items()
    if isinstance(kind, type) and issubclass(kind, Refusal) and kind not in {Refusal, SealBrokenError}
}


def _raised():
    """Each place in the program that makes a refusal: its kind, and its `code` where it gives one."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS:
                yield KINDS[call.func.id], next((each.value for each in call.keywords if each.arg == "code"), None)


CODES = {
    kind.code if code is None else code.value
    for kind, code in _raised()
    if code is None or isinstance(code, ast.Constant)
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_in_the_guide(code):
    assert f"`{code}`" in (ROOT / "docs" / "integrating.md").read_text("utf-8")


def test_they_were_found():
    assert {"storage-full", "overloaded", "malformed-json", "idempotency-conflict", "too-many-rows"} <= CODES
