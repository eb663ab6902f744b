"""The benchmarks' own files: every receipt in them is one that its adapter takes, or a run ends in the middle."""

from pathlib import Path

import pytest

from benchmarks import documents
from benchmarks.documents import FORMS, Form
from benchmarks.peers import reading


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.adapter)
def test_every_receipt_of_a_written_file_is_found(form: Form, tmp_path: Path) -> None:
    file, written = documents.write(form, tmp_path, 20_000)
    assert written > 10
    assert reading.read(form.adapter, file, form.options) == written
