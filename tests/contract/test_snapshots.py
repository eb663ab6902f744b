"""The snapshots' tables on a real database: keys that move, balances that race, coupons that were seen."""

import pytest

from agent import members
from agent.clock import Clock
from agent.health import Health
from agent.members.sightings import NOT_LISTED, MemberSightings
from agent.members.snapshot import Key, News
from agent.members.snapshots import Snapshots, Watermark
from agent.members.vault import Vault
from agent.model import member_subjects
from agent.storage import Database, KeyFile, Sealer
from agent.storage.migrations import migrate

NOW = 1_800_000_000_000
COUPON = {"id": "C1", "status": "active", "title": "5 off"}


@pytest.fixture
async def database(tmp_path):
    made = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(Clock()))
    await made.open()
    await migrate(made, "members", members.MIGRATIONS)
    yield made
    await made.close()


@pytest.fixture
def vault(tmp_path):
    return Vault(Sealer(KeyFile(tmp_path / "data.key").load_or_create(None)))


@pytest.fixture
async def snapshots(database, vault):
    made = Snapshots(database, vault, Clock())
    await made.start()
    return made


@pytest.fixture
def sightings(database, vault):
    return MemberSightings(database, vault)


def news(member_id, at=NOW, *, parts=None, whole=True, **profile):
    fields = {"id": member_id, **profile}
    return News(fields, parts or {}, at, at, clock_known=True, whole=whole)


async def find(snapshots, vault, name, value):
    return await snapshots.find(vault.hash(Key(name, value).subject))


async def test_every_key_leads_to_the_member(snapshots, vault):
    await snapshots.save([news("m1", externalId="E1", email="Ada@Example.com", fullName="Ada")])
    for name, value in (("memberId", "m1"), ("externalId", "E1"), ("email", "ada@example.COM")):
        assert (await find(snapshots, vault, name, value)).profile["fullName"] == "Ada"
    assert await find(snapshots, vault, "externalId", "m1") is None
    assert snapshots.count == 1


async def test_a_key_that_moves_to_another_member_is_the_others_no_longer(snapshots, vault):
    await snapshots.save([news("m1", externalId="E1", email="a@example.com"), news("m2", externalId="E2")])
    await snapshots.save([news("m2", externalId="E2", email="a@example.com")])
    assert (await find(snapshots, vault, "email", "a@example.com")).member_id == "m2"
    assert "email" not in (await find(snapshots, vault, "memberId", "m1")).profile
    await snapshots.save([news("m2", externalId="E3")])
    assert await find(snapshots, vault, "externalId", "E2") is None
    assert await find(snapshots, vault, "email", "a@example.com") is None
    assert snapshots.count == 2


async def test_two_snapshots_that_one_enrollment_joins(snapshots, vault):
    await snapshots.save([news("m1", externalId="E1"), news("m2", email="a@example.com", fullName="Ada")])
    await snapshots.save([news("m1", externalId="E1", email="a@example.com", fullName="Ada L", whole=False)])
    joined = await find(snapshots, vault, "email", "a@example.com")
    assert joined.profile == {"id": "m1", "externalId": "E1", "email": "a@example.com", "fullName": "Ada L"}
    assert (await find(snapshots, vault, "externalId", "E1")).member_id == "m1"


async def test_news_in_part_leave_what_was_known(snapshots, vault):
    await snapshots.save([news("m1", fullName="Ada", parts={"points": {"balance": 5}, "coupons": [COUPON]})])
    await snapshots.save([news("m1", NOW + 9, parts={"points": {"balance": 6}}, whole=False)])
    found = await find(snapshots, vault, "memberId", "m1")
    assert (found.profile["fullName"], found.parts["points"], found.parts["coupons"]) == (
        "Ada",
        {"balance": 6},
        [COUPON],
    )
    assert (found.at["coupons"], found.at["points"]) == (NOW, NOW + 9)


