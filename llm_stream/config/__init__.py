"""`config.toml`, environment and command line, as frozen sections.

Read once, by the command line; everything below `web/` is handed its section or plain values.
"""

from llm_stream.config.auth import AuthSection
from llm_stream.config.loading import ConfigError, load
from llm_stream.config.providers import ProviderSection
from llm_stream.config.resilience import BreakerSection, RetriesSection, TimeoutsSection
from llm_stream.config.sections import (
    DirectorSection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    RunsSection,
    ServerSection,
    TemplatesSection,
)
from llm_stream.config.settings import Settings
from llm_stream.config.storage import CacheSection, HistorySection, RedisSection
from llm_stream.config.telemetry import LoggingSection, TelemetrySection

__all__ = [
    "AuthSection",
    "BreakerSection",
    "CacheSection",
    "ConfigError",
    "DirectorSection",
    "HistorySection",
    "LimitsSection",
    "LocalSection",
    "LoggingSection",
    "ModelsSection",
    "ProviderSection",
    "RedisSection",
    "RetriesSection",
    "RunsSection",
    "ServerSection",
    "Settings",
    "TelemetrySection",
    "TemplatesSection",
    "TimeoutsSection",
    "load",
]
