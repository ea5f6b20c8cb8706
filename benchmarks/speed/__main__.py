"""Measure, and write what came of it.

    python -m benchmarks.speed [--quick] [--repeat 3] [--litellm PATH] [--json out.json]

The system under test is alone on core 0; upstream and load are on core 1. Every scenario counts
what came before it is believed: an answer that was lost, or a token, ends it. Repetitions are
interleaved, and the median of each figure is told.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.speed import report, scenarios, systems
from benchmarks.speed.load import CORE, Load
from benchmarks.speed.systems import Running

Start = Callable[[int, Path], AbstractContextManager[Running]]


@contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """The fake provider; its port."""
    command = [sys.executable, "-m", "benchmarks.speed.upstream"]
    with systems.process(command, CORE, folder / "upstream.log") as started:
        yield int(started.stdout.readline() if started.stdout else b"")


def chosen(arguments: argparse.Namespace) -> dict[str, Start]:
    """The systems, by name."""
    found: dict[str, Start] = {"llm-stream": systems.ours}
    if not arguments.alone:
        for name in ("proxy", "parse", "llm"):
            found[name] = lambda port, folder, name=name: systems.other(name, port, folder)  # type: ignore[misc]
    if arguments.litellm:
        found["litellm"] = lambda port, folder: systems.litellm(port, folder, arguments.litellm)
    return found


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """{scenario: {system: {figure: median}}}."""
    seen: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name, Load() as load, ExitStack() as stack:
        folder = Path(name)
        port = stack.enter_context(upstream(folder))
        for _ in range(arguments.repeat):
            for label, start in chosen(arguments).items():
                with start(port, folder) as system:
                    wanted = dict(scenarios.QUICK)
                    if label == "llm-stream":
                        wanted |= scenarios.OURS
                    if not arguments.quick and label not in {"llm", "litellm"}:
                        wanted |= scenarios.LONG
                    for what, scenario in wanted.items():
                        if arguments.only and arguments.only not in what:
                            continue
                        try:
                            seen[what][label].append(scenario(system, load))
                        except scenarios.Wrong as error:
                            print(f"{what}: {error}", file=sys.stderr)
                            continue
                        print(f"{what}: {label}: {seen[what][label][-1]}", file=sys.stderr)
    return {
        what: {label: medians(runs) for label, runs in found.items() if runs}
        for what, found in seen.items()
    }


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The median of each figure."""
    return {
        name: round(statistics.median(values), 3)
        for name in runs[0]
        if (values := [run[name] for run in runs if run[name] is not None])
    }


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="leave out what takes long")
    parser.add_argument("--alone", action="store_true", help="leave out other systems")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    parser.add_argument("--litellm", default="", help="its command, in an environment of its own")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--charts", type=Path, help="folder for SVG charts")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("One core for the service and one for the load are needed.")
    figures = measure(arguments)
    about = {
        "measured": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} x {platform.machine()}, {platform.system()}",
    }
    print(report.table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps({**about, "figures": figures}, indent=2))
    if arguments.charts:
        report.charts(figures, arguments.charts)


if __name__ == "__main__":
    main()
