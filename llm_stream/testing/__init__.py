"""Scripted `llm` models with simulated answers and faults, for our tests and anyone's.

They answer without a network or a key, deterministically, and can be driven step by step.
"""

from llm_stream.testing.scripted import (
    Fault,
    Script,
    ScriptedModel,
    ScriptedSyncModel,
    words,
)
from llm_stream.testing.service import running_service

__all__ = ["Fault", "Script", "ScriptedModel", "ScriptedSyncModel", "running_service", "words"]
