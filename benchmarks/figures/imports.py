"""Other systems' files: how fast they are read and taken in, how much memory a large one takes, who has to wait."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import documents, drive, servers
from benchmarks.bench import Bench
from benchmarks.documents import FORMS, POSLOG, Form
from benchmarks.drive import Posting
from benchmarks.processes import REPOSITORY, ChildError, environment, peak_mb, python, resident_mb, run_json
from benchmarks.servers import Server
from benchmarks.stats import median, percentile
from benchmarks.targets import IMPORT_MEMORY, Figure, Observation

_SMALL = 100  # the small file is the hundredth part of the large one
_LIMIT_S = 120.0
_PACE_MS = 5.0
_IDLE_S = 2.0
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading a file came to."""

    documents: int
    seconds: float
    peak_mb: float


def _read(form: Form, file: Path, count: int) -> _Read:
    """An adapter alone."""
    command = python("benchmarks.peers.reading", form.adapter, str(file), json.dumps(form.options))
    read = _Read(**run_json(command, limit_s=_LIMIT_S))  # type: ignore[arg-type]
    if read.documents != count:
        raise ChildError(f"{form.adapter} found {read.documents} documents where there are {count}")
    return read


def _measure_reading(bench: Bench, directory: Path) -> None:
    for form in FORMS:
        size = bench.plan.import_mb * _MB // 5
        file, count = documents.write(form, directory, size)
        reads = [_read(form, file, count) for _ in bench.rounds(f"reading {form.adapter}")]
        rates = [read.documents / read.seconds for read in reads]
        speed = median([file.stat().st_size / _MB / read.seconds for read in reads])
        most = max(read.peak_mb for read in reads)
        note = (
            f"{file.stat().st_size / _MB:.0f} MB at {speed:.1f} MB/s, {most:.0f} MB of memory at most; nothing is sent"
        )
        ends = (min(rates), max(rates))
        row = Observation(f"reading {form.adapter}", rate_per_s=median(rates), range_per_s=ends, note=note)
        bench.observations.append(row)


@contextmanager
def _importing(directory: Path, form: Form, file: Path) -> Iterator[subprocess.Popen[str]]:
    """`flash-agent import`, under way."""
    data = directory / "data"
    command = [*servers.AgentCommand.words, "import", str(file), "--adapter", form.adapter, "--json"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=REPOSITORY, env=environment(), text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _wait_until_found(agent: Server, directory: Path) -> None:
    """An agent listens a moment before it says in its data directory where."""
    agent.child.wait_for_file(directory / "data" / "agent.json")


def _wait_for(process: subprocess.Popen[str], count: int) -> float:
    """Wait for an import to end well; the most memory it was seen to have had, MB."""
    until, most = time.monotonic() + _LIMIT_S, 0.0
    while process.poll() is None:
        most = max(most, peak_mb(process.pid))
        if time.monotonic() > until:
            raise ChildError(f"the import took longer than {_LIMIT_S:g} s")
        time.sleep(0.02)
    out, said = process.communicate()
    if process.returncode != 0:
        raise ChildError(f"the import failed: {said[-1000:]}{out[-1000:]}")
    accepted = json.loads(out)["files"][0]["totals"]["accepted"]
    if accepted != count:
        raise ChildError(f"{accepted} documents were accepted where there are {count}")
    return most


def _import_alone(bench: Bench, form: Form, file: Path, count: int) -> tuple[float, float, str]:
    """Seconds from the start of the command to its end, its peak memory in MB, and what the agent's memory did."""
    with bench.scratch() as directory, servers.agent(directory, settings=form.settings()) as agent:
        _wait_until_found(agent, directory)
        before = resident_mb(agent.child.pid)
        began = time.monotonic()
        with _importing(directory, form, file) as process:
            most = _wait_for(process, count)
            taken_s = time.monotonic() - began
        return taken_s, most, f"the agent {before:.0f} to {resident_mb(agent.child.pid):.0f} MB"


def _measure_memory(bench: Bench, directory: Path) -> None:
    large, small = bench.plan.import_mb * _MB, bench.plan.import_mb * _MB // _SMALL
    file, count = documents.write(POSLOG, directory, large)
    little, few = documents.write(POSLOG, directory, small)
    _, small_mb, _ = _import_alone(bench, POSLOG, little, few)
    taken_s, large_mb, agent = _import_alone(bench, POSLOG, file, count)
    note = f"{count:,} transactions, {large / _MB:.0f} MB in {taken_s:.1f} s; the command {large_mb:.0f} MB, {agent}"
    bench.observations.append(Observation("import poslog", rate_per_s=count / taken_s, note=note))
    detail = f"{small_mb:.0f} to {large_mb:.0f} MB, the command's process at its most"
    bench.figures.append(Figure(IMPORT_MEMORY, large_mb / small_mb, detail))


def _measure_waiting(bench: Bench, directory: Path) -> None:
    """A register posts a sale every few milliseconds, first alone, then while an import goes on beside it."""
    form = documents.CSV
    file, count = documents.write(form, directory, bench.plan.import_mb * _MB // 10)
    posting = Posting(seconds=_LIMIT_S, pace_ms=_PACE_MS, trace=True)
    with bench.scratch() as scratch, servers.agent(scratch, settings=form.settings()) as agent:
        _wait_until_found(agent, scratch)
        idle = _p99_ms(drive.post(bench, agent, Posting(seconds=_IDLE_S, warm_up_s=0.5, pace_ms=_PACE_MS, trace=True)))
        with drive.posting_begun(bench, agent, posting) as finish, _importing(scratch, form, file) as process:
            began = time.monotonic()
            _wait_for(process, count)
            taken_s = time.monotonic() - began
            during = _p99_ms(finish(early=True))
    bench.observations += [
        Observation("a register, nothing else", 1, p50_ms=idle[0], p99_ms=idle[1]),
        Observation("a register, during an import", 1, p50_ms=during[0], p99_ms=during[1], note="its own sales"),
        Observation("import csv, a register beside it", rate_per_s=count / taken_s, note=f"{count:,} documents"),
    ]


def _p99_ms(burst: drive.Burst) -> tuple[float, float]:
    ascending = sorted(latency for _, latency, _ in burst.trace)
    return percentile(ascending, 50) * 1e3, percentile(ascending, 99) * 1e3


def measure(bench: Bench) -> None:
    """The figures of imports."""
    if not servers.agent_is_there():
        bench.figures.append(Figure(IMPORT_MEMORY, None, "no agent"))
        return
    with bench.scratch() as directory:
        _measure_reading(bench, directory)
        _measure_memory(bench, directory)
        _measure_waiting(bench, directory)
