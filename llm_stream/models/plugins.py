"""llm's plugins, loaded one by one, so that a broken one harms no other.

llm loads all at once: one that fails to import leaves a partial registry without a word, and
one that fails to register takes every model with it (llm 0.36). Runs in a thread at start.
"""

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import llm
from llm.plugins import DEFAULT_PLUGINS, pm

from llm_stream.lateimports import later
from llm_stream.models.faults import scrub


@dataclass(frozen=True, slots=True)
class PluginFault:
    """A plugin that could not be used, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Registered:
    """One model as a plugin registered it: its best variant, and its aliases."""

    model: Any
    aliases: tuple[str, ...]
    plugin: str


def _nothing(_name: str) -> None:
    return None


@dataclass(slots=True)
class Loaded:
    """What `load_plugins` found.

    `on_demand` is asked for names that nobody registered: it makes a model, gives the id of a
    registered one, or None.
    """

    models: list[Registered] = field(default_factory=list)
    faults: list[PluginFault] = field(default_factory=list)
    on_demand: Callable[[str], Any] = _nothing


def load_plugins(names: Sequence[str] | None) -> Loaded:
    """Import and register plugins, each on its own. Blocking; takes up to some seconds.

    Args:
        names: distributions or entry points to load beside llm's own; None = all installed.
    """
    # llm must not load them again, all at once, behind our back.
    llm.plugins._loaded = True  # noqa: SLF001 - llm has no other switch after its import
    loaded = Loaded()
    # What asks OpenAI here is a wire of ours; a plugin's model fetches its package when asked.
    with later("openai"):
        for name in DEFAULT_PLUGINS:
            _import(name, lambda name=name: importlib.import_module(name), loaded)
    for entry in _entry_points(names, loaded):
        _import(entry.name, entry.load, loaded)
    extra = _configured_aliases(loaded)
    plugins = set(pm.get_plugins())
    for plugin in plugins_in_order():
        name = pm.get_name(plugin) or repr(plugin)
        found: list[Registered] = []

        def register(
            model: Any,
            async_model: Any = None,
            aliases: Any = None,
            *,
            _found: list[Registered] = found,
            _name: str = name,
        ) -> None:
            names = (*(aliases or ()), *extra.get(model.model_id, ()))
            _found.append(Registered(async_model or model, names, _name))

        hook = pm.subset_hook_caller("register_models", plugins - {plugin})
        try:
            hook(register=register, model_aliases=[])
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything
            loaded.faults.append(_fault(name, error))
        else:
            loaded.models += found
    return loaded


def plugins_in_order() -> list[Any]:
    """Registered plugins in the order of registration: the last to claim a name has it."""
    return [plugin for _, plugin in pm.list_name_plugin() if plugin is not None]


def _import(name: str, load: Any, loaded: Loaded) -> None:
    if pm.has_plugin(name):
        return
    try:
        pm.register(load(), name=name)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything at import
        loaded.faults.append(_fault(name, error))


def _entry_points(names: Sequence[str] | None, loaded: Loaded) -> Iterator[metadata.EntryPoint]:
    wanted = None if names is None else set(names)
    if names is not None and not wanted:
        return  # looking through what is installed costs milliseconds
    for entry in metadata.entry_points(group="llm"):
        own = {entry.name, entry.dist.name if entry.dist else entry.name}
        if wanted is None or own & wanted:
            yield entry
            if wanted is not None:
                wanted -= own
    for name in sorted(wanted or ()):
        loaded.faults.append(PluginFault(name, "not installed"))


def _configured_aliases(loaded: Loaded) -> dict[str, list[str]]:
    """Aliases the user set with `llm aliases set`: {model id: [alias]}."""
    path = Path(cast("Any", llm).user_dir()) / "aliases.json"
    if not path.exists():
        return {}
    found: dict[str, list[str]] = {}
    try:
        for alias, model_id in json.loads(path.read_text()).items():
            if not isinstance(model_id, str):
                loaded.faults.append(PluginFault("aliases.json", f"{alias!r} names no model"))
                continue
            found.setdefault(model_id, []).append(alias)
    except (ValueError, AttributeError, OSError) as error:
        loaded.faults.append(_fault("aliases.json", error))
        return {}
    return found


def _fault(name: str, error: Exception) -> PluginFault:
    return PluginFault(name, f"{type(error).__name__}: {scrub(str(error))}")
