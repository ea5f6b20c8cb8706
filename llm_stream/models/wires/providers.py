"""All configured providers: takes plugins' models over, and makes models that no plugin knows."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from llm_stream.config import ProviderSection
from llm_stream.config.providers import Kind
from llm_stream.models.keys import Keyring
from llm_stream.models.plugins import Loaded, Registered
from llm_stream.models.wires.endpoint import Address, Endpoint, ProviderKey
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.ratelimits import NoteLimits
from llm_stream.models.wires.takeover import on_our_wire, provider_of
from llm_stream.models.wires.transport import Transport
from llm_stream.models.wires.unregistered import plausible, unregistered


class Providers:
    """Made at start, in any thread; models are made by it and asked on the event loop.

    Args:
        sections: by name, as configured.
        keyring: where the keys are.
        note_limits: is told what responses say of a model's limit, on the event loop.
    """

    def __init__(
        self,
        sections: Mapping[str, ProviderSection],
        keyring: Keyring,
        note_limits: NoteLimits | None = None,
    ) -> None:
        self.keyring = keyring
        self._note_limits = note_limits
        self.transport = Transport()
        self._sections = dict(sections)
        self._endpoints = {
            name: self._endpoint(name, section)
            for name, section in sections.items()
            if section.base_url
        }
        self._ids: dict[tuple[str, str], str] = {}

    @property
    def aliases(self) -> dict[str, str]:
        """Names of providers that are gone and of their models, and what answers for them."""
        return {
            name: section.successor
            for provider, section in self._sections.items()
            if not section.base_url and section.successor
            for name in (provider, *section.models)
        }

    def to_probe(self) -> Iterator[tuple[Endpoint, Kind, float]]:
        """Providers to ask when nobody does: where, what they speak, after how many seconds.

        Not those whose models are asked by plugins: nobody here knows how these fare.
        """
        for name, endpoint in self._endpoints.items():
            section = self._sections[name]
            if section.probe_seconds and section.transport == "wire":
                yield endpoint, section.kind, section.probe_seconds

    def endpoint(self, provider: str) -> Endpoint | None:
        """Where a provider is asked; None for one that is gone or not configured."""
        return self._endpoints.get(provider)

    def take_over(self, loaded: Loaded) -> Loaded:
        """What plugins registered, on our wires where we have one, and the listed models.

        A plugin's model of a provider that was replaced by a successor is left out.
        """
        models = [self._taken_over(each) for each in loaded.models]
        gone = self.aliases
        kept = [each for each in models if each.model.model_id not in gone]
        return Loaded([*self._listed(), *kept], list(loaded.faults), self.on_demand)

    def on_demand(self, name: str) -> WireModel | str | None:
        """The model that a name of no registered one means.

        `<provider>/<name>` and names that match a provider's patterns are models. Whether the
        provider has them, it says when asked.

        Args:
            name: from a request, any text.

        Returns:
            The model, made anew; the id of a registered one that is meant; None for neither.
        """
        found = self._provider_and_name(name)
        if found is None or not plausible(found[1]):
            return None
        if (registered := self._ids.get(found)) is not None:
            return registered
        provider, upstream_name = found
        return unregistered(upstream_name, self._endpoints[provider], self._sections[provider])

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()

    def _provider_and_name(self, name: str) -> tuple[str, str] | None:
        provider, _, rest = name.partition("/")
        if rest and provider in self._endpoints:
            return provider, rest
        for provider in self._endpoints:
            if any(fnmatchcase(name, each) for each in self._sections[provider].patterns):
                return provider, name
        return None

    def _listed(self) -> list[Registered]:
        found = []
        for provider, endpoint in self._endpoints.items():
            section = self._sections[provider]
            for name in section.models:
                aliases = (name, provider) if section.kind == "palm" else (name,)
                model = unregistered(name, endpoint, section)
                found.append(Registered(model, aliases, "llm_stream"))
        return found

    def _taken_over(self, registered: Registered) -> Registered:
        model = registered.model
        provider = provider_of(model)
        section = self._sections.get(provider or "")
        if provider is None or section is None or section.transport == "plugin":
            return registered
        endpoint = self._endpoints.get(provider)
        if getattr(model, "api_base", None):
            endpoint = self._elsewhere(model)
        if endpoint is None or any(
            getattr(model, name, None) for name in ("api_type", "api_version", "api_engine")
        ):
            return registered
        wired = on_our_wire(model, endpoint, section.kind)
        if endpoint is self._endpoints.get(provider):
            self._ids[provider, wired.upstream_name] = wired.model_id
        return Registered(wired, registered.aliases, registered.plugin)

    def _elsewhere(self, model: Any) -> Endpoint:
        """A model of llm's extra-openai-models.yaml with an address of its own.

        Its key is the one it names. llm would send OpenAI's key there if that one is missing.
        """
        key = ProviderKey(self.keyring, model.needs_key or "", required=model.needs_key is not None)
        address = Address(model.api_base, dict(model.headers or {}))
        return Endpoint("openai", address, key, self.transport, self._note_limits)

    def _endpoint(self, name: str, section: ProviderSection) -> Endpoint:
        variables = section.api_key_env
        key = ProviderKey(self.keyring, name, variables, required=bool(variables))
        address = Address(section.base_url, connect_seconds=section.connect_seconds)
        return Endpoint(name, address, key, self.transport, self._note_limits)
