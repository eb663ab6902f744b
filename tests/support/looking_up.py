"""What the tests of look-ups share: a Flash with a member that has a coupon, and a register that asks for it."""

import contextlib
import time

from tests.support.agents import settings, strict_flash

ADA = "POS-CUST-5512"
BUDGET_MS = 3000  # generous: others use this machine too


@contextlib.contextmanager
def flash_with_ada():
    """Ends in a failure where the agent broke Flash's contract."""
    with strict_flash(in_flight_limit=16) as server:
        member = server.add_member(externalId=ADA)
        server.add_coupon("CPN-1", member)
        yield server
        assert server.violations == []


def chosen(server, **sections):
    """The settings of a till with so much patience, unless others are given."""
    members = {"lookup_budget_ms": BUDGET_MS, **sections.pop("members", {})}
    return settings(server.base_url, members=members, **sections)


async def look(register, status=200, **key):
    """What the till says of a member; the answer must have this status."""
    answer = await register.call("GET", f"/v1/members?{'&'.join(f'{n}={v}' for n, v in key.items())}")
    assert answer.status == status, answer
    return answer.json


async def took(register, **key):
    """How many seconds a look-up took, and what it found."""
    began = time.monotonic()
    found = await look(register, **key)
    return time.monotonic() - began, found
