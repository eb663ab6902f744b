"""`rescue export` and `rescue import` ask for a passphrase last: whatever refuses them does so before."""

import asyncio
import io

import pytest

from agent import agefile
from agent.cli import passphrases, rescue_import
from agent.cli.commands.rescue import run
from agent.cli.main import build_parser
from agent.errors import AgentError, ConfigError
from agent.rescue.travelling import pack
from tests.support.agents import running, settings, strict_flash
from tests.support.redeeming import coupon, redeem, told, void
from tests.support.rescuing import RECIPIENT, left_on, with_identity

A = settings(store={"till_id": "till-A"})
GOOD = "seven red lorries"


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def typing(monkeypatch):
    """Somebody at a terminal: what is typed, in turn; returns the questions that were asked."""
    asked, answers = [], []

    def getpass(question):
        asked.append(question)
        return answers.pop(0)

    monkeypatch.setattr("getpass.getpass", getpass)
    monkeypatch.setattr("sys.stdin", _Terminal())
    return asked, answers


async def rescue(*words):
    arguments = build_parser("rescue").parse_args(["rescue", *map(str, words)])
    return await asyncio.to_thread(run, arguments)


async def export(disk, output, *options):
    return await rescue("export", "--data-dir", disk, "--output", output, "--passphrase", *options)


async def disk_of_a_dead_till(folder):
    async with running(folder, A) as register:
        sale = {"externalOrderId": "1", "customer": {"email": "a@b.example"}, "totalAmount": 1}
        assert (await register.call("POST", "/v1/sales", sale)).status == 202
    return folder


async def test_whatever_refuses_an_export_does_so_before_a_passphrase_is_asked_for(tmp_path, typing):
    asked, answers = typing
    disk = await disk_of_a_dead_till(tmp_path / "a")
    taken, output = tmp_path / "taken.rescue", tmp_path / "a.rescue"
    taken.write_text("")
    refusals = [
        (disk, taken, "is there already"),
        (disk, tmp_path / "no" / "a.rescue", "there is no folder"),
        (disk, disk / "a.rescue", "own disk"),
        (tmp_path / "elsewhere", output, "no data directory of an agent"),
    ]
    for place, file, said in refusals:
        with pytest.raises(ConfigError, match=said):
            await export(place, file)
    async with running(disk, A):
        with pytest.raises(AgentError, match="needs it stopped"):
            await export(disk, output)
    (disk / "data.key").rename(tmp_path / "data.key")
    with pytest.raises(AgentError, match=r"data\.key cannot be read"):
        await export(disk, output)
    (tmp_path / "data.key").rename(disk / "data.key")
    assert (asked, output.exists()) == ([], False)
    answers += ["short", GOOD, "another one altogether", GOOD, GOOD]
    assert await export(disk, output) == 0
    assert len(asked) == 5  # once more after one that is too short, and after two that differ
    agefile.must_want_passphrase(output.read_bytes())  # opening takes as long as sealing does, on purpose


async def test_after_three_tries_nothing_was_sealed(tmp_path, typing):
    _, answers = typing
    answers += [GOOD, "one", GOOD, "two", GOOD, "three"]
    with pytest.raises(ConfigError, match="The two differ; nothing was sealed"):
        passphrases.chosen()
    assert answers == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: agefile.seal(b"x", agefile.new_pair()[0]), "for an identity, not with a passphrase. .* --identity"),
        (lambda: b"PK\x03\x04 a bundle", "cut, changed or is none"),
        (lambda: b"", "cut, changed or is none"),
    ],
)
async def test_a_file_that_no_passphrase_opens_is_refused_before_one_is_asked_for(tmp_path, typing, content, said):
    file = tmp_path / "a.rescue"
    file.write_bytes(content())
    async with running(tmp_path / "b", A):
        with pytest.raises(AgentError, match=said):
            await rescue("import", file, "--data-dir", tmp_path / "b")
    assert typing[0] == []


async def test_whoever_imports_is_told_what_two_tills_could_give_twice(tmp_path, capsys):
    with strict_flash() as flash:
        coupon(flash)
        async with running(tmp_path / "a", settings(flash.base_url, store={"till_id": "till-A"})) as register:
            assert told(await redeem(register))[1] is True
            assert (await void(register)).json["credit"] == "open"
    file = tmp_path / "a.rescue"
    file.write_bytes(agefile.seal(pack(await left_on(tmp_path / "a")), RECIPIENT))
    key = with_identity(tmp_path)
    async with running(tmp_path / "b", A):
        assert await rescue("import", file, "--data-dir", tmp_path / "b", "--identity", key) == 0
    said = capsys.readouterr().out
    assert "discount of 1 coupon. Was it taken in at another till, two may give it." in said
    assert rescue_import._WORDS["taken"] in said
