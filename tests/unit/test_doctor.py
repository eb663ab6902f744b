"""The doctor's parts that need no till: what figures mean, who signed, whom an access list lets in, and bad checks."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock
import pytest

from agent import config
from agent.agefile import new_pair
from agent.cli.commands import doctor
from agent.doctor import case, database, disk, keys
from agent.doctor.access_lists import strangers_in
from agent.doctor.case import Case
from agent.doctor.catalogue import CHECKS, found
from agent.doctor.certificates import Shown, inspector_in
from agent.doctor.disk import Times
from agent.doctor.findings import Finding, Kind, Severity, ordered
from agent.doctor.running import Check, examine
from agent.doctor.scanners import filters_in
from agent.errors import AgentError

NOWHERE = Case(Path("agent.toml"), Path("nowhere"))


def codes(findings: Any) -> list[str]:
    return [finding.kind.code for finding in findings]


# ---- checks that are at fault themselves -----------------------------------------------------------------------------


def test_a_check_that_crashes_is_a_finding_and_the_others_go_on() -> None:
    def crash(_: Case) -> Any:
        raise ValueError("Ada Lovelace")

    seen = examine(NOWHERE, [Check("port", crash, 1.0), Check("disk", lambda _: [found("agent-absent")], 1.0)])
    assert codes(seen) == ["agent-absent", "check-crashed"]
    assert seen[1].title == "A check failed by a fault of its own: port."
    assert seen[1].details["where"][-1] == "ValueError"  # and none of its words
    assert "Ada" not in str(seen[1].as_json())


def test_a_check_that_hangs_is_a_finding_and_keeps_nobody() -> None:
    over = threading.Event()

    def hang(_: Case) -> Any:
        over.wait(30)
        return []

    begun = time.monotonic()
    checks = [Check(f"hangs {number}", hang, 0.2, alone=number == 0) for number in range(5)]
    seen = examine(NOWHERE, [*checks, Check("disk", lambda _: [found("agent-absent")], 1.0)])
    assert time.monotonic() - begun < 5  # side by side, but for the one that is alone
    over.set()
    assert codes(seen) == ["agent-absent", *["check-timed-out"] * 5]
    assert "hangs 0, after 0 s." in " ".join(finding.title for finding in seen)


def test_a_data_directory_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(case, "GATHER_S", 0.2)

    def connect(_: Path) -> Any:
        over.wait(30)

    lock = tmp_path / "agent.lock"
    (tmp_path / "agent.json").write_text('{"pid": 1, "port": 1}')
    with filelock.FileLock(lock), pytest.raises(AgentError, match="do not answer within 0 s"):
        case.gather_in_time(None, tmp_path, connect)
    over.set()


def test_a_condition_that_a_check_says_better_is_left_out() -> None:
    condition = Finding(Kind("storage-full", "conditions", Severity.ERROR, "full", "", ""))
    other = Finding(Kind("operations-failed", "conditions", Severity.WARNING, "failed", "", ""))
    assert codes(ordered([other, condition, found("disk-full")], CHECKS)) == ["disk-full", "operations-failed"]
    assert codes(ordered([other, condition], CHECKS)) == ["storage-full", "operations-failed"]


@pytest.mark.parametrize(
    ("seen", "code", "complete"),
    [
        ([], 0, True),
        (["disk-low", "offline"], 0, True),
        (["key-unseen"], 3, False),
        (["data-dir-unreadable", "disk-unmeasured"], 3, False),
        (["check-timed-out"], 3, False),
        (["config-unreadable", "agent-absent"], 1, False),
        (["agent-absent"], 1, True),
    ],
)
def test_what_could_not_be_looked_at_is_not_called_well(seen: list[str], code: int, *, complete: bool) -> None:
    findings = [found(each) for each in seen]
    last = list(doctor.report(findings))[-1]
    assert doctor.code_of(findings) == code
    assert doctor.document(findings)["complete"] is complete
    assert last.startswith("Not everything could be looked at (") is not complete


def test_the_last_line_names_each_check_once() -> None:
    findings = [found(each) for each in ("data-dir-unreadable", "disk-unmeasured", "config-unreadable")]
    assert "(permissions, disk, configuration): why" in list(doctor.report([*findings, *findings]))[-1]


# ---- the disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("median", "most", "code"),
    [
        (0.1, 3.0, "disk-ok"),
        (99.0, 999.0, "disk-ok"),
        (101.0, 150.0, "disk-slow"),
        (5.0, 1001.0, "disk-stalls"),
        (500.0, 2000.0, "disk-slow"),
    ],
)
def test_what_a_register_would_wait_for_decides(median: float, most: float, code: str) -> None:
    assert codes(disk._durable(Times(median, most), 1 << 40, well=True)) == [code]


@pytest.mark.parametrize(("free", "code"), [(0, "disk-full"), (1 << 20, "disk-low"), (1 << 28, None)])
def test_space_is_judged_as_the_agent_does(free: int, code: str | None) -> None:
    assert codes(disk._space(free)) == ([code] if code else [])


def test_files_that_do_not_come_back_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(disk._small_files(tmp_path, Times(1.0, 1.0))) == ["antivirus-ok"]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda _: b"cleaned")
        assert codes(disk._small_files(tmp_path, Times(1.0, 1.0))) == ["files-changed"]

    def held(self: Path, target: Path) -> Path:
        raise PermissionError(13, "in use", str(self), 32, str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", held)
        assert codes(disk._small_files(tmp_path, Times(1.0, 1.0))) == ["files-held"]
    assert list(tmp_path.iterdir()) == []


def test_files_that_take_far_longer_than_the_disk_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FILES_SLOW_MS", 0.0)
    assert codes(disk._small_files(tmp_path, Times(0.0, 0.0))) == ["files-slow"]
    assert codes(disk._small_files(tmp_path, Times(1000.0, 1000.0))) == ["antivirus-ok"]  # the disk itself is slow


def test_windows_filters_are_read_below_their_line() -> None:
    said = "\r\nFilter Name     Num Instances    Altitude    Frame\r\n-------------   -------------  ---------\r\n"
    assert filters_in(f"{said}bindflt   1   409800   0\r\nWdFilter   5   328010   0\r\n\r\n") == ["bindflt", "WdFilter"]
    assert filters_in("") == []


# ---- who gets in, who signed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sddl", "strangers"),
    [
        ("D:PAI(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", []),
        ("D:AI(A;OICIID;FA;;;SY)(A;OICIID;0x1200a9;;;BU)(A;ID;FA;;;BA)(A;OICIIOID;GA;;;CO)", ["Users"]),
        ("D:P(A;OICI;FA;;;WD)(A;;FA;;;AU)", ["Authenticated Users", "Everyone"]),
        ("D:P(D;OICI;FA;;;WD)(A;;FA;;;SY)", []),  # denied is not let in
        ("D:P(A;;FA;;;S-1-5-80-123-456)(A;;FA;;;S-1-5-21-1-2-3-1001)", ["S-1-5-21-1-2-3-1001"]),
        ("O:S-1-5-21-1-2-3-1001G:SYD:P(A;;FA;;;S-1-5-21-1-2-3-1001)", []),  # its owner
        ("D:P(A;;FA;;;SY)S:AI(AU;SAFA;FA;;;WD)", []),  # what is audited lets nobody in
        ("D:NO_ACCESS_CONTROL", ["Everyone"]),
    ],
)
def test_whom_an_access_list_lets_in(sddl: str, strangers: list[str]) -> None:
    assert strangers_in(sddl) == strangers


@pytest.mark.parametrize(
    ("issuer", "product"),
    [
        ("Zscaler Inc., Zscaler Intermediate Root CA (zscaler.net)", "Zscaler"),
        ("Fortinet, FGT60FTK20000000", "Fortinet FortiGate"),
        ("Kaspersky Anti-Virus Personal Root Certificate", "Kaspersky"),
        ("ESET, spol. s r. o., ESET SSL Filter CA", "ESET"),
        ("avast! Web/Mail Shield Root", "Avast"),
        ("Sophos SSL CA_C01001", "Sophos"),
        ("mitmproxy", "mitmproxy"),
        ("DigiCert Inc, DigiCert TLS RSA SHA256 2020 CA1", None),
        ("Let's Encrypt, R3", None),
        ("Amazon, Amazon RSA 2048 M02", None),
        ("Google Trust Services, WR2", None),
        ("Cloudflare, Inc., Cloudflare Inc ECC CA-3", None),
        ("Beset Networks", None),
    ],
)
def test_products_that_open_connections_are_known_by_their_issuers(issuer: str, product: str | None) -> None:
    assert inspector_in(issuer) == product


@pytest.mark.parametrize(
    ("host", "matches"),
    [
        ("flash.example.com", True),
        ("FLASH.example.com", True),
        ("a.pos.example.com", True),
        ("pos.example.com", False),
        ("a.b.pos.example.com", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("com", False),
    ],
)
def test_the_hosts_that_a_certificate_is_for(host: str, matches: bool) -> None:
    names = ("flash.example.com", "*.pos.example.com", "127.0.0.1")
    shown = Shown("x", "y", False, datetime.now(UTC), datetime.now(UTC), None, names)
    assert shown.is_for(host) is matches


@pytest.mark.parametrize(
    ("days", "valid"), [(-1, False), (0, True), (30, True), (31, False)], ids=["not yet", "from", "until", "no longer"]
)
def test_a_certificate_has_its_time(days: int, valid: bool) -> None:
    begins = datetime(2026, 11, 1, tzinfo=UTC)
    shown = Shown("x", "y", False, begins, begins + timedelta(days=30), None)
    assert shown.is_valid_at(begins + timedelta(days=days)) is valid


# ---- what keys may do ------------------------------------------------------------------------------------------------

WRITES = ("POST /orders", "POST /orders/{id}/refund", "POST /members", "POST /coupons/{id}/redeem")


def facts(write: dict[str, str], read: dict[str, str], **more: Any) -> dict[str, Any]:
    """As GET /v1/diagnostics has them."""
    calls = [
        {"key": key, "call": call, "verdict": verdict, "httpStatus": 401 if verdict == "key-refused" else 200,
         "detail": None if verdict in {"allowed", "scope-refused"} else "It did not answer."}
        for key, said in (("write", write), ("read", read))
        for call, verdict in said.items()
    ]  # fmt: skip
    known = {"calls": calls, "keptOff": {"write": None, "read": None}, "storeShown": True, "ownReadKey": False}
    flash_keys = {"write": "kept", "read": None}
    return {**known, "closedForSeconds": 0.0, "drill": False, "keyVerified": True, "flashKeys": flash_keys, **more}


ALL_WRITES = dict.fromkeys(("GET /stores", *WRITES), "allowed")
ALL_READS = {"GET /members": "allowed", "GET /orders": "allowed"}


def test_what_is_left_of_a_rate_limit_is_shown_where_flash_tells() -> None:
    said = facts(ALL_WRITES, ALL_READS, rateLimit={"limit": 60, "remaining": 57})
    (limit,) = (each for each in keys.judge(said, NOWHERE) if each.kind.check == "limit")
    assert (limit.title, limit.details) == (
        "Flash did not ask to slow down (57 calls left).",
        {"limit": 60, "remaining": 57},
    )


@pytest.mark.parametrize(
    ("protected_by", "has_recovery", "code"),
    [("dpapi", False, ["recovery-unset"]), ("file", False, []), ("credentials", True, ["recovery-ok"])],
)
def test_a_till_whose_disk_nobody_could_read_is_named(
    protected_by: str, *, has_recovery: bool, code: list[str]
) -> None:
    settings = config.Settings.isolated(keys={"recovery": new_pair()[0] if has_recovery else None})
    status = {"dataKey": {"protectedBy": protected_by}}
    till = Case(Path("x"), Path("y"), settings, agent="running", status=status)
    assert codes(database.look_at_recovery(till)) == code


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (facts(ALL_WRITES, ALL_READS), {"key-ok", "scopes-ok", "store-ok", "limit-ok"}),
        (facts({"GET /stores": "key-refused"}, {}, storeShown=None), {"key-refused", "limit-ok"}),
        (
            facts({"GET /stores": "allowed", **dict.fromkeys(WRITES, "scope-refused")}, ALL_READS),
            {"key-ok", "key-reads-only", "store-ok", "limit-ok"},
        ),
        (
            facts({**ALL_WRITES, WRITES[3]: "scope-refused"}, ALL_READS),
            {"key-ok", "key-lacks-scopes", "store-ok", "limit-ok"},
        ),
        (
            facts({**ALL_WRITES, "GET /stores": "scope-refused"}, ALL_READS, storeShown=None),
            {"key-ok", "key-lacks-scopes", "limit-ok"},
        ),
        (
            facts(ALL_WRITES, {**ALL_READS, "GET /members": "scope-refused"}),
            {"key-ok", "scopes-ok", "read-lacks-scopes", "store-ok", "limit-ok"},
        ),
        (
            facts(ALL_WRITES, {"GET /members": "key-refused"}, ownReadKey=True),
            {"key-ok", "scopes-ok", "read-key-refused", "store-ok", "limit-ok"},
        ),
        (
            facts(ALL_WRITES, {**ALL_READS, "POST /orders": "allowed"}, ownReadKey=True),
            {"key-ok", "scopes-ok", "read-key-writes", "store-ok", "limit-ok"},
        ),
        (
            facts(ALL_WRITES, {**ALL_READS, "POST /orders": "scope-refused"}, ownReadKey=True),
            {"key-ok", "scopes-ok", "store-ok", "limit-ok"},
        ),
        (facts({"GET /stores": "unreachable"}, {}, storeShown=None), {"key-unchecked", "limit-ok"}),
        (
            facts({"GET /stores": "throttled"}, {}, storeShown=None, closedForSeconds=30.0),
            {"key-unchecked", "rate-limited"},
        ),
        (
            facts(ALL_WRITES, ALL_READS, closedForSeconds=30.0),  # nothing was refused: it was asked before
            {"key-ok", "scopes-ok", "store-ok", "rate-limited"},
        ),
        (
            facts(ALL_WRITES, {**ALL_READS, "POST /orders": "allowed"}),  # one key for both
            {"key-ok", "scopes-ok", "store-ok", "limit-ok"},
        ),
        (
            facts({"GET /stores": "allowed"}, {}, keyVerified=False, storeShown=False),
            {"key-unverified", "scopes-unchecked", "store-unknown", "limit-ok"},
        ),
        (facts({}, {}, storeShown=None, drill=True), {"outage-drill", "key-unchecked"}),
        (facts({}, {}, storeShown=None, flashKeys={"write": None, "read": None}), {"key-missing"}),
    ],
)
def test_what_the_answers_say_of_the_keys(said: dict[str, Any], expected: set[str]) -> None:
    assert set(codes(keys.judge(said, Case(Path("x"), Path("y"), config.Settings.isolated())))) == expected
