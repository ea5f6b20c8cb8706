"""How a run is shown."""

from typing import Any

import orjson

from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import Recording
from llm_stream.web.views import (
    answer,
    cache_word,
    replayed,
    run_headers,
    snapshot,
    summary,
)

from ..engine.conftest import make_run, say
from ..engine.test_run import finished

__all__ = ["make_run"]


async def test_the_three_forms_agree(make_run: Any) -> None:
    """Answer, snapshot and summary tell the same run the same way."""
    run = make_run(title="Plan a shop", tags=("a",))
    run.start(say("a", "b"))
    await finished(run)
    full, line = snapshot(run), summary(run)
    body = answer(run.info, Fold(run.events()), joined=True)

    assert body["text"] == full["text"] == "ab"
    assert body["cache"] == {"status": "joined", "key": "k"}
    assert (line["title"], line["tags"], line["cursor"]) == ("Plan a shop", ["a"], "1-4")
    assert full["statistics"]["chunks"] == 2
    assert full["finish_reason"] == "stop"
    assert "error" not in full


async def test_cache_status_says_how_it_came(make_run: Any) -> None:
    """RFC 9211: missed, collapsed into one under way, or bypassed."""
    run, private = make_run(), make_run(cache="bypass")

    assert run_headers(run, joined=False)["Cache-Status"] == 'llm-stream; fwd=miss; key="k"'
    assert "collapsed" in run_headers(run, joined=True)["Cache-Status"]
    assert "fwd=bypass" in run_headers(private, joined=False)["Cache-Status"]


async def test_a_replay_is_answered_like_any_run(make_run: Any) -> None:
    """Two hits on one recording: the bytes that are put together say what `answer` says."""
    run = make_run(title="Plan a shop")
    run.start(say("a", "b"))
    await finished(run)
    recording = Recording.of(run)
    for name, age in (("run_1", 3), ("run_2", 4)):
        info = run.info._replace(id=name, cache="hit", age_seconds=age, ttl_seconds=60 - age)

        body = answer(info, recording.fold, joined=False)
        assert orjson.loads(replayed(info, recording)) == body
        assert list(orjson.loads(replayed(info, recording))) == list(body)


async def test_what_was_said_of_the_cache_is_read_again(make_run: Any) -> None:
    """In the words of `run.started`; of a response about no run there is none."""
    runs = {state: make_run(cache=state) for state in ("miss", "hit", "bypass")}

    assert {cache_word(run_headers(run, joined=False)): name for name, run in runs.items()} == {
        name: name for name in runs
    }
    assert cache_word(run_headers(runs["miss"], joined=True)) == "joined"
    assert cache_word({}) is None
