"""What llm's plugins register, without loading any other plugin."""

import inspect
from typing import Any

from llm_stream.models.plugins import Loaded, Registered


def registered(*plugins: Any) -> Loaded:
    """What plugins register, the asynchronous variants."""
    loaded = Loaded()

    def register(model: Any, async_model: Any = None, aliases: Any = ()) -> None:
        loaded.models.append(Registered(async_model or model, tuple(aliases or ()), "plugin"))

    for plugin in plugins:
        arguments = {"register": register, "model_aliases": []}
        wanted = inspect.signature(plugin.register_models).parameters
        plugin.register_models(**{name: arguments[name] for name in wanted})
    return loaded
