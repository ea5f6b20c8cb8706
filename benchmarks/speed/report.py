"""Figures as tables of Markdown.

python -m benchmarks.speed.report out.json [FOLDER for charts]
"""

import json
import sys
from collections.abc import Mapping
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
    "rss_kb_per_stream": "RSS KiB a stream",
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
}
"""What figures are called in a table."""


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
    if abs(value) >= 1000:
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


def markdown(report: Report) -> str:
    """All tables, with when and where they were measured, and what was not."""
    repeated = f"medians of {report.repetitions} interleaved repetitions"
    said = [f"Measured {report.measured} on {report.machine}, Python {report.python}, {repeated}."]
    said += [table(what, rows) for what, rows in report.figures.items()]
    said += [f"Not measured: {failure}" for failure in report.failures]
    return "\n\n".join(said)


def read(path: Path) -> Report:
    """What was written with `--json`."""
    said: dict[str, Any] = json.loads(path.read_text())
    return Report(**said)


if __name__ == "__main__":
    from benchmarks.speed import charts

    found = read(Path(sys.argv[1]))
    print(markdown(found))
    if len(sys.argv) > 2:
        charts.write(found.figures, Path(sys.argv[2]))
