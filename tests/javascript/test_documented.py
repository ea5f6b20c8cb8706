"""docs/javascript.md tells the truth: every example runs and prints what stands below it."""

import asyncio
import json
from pathlib import Path

import pytest

from llm_stream.resources import resource
from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService

from ..documents import ExampleRunner, examples, outline

pytestmark = [pytest.mark.node, pytest.mark.slow]

PAGES = ("1. The catalog.\n\n", "2. The basket.")
JUDGED = {"reason": "There is one.", "evidence": [], "rating": "met", "missing": []}


def say(call: Call) -> Script:
    """What the example asks for: judged criteria, or pages of a shop."""
    return Script(chunks=(json.dumps(JUDGED),) if call.schema else PAGES)


async def test_the_examples_run(
    service: RunningService, model: ScriptedModel, tmp_path: Path
) -> None:
    """With a model of which it is known what it says."""
    model.respond = say
    recorded = examples(resource("docs").joinpath("javascript.md").read_text())
    with ExampleRunner() as runner:
        for example in recorded:
            output = await asyncio.to_thread(runner.run, example, service.url, tmp_path)

            assert outline(output) == outline(example.output), example.code
    assert len(recorded) == 3
