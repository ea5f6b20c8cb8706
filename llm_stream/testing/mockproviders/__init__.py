"""Faithful fakes of the providers' wires, with answers and faults by model name or by script.

`mock_providers()` runs them inside a test; `llm-stream mock-providers` runs them for any client.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from llm_stream.testing.mockproviders.answers import MockAnswer, MockToolCall
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.record import MockRequest
from llm_stream.testing.mockproviders.script import MockScript, ScriptFault, load_script
from llm_stream.testing.mockproviders.server import MockProviders

__all__ = [
    "MockAnswer",
    "MockFault",
    "MockProviders",
    "MockRequest",
    "MockScript",
    "MockToolCall",
    "ScriptFault",
    "load_script",
    "mock_providers",
]


@asynccontextmanager
async def mock_providers(
    *,
    faults: Mapping[str, MockFault | Sequence[MockFault]] | None = None,
    scripts: Mapping[str, MockScript] | None = None,
    seed: int = 0,
    port: int = 0,
) -> AsyncIterator[MockProviders]:
    """Run the mock providers on a port of this machine; stop them on leaving.

    Args:
        faults: model name -> one fault for all requests, or several that hold one after another.
        scripts: model name -> answers and faults; `*` = any model without its own.
        seed: of the answers that no script gives, and of jitter.
        port: 0 = any free one.
    """
    all_scripts = dict(scripts or {})
    for model, given in (faults or {}).items():
        listed = (given,) if isinstance(given, MockFault) else tuple(given)
        answers = all_scripts[model].answers if model in all_scripts else ()
        all_scripts[model] = MockScript(answers=answers, faults=listed)
    mocks = MockProviders(all_scripts, seed)
    await mocks.start(port)
    try:
        yield mocks
    finally:
        await mocks.close()
