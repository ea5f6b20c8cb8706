"""`config.toml` and the environment, as frozen sections (docs/configuration.md)."""

from llm_stream.config.loading import ConfigError, Settings, load
from llm_stream.config.sections import (
    LimitsSection,
    LocalSection,
    LoggingSection,
    ModelsSection,
    RunsSection,
    ServerSection,
    TelemetrySection,
    TemplatesSection,
    TimeoutsSection,
)

__all__ = [
    "ConfigError",
    "LimitsSection",
    "LocalSection",
    "LoggingSection",
    "ModelsSection",
    "RunsSection",
    "ServerSection",
    "Settings",
    "TelemetrySection",
    "TemplatesSection",
    "TimeoutsSection",
    "load",
]
