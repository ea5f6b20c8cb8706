"""A fake provider, and models of every wire that ask it."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from llm_stream.config import ProviderSection
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Calling, Chunk, Message, ModelCall
from llm_stream.models.keys import Keyring
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.wires.providers import Providers
from llm_stream.models.wires.transport import Transport

from .fakeserver import FakeProvider, fake_provider

KEY = "canary-0123456789"

BASE = {"openai": "/v1", "openai_responses": "/v1"}
"""What the base URL of a kind has behind the host."""

MakeAdapter = Callable[..., ModelAdapter]


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A server that answers what a test tells it to."""
    async with fake_provider() as running:
        yield running


@pytest.fixture
async def wire(provider: FakeProvider) -> AsyncIterator[MakeAdapter]:
    """Makes the adapter of a model: `wire("anthropic", "claude-3-opus")`."""
    made: list[Providers] = []

    def make(kind: str, name: str = "m", **section: Any) -> ModelAdapter:
        section = {"base_url": provider.url + BASE.get(kind, ""), "api_key_env": ("KEY",)} | section
        sections = {"p": ProviderSection(kind=kind, **section)}  # type: ignore[arg-type]
        providers = Providers(sections, Keyring({"KEY": KEY}, None))
        made.append(providers)
        return ModelAdapter(providers.on_demand(f"p/{name}"), SyncThreads(1))  # type: ignore[arg-type]

    yield make
    for providers in made:
        await providers.close()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """A pool."""
    transport = Transport()
    yield transport
    await transport.close()


def call(*messages: Message, **more: Any) -> ModelCall:
    """A question, "Hi" unless told otherwise."""
    return ModelCall(messages or (Message("user", "Hi"),), **more)


async def ask(adapter: ModelAdapter, asked: ModelCall | None = None) -> list[Chunk]:
    """All chunks of an answer, mere signs of life left out."""
    async with aclosing(adapter.stream(asked or call(), None)) as batches:
        return [
            chunk async for chunks in batches for chunk in chunks if not isinstance(chunk, Calling)
        ]
