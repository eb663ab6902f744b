"""What the tests of Flash keys share: a Flash that knows several, and a till to which they are given."""

import contextlib

from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until

NEW_KEY = "fl_live_test_write_0002"
READ_KEY = "fl_live_test_read_00001"
OTHER_READ_KEY = "fl_live_test_read_00002"
FOREIGN_KEY = "fl_live_test_stranger_1"
FAST = {"hold_probe_s": 0.1}


@contextlib.contextmanager
def flash_with_keys():
    """Two that write, two that read, and one of another tenant."""
    with strict_flash() as server:
        server.add_key(NEW_KEY, "t1")
        for key in (READ_KEY, OTHER_READ_KEY):
            server.add_key(key, "t1", scope="read")
        server.add_key(FOREIGN_KEY, "t2")
        yield server


def keyless(server, **sections):
    """A till whose settings name no write key."""
    flash = {"write_key": None, **sections.pop("flash", {})}
    return settings(server.base_url, flash=flash, **{"relay": FAST, **sections})


async def give(register, key, which="write", **more):
    """What the agent answers to a key that an operator gives."""
    return await register.call("POST", "/v1/key", {"which": which, "key": key, **more}, scope="operator")


async def keys(register):
    """The write and the read key as operators are shown them."""
    answer = await register.call("GET", "/v1/key", scope="operator")
    assert answer.status == 200
    return {each["which"]: each for each in answer.json["keys"]}


def seen_with(flash, key, *, writes=False):
    """The calls that came with this key."""
    return [
        seen
        for seen in flash.requests
        if seen.request.token == key and (not writes or (seen.request.write and not seen.request.is_empty_try))
    ]


def refusals(flash):
    """The calls that a key was refused."""
    return [seen.status for seen in flash.requests if seen.status in {401, 403}]


@contextlib.asynccontextmanager
async def selling_with(tmp_path, flash, key=WRITE_KEY, **sections):
    """An agent that was given its first key."""
    async with running(tmp_path, keyless(flash, **sections)) as register:
        assert (await give(register, key)).json["state"] == "in-force"
        yield register


async def drained(register):
    """Wait until nothing is pending."""

    async def none_pending():
        return (await register.status())["pending"] == 0

    await until(none_pending, 30)
