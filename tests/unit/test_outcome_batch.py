"""What an answer to a batch means: matched by echo, else by position, else nothing is settled."""

import json

import pytest

from agent.delivery import BATCH_REFUSED, Contact, Fate, Kind, Outcome, Parcel
from agent.flash.outcome import judge_batch

CONFLICT = {"status": 409, "error": {"code": "ORDER_CONFLICT"}}


def sale(order, amount="120.00"):
    body = f'{{"externalOrderId":"{order}","customer":{{"externalId":"c"}},"totalAmount":{amount}}}'
    return Parcel(Kind.SALE, "/orders", body.encode(), f"sale-{order}")


def member(external_id=None, email=None):
    named = {"externalId": external_id, "email": email}
    body = json.dumps({name: value for name, value in named.items() if value})
    return Parcel(Kind.ENROLLMENT, "/members", body.encode(), "k")


def awarded(points, order=None, *, inside=False):
    data = {"awarded": points, "memberId": "mem_1"}
    item = {"status": 200, "data": data}
    if order:
        (data if inside else item)["externalOrderId"] = order
    return item


def batch(items, parcels, status=207, **more):
    body = items if isinstance(items, bytes) else json.dumps({"data": items}).encode()
    return judge_batch(parcels, status, body, **more)


def points(outcomes):
    return [outcome.result.get("awarded") for outcome in outcomes]


def assert_goes_singly(answer):
    assert isinstance(answer, Outcome)
    assert (answer.fate, answer.contact, answer.code) == (Fate.RETRY, Contact.ANSWERED, BATCH_REFUSED)
    assert not answer.definitive
    assert not answer.unsent


THREE = [sale("a"), sale("b"), sale("c")]


@pytest.mark.parametrize("status", [200, 207])
def test_a_whole_answer_settles_each_by_position(status):
    outcomes = batch([awarded(1), awarded(2), awarded(3)], THREE, status)
    assert [outcome.fate for outcome in outcomes] == [Fate.SUCCEEDED] * 3
    assert points(outcomes) == [1, 2, 3]


@pytest.mark.parametrize("inside", [False, True])
def test_reordered_results_are_matched_by_their_echo(inside):
    items = [awarded(3, "c", inside=inside), awarded(1, "a", inside=inside), awarded(2, "b", inside=inside)]
    assert points(batch(items, THREE)) == [1, 2, 3]


def test_swapped_results_without_an_echo_are_taken_by_position():
    assert points(batch([awarded(2), awarded(1)], THREE[:2])) == [2, 1]


def test_results_with_and_without_an_echo_that_agree_with_their_places():
    assert points(batch([awarded(1), awarded(2, "b"), awarded(3)], THREE)) == [1, 2, 3]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([], id="none"),
        pytest.param([awarded(1), awarded(2)], id="one is missing"),
        pytest.param([awarded(1, "a"), awarded(3, "c")], id="one is missing, echoed"),
        pytest.param([awarded(1), awarded(2), awarded(3), awarded(4)], id="one too many"),
        pytest.param([awarded(1, "a"), awarded(2, "b"), awarded(3, "c"), awarded(4, "d")], id="one too many, echoed"),
        pytest.param([awarded(1, "a"), awarded(2, "a"), awarded(3, "c")], id="an echo twice"),
        pytest.param([awarded(1, "a"), awarded(2, "a"), awarded(3)], id="an echo twice, one without"),
        pytest.param([awarded(1, "x"), awarded(2, "b"), awarded(3, "c")], id="a strange echo"),
        pytest.param([awarded(1), awarded(2, "a"), awarded(3)], id="an echo in another's place"),
        pytest.param([awarded(1), {"data": {"awarded": 2}}, awarded(3)], id="no status"),
        pytest.param([awarded(1), {"status": "200", "data": {"awarded": 2}}, awarded(3)], id="status as text"),
        pytest.param([awarded(1), {"status": True, "data": {"awarded": 2}}, awarded(3)], id="status as bool"),
        pytest.param([awarded(1), None, awarded(3)], id="null"),
        pytest.param([awarded(1), [200], awarded(3)], id="a list"),
    ],
)
def test_results_that_cannot_be_told_apart_settle_nothing(items):
    assert_goes_singly(batch(items, THREE))


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 422])
@pytest.mark.parametrize(
    "body", [b"", b'{"error":{"code":"VALIDATION"}}', b'{"error":{"code":"IDEMPOTENCY_CONFLICT"}}']
)
def test_a_refused_batch_settles_nothing_and_goes_singly(status, body):
    assert_goes_singly(batch(body, THREE, status))


