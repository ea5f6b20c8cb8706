"""The embedded model: real answers, several at once, left at any moment."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from llm_stream.errors import ContextTooLong, ModelUnavailable, UnsupportedByModel
from llm_stream.models.local import LocalModel

from .conftest import COMPLETE, ScriptedServer

real = pytest.mark.real_model
LONG = {"max_tokens": 200}
ENDLESS = {"type": "string", "minLength": 500}
"""More than an answer's context holds, so that no answer ends by itself."""
STORY = "Tell a long story about a fox."


async def ask(model: LocalModel, prompt: str = STORY, **kwargs: Any) -> Any:
    """The response of a prompt, all of it read."""
    response = model.prompt(prompt, **kwargs)
    await response.text()
    return response


async def text(model: LocalModel, prompt: str = STORY, **options: Any) -> str:
    """The text of an answer of at most 12 tokens, unless the options say otherwise."""
    return str(await (await ask(model, prompt, options={"max_tokens": 12, **options})).text())


def stream(model: LocalModel, prompt: str = STORY) -> Any:
    """The model's own generator for an answer without an end, as `llm` calls it."""
    response = model.prompt(prompt, schema=ENDLESS, options=LONG)
    return model.execute(response.prompt, stream=True, response=response)


async def until(model: LocalModel, *, running: int, waiting: int = 0) -> None:
    """Let the loop turn until the engine has so many answers."""
    while (now := model.statistics()).running != running or now.waiting != waiting:
        await asyncio.sleep(0)


async def reading(model: LocalModel) -> asyncio.Task[Any]:
    """Somebody who has asked and whose answer is being made."""
    reader = asyncio.create_task(ask(model))
    await until(model, running=1)
    return reader


# -- the real model ----------------------------------------------------------


@real
async def test_an_answer_streams_and_says_how_it_ended(smollm2: LocalModel) -> None:
    """Text comes in pieces; finish reason, tokens and the file's name are on the response."""
    response = smollm2.prompt("Count to twenty.", options={"max_tokens": 12})
    chunks = [chunk async for chunk in response]

    assert len(chunks) > 5
    assert all(isinstance(chunk, str) and chunk for chunk in chunks)
    assert response.response_json == {"finish_reason": "length"}
    used = await response.usage()
    assert used.output == 12
    assert used.input is not None
    assert used.input > 5
    assert response.resolved_model == "SmolLM2-135M-Instruct.Q4_1"


@real
async def test_an_answer_that_finds_its_end_stops(smollm2: LocalModel) -> None:
    """The model's own end is `stop`."""
    response = await ask(smollm2, "What is the capital of France?", options={"temperature": 0})

    assert "Paris" in await response.text()
    assert response.response_json == {"finish_reason": "stop"}


@real
async def test_a_seed_repeats_an_answer(smollm2: LocalModel) -> None:
    """At a high temperature equal seeds give equal texts, and another seed another one."""
    first, again, other = [await text(smollm2, temperature=1.5, seed=seed) for seed in (7, 7, 8)]

    assert first == again != other


@real
async def test_a_tiny_top_p_leaves_the_likeliest_token(smollm2: LocalModel) -> None:
    """With almost no probability to choose from, temperature changes nothing."""
    greedy = await text(smollm2, temperature=0, seed=1)
    narrow = await text(smollm2, temperature=2, top_p=1e-6, seed=1)

    assert greedy == narrow


@real
@pytest.mark.parametrize("many", [False, True])
async def test_a_stop_text_ends_the_answer_before_it(smollm2: LocalModel, many: bool) -> None:
    """One stop text or any of several, the answer ends in front of it with reason `stop`."""
    whole = await text(smollm2, temperature=0, seed=1)
    stop = whole[8:11]

    response = await ask(
        smollm2,
        options={"temperature": 0, "seed": 1, "stop": ["\0", stop] if many else stop},
    )

    assert await response.text() == whole.partition(stop)[0]
    assert response.response_json == {"finish_reason": "stop"}


