"""A till dies with its queue; another one delivers it, under its keys, in its name, each once whatever goes wrong."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from agent import agefile
from agent.outbox.till import Till
from agent.rescue.travelling import Rescue, pack
from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.commands import NOWHERE, call, environment, of, post, sell, until
from tests.support.rescuing import buried, export, take_in, with_identity, with_passphrase
from tests.support.upgrading import launch_from, newer_copy, refusal
from tests.support.weakened import Change

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(180)]

A = {"FLASH_AGENT_STORE__TILL_ID": "till-A"}
B = {"FLASH_AGENT_STORE__TILL_ID": "till-B"}


def url(agent, path):
    return f"http://127.0.0.1:{agent.port}{path}"


def ask(agent, path, scope="operator"):
    status, answer = call("GET", url(agent, path), (agent.data_dir / f"{scope}.token").read_text())
    assert status == 200, answer
    return answer


def listed(agent):
    """All operations by id."""
    found, cursor = {}, ""
    while cursor is not None:
        page = ask(agent, f"/v1/operations?limit=200{cursor and f'&cursor={cursor}'}")
        found |= {each["id"]: each for each in page["operations"]}
        cursor = page["nextCursor"]
    return found


def pending(agent):
    return ask(agent, "/v1/status")["pending"]


def dead_till(folder, count=3, **settings):
    """The disk of a till that was killed with so many sales waiting; their keys by order."""
    with agent_process(folder / "a", NOWHERE, **A, **settings) as agent:
        keys = {f"a-{number}": sell(agent, f"a-{number}", 10 + number)["idempotencyKey"] for number in range(count)}
        agent.kill()
    return buried(folder / "a", folder / "disk"), keys


def tree(folder):
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def sent(flash, path="/orders"):
    """The writes that Flash saw: key, till in the User-Agent, body."""
    return [
        (seen.owner[1], seen.request.headers["user-agent"], seen.request.body)
        for seen in flash.requests
        if seen.request.method == "POST" and seen.request.path.endswith(path)
    ]


def test_a_thousand_sales_of_a_dead_till_are_delivered_once_under_its_keys_and_in_its_name(tmp_path):
    with agent_process(tmp_path / "a", NOWHERE, **A) as agent:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda number: sell(agent, f"a-{number}", 10), range(1000)))
        agent.kill()
    keys = {each["idempotencyKey"] for each in made}
    disk = buried(tmp_path / "a", tmp_path / "disk")
    before = tree(disk)
    done = export(disk, tmp_path / "a.rescue")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "Till till-A of st_1" in done.stdout
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("sale")] == [
        ["sale", "pending", "1000"]
    ]
    assert tree(disk) == before
    with strict_flash() as flash, agent_process(tmp_path / "b", flash.base_url, **B) as other:
        own = sell(other, "b-1", 10, wait=10)
        taken = take_in(other.data_dir, tmp_path / "a.rescue")
        assert (taken.returncode, "1000  taken" in taken.stdout) == (0, True), taken.stderr
        until(lambda: pending(other) == 0)
        assert len(flash.awards) == 1001
        assert flash.doubles() == {}
        assert flash.violations == []
        rescued = [(key, agent) for key, agent, _ in sent(flash) if key != own["idempotencyKey"]]
        assert {key for key, _ in rescued} == keys
        assert all("(till till-A)" in agent for _, agent in rescued)
        shown = listed(other)
        assert {each["id"] for each in made} < set(shown)
        assert all(shown[each["id"]]["rescuedFrom"] == {"storeId": "st_1", "tillId": "till-A"} for each in made)
        assert "rescuedFrom" not in shown[own["id"]]
        summary = ask(other, f"/v1/summary?businessDate={time.strftime('%Y-%m-%d')}")
        assert summary["sales"]["count"] == 1


def test_what_depends_goes_in_its_order_and_bodies_are_what_they_were(tmp_path):
    new = {"externalId": "NEW-1", "email": "New.One@example.com", "fullName": 'Änne "One" 漢'}
    with agent_process(tmp_path / "a", NOWHERE, **A) as agent:
        made = [
            post(agent, "enrollments", new),
            post(agent, "sales", {"externalOrderId": "a/1 ü", "customer": {"email": "new.one@EXAMPLE.com"},
                                  "totalAmount": "20.50", "businessDate": "2026-03-14", "transactionId": "T 9"}),
            post(agent, "refunds", {"externalOrderId": "a/1 ü", "refundId": "r1", "amount": 5, "reason": "zu groß"}),
            post(agent, "stores", {"externalId": "0018", "name": "Harbor"}, scope="operator"),
            post(agent, "catalogs", {"source": "erp", "brands": [{"name": "Acme"}]}, scope="operator"),
        ]  # fmt: skip
        agent.kill()
    disk = buried(tmp_path / "a", tmp_path / "disk")
    assert export(disk, tmp_path / "a.rescue").returncode == 0
    with strict_flash() as flash:
        with agent_process(tmp_path / "b", flash.base_url, **B) as other:
            assert take_in(other.data_dir, tmp_path / "a.rescue").returncode == 0
            until(lambda: pending(other) == 0)
            shown = listed(other)
            assert {each["id"]: shown[each["id"]]["status"] for each in made} == {
                each["id"]: "succeeded" for each in made
            }
            assert shown[made[1]["id"]]["result"]["awarded"] > 0  # the member was there before the sale
            through_b = {key: body for key, _, body in sent(flash, "")}
        assert set(through_b) == {each["idempotencyKey"] for each in made}
        assert flash.violations == []
    with strict_flash() as flash:  # what the till itself would have sent, had it come back
        with agent_process(disk, flash.base_url, **A, FLASH_AGENT_RELAY__BATCH_SIZE="1") as agent:
            until(lambda: pending(agent) == 0)
        assert {key: body for key, _, body in sent(flash, "")} == through_b


def test_both_sides_running_and_two_imports_have_one_effect(tmp_path):
    disk, _ = dead_till(tmp_path, 60)
    assert export(disk, tmp_path / "a.rescue").returncode == 0
    with strict_flash() as flash:
        with (
            agent_process(tmp_path / "b", flash.base_url, **B) as other,
            agent_process(tmp_path / "c", flash.base_url) as third,
            agent_process(disk, flash.base_url, **A, FLASH_AGENT_RELAY__START_JITTER_S="0.3") as revived,
        ):
            assert take_in(other.data_dir, tmp_path / "a.rescue").returncode == 0
            again = take_in(other.data_dir, tmp_path / "a.rescue")
            assert "60  were taken before" in again.stdout
            assert "taken, and delivered" not in again.stdout
            assert take_in(third.data_dir, tmp_path / "a.rescue").returncode == 0
            for agent in (other, third, revived):
                until(lambda agent=agent: pending(agent) == 0)
                assert {each["status"] for each in listed(agent).values()} == {"succeeded"}
        assert sum(flash.awards.values()) == len(flash.awards) == 60
        assert flash.doubles() == {}


def test_killed_in_the_middle_the_same_import_is_made_again(tmp_path):
    disk, keys = dead_till(tmp_path, 400)
    assert export(disk, tmp_path / "a.rescue").returncode == 0
    with agent_process(tmp_path / "b", NOWHERE, **B) as other:
        command = [sys.executable, "-m", "agent", "rescue", "import", tmp_path / "a.rescue", "--data-dir",
                   other.data_dir, "--identity", with_identity(tmp_path)]  # fmt: skip
        importing = subprocess.Popen(list(map(str, command)), env=environment(), stdout=subprocess.DEVNULL)
        try:
            until(lambda: pending(other) > 0)
            other.kill()
        finally:
            importing.kill()
            importing.wait()
        other.start()
        there = pending(other)
        assert 0 < there <= 400
        again = take_in(other.data_dir, tmp_path / "a.rescue")
        assert again.returncode == 0, again.stderr
        assert pending(other) == 400
        assert {each["idempotencyKey"] for each in listed(other).values()} == set(keys.values())


def test_a_sale_that_was_rung_up_again_at_the_other_till_counts_once(tmp_path):
    disk, _ = dead_till(tmp_path, 3)  # a-0: 10, a-1: 11, a-2: 12
    assert export(disk, tmp_path / "a.rescue").returncode == 0
    with strict_flash() as flash, agent_process(tmp_path / "b", flash.base_url, **B) as other:
        same, differs = sell(other, "a-0", 10, wait=10), sell(other, "a-1", 99, wait=10)
        done = take_in(other.data_dir, tmp_path / "a.rescue")
        assert "1  taken" in done.stdout
        assert "1  this till has the same by itself" in done.stdout
        assert "1  this till has the same with another amount" in done.stdout
        until(lambda: pending(other) == 0)
        assert sum(flash.awards.values()) == 3
        assert flash.violations == []
        shown = listed(other)
        (conflict,) = [each for each in shown.values() if each["status"] == "failed"]
        assert (conflict["error"]["code"], conflict["request"]["totalAmount"]) == ("order-conflict", 11)
        assert {shown[same["id"]]["status"], shown[differs["id"]]["status"]} == {"succeeded"}
        assert "operations-failed" in {each["code"] for each in ask(other, "/v1/status")["conditions"]}
        refund = post(other, "refunds", {"externalOrderId": "a-1", "refundId": "r9", "amount": 9}, wait=10)
        assert refund["status"] == "succeeded"  # nothing of this till's own waits for what a person must look at
        assert "of till till-A" in of(other, "operations", "list").stdout
        late = sell(other, "a-2", 12)  # and a register that asks again here gets the first answer
        assert (late["replayed"], late["rescuedFrom"]["tillId"]) == (True, "till-A")


@pytest.mark.parametrize("kind", ["pages", "log"])
def test_a_damaged_database_gives_what_can_be_read_and_says_what_is_missing(tmp_path, kind):
    from tests.support.damage import break_leaves

    disk, keys = dead_till(tmp_path, 300)
    if kind == "log":
        log = disk / "agent.db-wal"
        os.truncate(log, log.stat().st_size * 2 // 3)
    else:
        with agent_process(disk, NOWHERE, **A) as agent:  # into the database, out of the log
            agent.end()
        assert break_leaves(disk / "agent.db", 3)
    before = tree(disk)
    done = export(disk, tmp_path / "a.rescue")
    assert done.returncode == 0, done.stderr
    assert "Missing: A database was damaged" in done.stderr
    assert tree(disk) == before
    with strict_flash() as flash, agent_process(tmp_path / "b", flash.base_url, **B) as other:
        taken = take_in(other.data_dir, tmp_path / "a.rescue")
        assert "Missing: A database was damaged" in taken.stderr
        until(lambda: pending(other) == 0)
        assert 20 < len(flash.awards) < 300
        assert flash.violations == []
        assert {key for key, _, _ in sent(flash)} <= set(keys.values())


def test_a_quarantine_is_looked_into_as_well(tmp_path):
    disk, _ = dead_till(tmp_path, 5)
    folder = disk / "quarantine" / "20260101T000000Z"
    folder.mkdir(parents=True)
    for name in ("agent.db", "agent.db-wal", "agent.db-mark"):
        (disk / name).rename(folder / name)
    shutil.copyfile(folder / "agent.db-wal", folder / "agent.db-wal.found")
    done = export(disk, tmp_path / "a.rescue", "--till-id", "till-A", "--store-id", "st_1")
    assert done.returncode == 0, done.stderr
    assert ["sale", "pending", "5"] in [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("moved", [0, 1, 2], ids=["not put back", "half put back", "nearly put back"])
def test_a_till_that_died_in_an_upgrade_gives_what_was_there_before_it(tmp_path, moved):
    disk, keys = dead_till(tmp_path, 5)
    change = Change(
        "agent/app/agent.py", "            self._upgrade.ready()\n", "            __import__('os')._exit(9)\n"
    )
    newer = newer_copy(tmp_path / "newer", changes=[change])
    assert "Traceback" not in refusal(AgentProcess(disk, NOWHERE, launch=launch_from(newer), **A))
    (copy,) = (disk / "upgrades").glob("*.db")
    for name, suffix in (("agent.db", ""), ("agent.db-wal", "-wal"))[:moved]:
        (disk / name).rename(disk / "upgrades" / f"newer-{copy.name}{suffix}")
    before = tree(disk)
    done = export(disk, tmp_path / "a.rescue")
    assert done.returncode == 0, done.stderr
    assert ["sale", "pending", "5"] in [line.split() for line in done.stdout.splitlines()]
    assert tree(disk) == before
    with strict_flash() as flash, agent_process(tmp_path / "b", flash.base_url, **B) as other:
        assert take_in(other.data_dir, tmp_path / "a.rescue").returncode == 0
        until(lambda: pending(other) == 0)
        assert {key for key, _, _ in sent(flash)} == set(keys.values())


def test_without_its_system_the_recovery_identity_opens_the_disk(tmp_path):
    recipient, identity = agefile.new_pair()
    key = tmp_path / "recovery.key"
    key.write_text(identity)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "flash-agent.key").write_text("only that machine's systemd had it " * 2)
    disk, _ = dead_till(
        tmp_path, 4, CREDENTIALS_DIRECTORY=str(credentials), FLASH_AGENT_KEYS__RECOVERY=recipient
    )  # fmt: skip
    assert json.loads((disk / "data.key").read_text())["store"] == "credentials"
    blind = export(disk, tmp_path / "blind.rescue")
    assert blind.returncode == 1
    assert "give it with --credential FILE" in blind.stderr
    assert "--identity FILE" in blind.stderr
    other = tmp_path / "other.key"
    other.write_text(agefile.new_pair()[1])
    wrong = export(disk, tmp_path / "wrong.rescue", "--identity", other)
    assert (wrong.returncode, "another identity" in wrong.stderr) == (1, True)
    strange = tmp_path / "strange.key"
    strange.write_text("another machine's systemd had this one " * 2)
    wrong = export(disk, tmp_path / "wrong.rescue", "--credential", strange)
    assert (wrong.returncode, "does not open with what protects it" in wrong.stderr) == (1, True)
    assert not list(tmp_path.glob("*.rescue"))
    by_key = export(disk, tmp_path / "a.rescue", "--identity", key, "--to", recipient)
    assert (by_key.returncode, "opened with data.key.recovery" in by_key.stdout) == (0, True), by_key.stderr
    by_credential = export(disk, tmp_path / "b.rescue", "--credential", credentials / "flash-agent.key")
    assert (by_credential.returncode, "opened with data.key" in by_credential.stdout) == (0, True)
    with agent_process(tmp_path / "b", NOWHERE, **B) as agent:
        taken = take_in(agent.data_dir, tmp_path / "a.rescue", "--identity", key)
        assert "4  taken" in taken.stdout
        assert "4  were taken before" in take_in(agent.data_dir, tmp_path / "b.rescue").stdout


def test_what_is_wrong_with_the_file_or_its_key_is_named_and_nothing_is_taken(tmp_path):
    disk, _ = dead_till(tmp_path, 3)
    good = tmp_path / "a.rescue"
    assert export(disk, good, "--passphrase-file", with_passphrase(tmp_path)).returncode == 0
    if os.name == "posix":
        assert stat.S_IMODE(good.stat().st_mode) == 0o600
    taken_name = export(disk, good)
    assert (taken_name.returncode, "is there already" in taken_name.stderr) == (2, True)
    assert export(disk, tmp_path / "to-a-key.rescue").returncode == 0
    content = (tmp_path / "to-a-key.rescue").read_bytes()
    recipient, identity = agefile.new_pair()
    key = tmp_path / "a.key"
    key.write_text(identity)
    (tmp_path / "other.txt").write_text("another passphrase altogether")
    plain = tmp_path / "no.rescue"
    plain.write_bytes(agefile.seal(b'{"format": "something else"}', recipient))
    later = tmp_path / "later.rescue"
    later.write_bytes(agefile.seal(b'{"format": "flash-agent-rescue", "version": 2}', recipient))
    with agent_process(tmp_path / "b", NOWHERE, **B) as agent:

        def refused(file, said, *options):
            done = take_in(agent.data_dir, file, *options)
            assert (done.returncode, said in done.stderr) == (1, True), done.stderr
            assert "Traceback" not in done.stderr

        for number, wrong in enumerate((content[: len(content) // 2], content[:-9] + b"x" * 9)):
            (tmp_path / f"{number}.rescue").write_bytes(wrong)
            refused(tmp_path / f"{number}.rescue", "cut, changed or is none")
        refused(good, "the passphrase is another one", "--passphrase-file", tmp_path / "other.txt")
        refused(good, "sealed for another identity, or with a passphrase", "--identity", key)
        refused(plain, "holds no rescue", "--identity", key)
        refused(later, "knows 1", "--identity", key)
        assert take_in(agent.data_dir, tmp_path / "none.rescue").returncode == 2
        assert pending(agent) == 0
        assert take_in(agent.data_dir, good, "--passphrase-file", with_passphrase(tmp_path)).returncode == 0
        assert pending(agent) == 3
        status, answer = call("POST", url(agent, "/v1/rescue"), agent.token, {})
        assert (status, answer["code"]) == (403, "forbidden")


def test_what_a_file_says_of_itself_moves_nothing_in_the_terminal(tmp_path):
    """Whoever knows the recipient can make one."""
    recipient, identity = agefile.new_pair()
    key, made = tmp_path / "a.key", tmp_path / "a.rescue"
    key.write_text(identity)
    odd = "\x1b]0;title\x07\x1b[2J"
    rescue = Rescue("flash-agent-rescue", 1, f"now{odd}", "0.1.0", Till("st_1", f"till{odd}"), "00", [], [f"all{odd}"])
    made.write_bytes(agefile.seal(pack(rescue), recipient))
    with agent_process(tmp_path / "b", NOWHERE, **B) as agent:
        taken = take_in(agent.data_dir, made, "--identity", key)
    assert "Missing: all?]0;title??[2J" in taken.stderr
    assert "till?]0;title??[2J" in taken.stdout
    assert not {"\x1b", "\x07"} & {*taken.stdout, *taken.stderr}


def test_another_store_is_taken_only_where_it_is_meant_and_flash_shows_it(tmp_path):
    disk, _ = dead_till(tmp_path, 2, FLASH_AGENT_STORE__STORE_ID="st_9")
    assert export(disk, tmp_path / "a.rescue").returncode == 0
    with strict_flash() as flash, agent_process(tmp_path / "b", flash.base_url, **B) as agent:
        refused = take_in(agent.data_dir, tmp_path / "a.rescue")
        assert (refused.returncode, "stood in st_9, this one stands in st_1" in refused.stderr) == (1, True)
        assert "Nothing was taken" in refused.stderr
        foreign = take_in(agent.data_dir, tmp_path / "a.rescue", "--store-differs")
        assert (foreign.returncode, "belongs to another tenant" in foreign.stderr) == (1, True), foreign.stderr
        assert pending(agent) == 0
        flash.add_store("st_9")
        meant = take_in(agent.data_dir, tmp_path / "a.rescue", "--store-differs")
        assert (meant.returncode, "2  taken" in meant.stdout) == (0, True), meant.stderr
        until(lambda: pending(agent) == 0)
        assert {json.loads(body)["storeId"] for _, _, body in sent(flash)} == {"st_9"}


def test_a_running_till_is_not_exported_and_one_that_was_stopped_is(tmp_path):
    with agent_process(tmp_path / "a", NOWHERE, **A) as agent:
        sell(agent, "a-1", 10)
        refused = export(agent.data_dir, tmp_path / "a.rescue")
        assert (refused.returncode, "needs it stopped" in refused.stderr) == (2, True)
        agent.end(signal.SIGTERM)
        assert export(agent.data_dir, tmp_path / "a.rescue").returncode == 0
    nothing = export(tmp_path / "elsewhere", tmp_path / "b.rescue")
    assert (nothing.returncode, "no data directory of an agent" in nothing.stderr) == (2, True)
    inside = export(tmp_path / "a", tmp_path / "a" / "b.rescue")
    assert (inside.returncode, "own disk" in inside.stderr) == (2, True)


def test_nothing_personal_is_left_in_the_clear_and_no_copy_stays(tmp_path):
    secret = {"externalId": "CANARY-EXT", "email": "canary@example.com", "fullName": "Canary Vogelsang"}
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with agent_process(tmp_path / "a", NOWHERE, **A) as agent:
        post(agent, "enrollments", secret)
        agent.kill()
    disk = buried(tmp_path / "a", tmp_path / "disk")
    done = export(disk, tmp_path / "a.rescue", TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    refused = export(disk, tmp_path / "no" / "a.rescue", TMPDIR=str(temporary))
    assert refused.returncode != 0
    assert list(temporary.iterdir()) == []
    with agent_process(tmp_path / "b", NOWHERE, **B) as other:
        taken = take_in(other.data_dir, tmp_path / "a.rescue")
        assert taken.returncode == 0
        other.kill()
        for said in (done.stdout, done.stderr, taken.stdout, taken.stderr, other.log.read_text()):
            assert not any(value in said for value in secret.values())
    for place in (tmp_path / "b", tmp_path / "a.rescue"):
        for path in [place] if place.is_file() else [each for each in place.rglob("*") if each.is_file()]:
            assert not any(value.encode() in path.read_bytes() for value in secret.values()), path