@pytest.mark.parametrize("status", [200, 207, 301, 400, 401, 403, 404, 405, 413, 422])
@pytest.mark.parametrize("body", [b"<html>sign in</html>", b'{"data":[{"status":200,"data":{"awar', b"[]"])
def test_a_page_or_a_torn_answer_is_not_flashs(status, body):
    answer = batch(body, THREE, status)
    assert isinstance(answer, Outcome)
    assert (answer.fate, answer.contact, answer.definitive) == (Fate.RETRY, Contact.UNREACHABLE, False)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":{}}', b'{"data":null}', b'{"results":[]}'])
def test_an_answer_without_a_list_of_results_settles_nothing(body):
    answer = batch(body, THREE)
    assert isinstance(answer, Outcome)
    assert answer.fate is Fate.RETRY


@pytest.mark.parametrize(
    ("status", "fate", "contact", "unsent"),
    [
        (401, Fate.HOLD, Contact.KEY_REFUSED, True),
        (429, Fate.RETRY, Contact.THROTTLED, True),
        (408, Fate.RETRY, Contact.TROUBLED, False),
        (500, Fate.RETRY, Contact.TROUBLED, False),
        (502, Fate.RETRY, Contact.TROUBLED, False),
        (503, Fate.RETRY, Contact.TROUBLED, False),
    ],
)
def test_what_befell_the_whole_call_befell_every_item(status, fate, contact, unsent):
    answer = batch(b"", THREE, status, retry_after=9.0)
    assert isinstance(answer, Outcome)
    assert (answer.fate, answer.contact, answer.unsent) == (fate, contact, unsent)
    assert answer.retry_after_s == (None if status == 401 else 9.0)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503, 504])
def test_an_items_own_trouble_puts_that_item_back_and_says_nothing_of_the_line(status):
    first, second, third = batch([awarded(1), {"status": status, "error": {"code": "X"}}, awarded(3)], THREE)
    assert (first.fate, third.fate) == (Fate.SUCCEEDED, Fate.SUCCEEDED)
    assert (second.fate, second.contact, second.definitive) == (Fate.RETRY, Contact.ANSWERED, False)


def test_one_refused_item_does_not_touch_its_neighbours():
    conflict, fine = batch([CONFLICT, awarded(2)], THREE[:2])
    assert (conflict.fate, conflict.code, conflict.definitive) == (Fate.FAILED, "order-conflict", True)
    assert fine.fate is Fate.SUCCEEDED


@pytest.mark.parametrize("data", [{"awarded": "6"}, {"awarded": True}, {"awarded": None}, {}, None, [], "6"])
def test_an_item_without_the_expected_types_is_not_a_yes(data):
    (outcome,) = batch([{"status": 200, "data": data}], THREE[:1])
    assert (outcome.fate, outcome.contact) == (Fate.RETRY, Contact.ANSWERED)


def test_an_item_of_two_meanings_is_judged_by_its_status():
    (outcome,) = batch([{"status": 409, "data": {"awarded": 6}, "error": None}], THREE[:1])
    assert (outcome.fate, outcome.code) == (Fate.RETRY, "conflict-unexplained")


def test_enrollments_are_matched_by_external_id_or_email_in_any_case():
    parcels = [member("POS-1", "ada@example.com"), member(email="Grace@Example.com"), member("POS-3")]
    items = [
        {"status": 200, "data": {"id": "m3", "externalId": "POS-3"}},
        {"status": 201, "data": {"id": "m2", "email": "grace@example.COM"}},
        {"status": 201, "data": {"id": "m1", "externalId": "POS-1"}},
    ]
    assert [outcome.result["id"] for outcome in batch(items, parcels)] == ["m1", "m2", "m3"]


def test_one_echo_that_fits_two_items_settles_nothing():
    parcels = [member("POS-1", "shared@example.com"), member("POS-2", "shared@example.com")]
    items = [{"status": 200, "data": {"id": "m", "email": "shared@example.com"}}] * 2
    assert_goes_singly(batch(items, parcels))


def test_one_result_is_not_taken_for_two_items():
    parcels = [member("POS-1", "shared@example.com"), member("POS-2", "shared@example.com")]
    items = [{"status": 200, "data": {"id": "m", "email": "shared@example.com"}}, {"status": 200, "data": {"id": "n"}}]
    assert_goes_singly(batch(items, parcels))


def test_results_whose_echoes_contradict_each_other_settle_nothing():
    parcels = [member("POS-1", "ada@example.com"), member("POS-2", "grace@example.com")]
    items = [
        {"status": 200, "data": {"id": "m", "externalId": "POS-1"}},
        {"status": 200, "data": {"id": "n", "externalId": "POS-2", "email": "ada@example.com"}},
    ]
    assert_goes_singly(batch(items, parcels))
