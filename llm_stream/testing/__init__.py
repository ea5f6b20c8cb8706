"""Scripted `llm` models with simulated answers and faults, for our tests and anyone's.

They answer without a network or a key, deterministically, and can be driven step by step.
`llm_stream.testing.service` starts a whole service around them.
"""

from llm_stream.testing.scripted import (
    Fault,
    Script,
    ScriptedModel,
    ScriptedSyncModel,
    words,
)

__all__ = ["Fault", "Script", "ScriptedModel", "ScriptedSyncModel", "words"]
