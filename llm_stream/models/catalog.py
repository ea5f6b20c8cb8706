"""Which models and aliases exist. Built once at start, in a thread; never per request."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from llm_stream.errors import UnknownModel
from llm_stream.models.adapter import AnyModel, ModelAdapter
from llm_stream.models.plugins import Loaded, PluginFault
from llm_stream.models.syncbridge import SyncThreads

MAX_ON_DEMAND: Final = 128
"""How many models are kept that nobody registered; any name a caller makes up may be one."""


class ModelCatalog:
    """Adapters by id, and names that stand for them.

    Args:
        loaded: what the plugins registered; of models made on demand the last
            `MAX_ON_DEMAND` are kept.
        threads: where sync models run.
        default: id or alias that answers when a request names none.
        aliases: names of the configuration (`fast`, ...) and what they stand for; they win
            over names of plugins.
        own_models: models of the service itself; they win over a plugin's of the same id.
    """

    def __init__(
        self,
        loaded: Loaded,
        threads: SyncThreads,
        *,
        default: str,
        aliases: Mapping[str, str],
        own_models: Iterable[AnyModel] = (),
    ) -> None:
        self._threads = threads
        self._on_demand = loaded.on_demand
        self._demanded: OrderedDict[str, ModelAdapter] = OrderedDict()
        self.faults: list[PluginFault] = list(loaded.faults)
        self._adapters: dict[str, ModelAdapter] = {}
        self._names: dict[str, str] = {}
        for registered in loaded.models:
            adapter = ModelAdapter(registered.model, threads)
            self._adapters[adapter.id] = adapter
            self._names.update(dict.fromkeys(registered.aliases, adapter.id))
        for model in own_models:
            adapter = ModelAdapter(model, threads)
            self._adapters[adapter.id] = adapter
        # An id always means itself, whatever alias a plugin claimed.
        self._names.update({name: name for name in self._adapters})
        self.aliases: dict[str, str] = {}
        self.broken_aliases: dict[str, str] = {}
        for alias, target in {**aliases, "default": default}.items():
            resolved = self._target(target) or self._target(aliases.get(target, ""))
            if resolved is None:
                self.broken_aliases[alias] = target
            else:
                self.aliases[alias] = resolved
        self._names.update(self.aliases)
        # A schema of options costs milliseconds: not while serving.
        self._described = self._describe()
        self._options = {
            told["id"]: frozenset(told["options"].get("properties", ())) for told in self._described
        }

    def __len__(self) -> int:
        return len(self._adapters)

    def find(self, name: str | None, *, field: str = "model") -> ModelAdapter:
        """The adapter of an id or alias; of the default model for None.

        Raises:
            UnknownModel: there is none (the caller's doing).
        """
        model_id = self._names.get("default" if name is None else name)
        if model_id is None and (demanded := self._demand(name or "")) is not None:
            return demanded
        if model_id is None:
            raise UnknownModel(
                "The service has no default model; set models.default."
                if name is None
                else f"There is no model {name[:100]!r}. GET /v1/models lists ids and aliases.",
                field=field,
            )
        return self._adapters[model_id]

    def options_of(self, adapter: ModelAdapter) -> frozenset[str]:
        """Names of a model's options."""
        known = self._options.get(adapter.id)
        return frozenset(adapter.options_schema.get("properties", ())) if known is None else known

    def can_answer(self, without: Collection[str] = ()) -> bool:
        """Whether some model, other than these ids, has the key that it needs, if any.

        Looks at llm's store on disk.
        """
        return any(
            name not in without and not adapter.lacks_key
            for name, adapter in self._adapters.items()
        )

    def _target(self, name: str) -> str | None:
        """The id an alias stands for; a model made for it stays."""
        model_id = self._names.get(name)
        if model_id is None and (demanded := self._demand(name)) is not None:
            self._adapters.setdefault(demanded.id, demanded)
            self._names.setdefault(demanded.id, demanded.id)
            return demanded.id
        return model_id

    def _demand(self, name: str) -> ModelAdapter | None:
        if (kept := self._demanded.get(name)) is not None:  # by its id: not made to know it
            self._demanded.move_to_end(name)
            return kept
        found = self._on_demand(name)
        if isinstance(found, str):
            return self._adapters.get(found)
        if found is None:
            return None
        if found.model_id in self._adapters:
            return self._adapters[found.model_id]
        adapter = self._demanded.get(found.model_id) or ModelAdapter(found, self._threads)
        self._demanded[adapter.id] = adapter
        self._demanded.move_to_end(adapter.id)
        if len(self._demanded) > MAX_ON_DEMAND:
            self._demanded.popitem(last=False)
        return adapter

    def label_of(self, model_id: str) -> str:
        """What a model is called where its names must be few, in metrics.

        Its id if it is registered or configured, `<provider>/other` if it exists only because a
        request named it, `other` if it does not exist here.
        """
        if model_id in self._adapters:
            return model_id
        found = self._demanded.get(model_id) or self._on_demand(model_id)
        if found is None or isinstance(found, str):
            return found or "other"
        return f"{found.provider}/other"

    def aliases_of(self, model_id: str) -> list[str]:
        """Every other name of a model, sorted."""
        return sorted(n for n, target in self._names.items() if target == model_id and n != target)

    def describe(self) -> list[dict[str, Any]]:
        """All models by id, in the shape of OpenAI's list with extra fields. Made once."""
        return self._described

    def described(self, adapter: ModelAdapter) -> dict[str, Any]:
        """One model, in the shape of OpenAI's with extra fields."""
        return {
            "id": adapter.id,
            "object": "model",
            "created": 0,
            "owned_by": adapter.provider,
            "aliases": self.aliases_of(adapter.id),
            "is_default": adapter.id == self.aliases.get("default"),
            "is_async": adapter.is_async,
            "supports_schema": adapter.supports_schema,
            "supports_tools": adapter.supports_tools,
            "attachment_types": adapter.attachment_types,
            "options": adapter.options_schema,
        }

    def _describe(self) -> list[dict[str, Any]]:
        return [self.described(adapter) for _, adapter in sorted(self._adapters.items())]
