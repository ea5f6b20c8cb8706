"""Whether a provider takes a key: its list of models is asked for, which costs nothing."""

import asyncio
from typing import Final

from llm_stream.config.providers import Kind
from llm_stream.errors import UpstreamTimedOut
from llm_stream.models.wires.credentials import anthropic, bearer, google
from llm_stream.models.wires.endpoint import Endpoint

LISTS: Final = {
    "openai": ("/models", bearer),
    "openai_responses": ("/models", bearer),
    "anthropic": ("/v1/models?limit=1", anthropic),
    "gemini": ("/v1beta/models?pageSize=1", google),
    "palm": ("/v1beta2/models?pageSize=1", google),
}
"""Where each kind of provider lists its models, below the base URL, and how it takes its key."""

CHECK_SECONDS: Final = 10.0
"""How long a provider may take to list its models."""


async def check_key(endpoint: Endpoint, kind: Kind, seconds: float = CHECK_SECONDS) -> None:
    """Return if the provider answers with the key that would be used now.

    Args:
        endpoint: the provider's.
        kind: what it speaks.
        seconds: how long it may take.

    Raises:
        StreamError: there is none, the provider refuses it, or does not answer.
    """
    path, headers = LISTS[kind]
    try:
        async with asyncio.timeout(seconds):
            async with endpoint.get(path, headers(endpoint.key.value())) as upstream:
                await upstream.body()
    except TimeoutError as error:
        raise UpstreamTimedOut(
            f"{endpoint.provider}: no list of models within {seconds:g} seconds."
        ) from error
