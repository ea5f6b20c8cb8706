"""RFC 6455, by the cases of the Autobahn test suite: `kosoku` runs them against an echo.

The service echoes nothing, so the echo is a handler of its own, on the service's connections and
with the service's handshake, limits and close.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from prometheus_client import CollectorRegistry, Counter

from llm_stream.config import LimitsSection, ServerSection
from llm_stream.web.runner import Runner
from llm_stream.web.server import listen
from llm_stream.web.watch import Watch
from llm_stream.web.ws import answer_close, handshake

MESSAGE_BYTES = LimitsSection().message_bytes
LARGER = ("9.1.4", "9.1.5", "9.1.6", "9.2.4", "9.2.5", "9.2.6", "9.3.*", "9.4.*", "9.5.*", "9.6.*")
"""Cases whose messages are larger than the service takes."""

COMPRESSED = ("12.*", "13.*")
"""Cases of compression, which the service does not offer."""


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Say what was said."""
    ws = handshake(MESSAGE_BYTES)
    await ws.prepare(request)
    async for message in ws:
        text = message.type is WSMsgType.TEXT
        await ws.send_frame(message.data.encode() if text else message.data, message.type)
    await answer_close(ws)
    return ws


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where the echo listens."""
    app = web.Application()
    app.router.add_get("/", echo)
    counters = [Counter(name, "x", registry=CollectorRegistry()) for name in ("late", "stalled")]
    runner = Runner(app, Watch(ServerSection(), *counters), lambda _: None, shutdown_timeout=1.0)
    await runner.setup()
    bound = listen("127.0.0.1", 0, ServerSection().send_buffer_bytes)
    runner.listen(bound)
    yield bound.getsockname()[1]
    await runner.cleanup()


@pytest.mark.slow
async def test_every_case_of_the_suite_passes(port: int, tmp_path: Path) -> None:
    """Frames, fragments, UTF-8, control frames, closes, limits: all as the RFC wants them."""
    left_out = [word for case in LARGER + COMPRESSED for word in ("-x", case)]
    program = "from kosoku._cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, f"127.0.0.1:{port}", "-p", "4", "-o", str(tmp_path),
        *left_out, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    report: dict[str, Any] = json.loads((tmp_path / "index.json").read_text())
    (cases,) = report.values()
    fine = {"OK", "NON-STRICT", "INFORMATIONAL"}
    failed = [
        name for name, case in cases.items()
        if not {case["behavior"], case["behaviorClose"]} <= fine
    ]  # fmt: skip

    assert failed == [], said.decode()
    assert len(cases) > 260
    assert process.returncode == 0
