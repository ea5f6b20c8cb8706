"""File and environment become `Settings`, or one error that names every faulty key."""

import os
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from llm_stream.config.sections import (
    LimitsSection,
    LocalSection,
    LoggingSection,
    ModelsSection,
    RunsSection,
    ServerSection,
    TelemetrySection,
    TemplatesSection,
)

PREFIX: Final = "LLM_STREAM__"


class ConfigError(Exception):
    """The configuration cannot be used; each line names a key and says what is wrong."""


class Settings(BaseSettings):
    """The whole configuration, frozen. Environment beats arguments beats defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    server: ServerSection = ServerSection()
    runs: RunsSection = RunsSection()
    limits: LimitsSection = LimitsSection()
    models: ModelsSection = ModelsSection()
    local: LocalSection = LocalSection()
    templates: TemplatesSection = TemplatesSection()
    logging: LoggingSection = LoggingSection()
    telemetry: TelemetrySection = TelemetrySection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first; the file's content comes as arguments."""
        assert isinstance(init_settings, InitSettingsSource)  # noqa: S101 - pydantic's own
        return (env_settings, init_settings)


def load(path: Path | None = None) -> Settings:
    """Read the file, if any, and the environment (`LLM_STREAM__SERVER__PORT`).

    Raises:
        ConfigError: file missing or not TOML, unknown key, wrong type (the operator's doing).
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text())
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not TOML: {error}") from error
    unknown = [
        name
        for name in os.environ
        if name.startswith(PREFIX)
        and name[len(PREFIX) :].split("__")[0].lower() not in Settings.model_fields
    ]
    if unknown:
        raise ConfigError("\n".join(f"{name}: there is no such section" for name in sorted(unknown)))
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (got {fault['input']!r:.80})"
            for fault in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from error
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from error
