"""docs/doctor.md lists every finding as the doctor words it."""

from pathlib import Path

from agent.doctor.catalogue import CHECKS, KINDS
from agent.doctor.findings import Severity
from agent.health import CONDITIONS

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
HEAD = """# The doctor

`flash-agent doctor` looks at one till from the settings to Flash and says what is wrong, what that means for the till
at the counter, and one thing to do. It changes nothing: at Flash it makes harmless calls alone, on the disk a few small
files in the data directory, which it removes. It runs with and without a running agent; with one, the agent tries its
keys itself (`GET /v1/diagnostics`), so that a key sealed for the service's account is tried too. A whole run takes a
second or two, and less than twenty seconds where nothing answers.

Run it as the agent's own user or as administrator; `--offline` leaves out Flash and the network; `--json` is for
machines: `findings`, each with `check`, `code`, `severity`, `title`, `meaning`, `mend` and `details`; `complete` is
false where not everything could be looked at.

| exit code | |
| --- | --- |
| 0 | everything was looked at, and there is no error (warnings do not count) |
| 1 | there is an error |
| 2 | wrong usage |
| 3 | no error was found, and not everything could be looked at: run it as administrator, or again |

For a monitor 3 is "unknown": a doctor that may not look calls no till well.

`flash-agent support-bundle` writes what support needs into one file (a zip of plain text, its owner's alone), without
personal data and without a key, and prints what is in it. Look through it before you send it.

What the agent itself reports (`flash-agent status`) is among the findings, too, unless a check says it better; it is
described in [conditions.md](conditions.md).
"""


def page() -> str:
    lines = [HEAD]
    for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE):
        lines += [
            f"## {severity.capitalize()}\n",
            "| check | finding | what it means | what to do |",
            "| --- " * 4 + "|",
        ]
        for check in CHECKS:
            lines += [
                f"| {kind.check} | `{kind.code}` {kind.title.rstrip(':')} | {kind.meaning} | {kind.mend} |"
                for kind in KINDS.values()
                if kind.check == check and kind.severity is severity
            ]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def test_the_page_lists_every_finding_as_the_doctor_words_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.unit.test_doctor_page"


def test_every_kind_belongs_to_a_check_and_says_what_it_means_and_what_to_do() -> None:
    for kind in KINDS.values():
        assert kind.check in CHECKS, kind.code
        assert kind.severity is not Severity.OK, kind.code
        assert kind.title.endswith((":", ".")), kind.code
        assert kind.meaning.endswith("."), kind.code
        assert kind.mend.rstrip(")").endswith("."), kind.code
        assert f"| `{kind.code}`" in page()


def test_what_a_finding_replaces_is_a_condition() -> None:
    assert {code for kind in KINDS.values() for code in kind.replaces} <= set(CONDITIONS)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
