"""Does Flash take the keys, what may they do, does it show this store, and does it want to be left alone?

The running agent answers for its keys. Where none runs they are looked for and tried here, as far as this account can
read them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent import logs
from agent.clock import Clock
from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine
from agent.errors import AgentError
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.flashkeys import FlashKeys, Found, Which, kept_path
from agent.service.diagnosis import Diagnosis
from agent.storage import DataDir, KeyFile

ANSWER_S = 10.0
ATTEMPT_S = 4.0
_DIAGNOSTICS = "/v1/diagnostics"


def look(case: Case) -> Iterator[Finding]:
    """Findings of the checks key, scopes, store and limit."""
    if case.offline:
        return
    if case.agent == "running" and case.ask is not None:
        try:
            facts = case.ask(_DIAGNOSTICS, ANSWER_S)
        except AgentError as error:
            yield found("key-unchecked", f"the running agent does not tell ({type(error).__name__}).")
            return
        yield from judge(facts, case)
    elif case.settings is not None:
        yield from _here(case)


def _here(case: Case) -> Iterator[Finding]:
    assert case.settings is not None  # noqa: S101 - the caller looked
    logs.set_up("critical")  # a key that does not open here is a finding, and no line on standard error
    directory = DataDir(case.data_dir)
    keys = FlashKeys(case.settings, KeyFile(directory.data_key, case.settings.keys.store), case.data_dir)
    write, read = _find(keys, "write"), _find(keys, "read")
    if write.key is None:
        yield found("key-unseen" if _is_there(kept_path(case.data_dir, "write")) else "key-missing")
        return
    yield from judge(asyncio.run(_diagnose(case, write, read)), case)


def _find(keys: FlashKeys, which: Which) -> Found:
    """As the agent would look for it, changing nothing; nothing where this account may not look."""
    try:
        return keys.find(which)
    except (OSError, AgentError):
        return Found()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True


async def _diagnose(case: Case, write: Found, read: Found) -> dict[str, Any]:
    assert case.settings is not None  # noqa: S101
    flash, clock = case.settings.flash, Clock()
    address = FlashAddress(
        base_url=flash.base_url,
        till=case.settings.store.till_id,
        attempt_timeout_s=min(flash.attempt_timeout_s, ATTEMPT_S),
        proxy=flash.proxy.get_secret_value() if flash.proxy else None,
        ca_file=str(flash.ca_file) if flash.ca_file else None,
        connections=1,
    )
    client = FlashClient(address, clock, write_key=write.key, read_key=read.key)
    try:
        facts = await Diagnosis(client, clock, case.settings.store.store_id).facts()
    finally:
        await client.close()
    sources = {"write": write.source, "read": read.source}
    return {**facts, "keyVerified": True, "flashKeys": sources, "closedForSeconds": 0.0}


def judge(facts: Mapping[str, Any], case: Case) -> Iterator[Finding]:
    """The findings that follow from the fields of DiagnosticsView."""
    calls = facts["calls"]
    write = [each for each in calls if each["key"] == "write"]
    read = [each for each in calls if each["key"] == "read"]
    yield from _limit(facts, calls)
    if facts["flashKeys"]["write"] is None:
        yield found("key-missing")
        return
    yield from _write_key(facts, write)
    if facts["ownReadKey"] and _has(read, "key-refused"):
        yield found("read-key-refused", _status(read))
    elif _all_known(read):
        yield from _reading(read, own=facts["ownReadKey"])
    if facts["storeShown"] is False:
        name = case.settings.store.store_id if case.settings else None
        yield found("store-unknown", f"{name}." if name else "")
    elif facts["storeShown"]:
        yield fine("store", "Flash shows this till's store under the key.")


def _limit(facts: Mapping[str, Any], calls: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    if facts.get("drill"):
        yield found("outage-drill")
    closed_s = float(facts["closedForSeconds"])
    throttled = _has(calls, "throttled")
    if closed_s > 0 or throttled:
        yield found("rate-limited", f"for {closed_s:.0f} s more." if closed_s else "now.", closedForSeconds=closed_s)
    elif not facts.get("drill") and calls:
        rate = dict(facts.get("rateLimit") or {})
        left = f" ({rate['remaining']} calls left)" if "remaining" in rate else ""
        yield fine("limit", f"Flash did not ask to slow down{left}.", **rate)


def _write_key(facts: Mapping[str, Any], calls: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Is it taken, and may it do what a till does?"""
    source = facts["flashKeys"]["write"]
    if _has(calls, "key-refused"):
        yield found("key-refused", f"{_status(calls)} It comes from: {_WHERE.get(source, source)}.", source=source)
        return
    if not _all_known(calls):
        yield found("key-unchecked", _why(facts, calls))
        return
    if not facts["keyVerified"]:
        yield found("key-unverified", source=source)
        yield found("scopes-unchecked", "it is not tried before its store is known.")
        return
    yield fine("key", f"Flash takes the write key (from: {_WHERE.get(source, source)}).", source=source)
    refused = [each["call"] for each in calls if each["verdict"] == "scope-refused"]
    writes = [each["call"] for each in calls if each["call"].startswith("POST")]
    if writes and set(writes) <= set(refused):
        yield found("key-reads-only", refused=refused)
    elif refused:
        yield found("key-lacks-scopes", f"{', '.join(refused)}.", refused=refused)
    else:
        yield fine("scopes", "The write key may send sales, refunds, members and redemptions.", tried=writes)


def _reading(calls: list[Mapping[str, Any]], *, own: bool) -> Iterator[Finding]:
    refused = [each["call"] for each in calls if each["verdict"] == "scope-refused" and each["call"].startswith("GET")]
    if refused:
        yield found("read-lacks-scopes", f"{', '.join(refused)}.", refused=refused)
    if own and any(each["verdict"] == "allowed" and each["call"].startswith("POST") for each in calls):
        yield found("read-key-writes")


_WHERE = {
    "setting": "the settings",
    "file": "the file that the settings name",
    "credential": "the service's credential",
    "kept": "kept by flash-agent keys set",
}


def _has(calls: Iterable[Mapping[str, Any]], verdict: str) -> bool:
    return any(each["verdict"] == verdict for each in calls)


def _all_known(calls: list[Mapping[str, Any]]) -> bool:
    """Whether Flash itself said yes or no to each."""
    return bool(calls) and all(each["verdict"] in {"allowed", "scope-refused"} for each in calls)


def _status(calls: list[Mapping[str, Any]]) -> str:
    number = next((each["httpStatus"] for each in calls if each["verdict"] == "key-refused"), None)
    return f"it answers {number}." if number else ""


def _why(facts: Mapping[str, Any], calls: list[Mapping[str, Any]]) -> str:
    reasons = {"drill": "an outage drill runs.", "paused": "Flash asked to be left alone."}
    kept_off = (facts.get("keptOff") or {}).get("write")
    if kept_off in reasons:
        return reasons[kept_off]
    said = next((each["detail"] for each in calls if each["verdict"] not in {"allowed", "scope-refused"}), None)
    return str(said or "it did not come to an end in time.")