@real
async def test_the_system_prompt_and_the_history_are_heard(smollm2: LocalModel) -> None:
    """Both are counted as input."""
    options = {"max_tokens": 1}
    conversation = smollm2.conversation()

    bare = await ask(smollm2, "Hi", options=options, system="A")
    long = await ask(smollm2, "Hi", options=options, system="A " * 50)
    await conversation.prompt("Hi", options=options, system="A").text()
    second = conversation.prompt("Hi", options=options)
    await second.text()

    tokens = [(await response.usage()).input or 0 for response in (bare, long, second)]
    assert tokens[1] > tokens[0] + 40
    assert tokens[2] > tokens[0] + 5


REPORT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["stage", "verdict", "reasons"],
    "properties": {
        "stage": {"type": "string", "maxLength": 12},
        "verdict": {"enum": ["sufficient", "insufficient"]},
        "reasons": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 12}},
    },
}


@real
async def test_schemas_are_kept_by_several_answers_at_once(smollm2: LocalModel) -> None:
    """Four answers under way together are each JSON of the schema."""
    answers = await asyncio.gather(
        *(ask(smollm2, f"Judge stage {n}.", schema=REPORT, options=LONG) for n in range(4))
    )

    for answer in answers:
        value = json.loads(await answer.text())
        assert set(value) == {"stage", "verdict", "reasons"}
        assert len(value["stage"]) <= 12
        assert value["verdict"] in {"sufficient", "insufficient"}
        assert len(value["reasons"]) <= 2


@real
async def test_characters_of_many_bytes_arrive_whole(smollm2: LocalModel) -> None:
    """Emoji and CJK, which are several tokens each, are never cut between chunks."""
    written = "🙂🎉日本語 👨\u200d👩\u200d👧 ñ"

    response = smollm2.prompt("Emoji!", schema={"enum": [written]}, options={"max_tokens": 60})
    chunks = [chunk async for chunk in response]

    assert json.loads("".join(chunks)) == written
    assert all("\ufffd" not in chunk for chunk in chunks)
    assert len(chunks) > 5


@real
async def test_an_answer_cut_inside_a_character_drops_the_half(smollm2: LocalModel) -> None:
    """At max_tokens in the middle of an emoji the text ends in front of it."""
    written = "🙂" * 9

    for tokens in range(4, 8):
        response = await ask(
            smollm2, "Emoji!", schema={"enum": [written]}, options={"max_tokens": tokens}
        )
        assert set(await response.text()) <= set('\n "🙂')


@real
async def test_a_prompt_that_is_too_long_says_by_how_much(smollm2: LocalModel) -> None:
    """Both numbers are told and nothing is generated."""
    with pytest.raises(ContextTooLong, match=r"has 3\d\d tokens; smollm2 takes 256"):
        await ask(smollm2, "word " * 300)


@real
async def test_an_answer_that_fills_the_context_ends_with_length(smollm2: LocalModel) -> None:
    """Prompt and answer share the context; where it ends the answer is cut."""
    response = await ask(smollm2, "word " * 170, schema=ENDLESS, options=LONG)

    used = await response.usage()
    assert response.response_json == {"finish_reason": "length"}
    assert (used.input or 0) + (used.output or 0) == 256


@real
async def test_a_schema_that_is_no_schema_is_refused(smollm2: LocalModel) -> None:
    """What llama.cpp cannot turn into a grammar is the caller's to change."""
    with pytest.raises(UnsupportedByModel, match="objekt") as caught:
        await ask(smollm2, schema={"type": "objekt"})

    assert caught.value.field == "schema"


@real
async def test_four_answers_run_and_a_fifth_waits_its_turn(smollm2: LocalModel) -> None:
    """All four have begun to speak before any has ended; leaving one lets the fifth begin."""
    four = [stream(smollm2, f"{n}. {STORY}") for n in range(4)]
    await asyncio.gather(*(anext(chunks) for chunks in four))
    fifth = asyncio.create_task(text(smollm2, "Hi", max_tokens=1))
    await until(smollm2, running=4, waiting=1)

    await four[0].aclose()
    assert await fifth
    assert smollm2.statistics().running == 3

    for chunks in four:
        await chunks.aclose()
    assert smollm2.statistics().running == 0


@real
async def test_leaving_in_mid_answer_frees_the_thread(smollm2: LocalModel) -> None:
    """When `aclose()` returns, the generation has stopped."""
    chunks = stream(smollm2)
    await anext(chunks)
    assert smollm2.statistics().running == 1

    await chunks.aclose()

    assert smollm2.statistics().running == 0


