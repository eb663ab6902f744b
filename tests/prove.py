"""`make prove`: run every campaign and its controls, and print one table of what the promises stood.

    python -m tests.prove [--long] [--only NAME]... [--seed N] [--jobs N] [--require-all] [--out FILE]

A campaign passes when its promise held; a control passes when the campaign found the weakness that was built in.
Exits with 1 when either failed, or with `--require-all` when this machine lacks what a campaign needs.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns import ALL
from tests.support.campaign import BROKEN, CONTROL_VARIABLE, HELD, Campaign, Control, Report, Size
from tests.support.weakened import ROOT, environment_of, weakened_copy

CONTROL_TRIES = 3
SHORT_LIMIT_S = 300
LONG_LIMIT_S = 3 * 3600


@dataclass(frozen=True, slots=True)
class Run:
    """One campaign's run, or one control's; `report` is None where the campaign itself failed."""

    campaign: Campaign
    control: Control | None
    code: int
    report: Report | None
    said: str

    @property
    def passed(self) -> bool:
        return self.code == (HELD if self.control is None else BROKEN)


def run(campaign: Campaign, control: Control | None, size: Size, seed: int) -> Run:
    """Run in a process of its own; a control in a copy of the tree that is weakened first."""
    with tempfile.TemporaryDirectory(prefix="prove-") as made:
        folder, report = Path(made), Path(made) / "report.json"
        where = ROOT if control is None else weakened_copy(folder / "weakened", control.changes)
        command = [sys.executable, "-m", "tests.support.campaign", campaign.name, "--size", size, "--report", report]
        command += ["--seed", str(seed if control is None else control.seed)]
        limit = LONG_LIMIT_S if size is Size.LONG else SHORT_LIMIT_S
        try:
            done = subprocess.run(
                command,
                cwd=where,
                env={**environment_of(where), **({} if control is None else {CONTROL_VARIABLE: "1"})},
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            said = late.stderr.decode(errors="replace") if isinstance(late.stderr, bytes) else (late.stderr or "")
            return Run(campaign, control, -1, None, f"{said}\nIt did not end within {limit} s.")
        read = Report.read(report) if report.exists() else None
        return Run(campaign, control, done.returncode, read, done.stderr)


def find(campaign: Campaign, control: Control) -> Run:
    """Run a control until its weakness is found, CONTROL_TRIES times at most: where chance chooses, it may miss once.

    A campaign is never tried again: a promise that was broken once is broken.
    """
    for later in range(CONTROL_TRIES):
        done = run(campaign, dataclasses.replace(control, seed=control.seed + later), Size.SHORT, 0)
        if done.code != HELD:
            break
    return dataclasses.replace(done, control=control)


def run_all(chosen: Sequence[Campaign], size: Size, seed: int, jobs: int, *, controls: bool) -> Iterator[Run]:
    """Each run as it ends: first those that bear company, `jobs` at once, then those that must be alone."""
    together: list[Callable[[], Run]] = []
    alone: list[Callable[[], Run]] = []
    for campaign in chosen:
        (alone if campaign.alone else together).append(functools.partial(run, campaign, None, size, seed))
        if controls:
            together += [functools.partial(find, campaign, control) for control in campaign.controls]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        under_way = [pool.submit(work) for work in together]
        for future in concurrent.futures.as_completed(under_way):
            yield future.result()
    for work in alone:
        yield work()


def table(runs: Sequence[Run], left_out: Sequence[tuple[Campaign, str]]) -> str:
    """The promises, one a line, as Markdown."""
    lines = ["| promise | tried | lost | doubled | breaches | its controls failed as they must | s |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | --- | ---: |"]
    for campaign in ALL:
        own = [done for done in runs if done.campaign is campaign and done.control is None]
        controls = [done for done in runs if done.campaign is campaign and done.control is not None]
        shown = ", ".join(
            f"{done.control.weakness}: {'yes' if done.passed else 'NO'}" for done in controls if done.control
        )
        for done in own:
            if done.report is None:
                lines.append(f"| {campaign.promise} | **the campaign failed** | | | | {shown or '-'} | |")
                continue
            tally = done.report.tally
            counts = f"{tally.tries:,} {campaign.unit} | {tally.lost} | {tally.doubled} | {len(tally.breaches)}"
            lines.append(f"| {campaign.promise} | {counts} | {shown or '-'} | {done.report.seconds:.0f} |")
    lines += [f"| {campaign.promise} | not run here: {why} | | | | | |" for campaign, why in left_out]
    return "\n".join(lines)


def details(runs: Sequence[Run]) -> str:
    """What was measured, and whatever went wrong."""
    lines = []
    for done in runs:
        title = (
            done.campaign.name if done.control is None else f"{done.campaign.name}, weakened: {done.control.weakness}"
        )
        if done.report is not None and done.control is None:
            lines += [f"- {title}: {name}: {value}" for name, value in done.report.tally.figures.items()]
        if done.passed:
            if done.control is not None and done.report is not None:
                lines += [f"- {title}: found: {_short(breach)}" for breach in done.report.tally.breaches[:1]]
            continue
        if done.control is not None and done.code == HELD:
            lines.append(f"- {title}: **the weakness was not found**")
        elif done.report is not None:
            lines += [f"- {title}: **{breach}**" for breach in done.report.tally.breaches[:20]]
        else:
            lines.append(f"- {title}: **the campaign failed** (exit code {done.code})\n{done.said[-4000:]}")
    return "\n".join(lines)


def _short(breach: str) -> str:
    """Enough of a breach to see whether it is the one that the weakness makes."""
    return " ".join(breach.split())[:200]


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; the exit code says whether all of it passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__.partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="the long form of every campaign: hours")
    parser.add_argument("--only", action="append", choices=[campaign.name for campaign in ALL], help="may be repeated")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: another one every time")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default 2)")
    parser.add_argument("--require-all", action="store_true", help="fail where this machine lacks what one needs")
    text = "leave the controls out: they judge the campaigns, and change when those do"
    parser.add_argument("--no-controls", action="store_true", help=text)
    parser.add_argument("--out", type=Path, help="write the table there as well")
    asked = parser.parse_args(arguments)
    size = Size.LONG if asked.long else Size.SHORT
    chosen, left_out = [], []
    for campaign in ALL:
        if asked.only and campaign.name not in asked.only:
            continue
        why = campaign.missing()
        if why is None:
            chosen.append(campaign)
        else:
            left_out.append((campaign, why))
    print(f"{len(chosen)} campaign{'s' * (len(chosen) != 1)}, {size} form, seed {asked.seed}", flush=True)
    runs = []
    for done in run_all(chosen, size, asked.seed, asked.jobs, controls=not asked.no_controls):
        runs.append(done)
        what = done.campaign.name + (f", weakened: {done.control.weakness}" if done.control else "")
        took = f"{done.report.seconds:.0f} s" if done.report else "no report"
        print(f"{'ok  ' if done.passed else 'FAIL'} {what} ({took})", flush=True)
    shown = f"{table(runs, left_out)}\n\n{details(runs)}\n"
    print(f"\n{shown}")
    if asked.out is not None:
        asked.out.write_text(shown, encoding="utf-8")
    passed = all(done.passed for done in runs) and not (asked.require_all and left_out)
    held = "Every promise held." if asked.no_controls else "Every promise held, and every control failed as it must."
    print(held if passed else "Not everything passed: see above.")
    return 0 if passed else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
    sys.exit(130)
