"""Whatever Flash answered can be shown: one operation that cannot would spoil every list and stream that it is in."""

import itertools
from decimal import Decimal

import pytest

from agent import jsons
from agent.api.shown import operation_event, operation_json, operation_listed
from agent.config.settings import wordings_of
from agent.delivery import Kind
from agent.outbox.operation import Content, Operation, Redeemed, Verdict
from agent.outbox.state import Status
from tests.support.agents import settings

NAMES = (
    "id", "awarded", "balance", "memberId", "reason", "clawedBack", "errors", "code", "title", "status", "terms",
    "expiresAt", "points", "products", "externalId", "email",
)  # fmt: skip
ODD = (None, True, -1, 10**30, Decimal("6.5"), "", "x" * 300, [], [["x"]], {}, {"id": ["x"]})
REQUEST = {"couponId": "C-5", "externalOrderId": "o1", "totalAmount": Decimal(5), "source": "erp"}
NEEDED = {Kind.SALE: {"awarded": 6}, Kind.REFUND: {"clawedBack": 6}}  # or it was no answer of Flash's


def operation(kind, status, result, coupon):
    content = Content(request=REQUEST, path="/", body=jsons.raw({}), key="k", coupon=coupon)
    return Operation(
        seq=1, id="op_" + "0" * 32, kind=kind, status=status, generation=1, blocked=False, attempts=1, maybe_sent=1,
        strikes=0, accepted_at=0, next_attempt_at=None, settled_at=0, business_date=None, content=content,
        verdict=Verdict(result=result), redeemed=Redeemed("settled", honor=True, basis="flash", credit=None),
    )  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.DECLINED])
def test_whatever_flash_answered_can_be_shown(kind, status):
    wording = wordings_of(settings()).default
    for name, odd in itertools.product(NAMES, ODD):
        one = operation(kind, status, {name: odd, **NEEDED.get(kind, {})}, {name: odd})
        for show in (operation_json, operation_listed, operation_event):
            assert jsons.encode(show(one, wording)).startswith(b"{")
