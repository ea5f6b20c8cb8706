"""What a run of a spec is about, as lists, headers and first events tell it."""

import time
from typing import Any

from llm_stream.engine.runinfo import CacheState, RunInfo
from llm_stream.naming import ulid
from llm_stream.recipes.spec import RunSpec


def described(
    spec: RunSpec,
    key: str,
    cache: CacheState,
    request: str = "",
    ages: tuple[int | None, int | None] = (None, None),
) -> RunInfo:
    """What a new run of this spec is about.

    `request` is who asks, if not the spec's; `ages` are `RunInfo.age_seconds` and `ttl_seconds`.
    """
    return RunInfo(
        f"run_{ulid()}",
        spec.recipe,
        spec.model,
        key,
        cache,
        request or spec.request,
        time.time(),
        *ages,
        *spec.derived("about", _about),
    )


def _about(spec: RunSpec) -> tuple[Any, ...]:
    """The last fields of `RunInfo`, which are the same for all runs of a spec."""
    return (
        None if spec.template is None else str(spec.template),
        spec.title,
        spec.owner,
        spec.parent,
        spec.tags,
        spec.schema is not None,
        not spec.repeatable,
        spec.cache.mode == "refresh",
        spec.asked_chars,
    )
