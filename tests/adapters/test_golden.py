"""Each document comes to what a person has read and found right."""

import pytest

from agent.adapters import registry
from tests.adapters.golden import FIXTURES, SAMPLES, cases, spelled

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.adapter}-{case.name}")
def test_the_document_comes_to_its_golden(case):
    if case.path is None:
        pytest.skip("the public samples are not here; FLASH_SAMPLES names their folder")
    assert [spelled(item) for item in case.parse(case.path.read_bytes())] == case.items


def test_every_fixture_has_a_golden():
    known = {case.document for case in CASES}
    assert {str(path.relative_to(FIXTURES).as_posix()) for path in FIXTURES.glob("*/*")} <= known


def test_every_public_sample_has_a_golden():
    if not SAMPLES.is_dir():
        pytest.skip("the public samples are not here; FLASH_SAMPLES names their folder")
    there = {path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*") if path.is_file()}
    taken = {path for path in there if not path.endswith("SOURCES.txt")}
    taken = {path for path in taken if path.split("/")[0] in registry.MODULES}
    assert taken <= {case.document for case in CASES}


def test_every_adapter_has_a_golden():
    assert set(registry.MODULES) <= {case.adapter for case in CASES}
