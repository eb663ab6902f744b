"""What lies on the disk: who may read it, what stands in it in the clear, and how long."""

import json
import os
import stat
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import agent
from agent.clock import Clock
from agent.rooms import ROOMS
from agent.storage.migrations import newest
from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until

CANARIES = {
    "email": "Canary.One@Example.com",
    "name": "Canarina Vogelsang",
    "phone": "+49 170 5550199",
    "external": "ext-canary-77",
    "member": "mem-canary-88",
    "reason": "canary returned the shoes",
    "request key": "request-key-canary-99",
    "metadata": "metadata-canary-11",
    "sku": "sku-canary-22",
    "discard": "discard-canary-33",
}


def files(root):
    return [path for path in root.rglob("*") if path.is_file()]


def assert_private(root):
    assert files(root)
    for path in [root, *root.rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
async def test_files_are_the_owners_alone(tmp_path):
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o755)
    data_dir.chmod(0o755)
    before = os.umask(0o022)
    try:
        async with running(data_dir) as register:
            await register.sell()
            names = {path.name for path in files(data_dir)}
            assert names >= {"agent.db", "agent.db-wal", "data.key", "register.token", "operator.token"}
            assert_private(data_dir)
        assert_private(data_dir)
        database = data_dir / "agent.db"
        database.write_bytes(b"garbage" * 1000)
        async with running(data_dir) as register:
            await register.sell()
            assert list((data_dir / "quarantine").rglob("agent.db"))
            assert_private(data_dir)
    finally:
        os.umask(before)


def as_nobody(command):
    tried = subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True, check=False)
    return tried.returncode, tried.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becoming another user needs root")
async def test_another_user_reads_nothing():
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        data_dir = Path(place) / "data"
        async with running(data_dir) as register:
            await register.sell()
            for path in [data_dir, *files(data_dir)]:
                command = ["ls", str(path)] if path.is_dir() else ["cat", str(path)]
                code, said = as_nobody(command)
                assert code != 0, path
                assert b"ermission denied" in said


def assert_no_canary(root, capture):
    words = [*CANARIES.values(), WRITE_KEY, "fl_live", "Vogelsang", "Canarina"]
    out, err = capture.readouterr()
    places = {path.name: path.read_bytes() for path in files(root)} | {"output": (out + err).encode()}
    for word in words:
        for spelling in {word, word.lower(), word.casefold(), json.dumps(word).strip('"')}:
            for name, content in places.items():
                assert spelling.encode() not in content, (word, name)


def assert_no_token(root):
    tokens = {path.name: path.read_bytes() for path in root.glob("*.token")}
    assert len(tokens) == 2
    for path in files(root):
        for name, token in tokens.items():
            assert path.name == name or token not in path.read_bytes(), path


async def test_no_personal_data_and_no_key_stands_in_any_file_or_line_of_output(tmp_path, capfd):
    member = {
        "email": CANARIES["email"],
        "externalId": CANARIES["external"],
        "fullName": CANARIES["name"],
        "phone": CANARIES["phone"],
        "metadata": {"note": CANARIES["metadata"]},
    }
    customer = {"email": CANARIES["email"], "externalId": CANARIES["external"], "memberId": CANARIES["member"]}
    lines = [{"sku": CANARIES["sku"]}]
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            key = {"Idempotency_Key": CANARIES["request key"]}
            assert (await register.call("POST", "/v1/enrollments", member, Prefer="wait=10", **key)).status == 200
            await register.sell("1", wait=10, customer=customer, lines=lines)
            refund = {"externalOrderId": "1", "refundId": "r", "reason": CANARIES["reason"]}
            assert (await register.call("POST", "/v1/refunds", refund, Prefer="wait=10")).status == 200
            flash.poison("2", 422)
            failed = await register.sell("2", wait=10, customer=customer)
            bad = {**member, "email": f"{CANARIES['email']} x", "phone": 7}
            assert (await register.call("POST", "/v1/enrollments", bad)).status == 422
            await register.call(
                "POST", f"{failed.json['href']}/discard", {"reason": CANARIES["discard"]}, scope="operator"
            )
            flash.stop()
            await register.sell("3", wait=2, customer=customer)
            metrics = await register.call("GET", "/metrics", scope="operator")
            for shown in (metrics.json, json.dumps(await register.status())):
                assert "anary" not in shown
            assert (tmp_path / "agent.db-wal").exists()
            assert_no_canary(tmp_path, capfd)
            assert_no_token(tmp_path)
    assert_no_canary(tmp_path, capfd)


class Later(Clock):
    """The real clock, some days on."""

    def __init__(self, days):
        super().__init__()
        self._days = timedelta(days=days)
        self._offset_s += self._days.total_seconds()

    def now(self):
        return super().now() + self._days


