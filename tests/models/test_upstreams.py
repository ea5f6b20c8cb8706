"""What is remembered of models: enough, and not without bound."""

import pytest

from llm_stream.config import ModelsSection
from llm_stream.errors import UpstreamRejected
from llm_stream.models.resilience.upstreams import MAX_MODELS, Upstreams


@pytest.fixture
def upstreams() -> Upstreams:
    """Nothing is known yet."""
    return Upstreams(ModelsSection())


def test_a_model_is_remembered(upstreams: Upstreams) -> None:
    """All runs see the same breaker, budget and places."""
    assert upstreams.of("a") is upstreams.of("a")


def test_names_that_callers_make_up_take_no_memory(upstreams: Upstreams) -> None:
    """The one that was asked for longest ago is forgotten; one in use since then is not."""
    first, second = upstreams.of("first"), upstreams.of("second")
    for number in range(MAX_MODELS - 2):
        upstreams.of(f"m{number}")
    upstreams.of("first")
    upstreams.of("one more")

    assert len(list(upstreams)) == MAX_MODELS
    assert upstreams.of("first") is first
    assert upstreams.of("second") is not second


async def test_a_model_that_is_being_called_is_not_forgotten(upstreams: Upstreams) -> None:
    """Its place is counted until it is given back."""
    called = upstreams.of("called")
    await called.places.enter()
    for number in range(MAX_MODELS + 5):
        upstreams.of(f"m{number}")

    assert upstreams.of("called") is called


def test_calls_are_counted_by_label(upstreams: Upstreams) -> None:
    """However many names callers make up, as many figures are kept as there are labels."""
    for name in ("p/one", "p/two", "a"):
        route = upstreams.route([name], lambda model: model.replace("p/one", "p/two"))
        route.failed(UpstreamRejected("no"))
    route.answered()

    assert upstreams.attempts == {
        ("p/two", "upstream_rejected"): 2, ("a", "upstream_rejected"): 1, ("a", "ok"): 1,
    }  # fmt: skip
