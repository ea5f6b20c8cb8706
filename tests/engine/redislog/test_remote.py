"""A run of another replica, as far as its log tells."""

from typing import Any

import pytest

from llm_stream.engine.redislog.records import Record
from llm_stream.engine.redislog.remote import RemoteRun
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.engine.tally import Tally
from llm_stream.events import encoded

INFO = RunInfo(id="run_1", recipe="generate", model="m", key="k")


@pytest.mark.parametrize(("following", "substituted"), [("m", False), ("other", True)])
async def test_only_another_models_answer_is_a_substitute(
    following: str, substituted: bool
) -> None:
    """A second attempt of the model that was asked is its own answer, seen from anywhere."""
    tally = Tally()
    failed: Any = {
        "type": "attempt.failed",
        "attempt": 1,
        "model": "m",
        "error": {},
        "next": {"model": following, "delay_ms": 0},
    }
    payloads: Any = [INFO.started(), failed, tally.completed(Outcome("stop"))]
    run = RemoteRun(Record(INFO, "r_1", 1, "running", {}, b""), lambda *_, **__: None, print)
    run.feed([encoded(1, seq, INFO.id, 0, payload) for seq, payload in enumerate(payloads, 1)])

    assert (run.done, run.substituted) == (True, substituted)
