"""Answers that break off in the middle: an error, a splice, a restart."""

from hashlib import sha256
from typing import Any

import pytest

from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.errors import ContentRefused, UpstreamFailed, UpstreamTimedOut
from llm_stream.events import decoded
from llm_stream.models.timers import Timeouts
from llm_stream.models.toolset import Tool, Toolset
from llm_stream.recipes.spec import RunSpec
from llm_stream.testing import Fault, Script, ScriptedModel, words

from ..problem import only_its_code
from .attempting import Bench, failing, failures_of, never, spec, text_of

WHOLE = ("Hello", ", ", "world", ".")
TEXT = "".join(WHOLE)


def splicing(**changes: Any) -> RunSpec:
    """A request whose broken answer is to be continued."""
    return spec(on_midstream_failure="splice", **changes)


def kinds(payloads: list[Any]) -> list[str]:
    """Types of the payloads; the outcome's name for it."""
    return ["outcome" if isinstance(p, Outcome) else p["type"] for p in payloads]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_splice_goes_on_where_the_first_answer_broke_off(at: int) -> None:
    """Readers have each character once, whatever the place of the break."""
    model = ScriptedModel("a", failing(at, chunks=WHOLE), Script(chunks=WHOLE))
    bench = Bench(model)
    seen = await bench.run(splicing())

    assert text_of(seen) == TEXT
    assert failures_of(seen) == [(1, "a", "upstream_failed", "a", 500)]
    assert kinds(seen).count("run.restarted") == 0
    assert bench.upstreams.mended == {"spliced": 1}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
async def test_a_splice_does_not_depend_on_the_pieces(size: int) -> None:
    """The second answer may come in other chunks; one may straddle the break."""
    text = "".join(words(30))
    pieces = tuple(text[start : start + size] for start in range(0, len(text), size))
    model = ScriptedModel("a", failing(7, chunks=words(30)), Script(chunks=pieces))

    assert text_of(await Bench(model).run(splicing())) == text


async def test_several_breaks_are_spliced_one_after_the_other() -> None:
    """A second answer that breaks off as well, earlier or later, is continued like the first."""
    model = ScriptedModel(
        "a", failing(2, chunks=WHOLE), failing(1, chunks=WHOLE), failing(3, chunks=WHOLE), Script()
    )
    seen = await Bench(model, retries={"attempts": 9}).run(splicing())

    assert text_of(seen) == TEXT
    assert [failure[0] for failure in failures_of(seen)] == [1, 2, 3]


DIVERGING = [("Hello", "! "), ("Hell",), ("hello, world.",), (), ("Hello", ", w", "0rld")]


@pytest.mark.parametrize("chunks", DIVERGING)
async def test_an_answer_that_diverges_ends_the_run_cleanly(chunks: tuple[str, ...]) -> None:
    """Nothing of it is sent, its call is closed, and the run says what broke the first one."""
    model = ScriptedModel(
        "a", failing(3, ConnectionError("cut"), chunks=WHOLE), Script(chunks=chunks)
    )
    bench = Bench(model)
    seen: list[Any] = []
    with pytest.raises(UpstreamFailed, match="cut"):
        await bench.run(splicing(), seen)

    assert text_of(seen) == "Hello, world"
    assert failures_of(seen)[-1] == (2, "a", "invalid_output", None, None)
    assert bench.upstreams.mended == {"diverged": 1}
    assert (len(model.calls), model.calls[1].closed.is_set()) == (2, True)


async def test_another_model_may_continue_an_answer() -> None:
    """A provider that fell silent is not asked again; if the next one says the same, it goes on."""
    silent = Script(chunks=WHOLE, fault=Fault(at=2, stall=True))
    a, b = ScriptedModel("a", silent), ScriptedModel("b", Script(chunks=WHOLE))
    asked = splicing(fallback_models=("b",), timeouts=Timeouts(idle_seconds=0.01))
    seen = await Bench(a, b).run(asked)

    assert (text_of(seen), len(a.calls)) == (TEXT, 1)
    assert failures_of(seen) == [(1, "a", "upstream_timed_out", "b", 0)]


