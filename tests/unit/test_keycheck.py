"""Whether a store is in Flash's list: looked for page by page, and never said to be missing before the end was seen."""

import pytest

from agent import jsons
from agent.flash.harmless import MAX_STORE_PAGES
from agent.flash.keycheck import Verdict, find_store, judge
from agent.flash.transport import Answer


def pages(*stores, ends=True):
    """Flash's list, one store a page; without an end the last page comes again and again."""
    asked = []

    async def get(path):
        asked.append(path)
        number = min(len(asked), len(stores))
        goes_on = number < len(stores) or not ends
        page = {"data": [{"id": stores[number - 1], "externalId": f"own-{number}"}]}
        if goes_on:
            page["nextCursor"] = f"c {number}"
        return Answer(200, jsons.encode(page), {})

    return get, asked


@pytest.mark.parametrize(("wanted", "found"), [("st_1", True), ("st_3", True), ("own-2", True), ("st_9", False)])
async def test_a_store_is_found_on_whatever_page_it_is(wanted, found):
    get, asked = pages("st_1", "st_2", "st_3")
    assert await find_store(get, wanted) is found
    assert asked[1:2] == ([] if wanted == "st_1" else ["/stores?cursor=c%201"])


@pytest.mark.parametrize("wrong", [["st_2"], {"is": "st_2"}, None, 2])
async def test_a_store_whose_id_is_no_text_is_another_one(wrong):
    get, _ = pages(wrong, "st_2")
    assert await find_store(get, "st_2") is True


async def test_a_list_without_an_end_says_nothing_of_what_is_not_in_it():
    get, asked = pages("st_1", ends=False)
    found = await find_store(get, "st_9")
    assert (len(asked), judge(found, "st_9", None).verdict) == (MAX_STORE_PAGES + 1, Verdict.UNREADABLE)
