"""What is said about sharing with other replicas."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from llm_stream.testing import ScriptedModel
from llm_stream.web.app import create_app

from ..conftest import settings

REDIS = {"url": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize(
    ("sections", "warnings"),
    [
        ({"redis": REDIS}, 1),
        ({"redis": REDIS, "cache": REDIS}, 0),
        ({"redis": REDIS, "cache": {"enabled": False}}, 0),
        ({}, 0),
    ],
    ids=["runs only", "runs and answers", "no cache", "nothing shared"],
)
async def test_a_cache_that_is_not_shared_is_told(sections: Any, warnings: int) -> None:
    """Replicas that share runs and not answers say so at start, once."""
    with capture_logs() as lines:
        app = await create_app(settings(**sections), [ScriptedModel("scripted")])

    told = [line for line in lines if line["event"] == "cache.not_shared"]
    assert [line["log_level"] for line in told] == ["warning"] * warnings
    await app.cleanup()
