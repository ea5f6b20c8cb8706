"""What a configuration leads to - models, aliases, templates - and everything wrong with it.

Builds what the service would build at start, without starting it. Called by the command line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from llm_stream.config import Settings
from llm_stream.errors import ModelUnavailable, UnknownModel
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.llamacpp import LIBRARY
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.weights import require_weights, weights_path
from llm_stream.recipes.prompts import PromptLibrary, TemplateFault
from llm_stream.web.parts import make_catalog, make_local, make_providers, template_folder


@dataclass(frozen=True, slots=True)
class Checkup:
    """The parts a service with these settings would have."""

    settings: Settings
    catalog: ModelCatalog
    prompts: PromptLibrary
    template_faults: tuple[TemplateFault, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Checkup":
        """Load plugins and templates. Takes up to some seconds; no model is called."""
        local = make_local(settings)
        prompts, faults = PromptLibrary.inspect(template_folder(settings))
        own = [local] if local else []
        catalog = make_catalog(settings, SyncThreads(1), own, make_providers(settings))
        return cls(settings, catalog, prompts, tuple(faults))

    def model_faults(self) -> Iterator[str]:
        """What is wrong with models, their names and what refers to them, a sentence each."""
        if self.settings.local.enabled:
            yield from local_faults(self.settings.local.weights)
        for fault in self.catalog.faults:
            yield f"plugin {fault.name} could not be loaded: {fault.error}"
        for alias, target in self.catalog.broken_aliases.items():
            key = "models.default" if alias == "default" else f"models.aliases.{alias}"
            yield f"{key}: there is no model {target!r}"
        models = self.settings.models
        for model_id, others in models.fallbacks.items():
            for name in (model_id, *others):
                if not self._knows(name):
                    yield f"models.fallbacks.{model_id}: there is no model {name!r}"
        for key in ("per_model_timeouts", "concurrent_calls"):
            for model_id in getattr(models, key):
                if not self._knows(model_id):
                    yield f"models.{key}.{model_id}: there is no model {model_id!r}"
        for template in self.prompts:
            if template.model is not None and not self._knows(template.model):
                yield f"template {template.ref.name}: there is no model {template.model!r}"

    def _knows(self, name: str) -> bool:
        try:
            self.catalog.find(name)
        except UnknownModel:
            return False
        return True


def local_faults(weights: str) -> Iterator[str]:
    """Why the embedded model could not answer, a sentence each."""
    if find_spec(LIBRARY) is None:
        yield (
            f"local: {LIBRARY} is missing; pip install 'llm-stream[local]', or set"
            " local.enabled = false"
        )
    try:
        require_weights(Path(weights) if weights else weights_path())
    except ModelUnavailable as error:
        yield f"local: {error.detail}"
