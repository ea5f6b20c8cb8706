"""The frozen sections of the configuration; every key is documented in `config.toml` too."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """[server]: the listener and its connections."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    allow_open: bool = False
    allowed_origins: tuple[str, ...] = ()
    body_bytes: Annotated[int, Field(ge=1024)] = 8_388_608
    send_buffer_bytes: Annotated[int, Field(ge=4096)] = 65_536
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    heartbeat_seconds: Seconds = 15.0
    stall_seconds: Seconds = 30.0


class RunsSection(Section):
    """[runs]: how long runs are kept, how large they grow, and who still wants them."""

    retention_seconds: Seconds = 3600.0
    retention_bytes: PositiveInt = 268_435_456
    max_log_bytes: Annotated[int, Field(ge=4096)] = 8_388_608
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    abandon_grace_seconds: Annotated[float, Field(ge=0)] = 30.0


class LimitsSection(Section):
    """[limits]: how much at once, and how large."""

    concurrent_runs: PositiveInt = 64
    queued_runs: Annotated[int, Field(ge=0)] = 256
    connection_concurrent_runs: PositiveInt = 8
    connection_queued_runs: Annotated[int, Field(ge=0)] = 32
    connection_streams: PositiveInt = 64
    message_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    prompt_chars: PositiveInt = 1_000_000
    attachments: Annotated[int, Field(ge=0)] = 16
    schema_bytes: PositiveInt = 65_536


class TimeoutsSection(Section):
    """[models.timeouts]: limits of one model call in seconds."""

    first_token_seconds: Seconds = 60.0
    idle_seconds: Seconds = 60.0
    total_seconds: Seconds = 600.0


def _tiers() -> dict[str, str]:
    return dict.fromkeys(("fast", "balanced", "powerful"), "smollm2")


class ModelsSection(Section):
    """[models]: which models, under which names, with which limits."""

    default: str = "smollm2"
    plugins: tuple[str, ...] | None = None
    sync_threads: PositiveInt = 8
    aliases: dict[str, str] = Field(default_factory=_tiers)
    fallbacks: dict[str, list[str]] = Field(default_factory=dict)
    timeouts: TimeoutsSection = TimeoutsSection()
    per_model_timeouts: dict[str, TimeoutsSection] = Field(default_factory=dict)


class LocalSection(Section):
    """[local]: the embedded model."""

    enabled: bool = True
    model_id: str = "smollm2"
    weights: str = ""
    context_tokens: Annotated[int, Field(ge=256)] = 8192
    parallel: PositiveInt = 4
    threads: Annotated[int, Field(ge=0)] = 0


class TemplatesSection(Section):
    """[templates]: where prompt templates are."""

    folder: str = ""


class LoggingSection(Section):
    """[logging]: what is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class TelemetrySection(Section):
    """[telemetry]: what the service measures of itself."""

    metrics: bool = True
    loop_lag_seconds: Seconds = 0.5
