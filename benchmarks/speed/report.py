"""Figures as tables of Markdown.

python -m benchmarks.speed.report out.json [more.json ...] [FOLDER for charts]
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]

UNITS: Final = {
    "cpu_us_per_token": "CPU us a token",
    "later_us_per_token": "of it afterwards",
    "tokens_per_second": "tokens/s",
    "tokens_per_cpu_second": "tokens/s of one core",
    "first_ms": "first token ms",
    "first_p99_ms": "first token p99 ms",
    "gap_ms": "gap ms",
    "gap_p99_ms": "gap p99 ms",
    "streams": "streams",
    "lost": "lost",
    "lost_tokens": "lost tokens",
    "rss_kib_per_stream": "RSS KiB a stream",
    "rss_kib_per_socket": "RSS KiB an idle socket",
    "calls_per_second": "calls/s",
    "cpu_us_per_call": "CPU us a call",
    "later_us_per_call": "of it afterwards",
    "streams_per_second": "streams/s",
    "cpu_us_per_stream": "CPU us a stream",
    "cpu_us_per_token_following": "CPU us a token, following a run",
    "cpu_us_per_token_joining": "CPU us a token, joining a call",
    "closed_ms": "closed after ms",
    "closed_p99_ms": "p99 ms",
    "beyond_call_us": "without the call's own",
    "wall_seconds": "s",
    "cpu_seconds": "CPU s",
    "rest_mb": "RSS at rest MB",
    "busy_cores": "busy cores, calls",
    "times_calls": "times one, calls",
    "times_tokens": "times one, tokens",
    "rss_mb": "RSS MB",
    "more_mb": "more than before MB",
    "bursts_us": "us, bursts",
    "one_by_one_us": "us, one by one",
    "wire_us": "CPU us, the model road alone",
    "service_us": "CPU us, as a run",
}
"""What figures are called in a table."""


SUMMARY: Final = (
    ("CPU us a token, bursts", "bursts", "cpu_us_per_token"),
    ("tokens/s, bursts", "bursts", "tokens_per_second"),
    ("tokens/s, one by one", "token by token", "tokens_per_second"),
    ("first token ms, alone", "first token, alone", "first_ms"),
    ("CPU us a token, paced streams", "1,000 paced streams", "cpu_us_per_token"),
    ("JSON calls/s", "JSON calls", "calls_per_second"),
    ("the same call again/s", "JSON calls, the same", "calls_per_second"),
)
"""Title, scenario, figure."""

SHOWN: Final = ("1,000 paced streams",)
"""Scenarios that stand in the document in full."""

GROWTH: Final = ("streams at once", "tokens a run", "a stream of tokens")
PARTS: Final = ("waterfall",)
OWN_ROWS: Final = ("start", "worker processes", "soak")
"""Scenarios of the service whose rows are no systems."""


class Report(NamedTuple):
    """All that a run of the harness says."""

    measured: str
    machine: str
    python: str
    repetitions: int
    figures: Figures
    failures: list[str]


def number(value: float) -> str:
    """A figure with three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def table(what: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """One scenario: systems, or what else its rows are."""
    names = list(dict.fromkeys(name for found in rows.values() for name in found))
    lines = [f"| {what} | " + " | ".join(UNITS.get(name, name) for name in names) + " |"]
    lines.append("|---|" + "--:|" * len(names))
    for label, found in rows.items():
        cells = [number(found[name]) if name in found else "" for name in names]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(figures: Figures) -> str:
    """Systems side by side, a few figures of each."""
    columns = [column for column in SUMMARY if column[1] in figures]
    lines = ["| | " + " | ".join(title for title, _, _ in columns) + " |"]
    lines.append("|---|" + "--:|" * len(columns))
    systems = dict.fromkeys(name for _, what, _ in columns for name in figures[what])
    for name in systems:
        cells = [figures[what].get(name, {}).get(figure) for _, what, figure in columns]
        shown = ["" if cell is None else number(cell) for cell in cells]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def alone(figures: Figures) -> str:
    """What one system alone has: a line a scenario."""
    lines = ["| | |", "|---|---|"]
    for what, rows in figures.items():
        said = [
            f"{UNITS.get(name, name)} {number(value)}"
            for found in rows.values()
            for name, value in found.items()
        ]
        lines.append(f"| {what} | {', '.join(said)} |")
    return "\n".join(lines)


def sections(report: Report) -> dict[str, str]:
    """The tables of docs/performance.md, by heading."""
    several = {what: rows for what, rows in report.figures.items() if len(rows) > 1}
    single = {what: rows for what, rows in report.figures.items() if len(rows) == 1}
    growing = {what: several.pop(what) for what in GROWTH if what in several}
    parts = {what: several.pop(what) for what in PARTS if what in several}
    own = {what: several.pop(what) for what in OWN_ROWS if what in several}
    shown = {what: several[what] for what in SHOWN if what in several}
    found = {
        "Side by side": [
            *([summary(several)] if several else []),
            *(table(what, rows) for what, rows in shown.items()),
        ],
        "In full": [table(what, rows) for what, rows in several.items() if what not in shown],
        "Of the service alone": [
            *([alone(single)] if single else []),
            *(table(what, rows) for what, rows in own.items()),
        ],
        "From the upstream's byte to the client's": [
            table(what, rows) for what, rows in parts.items()
        ],
        "How cost grows": [table(what, rows) for what, rows in growing.items()],
    }
    return {heading: "\n\n".join(tables) for heading, tables in found.items() if tables}


def markdown(report: Report) -> str:
    """All tables, with when and where they were measured, and what was not."""
    said = [measured(report)]
    said += [f"### {heading}\n\n{tables}" for heading, tables in sections(report).items()]
    said += [f"Not measured: {failure}" for failure in report.failures]
    return "\n\n".join(said)


def measured(report: Report) -> str:
    """When and where."""
    times = report.repetitions
    repeated = "once" if times == 1 else f"medians of {times} interleaved repetitions"
    return f"Measured {report.measured} on {report.machine}, Python {report.python}, {repeated}."


def read(path: Path) -> Report:
    """What was written with `--json`."""
    said: dict[str, Any] = json.loads(path.read_text())
    return Report(**said)


def merged(reports: Sequence[Report]) -> Report:
    """One of several that were measured in the same place; the first one says when and where."""
    figures: dict[str, Mapping[str, Mapping[str, float]]] = {}
    for report in reports:
        figures.update(report.figures)
    failures = [failure for report in reports for failure in report.failures]
    return reports[0]._replace(figures=figures, failures=failures)


if __name__ == "__main__":
    from benchmarks.speed import charts

    files = [name for name in sys.argv[1:] if name.endswith(".json")]
    found = merged([read(Path(name)) for name in files])
    print(markdown(found))
    for folder in sys.argv[1 + len(files) :]:
        charts.write(found.figures, Path(folder))
