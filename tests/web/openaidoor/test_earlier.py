"""`previous_response_id`: a response that goes on from an earlier one."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import new_key
from llm_stream.engine.directory import RunDirectory
from llm_stream.engine.notes import SharedNotes
from llm_stream.engine.run import Run
from llm_stream.errors import UnknownRun
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService
from llm_stream.web.openaidoor import earlier
from llm_stream.web.openaidoor.earlier import Earlier
from llm_stream.web.openaidoor.responsesreplies import response_id

from ...conftest import StartService
from ...history.conftest import ended
from ...redisserver import RedisServer
from .conftest import client_of

NAME = "I am Ann."
ASKED: dict[str, Any] = {"model": "scripted"}
TOOL = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}
CALLED = Script(chunks=("Wait.",), tool_calls=(("c1", "now", "{}"),))
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "Noon."}
PNG = "data:image/png;base64,iVBORw0KGgo="
PICTURE = [
    {"role": "user", "content": [
        {"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": PNG}]},
]  # fmt: skip


def heard(model: ScriptedModel, call: int = -1) -> list[tuple[str, str]]:
    """The turns that the model got, with their texts."""
    return [
        (turn.role, "".join(text_of(part.to_dict()) for part in turn.parts))
        for turn in model.calls[call].messages
    ]


def text_of(part: dict[str, Any]) -> str:
    """The text of a part, or the result that it is."""
    return str(part.get("text", part.get("output", "")))


async def recorded(service: RunningService) -> None:
    """Return when all that has ended is in the database."""
    assert service.parts.history is not None
    await service.parts.history.forget()


async def test_a_response_goes_on_from_an_earlier_one(gpt: Any, model: ScriptedModel) -> None:
    """Its turns and its answer stand before the new input, over several responses."""
    first = await gpt.responses.create(**ASKED, input=NAME)
    second = await gpt.responses.create(
        **ASKED, input="Who am I?", previous_response_id=first.id, store=False
    )
    third = await gpt.responses.create(**ASKED, input="Sure?", previous_response_id=second.id)

    said = ("assistant", "Hello, world.")
    assert heard(model) == [
        ("user", NAME), said, ("user", "Who am I?"), said, ("user", "Sure?"),
    ]  # fmt: skip
    assert third.previous_response_id == second.id


async def test_a_conversation_is_the_same_question_however_it_is_sent(
    gpt: Any, model: ScriptedModel
) -> None:
    """So its answer is shared with who sends all of it again."""
    first = await gpt.responses.create(**ASKED, input=NAME)
    await gpt.responses.create(**ASKED, input="Who am I?", previous_response_id=first.id)
    raw = await gpt.responses.with_raw_response.create(
        **ASKED,
        input=[{"role": "user", "content": NAME}, *[i.model_dump() for i in first.output],
               {"role": "user", "content": "Who am I?"}],
    )  # fmt: skip

    assert "hit" in raw.headers["Cache-Status"]
    assert len(model.calls) == 2


async def test_a_kept_answer_can_be_gone_on_from(gpt: Any, model: ScriptedModel) -> None:
    """Although its run asked no model."""
    await gpt.responses.create(**ASKED, input=NAME)
    hit = await gpt.responses.create(**ASKED, input=NAME)
    await gpt.responses.create(**ASKED, input="Who am I?", previous_response_id=hit.id)

    assert len(model.calls) == 2
    assert heard(model)[0] == ("user", NAME)


async def test_instructions_hold_for_one_response(gpt: Any, model: ScriptedModel) -> None:
    """As OpenAI has it; system messages of the input stay."""
    system = {"role": "system", "content": "Speak Latin."}
    first = await gpt.responses.create(
        **ASKED, instructions="Be short.", input=[system, {"role": "user", "content": NAME}]
    )
    await gpt.responses.create(**ASKED, input="Who am I?", previous_response_id=first.id)
    assert heard(model, 0)[0] == ("system", "Be short.\n\nSpeak Latin.")
    assert heard(model, 1)[:2] == [("system", "Speak Latin."), ("user", NAME)]

    await gpt.responses.create(
        **ASKED, instructions="Be long.", input="Who am I?", previous_response_id=first.id
    )
    assert heard(model, 2)[0] == ("system", "Be long.\n\nSpeak Latin.")


async def test_results_of_tools_follow_the_response_that_called(
    gpt: Any, model: ScriptedModel
) -> None:
    """Nothing but the results has to be sent."""
    model.scripts = [CALLED, Script()]
    first = await gpt.responses.create(**ASKED, input="Time?", tools=[TOOL])
    second = await gpt.responses.create(
        **ASKED, input=[RESULT], tools=[TOOL], previous_response_id=first.id
    )

    assert second.output_text == "Hello, world."
    assert heard(model) == [("user", "Time?"), ("assistant", "Wait."), ("tool", "Noon.")]
    assert model.calls[1].messages[1].parts[1].tool_call_id == "c1"


async def test_calls_that_were_not_answered_are_named(gpt: Any, model: ScriptedModel) -> None:
    """The new input has to begin with their results."""
    model.scripts = [CALLED]
    first = await gpt.responses.create(**ASKED, input="Time?", tools=[TOOL])
    with pytest.raises(openai.BadRequestError, match="'c1'") as raised:
        await gpt.responses.create(**ASKED, input="Well?", previous_response_id=first.id)

    assert raised.value.param == "input"


async def test_a_stream_can_be_gone_on_from(gpt: Any, model: ScriptedModel) -> None:
    """And so can what is streamed itself."""
    asked: dict[str, Any] = {**ASKED, "stream": True}
    (*_, last) = [event async for event in await gpt.responses.create(**asked, input=NAME)]
    more = await gpt.responses.create(
        **asked, input="Who am I?", previous_response_id=last.response.id
    )
    begun, *_ = [event async for event in more]

    assert begun.response.previous_response_id == last.response.id
    assert heard(model)[0] == ("user", NAME)


async def test_a_response_tells_of_its_request(gpt: Any) -> None:
    """Also when it is looked at later."""
    first = await gpt.responses.create(
        **ASKED, input="Hi", instructions="Be short.", tools=[TOOL], tool_choice="required",
        parallel_tool_calls=False, temperature=0.5, metadata={"a": "b"}, store=False,
    )  # fmt: skip
    for told in (first, await gpt.responses.retrieve(first.id)):
        assert told.instructions == "Be short."
        assert [tool.name for tool in told.tools] == ["now"]
        assert (told.tool_choice, told.parallel_tool_calls) == ("required", False)
        assert (told.temperature, told.metadata) == (0.5, {"a": "b"})
        assert told.store is True


@pytest.mark.parametrize("name", ["resp_01M8EVXPTA00000XRMBAGQW2K9", "x", "resp_"])
async def test_an_unknown_response_is_not_found(gpt: Any, model: ScriptedModel, name: str) -> None:
    """With the code that programs written for OpenAI look for."""
    with pytest.raises(openai.NotFoundError) as raised:
        await gpt.responses.create(**ASKED, input="Hi", previous_response_id=name)

    assert raised.value.code == "previous_response_not_found"
    assert raised.value.param == "previous_response_id"
    assert model.calls == []


@pytest.mark.parametrize(
    ("script", "state"),
    [
        (Script(chunks=words(3), fault=Fault(at=1, stall=True)), "in progress"),
        (Script(fault=Fault(at=1, error=ValueError("broken"))), "failed"),
    ],
)
async def test_what_was_not_completed_cannot_be_gone_on_from(
    gpt: Any, service: RunningService, model: ScriptedModel, script: Script, state: str
) -> None:
    """There is no answer to stand before the new input."""
    model.scripts = [script]
    first = await gpt.responses.create(**ASKED, input="Hi", background=True)
    run = service.parts.registry.find(first.id.replace("resp_", "run_"))
    with run.subscribe() as reader:
        while state == "failed" and not run.done:
            reader.take()
            await reader.more()
    with pytest.raises(openai.BadRequestError, match=state) as raised:
        await gpt.responses.create(**ASKED, input="Well?", previous_response_id=first.id)

    assert raised.value.param == "previous_response_id"


async def test_nobody_goes_on_from_anothers_response(
    start_service: StartService, tmp_path: Path
) -> None:
    """It is not found, in memory as in the history."""
    keys = [new_key(), new_key()]
    with editing(tmp_path / "clients.toml") as clients:
        for key in keys:
            clients[key.id] = ClientRecord(name=key.id, hash=key.hash, created_at=now())
    service = await start_service(
        auth={"required": True, "clients_file": str(tmp_path / "clients.toml")},
        history={"enabled": True, "path": str(tmp_path / "logs.db")},
    )
    ann, bob = (client_of(service).copy(api_key=key.text) for key in keys)
    async with ann, bob:
        first = await ann.responses.create(**ASKED, input=NAME)
        await recorded(service)
        asked: dict[str, Any] = {**ASKED, "input": "Who?", "previous_response_id": first.id}
        assert (await ann.responses.create(**asked)).output_text
        with pytest.raises(openai.NotFoundError):
            await bob.responses.create(**asked)


@pytest.mark.slow
async def test_the_history_has_it_after_a_restart(
    start_service: StartService, model: ScriptedModel, tmp_path: Path
) -> None:
    """Images, calls of tools and their results, and what was instructed; also of other calls."""
    history = {"enabled": True, "path": str(tmp_path / "logs.db")}
    model.scripts = [CALLED, Script()]
    before = await start_service(history=history)
    async with client_of(before) as gpt:
        first = await gpt.responses.create(
            **ASKED, instructions="Be short.", input=PICTURE, tools=[TOOL]
        )
        system = {"role": "system", "content": "Stay."}
        chat = await gpt.chat.completions.create(
            **ASKED, messages=[system, {"role": "user", "content": NAME}]
        )
        again = await gpt.responses.create(
            **ASKED, instructions="Be short.", input=PICTURE, tools=[TOOL]
        )
        assert again.id != first.id
    await recorded(before)
    after = await start_service(history=history)
    async with client_of(after) as gpt:
        await gpt.responses.create(**ASKED, input=[RESULT], previous_response_id=again.id)
        assert heard(model)[0] == ("user", "Look.")
        await gpt.responses.create(**ASKED, input=[RESULT], previous_response_id=first.id)
        assert heard(model) == [("user", "Look."), ("assistant", "Wait."), ("tool", "Noon.")]
        image = model.calls[-1].messages[0].parts[1].attachment
        assert (image.type, image.content[:4]) == ("image/png", b"\x89PNG")
        assert model.calls[-1].messages[1].parts[1].name == "now"

        chatted = chat.id.replace("chatcmpl-", "resp_")
        await gpt.responses.create(**ASKED, input="Who am I?", previous_response_id=chatted)
        assert heard(model)[:2] == [("system", "Stay."), ("user", NAME)]
        with pytest.raises(openai.NotFoundError):
            await gpt.responses.create(**ASKED, input="?", previous_response_id="resp_x")


async def test_another_replica_goes_on(
    start_service: StartService, redis_server: RedisServer, model: ScriptedModel
) -> None:
    """What a response was asked is shared as its events are."""
    pair = [await start_service(redis={"url": redis_server.url}) for _ in range(2)]
    async with client_of(pair[0]) as ours, client_of(pair[1]) as theirs:
        first = await ours.responses.create(**ASKED, input=NAME, metadata={"a": "b"})
        await theirs.responses.create(
            **ASKED, input="Who am I?", previous_response_id=first.id, timeout=30
        )
        told = await theirs.responses.retrieve(first.id)

    assert heard(model)[0] == ("user", NAME)
    assert told.metadata == {"a": "b"}


class Ended(RunDirectory):
    """Runs that have ended."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}

    async def find(self, run_id: str, owner: str = "", after: str = "0") -> Run:
        """See `RunDirectory.find`."""
        return self.runs[run_id]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are left to the history; so is what is older than runs can be."""
    monkeypatch.setattr(earlier, "MAX_BYTES", 3 * earlier.NOTE_BYTES)
    clock, runs = [0.0], Ended()
    kept = Earlier(runs, 60, clock=lambda: clock[0])

    async def note(prompt: str) -> None:
        spec, run = await ended(prompt)
        runs.runs[run.id] = run
        kept.note(run, spec, {})

    async def known() -> list[str]:
        found = []
        for run_id in runs.runs:
            with suppress(UnknownRun):
                found.append((await kept.conversation(response_id(run_id), ""))[0].content)
        return found

    for prompt in ("one", "two", "three"):
        await note(prompt)
    assert await known() == ["two", "three"]
    clock[0] = 2 * 60 + 1
    await note("four")
    assert await known() == ["four"]


class Foreign(SharedNotes):
    """Notes of a version that says them otherwise."""

    def note(self, run: str, data: bytes) -> None:
        """See `SharedNotes.note`."""

    async def read(self, run: str) -> bytes | None:
        """See `SharedNotes.read`."""
        return b'{"said": []}'


async def test_a_note_that_cannot_be_read_is_none() -> None:
    """Replicas of two versions run side by side while one takes the other's place."""
    runs = Ended()
    _, run = await ended("one")
    runs.runs[run.id] = run
    kept = Earlier(runs, 60, shared=Foreign())

    assert await kept.told(run) == {}
    with pytest.raises(UnknownRun):
        await kept.conversation(response_id(run.id), "")
