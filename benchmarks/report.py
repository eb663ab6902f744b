"""The report: Markdown for the file, the same text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks import targets
from benchmarks.bench import Bench
from benchmarks.targets import PER_SECOND, Figure, Observation, Target

_NOTHING = "\N{EN DASH}"
_PREAMBLE = """\
A {label} run of `make bench`, {minutes:.1f} minutes. Everything ran side by side: each round measures every
subject once, in rotating order, and a ratio is the median over {rounds} rounds of the ratios within each.
Absolute figures move by a third with the machine's mood, and the range over the rounds shows how calm it
was; ratios are what counts. In brackets: the distance to each mark, + is beyond it."""


def _number(value: float | None) -> str:
    if value is None:
        return _NOTHING
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if value >= 1 or value == 0 else f"{value:.3f}"


def _mark(target: Target, mark: float) -> str:
    sign = "≥" if target.higher_is_better else "≤"
    return f"{sign} {mark:g} {target.unit}"


def _distance(figure: Figure, mark: float) -> str:
    assert figure.value is not None
    if figure.target.unit == PER_SECOND:
        return f"{mark - figure.value:+.2f} {PER_SECOND}"
    return f"{figure.target.distance_percent(figure.value, mark):+.0f} %"


def _verdict(figure: Figure) -> str:
    target = figure.target
    if figure.value is None:
        return "not measured"
    if target.met(figure.value, target.goal):
        return "goal"
    return "floor" if target.met(figure.value, target.floor) else "**no**"


def _figure_row(figure: Figure) -> list[str]:
    target = figure.target
    measured = f"{_number(figure.value)} {target.unit}" if figure.value is not None else _NOTHING
    cells = [target.name, measured]
    for mark in (target.floor, target.goal):
        distance = f" ({_distance(figure, mark)})" if figure.value is not None else ""
        cells.append(_mark(target, mark) + distance)
    return [*cells, _verdict(figure), figure.note]


def _observation_row(row: Observation) -> list[str]:
    clients = str(row.clients) if row.clients is not None else _NOTHING
    between = _NOTHING.join(_number(rate) for rate in row.range_per_s) if row.range_per_s else _NOTHING
    figures = [_number(row.rate_per_s), between, _number(row.p50_ms), _number(row.p99_ms)]
    return [row.subject, clients, *figures, row.note]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def render(bench: Bench, facts: dict[str, str], taken_s: float) -> str:
    """The whole report."""
    order = {target.key: place for place, target in enumerate(targets.ALL)}
    figures = sorted(bench.figures, key=lambda figure: order[figure.target.key])
    plan = bench.plan
    parts = [
        "# Benchmarks",
        _PREAMBLE.format(label=plan.label, minutes=taken_s / 60, rounds=plan.rounds),
        "## Targets",
        table(["figure", "measured", "floor", "goal", "met?", "note"], map(_figure_row, figures)),
        "## What lies under them",
        "Medians over the rounds; a sale has 400 bytes; every answer counted was a 2xx.",
        table(
            ["subject", "clients", "per second", "range", "p50 ms", "p99 ms", "note"],
            map(_observation_row, bench.observations),
        ),
    ]
    if bench.remarks:
        parts.append("\n".join(f"- {remark}" for remark in bench.remarks))
    parts += ["## The machine", table(["fact", "value"], facts.items())]
    return "\n\n".join(parts) + "\n"