async def test_no_later_error_hides_the_first() -> None:
    """Whatever the attempts to go on run into, the run says why the answer broke off."""
    a = ScriptedModel("a", failing(2, ConnectionError("cut")), failing(error=OSError("later")))
    b = ScriptedModel("b", failing(error=ContentRefused("policy")))
    with pytest.raises(UpstreamFailed, match="cut"):
        await Bench(a, b, retries={"attempts": 2}).run(splicing(fallback_models=("b",)))


async def test_the_break_hides_what_failed_unseen_before_it() -> None:
    """A run that got as far as an answer does not fail for what came before the answer."""
    model = ScriptedModel("a", failing(error=OSError("busy")), failing(2, ConnectionError("cut")))
    with pytest.raises(UpstreamFailed, match="cut"):
        await Bench(model).run(spec())


async def test_reasoning_that_was_shown_is_not_repeated() -> None:
    """Only text is compared; reasoning shows again once the answer is new."""
    first = failing(3, reasoning=("hm", "..."), chunks=WHOLE)
    model = ScriptedModel("a", first, Script(reasoning=("other", "thoughts"), chunks=WHOLE))
    seen = await Bench(model).run(splicing())

    assert [p["text"] for p in seen[:-1] if p["type"] == "reasoning.delta"] == ["hm", "..."]
    assert text_of(seen) == TEXT


async def test_an_answer_that_broke_off_in_its_reasoning_begins_its_text() -> None:
    """There is no text to repeat: all of the second answer's is new, its reasoning is not shown."""
    model = ScriptedModel("a", failing(1, reasoning=("hm", "...")), Script(reasoning=("other",)))
    seen = await Bench(model).run(splicing())

    assert [p["text"] for p in seen[:-1] if p["type"] == "reasoning.delta"] == ["hm"]
    assert text_of(seen) == TEXT


TOOLS = (("t1", "look_up", "{}"), ("t2", "look_up", '{"a": 1}'))
STRICT = Toolset((Tool("look_up", "", {"additionalProperties": False}, strict=True),))


@pytest.mark.parametrize("policy", ["splice", "restart"])
async def test_no_call_is_told_of_an_answer_that_is_given_up(policy: Any) -> None:
    """Somebody may have acted on it, and the next answer calls under another id."""
    a = ScriptedModel("a", Script(tool_calls=TOOLS))
    b = ScriptedModel("b", Script(tool_calls=(("t3", "look_up", "{}"),)))
    asked = spec(on_midstream_failure=policy, fallback_models=("b",), tools=STRICT)
    seen = await Bench(a, b).run(asked)

    called = [payload for payload in seen[:-1] if payload["type"] == "tool.called"]
    assert [call["tool_call_id"] for call in called] == ["t3"]


async def test_a_tool_called_before_the_text_was_repeated_diverges() -> None:
    """Text comes before calls: one that comes early stands for other text."""
    model = ScriptedModel("a", failing(2), Script(chunks=("Hello",), tool_calls=TOOLS[:1]))
    seen: list[Any] = []
    with pytest.raises(UpstreamFailed):
        await Bench(model).run(splicing(), seen)

    assert "tool.called" not in kinds(seen)


SCHEMA = {"type": "object", "required": ["name"]}


async def test_a_spliced_answer_is_checked_as_a_whole() -> None:
    """The result is decoded from what both calls have sent."""
    chunks = ('{"na', 'me": ', '"shop"}')
    model = ScriptedModel("a", failing(2, chunks=chunks), Script(chunks=('{"name": "sh', 'op"}')))
    seen = await Bench(model).run(splicing(schema=SCHEMA))

    assert seen[-1].result == {"name": "shop"}
    assert text_of(seen) == '{"name": "shop"}'


