"""XML whose size is no reason to wait: long texts, attributes and comments end before they cost a till its time."""

import io
from collections.abc import Callable

import pytest

from agent.adapters import xml_documents
from agent.adapters.base import UnreadableError

MEBIBYTE = 2**20


def refused(document: bytes) -> tuple[str, int]:
    """The code of the refusal, and how many bytes were read before it."""
    source = io.BytesIO(document)
    with pytest.raises(UnreadableError) as caught:
        list(xml_documents.elements(source, frozenset({"T"})))
    return caught.value.code, source.tell()


@pytest.mark.parametrize(
    "grown",
    [
        lambda filling: b"<a><T>" + filling + b"</T></a>",
        lambda filling: b"<a>" + filling + b"<T/></a>",
        lambda filling: b"<a><T b='" + filling + b"'/></a>",
        lambda filling: b"<a><!--" + filling + b"--><T/></a>",
        lambda filling: b"<a><?" + filling + b"?><T/></a>",
        lambda filling: b"<a><T><![CDATA[" + filling + b"]]></T></a>",
        lambda filling: b"<" + filling + b"/>",
    ],
    ids=["text", "outside", "attribute", "comment", "instruction", "cdata", "name"],
)
def test_what_has_no_end_is_not_read_to_its_end(grown: Callable[[bytes], bytes]):
    """A long attribute of 16 MiB took ten seconds, in which no register was answered."""
    code, read = refused(grown(b"x" * (3 * MEBIBYTE)))
    assert code == "too-large"
    assert read < 1.1 * MEBIBYTE


def test_one_element_is_bounded_in_bytes_too():
    child = b"<U>" + b"x" * (MEBIBYTE // 2) + b"</U>"
    within, beyond = (b"<a><T>" + child * count + b"</T></a>" for count in (60, 70))
    assert [len(element) for element in xml_documents.elements(io.BytesIO(within), frozenset({"T"}))] == [60]
    code, read = refused(beyond)
    assert code == "too-large"
    assert read < 33 * MEBIBYTE


def test_many_elements_within_the_limit_are_read_whatever_they_come_to():
    element = b"<T><U>" + b"x" * (MEBIBYTE // 2) + b"</U></T>"
    document = b"<a>" + element * 80 + b"</a>"
    assert sum(1 for _ in xml_documents.elements(io.BytesIO(document), frozenset({"T"}))) == 80
