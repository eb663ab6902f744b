"""`doctor`: what is wrong with this till, what it means at the counter, and what to do. It changes nothing.

Exit code 1 when an error was found, 3 when none was and not everything could be looked at; warnings alone are no
failure.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import options, text

if TYPE_CHECKING:
    from agent.doctor.case import Ask
    from agent.doctor.findings import Finding

_WIDTH = 120
EXIT_NOT_ALL_SEEN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--offline`, `--config`, `--data-dir`."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, with what is in order")
    parser.add_argument("--offline", action="store_true", help="leave out Flash and the network")
    options.add_config(parser)
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look and print."""
    from agent import config
    from agent.doctor.case import gather_in_time
    from agent.doctor.running import examine

    data_dir = config.data_dir(arguments.data_dir)
    findings = examine(gather_in_time(arguments.config, data_dir, connect, offline=arguments.offline))
    if arguments.json:
        print(text.json_text(document(findings)))
    else:
        for line in report(findings):
            print(line)
    return code_of(findings)


def code_of(findings: "Sequence[Finding]") -> int:
    """The exit code. What was not looked at is no proof that a till is well, and none that it is ill."""
    from agent.doctor.findings import Severity, unseen

    if any(finding.kind.severity is Severity.ERROR for finding in findings):
        return 1
    return EXIT_NOT_ALL_SEEN if unseen(findings) else 0


def connect(data_dir: Path) -> "Ask":
    """How the doctor asks the agent that runs there; raises AgentError where its token cannot be read."""
    from agent.cli.client import AgentClient

    AgentClient(data_dir)

    def ask(path: str, timeout_s: float) -> Any:
        return AgentClient(data_dir, timeout_s=timeout_s).call("GET", path)

    return ask


def document(findings: "Sequence[Finding]") -> dict[str, Any]:
    """What `--json` prints."""
    from agent import __version__
    from agent.doctor.findings import Severity, unseen

    counts = {severity.value: 0 for severity in Severity}
    for finding in findings:
        counts[finding.kind.severity.value] += 1
    return {
        "version": __version__,
        "complete": not unseen(findings),
        "counts": counts,
        "findings": [finding.as_json() for finding in findings],
    }


def report(findings: "Sequence[Finding]") -> Iterator[str]:
    """For a person: the gravest first, and what is in order in one line each."""
    from agent import __version__
    from agent.doctor.findings import Severity, unseen

    counts = document(findings)["counts"]
    said = [text.counted(counts[name], name) for name in ("error", "warning", "note")]
    yield f"Flash POS Agent {__version__}: {', '.join(said)}, {text.counted(counts['ok'], 'check')} in order."
    for finding in findings:
        if finding.kind.severity is Severity.OK:
            continue
        yield ""
        yield from _paragraph(f"{finding.kind.severity}: {finding.kind.check}: {finding.title}", "")
        yield from _paragraph(finding.kind.meaning, "  ")
        yield from _paragraph(f"-> {finding.kind.mend}", "  ")
    fine = [(finding.kind.check, finding.title) for finding in findings if finding.kind.severity is Severity.OK]
    if fine:
        yield ""
        yield from text.table([("ok", check, title) for check, title in fine])
    if not_seen := unseen(findings):
        yield ""
        yield f"Not everything could be looked at ({', '.join(not_seen)}): why, and what to do, stands above."


def _paragraph(words: str, indent: str) -> list[str]:
    return text.wrapped(words, _WIDTH, indent, f"{indent}  ")
