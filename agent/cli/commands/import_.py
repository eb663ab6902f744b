"""`import`: read files of another system here, in this process, and hand what is found to the running agent.

The agent's own settings and its adapter's options are used. Interrupted, or with the agent away for too long, the same
command goes on where it stood; and whatever is sent twice counts once. Exit code 1 where a person must look at
something: a document with a fault, or one that was refused.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from agent.cli import options, text
from agent.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.adapters.base import Adapter, Item, Options, Site
    from agent.cli.client import AgentClient
    from agent.cli.import_sending import Sender
    from agent.cli.import_tally import Progress, Report
    from agent.cli.progress_bar import Bar

DEFAULT_PATIENCE_S = 300
STDIN = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files and the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="what to read; - is standard input")
    parser.add_argument(
        "--adapter", required=True, metavar="NAME", help="the system it is from; an unknown name lists those there are"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what it would come to; nothing is stored")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was not taken into it, as JSON Lines")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument(
        "--patience",
        type=options.count,
        default=DEFAULT_PATIENCE_S,
        metavar="SECONDS",
        help=f"how long to wait for an agent that is away or full (default: {DEFAULT_PATIENCE_S})",
    )
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import, and print what became of it; raises AgentError where the agent cannot be reached for too long."""
    from agent import config
    from agent.cli import import_summary
    from agent.cli.client import AgentClient

    data_dir = config.data_dir(arguments.data_dir)
    reading = _reading(AgentClient(data_dir), arguments.adapter)
    with ExitStack() as stack:
        files = [_opened(name, reading, data_dir, arguments, stack) for name in dict.fromkeys(arguments.files)]
        _spare_the_files(arguments)
        report = _report(arguments.report, stack, goes_on=any(file.progress.items for file in files))
        for file in files:
            if not file.progress.is_done:
                _take(file, reading, report, arguments, data_dir)
    for file in files:
        file.progress.remove()
    tallies = {file.given: file.progress.tally for file in files}
    if arguments.json:
        print(import_summary.as_json(arguments.adapter, tallies, dry_run=arguments.dry_run))
    else:
        import_summary.show(tallies, dry_run=arguments.dry_run)
    return 1 if any(tally.for_a_person for tally in tallies.values()) else 0


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the running agent would read a file."""

    adapter: "Adapter"
    options: "Options"
    site: "Site"
    read_as: dict[str, Any]

    def items(self, source: BinaryIO) -> "Iterator[Item]":
        return self.adapter.items(source, self.options, self.site)


@dataclass(frozen=True, slots=True)
class _File:
    given: str
    name: str
    source: BinaryIO
    size: int | None
    progress: "Progress"


def _reading(client: "AgentClient", name: str) -> _Reading:
    """Raises ConfigError where there is no such adapter, here or in the running agent."""
    from agent import __version__
    from agent.adapters import registry
    from agent.adapters.base import MAX_WHOLE_BYTES, Site

    listed = client.call("GET", "/v1/adapters")
    settings = {adapter["name"]: adapter["options"] for adapter in listed["adapters"]}
    there_are = [adapter for adapter in registry.MODULES if adapter in settings]
    if name not in there_are:
        raise ConfigError(f"There is no adapter {text.printable(name)}; there are: {', '.join(there_are)}.")
    given, options_given = listed["site"], settings[name]
    others_are_own = given["unknownStores"] == "own"
    most = max(MAX_WHOLE_BYTES, given["maxBytes"])
    site = Site(given["currency"], frozenset(given["currencies"]), given["stores"], others_are_own, most)
    read_as = {"adapter": name, "options": options_given, "site": given, "version": __version__}
    try:
        options = registry.options_of(name, options_given)
    except ConfigError as error:  # the agent's own start has refused what is unsound: this is something that is lacking
        raise ConfigError(f"{error}\nThen start the agent anew: settings are read at its start.") from None
    return _Reading(registry.adapter(name), options, site, read_as)


def _opened(name: str, reading: _Reading, data_dir: Path, arguments: argparse.Namespace, stack: ExitStack) -> _File:
    """A file, and how far it was taken in before; raises ConfigError where it cannot be read."""
    from agent.cli.import_tally import Progress, progress_path

    if name == STDIN:
        return _File(name, "standard input", sys.stdin.buffer, None, Progress(None))
    try:
        source = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
        can_go_on = source.seekable() and not arguments.dry_run
        size = Path(name).stat().st_size if source.seekable() else None
        path = progress_path(data_dir, source, reading.read_as) if can_go_on else None
    except OSError as error:
        raise ConfigError(f"{text.printable(name)} cannot be read: {error.strerror}.") from None
    return _File(name, Path(name).name, source, size, Progress(path))


def _spare_the_files(arguments: argparse.Namespace) -> None:
    """A report that is one of the files would wipe it out before it is read."""
    report = arguments.report
    if report is not None and report.exists():
        for name in arguments.files:
            if name != STDIN and report.samefile(name):
                raise ConfigError(f"--report names {text.printable(name)}, which is to be read. Choose another file.")


def _report(path: Path | None, stack: ExitStack, *, goes_on: bool) -> "Report":
    from agent.cli.import_tally import Report

    try:
        report = Report(path, goes_on=goes_on)
    except OSError as error:
        raise ConfigError(f"The report {path} cannot be written: {error.strerror}.") from None
    stack.callback(report.close)
    return report


def _take(file: _File, reading: _Reading, report: "Report", arguments: argparse.Namespace, data_dir: Path) -> None:
    """Take one file in, from where it stands to its end."""
    from agent.cli.import_sending import Sender
    from agent.cli.progress_bar import Bar

    query = {"origin": reading.adapter.name, "file": _shown_name(file.name)}
    if arguments.dry_run:
        query["dryRun"] = "true"
    shown = sys.stderr.isatty() and not arguments.quiet
    with Bar(file.name, file.size, shown=shown) as bar:
        sender = Sender(data_dir, arguments.patience, bar.say, query)
        try:
            _send_all(file, reading, sender, report, bar)
        except ConfigError:
            raise
        except AgentError as error:
            raise AgentError(f"{error}\n{_how_to_go_on(file)}") from None
        except OSError as error:  # of the file or of the report, for everything else has its own words
            raise AgentError(f"It cannot be read on, or reported: {error.strerror}.\n{_how_to_go_on(file)}") from None
        except KeyboardInterrupt:
            bar.say(_how_to_go_on(file))
            raise


def _send_all(file: _File, reading: _Reading, sender: "Sender", report: "Report", bar: "Bar") -> None:
    from agent.cli.import_sending import batches

    progress = file.progress
    if progress.items:
        bar.say(f"{file.name}: goes on behind item {progress.items:,}, where an earlier run stood.")
        report.go_on_at(progress.report_bytes)
    said = False
    source = bar.watched(file.source)
    for batch in batches(reading.items(source), progress.items):
        outcomes = sender.send(batch)
        progress.tally.add(outcomes)
        progress.report_bytes = report.add(outcomes, file.name)
        progress.items = batch.upto
        progress.save()
        if progress.trouble and not said:
            said = True
            bar.say(f"How far it has come cannot be kept: {progress.trouble}. An interrupted import begins anew.")
        bar.taken(progress.tally.counts["accepted"], progress.tally.for_a_person)
    progress.is_done = True
    progress.save()


def _shown_name(name: str) -> str:
    return text.printable(name)[-200:]


def _how_to_go_on(file: _File) -> str:
    done = file.progress.items
    if not file.progress.is_kept:
        return "Run it again to take in the rest: what was taken counts once."
    return f"{done:,} items of {file.name} are taken care of. Run the same command again: it goes on from there."
