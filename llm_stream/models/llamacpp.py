"""llama.cpp, loaded and set up for a service: the one place that knows its parameters.

The library is imported when a model is opened, not before. `models/localengine` is the caller.
"""

import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from llm_stream.errors import ModelUnavailable
from llm_stream.models.weights import require_weights

BATCH_TOKENS: Final = 64
"""Prompt tokens computed between two looks at the other answers: 0.2 s on two idle cores. So long
a prompt holds up everybody's next token, and its own cancellation; larger batches gain 5 %."""

THREAD_BYTES: Final = 200_000_000
"""How much of a model one thread computes per token; sharing less costs more than it gains
(98 MB: 46 tokens/s by one thread, 33 by two)."""

LIBRARY: Final = "xllamacpp"


class Server(Protocol):
    """What is used of `xllamacpp.Server`."""

    def handle_chat_completions(
        self, request: dict[str, Any], on_chunk: Callable[[Any], bool], /
    ) -> object:
        """Block until the answer has ended or `on_chunk` has returned True."""


OpenServer = Callable[[Path, int, int, int], Server]
"""`open_server`, or what stands for it."""


def open_server(weights: Path, context_tokens: int, parallel: int, threads: int) -> Server:
    """Load a GGUF file; blocks 0.3 s and more, most of it holding the GIL (xllamacpp 2026.10).

    Threads of llama.cpp sleep while they wait for each other. `OMP_WAIT_POLICY=ACTIVE` in the
    environment makes them spin: up to twice as fast on cores of their own, and a hundred times
    slower as soon as something else needs one of them.

    Raises:
        ModelUnavailable: library or weights are missing or unusable (the operator's doing).
    """
    require_weights(weights)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is loaded
    try:
        library: Any = importlib.import_module(LIBRARY)
    except ImportError as error:
        raise ModelUnavailable(
            "The library of the embedded model is missing. Run pip install 'llm-stream[local]'."
        ) from error
    params = library.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = context_tokens
    params.n_parallel = parallel
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams_batch.n_threads = threads or _cores()
    params.cpuparams.n_threads = threads or min(
        _cores(), 1 + weights.stat().st_size // THREAD_BYTES
    )
    params.verbosity = -1
    params.offline = True
    params.fit_params = False  # the context is as configured, or loading fails
    params.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    params.sse_ping_interval = -1
    # It insists on serving HTTP, to everyone. Nobody can reach a socket whose file is gone.
    params.n_threads_http = 1
    params.endpoint_slots = params.ui = False
    try:
        _read_through(weights)
        with tempfile.TemporaryDirectory(prefix="llm-stream-") as folder:
            params.hostnames = [f"{folder}/gone.sock"]
            server: Server = library.Server(params)
    except (OSError, RuntimeError) as error:
        raise ModelUnavailable(
            f"llama.cpp cannot load {weights.name}: no GGUF file, damaged, or too little memory."
        ) from error
    return server


def _read_through(weights: Path) -> None:
    # So that the disk is read before the GIL is taken; from the page cache 98 MB take 30 ms.
    block = memoryview(bytearray(1 << 20))
    with weights.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def _cores() -> int:
    # Where the system says so, only those this process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
