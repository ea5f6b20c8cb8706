"""The embedded model for llm's own command line and its Python users: `llm -m smollm2 'hi'`.

An entry point of the group `llm`; imports nothing heavy and loads nothing.
"""

import importlib.util
from collections.abc import Callable
from functools import cache

import llm

from llm_stream.models.llamacpp import LIBRARY
from llm_stream.models.local import LocalModel
from llm_stream.models.weights import weights_path


@cache
def embedded_model() -> LocalModel:
    """The one model of this process; llm registers anew for each look at its models."""
    return LocalModel(weights=weights_path())


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register `smollm2`, async and sync, if its library is installed.

    Its weights may be missing: then prompting it says how to fetch them.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        model = embedded_model()
        register(model.twin(), model)
