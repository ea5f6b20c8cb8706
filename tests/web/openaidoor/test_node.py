"""OpenAI's SDK for Node: streamed and not, and failures that raise."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

pytestmark = [pytest.mark.node, pytest.mark.slow]

HERE = Path(__file__).parent
SDK = HERE.parent.parent.parent / "artifacts" / "node"
CUT = Script(fault=Fault(at=2, error=ConnectionError("reset")))


async def ask(service: RunningService, name: str) -> Any:
    """What a case of ask.mjs prints; where there is no SDK the test fails."""
    node = shutil.which("node")
    if node is None or not (SDK / "node_modules" / "openai").exists():
        pytest.fail("Run scripts/ensure-node, or leave these tests out: make test NODE=0.")
    command = [node, str(HERE / "ask.mjs"), str(SDK), service.url, name]
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, check=False, timeout=60)
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["whole", "streamed"])
async def test_a_conversation_is_answered(service: RunningService, name: str) -> None:
    """Text and counts are the same, in one piece and put together of chunks."""
    told = await ask(service, name)

    assert told["text"] == "Hello, world."
    assert told["usage"]["total_tokens"] == 7


@pytest.mark.parametrize(
    ("name", "expected"),
    [("unknown", ("NotFoundError", 404, "model_not_found", "model")),
     ("refused", ("BadRequestError", 400, "invalid_field", "n"))],
)  # fmt: skip
async def test_errors_are_the_sdks_own(
    service: RunningService, name: str, expected: tuple[Any, ...]
) -> None:
    """With status, code and parameter."""
    told = await ask(service, name)

    assert (told["raised"], told["status"], told["code"], told["param"]) == expected


async def test_a_failure_in_mid_stream_raises(
    service: RunningService, model: ScriptedModel
) -> None:
    """After what has come."""
    model.scripts = [CUT]
    told = await ask(service, "cut")

    assert told["text"] == "Hello, "
    assert (told["api"], told["code"]) == (True, "upstream_failed")


async def test_leaving_the_stream_cancels(service: RunningService, model: ScriptedModel) -> None:
    """A loop that is left closes the connection, and the call of the model with it."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    await ask(service, "left")

    assert await asyncio.to_thread(model.calls[0].closed.wait, 10)
    assert model.calls[0].said == 1


async def test_a_response_is_answered(service: RunningService) -> None:
    """In one piece."""
    assert await ask(service, "response") == {"text": "Hello, world.", "status": "completed"}


async def test_a_response_is_resumed(service: RunningService) -> None:
    """Behind the last event of a stream that was left, without a hole."""
    told = await ask(service, "resumed")

    assert told["numbers"] == list(range(len(told["numbers"])))
    assert told["last"] == "response.completed"


async def test_tools_are_called_and_answered(service: RunningService, model: ScriptedModel) -> None:
    """By both calls, streamed and not; the SDK's own objects go back as they are."""
    called = Script(chunks=(), tool_calls=(("c1", "weather", '{"city":"Oslo"}'),))
    model.respond = lambda call: Script() if call.messages[-1].role == "tool" else called
    told = await ask(service, "tools")

    said = {"called": ["Oslo"], "text": "Hello, world."}
    assert told == [said | {"finish_reason": "tool_calls"}] * 2 + [said] * 2


async def test_schemas_images_and_thoughts(service: RunningService, model: ScriptedModel) -> None:
    """By both calls, streamed and not; a response goes on from an earlier one."""
    model.scripts = [Script(chunks=('{"x":', "1}"), reasoning=("Hm.",))]
    told = await ask(service, "rich")

    assert told["told"] == [{"parsed": {"x": 1}, "reasoning": "Hm."}] * 4
    assert told["previous"]
    assert (told["unknown"]["raised"], told["unknown"]["code"]) == (
        "NotFoundError", "previous_response_not_found",
    )  # fmt: skip
    # The first answer was for all four but the one that went on.
    assert [len(call.messages) for call in model.calls] == [1, 3]
    (_, image) = model.calls[0].messages[0].parts
    assert image.attachment.type == "image/png"


async def test_a_failed_response_raises(service: RunningService, model: ScriptedModel) -> None:
    """In mid-stream as well."""
    model.scripts = [CUT]
    told = await ask(service, "cutresponse")

    assert (told["api"], told["code"]) == (True, "upstream_failed")
