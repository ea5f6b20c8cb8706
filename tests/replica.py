"""A replica as a process of its own: a service with a scripted model, for tests that kill it."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_stream.testing import Script, ScriptedModel, words

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Replica:
    """Where it listens, and the process."""

    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing, and all its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def replicas(
    folder: Path,
    *,
    count: int = 2,
    chunks: int = 10,
    delay_seconds: float = 0.01,
    padding: int = 0,
    **sections: dict[str, Any],
) -> Iterator[list[Replica]]:
    """Start some; their model says so many words, so many seconds apart. Killed on leaving.

    They end by themselves should this process end before: with it goes the pipe that they read.

    Each word is followed by so many characters of `padding`.
    """
    script = {"chunks": chunks, "delay_seconds": delay_seconds, "padding": padding}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "replica.log").open("a"))
        processes = []
        for _ in range(count):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.replica", json.dumps([script, sections])],
                    cwd=ROOT, env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                )
            )  # fmt: skip
            stack.callback(process.kill)
            processes.append(process)
        started = []
        for process in processes:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, (folder / "replica.log").read_text()[-2000:]
            started.append(Replica(url, process))
        yield started


def end_with_parent() -> None:
    """Read standard input, which ends when whoever has started this process is gone."""
    # Not by `sys.stdin`, whose lock the interpreter wants when it ends.
    while os.read(0, 1024):
        pass
    os._exit(1)  # nobody is there for whom a drain could matter


def main() -> None:
    """Serve until told to stop; the address is the first line of standard output."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    from llm_stream import logs  # noqa: PLC0415 - pytest has no need of them
    from llm_stream.config import ProviderSection  # noqa: PLC0415 - same
    from llm_stream.web import server  # noqa: PLC0415
    from llm_stream.web.process import run_in_loop  # noqa: PLC0415

    from .conftest import PATIENT_SECONDS, REDIS_CALLERS, settings  # noqa: PLC0415 - same

    # On standard error: nobody reads on from standard output, which would fill and block.
    logs.configure("info", "json")
    for module in REDIS_CALLERS:
        # As in this process' tests, see `patient_with_redis`.
        vars(importlib.import_module(module))["CALL_SECONDS"] = PATIENT_SECONDS
    script, sections = json.loads(sys.argv[1])
    chunks = tuple(word + "x" * script["padding"] for word in words(script["chunks"]))
    said = Script(chunks=chunks, delay_seconds=script["delay_seconds"])
    if given := sections.get("providers"):
        sections["providers"] = {name: ProviderSection(**each) for name, each in given.items()}
    chosen = settings(**{**sections, "server": {"port": 0, **sections.get("server", {})}})

    def announce(url: str, _app: object) -> None:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()

    sys.exit(run_in_loop(server.run(chosen, announce, [ScriptedModel("scripted", said)])))


if __name__ == "__main__":
    main()
