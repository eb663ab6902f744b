"""The first call to Flash loads what calls are made with, which takes a while: registers must not wait for that."""

import asyncio
import contextlib

from pydantic import SecretStr

from agent.clock import Clock
from agent.delivery import Contact
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient

NOBODY = "http://127.0.0.1:9/api/v2"


def client() -> FlashClient:
    address = FlashAddress(base_url=NOBODY, till="till-1", attempt_timeout_s=8, proxy=None, ca_file=None, connections=2)
    return FlashClient(address, Clock(), write_key=SecretStr("fl_live_first_send_0123456789"))


async def test_the_loop_goes_on_while_it_loads_and_it_loads_once():
    flash = client()
    calls = [asyncio.create_task(flash._call("GET", "/stores", "write")) for _ in range(3)]
    turns = 0
    while flash._transport is None:
        turns += 1
        await asyncio.sleep(0)
    transport = flash._transport
    assert turns > 1  # what another test had loaded already is there soon, yet never within the first turn
    outcomes = await asyncio.gather(*calls)
    assert flash._transport is transport
    assert {outcome.contact for outcome in outcomes} == {Contact.UNREACHABLE}
    await flash.close()


async def test_a_drill_that_begins_meanwhile_lets_nothing_leave():
    flash = client()
    call = asyncio.create_task(flash._call("GET", "/stores", "write"))
    await asyncio.sleep(0)
    flash.is_cut_off = lambda: True
    outcome = await call
    assert (outcome.contact, outcome.unsent, "drill" in outcome.detail) == (Contact.UNREACHABLE, True, True)
    await flash.close()


async def test_who_gives_up_meanwhile_leaves_nothing_open():
    flash = client()
    call = asyncio.create_task(flash._call("GET", "/stores", "write"))
    await asyncio.sleep(0)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    await flash.close()
    assert flash._transport is not None
    assert flash._transport._http.is_closed
