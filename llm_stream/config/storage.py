"""Sections about what outlives a run, or a process: cache, history, shared logs."""

from typing import Literal

from pydantic import Field

from llm_stream.config.section import Name, Section


class PriceSection(Section):
    """What a million tokens of one model cost."""

    input_per_million: float = Field(ge=0, description="Tokens it reads.")
    output_per_million: float = Field(ge=0, description="Tokens it writes.")


class CacheSection(Section):
    """Finished answers, kept to be given again."""

    enabled: bool = Field(default=True, description="Whether answers are kept at all.")
    url: str = Field(
        default="",
        description="redis://host:port/db to keep them in Redis, for all replicas;"
        ' "" = in the memory of this process.',
    )
    prefix: str = Field(
        default="llm-stream:cache", min_length=1, description="Begins every key in Redis."
    )
    max_entries: int = Field(
        default=10_000, ge=1, description="Entries kept in memory; the least recently used go."
    )
    max_bytes: int = Field(
        default=134_217_728, ge=1, description="Bytes kept in memory, all entries together."
    )
    ttl_seconds: float = Field(
        default=86_400.0,
        gt=0,
        le=31_536_000,
        description="How long an answer is fresh; a request may say.",
    )
    stale_seconds: float = Field(
        default=0.0,
        ge=0,
        le=31_536_000,
        description="How long beyond that it is still given, while it is computed anew.",
    )
    policy: Literal["all", "repeatable"] = Field(
        default="all",
        description='Which answers are kept: "all", or only those of a "repeatable" call:'
        " temperature 0 or a seed.",
    )
    prices: dict[Name, PriceSection] = Field(
        default_factory=dict,
        description="What models cost, by id, for the account and what the cache saves:"
        " { input_per_million = 2.5, output_per_million = 10 }.",
    )


class HistorySection(Section):
    """Finished runs, in llm's own log database: `llm logs` shows them."""

    enabled: bool = Field(default=True, description="Whether runs are recorded.")
    path: str = Field(
        default="",
        description='The database; "" = logs.db in llm\'s user folder (LLM_USER_PATH).',
    )
    retention_days: float = Field(
        default=30.0, gt=0, description="How long runs stay in it; llm's own rows are not touched."
    )
    max_bytes: int = Field(
        default=1_073_741_824,
        ge=1_048_576,
        description="Bytes of the database beyond which the oldest runs go.",
    )


class RedisSection(Section):
    """Where several replicas share the logs of their runs."""

    url: str = Field(
        default="",
        description="redis://host:port/db of the Redis that all replicas use, so that any of them"
        ' serves any run; "" = runs live in the memory of this process.',
    )
    prefix: str = Field(
        default="llm-stream",
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="What every key in it begins with; services that share a Redis differ in it.",
    )
    owner_lost_seconds: float = Field(
        default=15.0,
        ge=1,
        le=20,
        description="How long after its last sign of life the runs of a replica are taken over;"
        " below 6, up to 2 seconds later, so that none is that lives.",
    )
    on_owner_lost: Literal["fail", "restart"] = Field(
        default="fail",
        description='What becomes of them: "fail" ends them with the error owner_lost, "restart"'
        " runs them again under their ids, on another replica, three times at most.",
    )
