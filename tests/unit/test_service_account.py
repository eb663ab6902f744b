"""What Windows would let the service's account do, read from access lists. Their numbers are Windows' own."""

import pytest

from agent.doctor.service_account import READ, WRITE, Entry, allows, may_move_out_of
from agent.servicemanager.account import service_sid

SYSTEM, ADMINISTRATORS, USERS, EVERYONE = "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545", "S-1-1-0"
SERVICE, OWNER_RIGHTS, SOMEBODY = service_sid(), "S-1-3-4", "S-1-5-21-1-2-3-1001"
ALLOW, DENY = 0, 1
FULL, MODIFY, READ_AND_EXECUTE = 0x1F01FF, 0x1301BF, 0x1200A9
GENERIC_READ, GENERIC_ALL = 0x80000000, 0x10000000
ALL_INSIDE, INSIDE_ONLY = 0x3, 0xB


def entry(who: str, rights: int = FULL, kind: int = ALLOW, flags: int = 0) -> Entry:
    return Entry(kind, flags, rights, who)


@pytest.mark.parametrize(
    ("entries", "may"),
    [
        ([entry(SYSTEM), entry(ADMINISTRATORS)], False),
        ([entry(ADMINISTRATORS), entry(USERS, READ_AND_EXECUTE)], True),
        ([entry(SOMEBODY), entry(SERVICE, READ)], True),
        ([entry(EVERYONE, GENERIC_READ)], True),
        ([entry(SERVICE, GENERIC_ALL)], True),
        ([entry(SERVICE, WRITE)], False),
        ([entry(USERS, READ, DENY), entry(SERVICE)], False),
        ([entry(SERVICE), entry(USERS, READ, DENY)], True),  # in their order: what was allowed is not denied after
        ([entry(SOMEBODY, READ, DENY), entry(SERVICE, READ)], True),
        ([entry(SERVICE, 0x1, DENY), entry(SERVICE, READ)], False),
        ([entry(SERVICE, READ, flags=INSIDE_ONLY)], False),
        ([entry(USERS, 0x20000), entry(SERVICE, READ & ~0x20000)], True),  # together
        ([entry(SERVICE, READ, kind=9)], False),  # allowed on a condition that nobody here can judge
        ([], False),
    ],
)
def test_a_file_is_read_by_whom_its_list_lets(entries: list[Entry], may: bool) -> None:
    assert allows(entries, ADMINISTRATORS, READ) is may


def test_what_the_owner_may_the_service_may_where_it_is_the_owner() -> None:
    assert allows([entry(OWNER_RIGHTS, READ)], SERVICE, READ)
    assert not allows([entry(OWNER_RIGHTS, READ)], ADMINISTRATORS, READ)


@pytest.mark.parametrize(
    ("entries", "may"),
    [
        ([entry(SERVICE, MODIFY, flags=ALL_INSIDE)], True),  # as docs/spool.md gives it
        ([entry(SERVICE, MODIFY)], False),  # on the folder alone: what others put into it cannot be deleted
        ([entry(SERVICE, FULL)], True),  # which includes the deletion of what lies inside
        ([entry(USERS, READ_AND_EXECUTE, flags=ALL_INSIDE)], False),
        ([entry(SERVICE, MODIFY, flags=INSIDE_ONLY)], False),
        ([entry(USERS, 0x10000, DENY, ALL_INSIDE), entry(SERVICE, MODIFY, flags=ALL_INSIDE)], False),
    ],
)
def test_files_are_moved_out_of_a_folder_by_whom_its_list_lets_delete_what_is_inside(
    entries: list[Entry], may: bool
) -> None:
    assert may_move_out_of(entries, ADMINISTRATORS) is may
