"""Probes: who is asked when, and what its answer means."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from llm_stream.config.providers import Kind
from llm_stream.models.keys import Keyring
from llm_stream.models.probes import Probed, Probes
from llm_stream.models.resilience.breaker import Breaker
from llm_stream.models.wires.endpoint import Address, Endpoint, ProviderKey
from llm_stream.models.wires.keycheck import LISTS
from llm_stream.models.wires.transport import Transport
from llm_stream.testing.mockproviders import MockProviders

from ..engine.conftest import Clock
from .wires.fakeserver import FakeProvider, Reply, fake_provider, json_reply

KEYS = {"FIRST": "canary-0123456789", "SECOND": "canary-9876543210"}
LIST = json_reply({"data": []})

MakeProbed = Callable[..., Probed]
Start = Callable[[Probed], Probes]
Counts = Counter[tuple[str, str]]


class Naps:
    """Pauses that end when a test says so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: asyncio.Queue[float] = asyncio.Queue()
        self._over: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        self._begun.put_nowait(seconds)
        await self._over.get()

    async def next(self) -> float:
        """Wait for the next pause; how long it is to be."""
        return await self._begun.get()

    async def after(self, seconds: float) -> float:
        """Let the pause end after this time; how long the next one is to be."""
        self._clock.now += seconds
        self._over.put_nowait(None)
        return await self.next()


@pytest.fixture
def clock() -> Clock:
    """Stands still until moved."""
    return Clock()


@pytest.fixture
def naps(clock: Clock) -> Naps:
    """Pauses on that clock."""
    return Naps(clock)


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A server that answers what a test tells it to."""
    async with fake_provider() as running:
        running.answer(LIST)
        yield running


@pytest.fixture
async def make(clock: Clock, provider: FakeProvider) -> AsyncIterator[MakeProbed]:
    """Makes a provider that is probed after 30 s; its breaker opens after 3 failures, for 10 s."""
    transport = Transport()

    def probed(
        url: str = provider.url, kind: Kind = "openai", keys: tuple[str, ...] = ("FIRST",)
    ) -> Probed:
        key = ProviderKey(Keyring(KEYS, None), "p", keys)
        endpoint = Endpoint("p", Address(url), key, transport)
        return Probed(endpoint, kind, 30, Breaker(3, 10, clock, models=2))

    yield probed
    await transport.close()


@pytest.fixture
def counts() -> Counts:
    """Where probes are counted."""
    return Counter()


@pytest.fixture
async def start(clock: Clock, naps: Naps, counts: Counts) -> AsyncIterator[Start]:
    """Starts probes; `probes.failing()` and the counts tell what came of them."""
    started: list[Probes] = []

    def begin(probed: Probed) -> Probes:
        probes = Probes([probed], counts, clock, naps)
        started.append(probes)
        probes.start()
        return probes

    yield begin
    for probes in started:
        await probes.close()


@pytest.mark.parametrize("kind", LISTS)
async def test_each_kind_of_provider_is_asked_for_its_models(
    kind: str, make: MakeProbed, start: Start, counts: Counts, naps: Naps, mocks: MockProviders
) -> None:
    """One GET at once, with the key in a header; nothing that would be answered or billed."""
    urls = {
        "anthropic": mocks.anthropic_url,
        "gemini": mocks.gemini_url,
        "palm": mocks.palm_url,
    }
    probes = start(make(urls.get(kind, mocks.openai_url), kind))
    await naps.next()
    (request,) = mocks.requests

    assert (request.method, request.status) == ("GET", 200)
    assert KEYS["FIRST"] not in request.path
    assert counts == {("p", "ok"): 1}
    assert probes.failing() == set()


async def test_only_the_idle_are_probed(
    make: MakeProbed, start: Start, counts: Counts, naps: Naps, clock: Clock, provider: FakeProvider
) -> None:
    """Time counts from the last call, however it went."""
    probed = make()
    start(probed)
    assert await naps.next() == 30
    clock.now += 20
    probed.breaker.told_nothing(probe=probed.breaker.begin())

    assert await naps.after(10) == 20
    assert len(provider.requests) == 1
    assert await naps.after(20) == 30
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("reply", "code", "failing", "state"),
    [
        (LIST, "ok", set(), "closed"),
        (json_reply({}, 404), "ok", set(), "closed"),
        (json_reply({}, 405), "ok", set(), "closed"),
        (json_reply({}, 401), "upstream_rejected", {"p"}, "closed"),
        (json_reply({}, 403), "upstream_rejected", {"p"}, "closed"),
        (json_reply({}, 429), "rate_limited", {"p"}, "closed"),
        (json_reply({}, 503), "upstream_failed", {"p"}, "open"),
        (Reply([b"<html>"], content_type="text/html"), "upstream_failed", {"p"}, "open"),
        (Reply([b"{"], end="reset", content_type="application/json"), "upstream_failed", {"p"},
         "open"),
    ],
)  # fmt: skip
async def test_what_an_answer_means(
    make: MakeProbed, start: Start, counts: Counts, naps: Naps, provider: FakeProvider,
    reply: Reply, code: str, failing: set[str], state: str,
) -> None:  # fmt: skip
    """As of a call; only what says that a provider is down opens its breaker, as often as usual."""
    provider.answer(reply)
    probed = make()
    probes = start(probed)
    await naps.next()
    assert (probes.failing(), probed.breaker.state) == (failing, "closed")
    for _ in range(2):
        await naps.after(30)

    assert counts == {("p", code): 3}
    assert (probes.failing(), probed.breaker.state) == (failing, state)


async def test_a_refused_connection_is_a_failure(
    make: MakeProbed, start: Start, counts: Counts, naps: Naps, mocks: MockProviders
) -> None:
    """Nobody is there."""
    probes = start(make(mocks.refused_url))
    await naps.next()

    assert counts == {("p", "upstream_failed"): 1}
    assert probes.failing() == {"p"}


async def test_a_missing_key_is_a_failure(
    make: MakeProbed, start: Start, counts: Counts, naps: Naps, provider: FakeProvider
) -> None:
    """Known without asking; every call would say the same."""
    probed = make(keys=("NONE",))
    probes = start(probed)
    await naps.next()

    assert counts == {("p", "missing_key"): 1}
    assert (probes.failing(), probed.breaker.state) == ({"p"}, "closed")
    assert provider.requests == []


async def test_a_provider_that_is_back_is_no_more_failing(
    make: MakeProbed,
    start: Start,
    naps: Naps,
    provider: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Told once when it fails, and once when it is back."""
    caplog.set_level(logging.INFO, "llm_stream.models.probes")
    provider.answer(json_reply({}, 503), json_reply({}, 503), LIST)
    probes = start(make())
    await naps.next()
    await naps.after(30)
    assert probes.failing() == {"p"}
    await naps.after(30)

    assert probes.failing() == set()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_an_answered_call_says_that_it_is_back(
    make: MakeProbed, start: Start, naps: Naps, clock: Clock, provider: FakeProvider
) -> None:
    """Calls know better than probes."""
    provider.answer(json_reply({}, 403))
    probed = make()
    probes = start(probed)
    await naps.next()
    assert probes.failing() == {"p"}
    clock.now += 1
    probed.breaker.answered()

    assert probes.failing() == set()


