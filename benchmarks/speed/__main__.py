"""Measure, and write what came of it.

    python -m benchmarks.speed [--quick] [--repeat 3] [--json out.json] [--charts FOLDER]
        [--litellm COMMAND] [--llm-server COMMAND] [--only NAME] [--soak] [--alone]

The system under test is alone on core 0; upstream and load are on core 1. Every system is checked
before it is timed, and every scenario counts what came before it is believed: an answer that was
lost, or a token, ends it. Repetitions are interleaved, and the median of each figure is told.
`python -m benchmarks.speed.report out.json` prints the tables again.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.speed import charts, report, systems
from benchmarks.speed.load import Load
from benchmarks.speed.measuring import Bench
from benchmarks.speed.processes import free_port, process, wait_for
from benchmarks.speed.session import Plan, measure
from benchmarks.speed.systems import LOAD_CORE, Start

QUICK_SECONDS = 1.0
LONGEST_SECONDS = 4.0


@contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """The fake provider; its port."""
    port, log = free_port(), folder / "upstream.log"
    command = [sys.executable, "-m", "benchmarks.speed.upstream", "--port", str(port)]
    with process(command, {LOAD_CORE}, log) as started:
        wait_for(port, started, log)
        yield port


def chosen(arguments: argparse.Namespace) -> dict[str, Start]:
    """The systems, by name."""
    found: dict[str, Start] = {"llm-stream": systems.ours}
    if not arguments.alone:
        found |= {name: systems.other(name) for name in ("proxy", "parse", "wire", "llm")}
    if arguments.litellm:
        found["litellm"] = systems.litellm(arguments.litellm)
    if arguments.llm_server:
        found["llm-server"] = systems.llm_server(arguments.llm_server)
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="leave out what takes long")
    parser.add_argument("--alone", action="store_true", help="leave out other systems")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions at most")
    parser.add_argument(
        "--within", type=float, default=540.0, help="seconds; none begins that would end later"
    )
    parser.add_argument(
        "--longest", type=float, help="seconds of a scenario, for which slow systems are asked less"
    )
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    soak = "only this: so many short runs (100,000), and whether memory comes back"
    parser.add_argument("--soak", type=int, nargs="?", const=100_000, default=0, help=soak)
    parser.add_argument("--litellm", default="", help="its command, in an environment of its own")
    llm = "`llm` of an environment that has llm-chat-completions-server"
    parser.add_argument("--llm-server", default="", help=llm)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--charts", type=Path, help="folder for SVG charts")
    return parser.parse_args()


def main() -> None:
    """Measure and tell."""
    arguments = parsed()
    if (os.cpu_count() or 1) < 2:
        sys.exit("One core for the service and one for the load are needed.")
    os.sched_setaffinity(0, {LOAD_CORE})
    plan = Plan(
        repeat=1 if arguments.soak else arguments.repeat,
        within_seconds=arguments.within,
        quick=arguments.quick,
        only=arguments.only,
        soak=arguments.soak,
    )
    longest = arguments.longest or (QUICK_SECONDS if arguments.quick else LONGEST_SECONDS)
    with tempfile.TemporaryDirectory() as name, Load() as load:
        folder = Path(name)
        with upstream(folder) as port:
            found = measure(plan, chosen(arguments), Bench(load, port, folder, longest))
    said = report.Report(
        measured=datetime.now(UTC).date().isoformat(),
        machine=f"{os.cpu_count()} x {platform.machine()}, {platform.system()}",
        python=platform.python_version(),
        repetitions=found.repetitions,
        figures=found.figures,
        failures=found.failures,
    )
    print(report.markdown(said))
    if arguments.json:
        arguments.json.write_text(json.dumps(said._asdict(), indent=1) + "\n")
    if arguments.charts:
        charts.write(said.figures, arguments.charts)
    if found.failures and not said.figures:
        sys.exit(1)


if __name__ == "__main__":
    main()