@real
async def test_cancelling_while_the_prompt_is_read_frees_the_thread(smollm2: LocalModel) -> None:
    """A reader cancelled before the first token is gone, and so is its generation."""
    reader = asyncio.create_task(text(smollm2, "word " * 200))
    await until(smollm2, running=1)

    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await until(smollm2, running=0)

    assert reader.cancelled()


@real
async def test_the_sync_twin_streams_and_shares_the_file(smollm2: LocalModel) -> None:
    """`llm`'s sync interface gets pieces, usage and options; closing early frees the thread."""
    twin = smollm2.twin()
    response = twin.prompt("Count to twenty.", options={"max_tokens": 8})

    assert len(await asyncio.to_thread(list, response)) > 3
    assert response.usage().output == 8
    assert response.response_json == {"finish_reason": "length"}

    early = twin.prompt(STORY, options=LONG)
    with closing(twin.execute(early.prompt, stream=True, response=early)) as chunks:
        next(chunks)
    await until(smollm2, running=0)


# -- a scripted llama.cpp ----------------------------------------------------


@pytest.fixture
async def scripted(server: ScriptedServer) -> AsyncIterator[LocalModel]:
    """A model of one thread on the scripted server."""
    model = LocalModel("m", weights=Path("m.gguf"), parallel=1, open_server=server.open)
    yield model
    server.free()
    await model.close()


async def test_cancelling_before_the_first_chunk_ends_at_the_next(
    scripted: LocalModel, server: ScriptedServer
) -> None:
    """The reader returns when llama.cpp has let go, and gets nothing of what it still said."""
    reader = await reading(scripted)
    reader.cancel()
    await asyncio.sleep(0)
    assert not reader.done()

    server.let.release()
    await asyncio.gather(reader, return_exceptions=True)

    assert reader.cancelled()
    assert scripted.statistics().running == 0


async def test_a_second_cancellation_does_not_wait(
    scripted: LocalModel, server: ScriptedServer
) -> None:
    """Who is cancelled while leaving leaves the thread to itself."""
    reader = await reading(scripted)
    reader.cancel()
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)

    assert reader.cancelled()
    assert scripted.statistics().running == 1


@pytest.mark.slow
async def test_leaving_does_not_wait_for_ever(scripted: LocalModel) -> None:
    """If llama.cpp says nothing more, leaving takes a second, and the thread ends when it can."""
    chunks = stream(scripted)
    first = asyncio.create_task(anext(chunks))
    await until(scripted, running=1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert first.cancelled()
    assert scripted.statistics().running == 1


async def test_a_prompt_that_waits_can_be_cancelled(
    scripted: LocalModel, server: ScriptedServer
) -> None:
    """It is gone at once and never reaches llama.cpp."""
    first = await reading(scripted)
    waiting = asyncio.create_task(ask(scripted))
    await until(scripted, running=1, waiting=1)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await until(scripted, running=1)

    server.free()
    assert await (await first).text() == "Hello you"
    assert len(server.requests) == 1


async def test_closing_the_model_fails_its_answers(
    scripted: LocalModel, server: ScriptedServer
) -> None:
    """Readers under way get `model_unavailable`, not a text that looks whole; so do later ones."""
    server.chunks = repeat(COMPLETE[0])
    reader = await reading(scripted)

    closed = asyncio.create_task(scripted.close())
    while not closed.done():
        server.let.release()
        await asyncio.sleep(0)

    for late in (reader, ask(scripted)):
        with pytest.raises(ModelUnavailable, match="closed"):
            await late


async def test_missing_weights_are_told_when_asked(tmp_path: Path) -> None:
    """The model exists without its file; loading or asking it names the command that helps."""
    model = LocalModel(weights=tmp_path / "m.gguf")

    assert not model.available
    assert str(model) == "llm-stream: smollm2"
    with pytest.raises(ModelUnavailable, match="llm-stream pull"):
        await model.load()
    with pytest.raises(ModelUnavailable, match="llm-stream pull"):
        await ask(model)
    with pytest.raises(ModelUnavailable, match="llm-stream pull"):
        model.twin().prompt("x").text()
    await model.close()
