"""All sections together, and what only all of them can tell."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from llm_stream.config.auth import AuthSection
from llm_stream.config.providers import ProviderName, ProviderSection, built_in_providers
from llm_stream.config.section import Section
from llm_stream.config.sections import (
    DirectorSection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    RunsSection,
    ServerSection,
    TemplatesSection,
)
from llm_stream.config.storage import CacheSection, HistorySection, RedisSection
from llm_stream.config.telemetry import LoggingSection, TelemetrySection
from llm_stream.loopback import is_loopback


class Sections(Section):
    """All sections, each checked on its own."""

    server: ServerSection = ServerSection()
    auth: AuthSection = AuthSection()
    runs: RunsSection = RunsSection()
    limits: LimitsSection = LimitsSection()
    models: ModelsSection = ModelsSection()
    providers: dict[ProviderName, ProviderSection] = Field(
        default_factory=built_in_providers,
        description="Where models are asked. What is set here is added to openai, anthropic, gemini"
        " and palm, key by key; docs/providers.md lists the keys. Keys of providers never stand in"
        " this file.",
    )
    local: LocalSection = LocalSection()
    templates: TemplatesSection = TemplatesSection()
    cache: CacheSection = CacheSection()
    redis: RedisSection = RedisSection()
    history: HistorySection = HistorySection()
    logging: LoggingSection = LoggingSection()
    director: DirectorSection = DirectorSection()
    telemetry: TelemetrySection = TelemetrySection()


class Settings(Sections):
    """The whole configuration, frozen, with the checks that need more than one section."""

    @model_validator(mode="after")
    def _refuse_nowhere(self) -> Self:
        for name, provider in self.providers.items():
            if not provider.base_url and not provider.successor:
                raise PydanticCustomError(
                    "provider_nowhere",
                    'providers.{name}.base_url: is missing; "http://127.0.0.1:11434/v1", say.',
                    {"name": name},
                )
        return self

    @model_validator(mode="after")
    def _refuse_strangers(self) -> Self:
        if self.server.workers > 1 and not self.redis.url:
            raise PydanticCustomError(
                "workers_apart",
                "server.workers: {workers} processes need a Redis to share their runs, or a run"
                " that one has started could not be followed on another. Set redis.url"
                " (LLM_STREAM__REDIS__URL=redis://127.0.0.1:6379/0), or serve with one worker.",
                {"workers": self.server.workers},
            )
        return self

    @model_validator(mode="after")
    def _refuse_open(self) -> Self:
        kept = self.auth.required or self.server.allow_open
        if not kept and not is_loopback(self.server.host):
            raise PydanticCustomError(
                "open_binding",
                "server.host: {host} is reached from other machines, and no client keys are asked"
                " for: whoever reaches it may use every model. Set auth.required = true and make"
                " keys with `llm-stream clients add`, listen on 127.0.0.1, or set"
                " server.allow_open = true if something in front of the service decides who may.",
                {"host": self.server.host},
            )
        return self
