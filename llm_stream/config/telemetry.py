"""Sections about what the service tells of itself: logs, metrics, traces."""

from typing import Literal

from pydantic import Field

from llm_stream.config.section import Name, Section

Level = Literal["debug", "info", "warning", "error"]


class LoggingSection(Section):
    """The log, on standard error."""

    level: Level = Field(
        default="info", description="Lowest level that is written: debug, info, warning or error."
    )
    levels: dict[Name, Level] = Field(
        default_factory=dict,
        description="Other levels for parts of the program, by the name of their logger:"
        ' { "llm_stream.request" = "warning" }.',
    )
    prompts: bool = Field(
        default=False, description="Whether the line of a run has the first words of its prompt."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description='"json", one object a line; "console", for people; "auto" = console on a'
        " terminal, else json.",
    )


class TelemetrySection(Section):
    """What the service measures of itself."""

    metrics: bool = Field(default=True, description="Whether GET /metrics answers.")
    loop_lag_seconds: float = Field(
        default=0.1,
        gt=0,
        description="How often the event loop's lag is measured; limits.late_seconds goes by it.",
    )
    traces_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Where traces of runs are sent, as OTLP over HTTP:"
        ' "http://127.0.0.1:4318/v1/traces"; "" = nowhere. Needs the extra `otel`.',
    )
    service_name: Name = Field(
        default="llm-stream", description="What the service is called in traces."
    )