@pytest.mark.usefixtures("tidied_soon")
async def test_retention_strips_to_a_tombstone_that_still_gives_the_first_answer(tmp_path):
    with strict_flash() as flash:
        chosen = settings(flash.base_url)
        async with running(tmp_path, chosen) as register:
            done = await register.sell("done", wait=10)
            flash.poison("bad", 422)
            failed = await register.sell("bad", wait=10)
        flash.clock_skew = 29 * 86_400.0
        async with running(tmp_path, chosen, Later(29)) as register:
            await register.sell("29 days on", wait=10)
            assert (await register.operation(done.json["id"]))["request"]
        flash.clock_skew = 40 * 86_400.0
        async with running(tmp_path, chosen, Later(40)) as register:
            await register.sell("40 days on", wait=10)

            async def stripped():
                return (await register.operation(done.json["id"]))["request"] == {}

            await until(stripped)
            again = await register.sell("done", wait=10)
            assert (again.status, again.json["id"]) == (200, done.json["id"])
            assert again.headers["Idempotency-Replayed"] == "true"
            assert again.json["status"] == "succeeded"
            conflict = await register.sell("done", 7)
            assert (conflict.status, conflict.json["code"]) == (409, "order-conflict")
            kept = await register.operation(failed.json["id"])
            assert (kept["status"], kept["request"]["externalOrderId"]) == ("failed", "bad")
        assert flash.awards == {"done": 1, "29 days on": 1, "40 days on": 1}
        flash.clock_skew = 500 * 86_400.0
        async with running(tmp_path, chosen, Later(500)) as register:
            await register.sell("500 days on", wait=10)

            async def gone():
                return (await register.call("GET", done.json["href"])).status == 404

            await until(gone)
            assert (await register.operation(failed.json["id"]))["status"] == "failed"


@pytest.mark.usefixtures("tidied_soon")
async def test_a_till_that_slept_through_its_tombstones_has_lost_nothing(tmp_path):
    """The newest operation stays, or the database would end before its mark."""
    with strict_flash() as flash:
        chosen = settings(flash.base_url)
        async with running(tmp_path, chosen) as register:
            older, newest = [(await register.sell(order, wait=10)).json for order in ("older", "newest")]
        flash.clock_skew = 500 * 86_400.0
        async with running(tmp_path, chosen, Later(500)) as register:
            assert (await register.call("GET", "/v1/members?externalId=POS-CUST-5512")).status == 200

            async def gone():
                return (await register.call("GET", older["href"])).status == 404

            await until(gone)
            assert (await register.call("GET", newest["href"])).status == 200
        async with running(tmp_path, chosen, Later(500)) as register:
            assert "database-quarantined" not in await register.conditions()


@pytest.mark.usefixtures("tidied_soon")
async def test_a_registers_own_key_is_free_again_when_its_operation_is_gone(tmp_path):
    with strict_flash() as flash:
        chosen = settings(flash.base_url)

        async def sell(register, order):
            sale = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 10}
            return await register.call("POST", "/v1/sales", sale, Idempotency_Key="register-1", Prefer="wait=10")

        async with running(tmp_path, chosen) as register:
            first = await sell(register, "first")
            assert (await sell(register, "other")).status == 409
        flash.clock_skew = 500 * 86_400.0
        async with running(tmp_path, chosen, Later(500)) as register:
            await register.sell("500 days on", wait=10)

            async def gone():
                return (await register.call("GET", first.json["href"])).status == 404

            await until(gone)
            assert (await sell(register, "other")).json["status"] == "succeeded"


@pytest.mark.usefixtures("tidied_soon")
@pytest.mark.parametrize("days", [-9000, 500])
async def test_a_till_whose_clock_is_years_off_forgets_nothing(tmp_path, days):
    """What it settled under the wrong date is kept, then and when the clock has been set right."""
    with strict_flash() as flash:
        chosen = settings(flash.base_url)
        async with running(tmp_path, chosen) as register:
            before = await register.sell("before", wait=10)
        async with running(tmp_path, chosen, Later(days)) as register:
            done = await register.sell("done", wait=10)
            assert done.json["status"] == "succeeded"
            assert "clock-skewed" in await register.conditions()
            await tidied(tmp_path)
            assert (await register.operation(before.json["id"]))["request"]
        async with running(tmp_path, chosen) as register:
            await register.sell("after", wait=10)

            async def dated_anew():
                settled_at = (await register.operation(done.json["id"]))["settledAt"]
                return abs(datetime.fromisoformat(settled_at) - datetime.now(UTC)) < timedelta(days=1)

            await until(dated_anew)
            assert (await register.operation(done.json["id"]))["request"]


class Jumping(Clock):
    """The real clock, until somebody sets it."""

    jump = timedelta(0)

    def now(self):
        return super().now() + self.jump


async def test_a_clock_that_jumps_while_the_agent_runs_is_known_to_be_wrong_before_anything_is_forgotten(tmp_path):
    clock = Jumping()
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url), clock) as register:
            clock.jump = timedelta(days=500)
            await register.sell("one", wait=10)
            clock.jump = timedelta(0)
            assert abs((await register.status())["clockSkewSeconds"]) < 5
            clock.jump = timedelta(days=500)
            assert -500 * 86_400 - 5 < (await register.status())["clockSkewSeconds"] < -500 * 86_400 + 5
            assert "clock-skewed" in await register.conditions()


async def tidied(data_dir):
    """Housekeeping has been through since: it empties the log at its end."""

    async def is_empty():
        return (data_dir / "agent.db-wal").stat().st_size == 0

    await until(is_empty)


async def test_copies_that_cannot_be_removed_keep_nothing_else_from_going(tmp_path):
    """Copies of before an upgrade, whose time is over; a virus scanner has one, say."""
    copy = tmp_path / "upgrades" / "20260101T000000Z.db"
    (copy / "held").mkdir(parents=True)
    version = {"program": agent.__version__, "schema": newest(ROOMS)}
    record = {"format": 1, "phase": "ready", "from": None, "to": version, "at": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "upgrades" / "state.json").write_text(json.dumps({**record, "snapshot": copy.name, "figures": {}}))
    async with running(tmp_path) as register:
        assert (await register.sell()).status == 202
        await tidied(tmp_path)
    assert copy.exists()
