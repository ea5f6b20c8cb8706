import pytest

from llm_stream.errors import UpstreamRejected, UpstreamTimedOut
from llm_stream.models.keys import Keyring
from llm_stream.models.wires.endpoint import Address, Endpoint, ProviderKey
from llm_stream.models.wires.keycheck import LISTS, check_key
from llm_stream.models.wires.transport import Transport

from .conftest import KEY
from .fakeserver import FakeProvider, Reply, json_reply


@pytest.fixture
def endpoint(provider: FakeProvider, transport: Transport) -> Endpoint:
    """The provider, with a key."""
    key = ProviderKey(Keyring({"KEY": KEY}, None), "p", ("KEY",))
    return Endpoint("p", Address(provider.url), key, transport)


@pytest.mark.parametrize("kind", LISTS)
async def test_a_key_that_is_taken(kind: str, endpoint: Endpoint, provider: FakeProvider) -> None:
    """One GET with the key in a header, and nothing that would be answered or billed."""
    provider.answer(json_reply({"data": []}))

    await check_key(endpoint, kind)  # type: ignore[arg-type]

    (request,) = provider.requests
    assert request.body is None
    assert KEY not in request.target
    assert any(KEY in value for value in request.headers.values())


async def test_a_key_that_is_refused(endpoint: Endpoint, provider: FakeProvider) -> None:
    """The provider's words, without the key."""
    provider.answer(json_reply({"error": {"message": f"No such key: {KEY}"}}, 401))

    with pytest.raises(UpstreamRejected, match=r"401: No such key: \[redacted\]"):
        await check_key(endpoint, "openai")


async def test_a_provider_that_says_nothing(endpoint: Endpoint, provider: FakeProvider) -> None:
    """Nobody waits for it for ever."""
    provider.answer(Reply(silent=True))

    with pytest.raises(UpstreamTimedOut, match=r"within 0\.05 seconds"):
        await check_key(endpoint, "openai", seconds=0.05)
