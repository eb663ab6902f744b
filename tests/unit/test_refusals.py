"""What a register is refused with: every kind of refusal says when to come again, where coming again may help."""

import pytest

from agent.api.problems import response_to
from agent.errors import Refusal


def kinds(above=Refusal):
    """All kinds of refusals."""
    return [above, *(each for below in above.__subclasses__() for each in kinds(below))]


@pytest.mark.parametrize("kind", kinds())
def test_what_may_go_later_says_when(kind):
    answer = response_to(kind("It is so."))
    assert ("Retry-After" in answer.headers) is (kind.status in {429, 503, 507})
    if kind.status in {429, 503, 507}:
        assert (kind.retryable, int(answer.headers["Retry-After"]) >= 1) == (True, True)
        assert response_to(kind("It is so.", retry_after_s=77)).headers["Retry-After"] == "77"


def test_no_two_kinds_share_a_code_and_each_has_a_title():
    codes = [kind.code for kind in kinds() if kind is not Refusal]
    assert sorted(code for code in set(codes) if codes.count(code) > 1) == ["data-key-unavailable"]
    assert all(kind.title for kind in kinds())