async def test_a_restart_discards_and_begins_anew() -> None:
    """Readers are told before the pause; then they get another answer, from any model."""
    a, b = ScriptedModel("a", failing(2)), ScriptedModel("b", Script(chunks=("other",)))
    bench = Bench(a, b, retries={"attempts": 1})
    asked = spec(on_midstream_failure="restart", fallback_models=("b",))
    seen = await bench.run(asked)

    assert kinds(seen) == [
        "text.delta", "text.delta", "attempt.failed", "run.restarted", "text.delta", "usage",
        "outcome",
    ]  # fmt: skip
    assert seen[3]["reason"] == "upstream_failed"
    assert text_of(seen) == "other"
    assert bench.upstreams.mended == {"restarted": 1}


async def test_a_restart_forgets_the_text_it_had_kept() -> None:
    """A structured answer is decoded from the new call alone."""
    chunks = ('{"name"', ': "old"}')
    model = ScriptedModel("a", failing(2, chunks=chunks), Script(chunks=('{"name": "new"}',)))
    seen = await Bench(model).run(spec(on_midstream_failure="restart", schema=SCHEMA))

    assert seen[-1].result == {"name": "new"}


async def test_there_is_nothing_to_discard_twice() -> None:
    """A failure before the new answer's first output is like any before the first output."""
    model = ScriptedModel("a", failing(2), failing(), Script())
    seen = await Bench(model).run(spec(on_midstream_failure="restart"))

    assert kinds(seen).count("run.restarted") == 1
    assert text_of(seen) == TEXT


async def test_by_default_a_break_is_an_error() -> None:
    """Two answers are never mixed unless they have to be the same."""
    model = ScriptedModel("a", failing(1))
    bench = Bench(model)
    with pytest.raises(UpstreamFailed):
        await bench.run(spec())

    assert len(model.calls) == 1
    assert bench.upstreams.mended == {"lost": 1}


@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 7}])
async def test_a_repeatable_call_is_spliced_by_default(options: dict[str, Any]) -> None:
    """The same call is meant to be answered the same."""
    model = ScriptedModel("a", failing(2), Script())

    assert text_of(await Bench(model).run(spec(options=options))) == TEXT


async def test_a_repeatable_call_may_want_the_error() -> None:
    """What the request says wins over what its options suggest."""
    asked = spec(options={"temperature": 0}, on_midstream_failure="error")
    with pytest.raises(UpstreamFailed):
        await Bench(ScriptedModel("a", failing(2), Script())).run(asked)


async def test_a_silent_model_in_the_middle_ends_the_run_without_another() -> None:
    """Who stayed silent until the timer is not asked again, not even to go on."""
    model = ScriptedModel("a", Script(fault=Fault(at=1, stall=True)))
    with pytest.raises(UpstreamTimedOut):
        await Bench(model).run(splicing(timeouts=Timeouts(idle_seconds=0.01)))

    assert len(model.calls) == 1


@pytest.mark.parametrize("policy", ["splice", "restart"])
async def test_the_hash_is_that_of_the_text_readers_have(policy: Any) -> None:
    """`text_sha256` and `text_chars` of a mended run are those of its valid deltas."""
    chunks = words(40)
    model = ScriptedModel("a", failing(17, chunks=chunks), Script(chunks=chunks))
    run = Run(
        RunInfo(id="run_1", recipe="generate", model="a", key="k"),
        max_log_bytes=1_000_000,
        describe_error=only_its_code,
    )
    run.start(Bench(model).recipe.run(spec(on_midstream_failure=policy), never))
    with run.subscribe() as reader:
        payloads = [decoded(event) async for batch in reader.batches() for event in batch]
    end, text = payloads[-1], text_of(payloads)

    assert text == "".join(chunks)
    assert (end["type"], end["attempts"]) == ("run.completed", 2)
    assert (end["text_sha256"], end["text_chars"]) == (sha256(text.encode()).hexdigest(), len(text))
    assert not run.substituted
