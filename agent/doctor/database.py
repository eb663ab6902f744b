"""The database: what the running agent says of it, or, where none runs, a look that changes nothing."""

from collections.abc import Iterator

from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine
from agent.errors import DataKeyError
from agent.rooms import ROOMS
from agent.storage import DataDir
from agent.storage.inspection import Inspected, inspect
from agent.storage.migrations import newest


def look(case: Case) -> Iterator[Finding]:
    """One finding for each thing that is wrong with it."""
    directory = DataDir(case.data_dir)
    try:
        set_aside = [folder.name for folder in directory.quarantined()]
    except OSError:
        yield found("database-unread", "the data directory may not be looked into.")
        return
    if set_aside:
        yield found("database-quarantined", f"{', '.join(set_aside)}.", folders=set_aside)
    if case.agent == "running":
        disk = (case.status or {}).get("disk", {})
        if not set_aside:
            yield fine("database", "The running agent uses it; it was whole at its start.", **disk)
        return
    if case.agent != "absent":
        why = (
            "an agent has it, and does not answer."
            if case.agent == "silent"
            else "whether an agent has it is not known."
        )
        yield found("database-unread", why)
        return
    yield from _unused(directory)


def _unused(directory: DataDir) -> Iterator[Finding]:
    if not directory.database.exists():
        if directory.data_key.exists():
            yield found("database-damaged", "it is gone, and its key is there.")
        else:
            yield fine("database", "There is none yet.")
        return
    try:
        seen = inspect(directory.database)
    except (OSError, DataKeyError) as error:
        yield found("database-unread", f"{getattr(error, 'strerror', None) or type(error).__name__}.")
        return
    if seen is None or directory.is_held():
        yield found("database-unread", "an agent started meanwhile.")
        return
    yield from _judged(directory, seen)


def _judged(directory: DataDir, seen: Inspected) -> Iterator[Finding]:
    facts = {"schema": seen.schema, "operations": seen.counts, "bytes": directory.database.stat().st_size}
    troubles = []
    if seen.damage:
        troubles.append(found("database-damaged", f"{seen.damage}.", **facts))
    known = newest(ROOMS)
    newer = {room: number for room, number in seen.schema.items() if number > known.get(room, 0)}
    older = {room: number for room, number in seen.schema.items() if number < known.get(room, 0)}
    for code, rooms in (("database-newer", newer), ("database-older", older)):
        if rooms:
            spelled = ", ".join(
                f"{room} {number} (this program: {known.get(room, 0)})" for room, number in rooms.items()
            )
            troubles.append(found(code, f"{spelled}.", **facts))
    if seen.counts and not directory.data_key.exists():
        troubles.append(found("database-keyless", **facts))
    yield from troubles
    if not troubles:
        held = sum(seen.counts.values())
        yield fine("database", f"It is whole (integrity_check); {held} operations are kept.", **facts)


def look_at_recovery(case: Case) -> Iterator[Finding]:
    """Whether what a broken till had can be read elsewhere."""
    if case.settings is None or case.status is None:
        return
    protected_by = (case.status.get("dataKey") or {}).get("protectedBy")
    if case.settings.keys.recovery is not None:
        yield fine("recovery", "The data key is sealed to a recovery key, too.")
    elif protected_by not in {None, "file"}:
        yield found("recovery-unset", f"{protected_by}.", protectedBy=protected_by)