async def test_an_open_breaker_keeps_probes_back(
    make: MakeProbed, start: Start, naps: Naps, clock: Clock, provider: FakeProvider
) -> None:
    """For its time; then one may be the call that closes it."""
    probed = make()
    clock.now += 100
    for model in ("a", "b", "c"):
        probed.breaker.failed(probe=False, model=model)
    clock.now += 4
    probed.seconds = 1
    start(probed)

    assert await naps.next() == 6
    assert provider.requests == []
    await naps.after(6)
    assert probed.breaker.state == "closed"
    assert len(provider.requests) == 1


async def test_a_refused_key_makes_room_for_the_next(
    make: MakeProbed,
    start: Start,
    naps: Naps,
    provider: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As with a call; no line has a key, whatever the provider says."""
    said = {"error": {"message": f"No such key: {KEYS['FIRST']}"}}
    provider.answer(json_reply(said, 401), LIST)
    probes = start(make(keys=("FIRST", "SECOND")))
    await naps.next()
    await naps.after(30)

    sent = [request.headers["authorization"].split()[1] for request in provider.requests]
    assert sent == [KEYS["FIRST"], KEYS["SECOND"]]
    assert probes.failing() == set()
    assert "No such key" in caplog.text
    assert "canary" not in caplog.text


async def test_closing_ends_a_probe_under_way(
    make: MakeProbed, start: Start, counts: Counts, provider: FakeProvider
) -> None:
    """Its connection is closed, and it has told nothing."""
    provider.answer(Reply([b"{"], end="hold", content_type="application/json"))
    probes = start(make())
    await provider.begun.wait()
    await probes.close()
    await provider.gone.wait()

    assert probes.failing() == set()
    assert not counts
