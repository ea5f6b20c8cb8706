"""The frozen sections of the configuration. `config.toml` shows them to people, word for word.

Reads neither files nor the environment; `config/loading` does. What needs more than one section
to be judged is in `config/settings`.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from llm_stream.config.resilience import BreakerSection, RetriesSection, TimeoutsSection
from llm_stream.config.section import Name, Section

Calls = Annotated[int, Field(ge=1)]
HostName = Annotated[str, StringConstraints(pattern=r"^[^/\s:@\[\]]+$|^[0-9A-Fa-f:.]+$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+$")]


class ServerSection(Section):
    """The listener and its connections."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 = any free one.")
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that serve this address; several need redis.url, to share runs.",
    )
    allow_open: bool = Field(
        default=False,
        description="Listen on an address that other machines reach, although whoever reaches it"
        " may use every model. Without it, only loopback addresses are accepted.",
    )
    allowed_hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Names by which clients may address the service, without a port. Empty: while"
        " it listens on loopback, the names of loopback; else any name.",
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Browser pages of other hosts that may call the service and read its answers,"
        ' as "https://host[:port]". The page that the service itself shows is always allowed.',
    )
    body_bytes: int = Field(default=8_388_608, ge=1024, description="Largest request body.")
    first_byte_seconds: float = Field(
        default=10.0, gt=0, description="A new connection that sends nothing for so long is closed."
    )
    header_seconds: float = Field(
        default=5.0, gt=0, description="From a request's first byte to the end of its headers."
    )
    body_seconds: float = Field(
        default=15.0, gt=0, description="From there to the end of its body; else it gets 408."
    )
    send_buffer_bytes: int = Field(
        default=65_536,
        ge=4096,
        description="The kernel's send buffer for one connection; a small one lets a slow reader be"
        " noticed early.",
    )
    drain_seconds: float = Field(
        default=30.0, ge=0, description="How long live runs may go on after SIGTERM."
    )
    heartbeat_seconds: float = Field(
        default=15.0, gt=0, description="Silence on a stream after which a heartbeat is sent."
    )
    stall_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A reader that takes nothing for so long is cut off; it can resume.",
    )


class RunsSection(Section):
    """How long runs are kept, how large they grow, and what a reader's leaving means."""

    retention_seconds: float = Field(
        default=3600.0, gt=0, description="How long a run's events can be read after its end."
    )
    retention_bytes: int = Field(
        default=268_435_456,
        ge=1,
        description="Memory for ended runs and their events, all together; the oldest go first.",
    )
    max_log_bytes: int = Field(
        default=8_388_608, ge=4096, description="Events of one run; beyond, the run fails."
    )
    on_disconnect: Literal["cancel", "continue"] = Field(
        default="cancel",
        description='What happens to a run that its last reader has left: "cancel" ends it after'
        ' the grace period, "continue" lets it finish. A request may say otherwise.',
    )
    abandon_grace_seconds: float = Field(
        default=30.0, ge=0, description="How long a run without readers waits for one to come back."
    )


class LimitsSection(Section):
    """How much at once, and how large."""

    concurrent_runs: int = Field(
        default=64, ge=1, description="Runs that call a model at the same time."
    )
    queued_runs: int = Field(
        default=256, ge=0, description="Runs that wait for a slot; further ones get 429."
    )
    late_seconds: float = Field(
        default=0.05,
        ge=0,
        description="How late the event loop may be at one look and the next, because it has too"
        " much to do, before further runs get 503; what has begun goes on. 0 = however late.",
    )
    connection_concurrent_runs: int = Field(
        default=8, ge=1, description="Runs of one WebSocket at the same time."
    )
    connection_queued_runs: int = Field(
        default=32, ge=0, description="Runs of one WebSocket that wait; further ones get 429."
    )
    connection_streams: int = Field(
        default=64, ge=1, description="Subscriptions of one WebSocket at the same time."
    )
    message_bytes: int = Field(
        default=1_048_576, ge=1024, description="Largest WebSocket message a client may send."
    )
    prompt_chars: int = Field(
        default=1_000_000, ge=1, description="Longest prompt, conversation and values included."
    )
    attachments: int = Field(default=16, ge=0, description="Attachments of one request.")
    schema_bytes: int = Field(default=65_536, ge=1, description="Largest JSON Schema of a request.")


def _tiers() -> dict[str, str]:
    return dict.fromkeys(("fast", "balanced", "powerful"), "smollm2")


class ModelsSection(Section):
    """Which models there are, under which names, with which timers."""

    default: Name = Field(
        default="smollm2", description="Id or alias of the model used when a request names none."
    )
    plugins: tuple[Name, ...] | None = Field(
        default=None,
        description="Plugins of llm to load, by distribution or entry point name; [] = none."
        " Without this key all that are installed are loaded.",
    )
    sync_threads: int = Field(
        default=8,
        ge=1,
        description="Threads for models that cannot stream asynchronously; each call holds one.",
    )
    aliases: dict[Name, Name] = Field(
        default_factory=_tiers,
        description="Further names of models. Directors ask for the tiers fast, balanced and"
        " powerful. What is set here is added to these three.",
    )
    fallbacks: dict[Name, tuple[Name, ...]] = Field(
        default_factory=dict,
        description="Models to ask in order when one fails, by model id.",
    )
    concurrent_calls: dict[Name, Calls] = Field(
        default_factory=dict,
        description="Calls of one model at the same time, by model id; further ones wait.",
    )
    provider_concurrent_calls: dict[Name, Calls] = Field(
        default_factory=dict,
        description="Calls of all models of one provider at the same time, by its name: `owned_by`"
        " in GET /v1/models.",
    )
    retries: RetriesSection = RetriesSection()
    breaker: BreakerSection = BreakerSection()
    timeouts: TimeoutsSection = TimeoutsSection()
    per_model_timeouts: dict[Name, TimeoutsSection] = Field(
        default_factory=dict,
        description="Other timers for single models, by model id; a timer not named here is that of"
        " models.timeouts.",
    )

    @field_validator("per_model_timeouts")
    @classmethod
    def _inherit(
        cls, own: dict[str, TimeoutsSection], info: ValidationInfo
    ) -> dict[str, TimeoutsSection]:
        base: TimeoutsSection = info.data.get("timeouts", TimeoutsSection())
        return {
            name: base.model_copy(update=timers.model_dump(exclude_unset=True))
            for name, timers in own.items()
        }


class LocalSection(Section):
    """The embedded model."""

    enabled: bool = Field(default=True, description="Whether it is offered.")
    model_id: Name = Field(default="smollm2", description="The name it is offered under.")
    weights: str = Field(
        default="",
        description='A GGUF file; "" = the one that `llm-stream pull` has fetched.',
    )
    context_tokens: int = Field(
        default=8192,
        ge=256,
        description="Context of all answers at once, divided equally by `parallel`.",
    )
    parallel: int = Field(default=4, ge=1, description="Answers generated at the same time.")
    threads: int = Field(default=0, ge=0, description="Threads that compute; 0 = by the cores.")


class TemplatesSection(Section):
    """Prompt templates."""

    folder: str = Field(
        default="", description='Folder of *.yaml files in llm\'s format; "" = those shipped.'
    )


class DirectorSection(Section):
    """What existing Directors call: /query and /evaluate_sufficiency."""

    fallback_model: Name = Field(
        default="default",
        description="Model id or alias that answers where the one they name is not there.",
    )
    budget_seconds: float = Field(
        default=8, gt=0, description="Time after which they get what there is; they give up at 10."
    )