async def test_a_balance_that_a_sale_brought_is_not_undone_by_a_read_that_began_before(snapshots, vault):
    clock = Clock()
    await snapshots.save([news("m1", parts={"points": {"balance": 5}})])
    before_ms = clock.steady_ms() - 5
    await snapshots.refresh_balances({vault.hash(Key("memberId", "m1").subject): 9}, NOW + 100)
    late = News({"id": "m1"}, {"points": {"balance": 5}}, NOW + 150, before_ms, clock_known=True)
    await snapshots.save([late])
    assert (await find(snapshots, vault, "memberId", "m1")).parts["points"] == {"balance": 9}
    after = News({"id": "m1"}, {"points": {"balance": 4}}, NOW + 50, clock.steady_ms() + 5, clock_known=True)
    await snapshots.save([after])  # although Flash's clock, told to the second, seems to go back
    assert (await find(snapshots, vault, "memberId", "m1")).parts["points"] == {"balance": 4}


async def test_the_watermark_is_written_with_its_rows_or_not_at_all(snapshots, database):
    mark = Watermark(everyone=True, since="2026-01-01T00:00:00Z", newest="2026-01-02T00:00:00Z", cursor="abc")
    await snapshots.save([news("m1")], mark)
    assert await snapshots.watermark() == mark
    broken = News({"id": "m2"}, {"points": {"balance": 1}}, "not a time", NOW, clock_known=True)
    with pytest.raises(Exception, match="cannot store TEXT"):
        await snapshots.save([broken], mark._replace(cursor="def"))
    assert (await snapshots.watermark()).cursor == "abc"
    assert await database.fetch("SELECT count(*) FROM member") == [(1,)]
    assert snapshots.count == 1


async def test_a_row_that_does_not_open_is_as_good_as_not_there(snapshots, vault, database):
    await snapshots.save([news("m1", externalId="E1")])
    await database.fetch("UPDATE member SET profile = ?", [bytes(60)])
    assert await find(snapshots, vault, "memberId", "m1") is None
    await snapshots.save([news("m1", externalId="E1")])
    assert (await find(snapshots, vault, "externalId", "E1")).member_id == "m1"


async def test_a_coupon_seen_active_is_remembered_after_it_is_no_longer_listed(snapshots, sightings):
    ada = member_subjects("m1", "E1", "a@example.com")
    assert await sightings.sighting("C1", ada) is None
    await snapshots.save([news("m1", externalId="E1", email="a@example.com", parts={"coupons": [COUPON]})])
    for subjects in (ada, ada[:1], ada[1:], []):
        seen = await sightings.sighting("C1", subjects)
        assert (seen.coupon, seen.member_id, seen.seen_at_ms, seen.clock_known) == (COUPON, "m1", NOW, True)
    for stranger in (member_subjects("m2", "E1", None), member_subjects(None, "E2", None)):
        assert await sightings.sighting("C1", stranger) is None
    await snapshots.save([news("m1", NOW + 5, externalId="E1", parts={"coupons": []})])
    seen = await sightings.sighting("C1", ada)
    assert (seen.coupon, seen.seen_at_ms) == ({**COUPON, "status": NOT_LISTED}, NOW + 5)
    await snapshots.save([news("m1", NOW + 9, externalId="E1", parts={"coupons": [{**COUPON, "status": "redeemed"}]})])
    assert (await sightings.sighting("C1", ada)).coupon["status"] == "redeemed"


async def test_a_coupon_never_seen_active_was_not_seen(snapshots, sightings):
    await snapshots.save([news("m1", parts={"coupons": [{"id": "C2", "status": "redeemed"}]})])
    assert await sightings.sighting("C2", member_subjects("m1", None, None)) is None


async def test_sightings_outlive_their_snapshot_and_go_with_forget(snapshots, sightings, vault):
    await snapshots.save([news("m1", email="a@example.com", parts={"coupons": [COUPON]})])
    await snapshots.prune(0, None, None)
    assert snapshots.count == 0
    assert await sightings.sighting("C1", member_subjects(None, None, "a@example.com"))
    await snapshots.forget([vault.hash(Key("email", "a@example.com").subject)])
    assert await sightings.sighting("C1", []) is None


async def test_sightings_are_kept_for_a_time(snapshots, sightings):
    await snapshots.save([news("m1", parts={"coupons": [COUPON]})])
    await snapshots.prune(10, None, NOW)
    assert await sightings.sighting("C1", [])
    await snapshots.prune(10, None, NOW + 1)
    assert await sightings.sighting("C1", []) is None
