"""Scripted `llm` models with simulated answers and faults, for our tests and anyone's.

They answer without a network or a key, deterministically, and can be driven step by step.
`llm_stream.testing.service` starts a whole service around them; `mock_providers` fakes the
providers themselves, down to the bytes on the wire.
"""

from llm_stream.testing.mockproviders import MockAnswer, MockFault, MockScript, mock_providers
from llm_stream.testing.scripted import (
    Fault,
    Script,
    ScriptedModel,
    ScriptedSyncModel,
    words,
)

__all__ = [
    "Fault",
    "MockAnswer",
    "MockFault",
    "MockScript",
    "Script",
    "ScriptedModel",
    "ScriptedSyncModel",
    "mock_providers",
    "words",
]
