"""What is missing so that no run can start, and what only makes the service poorer.

A replica that a balancer takes away because Redis, the cache or the history fails would be no
help: all others miss the same, and each answers without them.
"""

from typing import NamedTuple

from llm_stream.web.service import Service


class Readiness(NamedTuple):
    """Names of components; the service is ready when nothing is missing.

    `missing`: "draining"; "models" where no model is there, or each lacks its key; with it
    "weights" where the embedded one would be there. `degraded`: "weights", "default_model" (it
    names none), "redis" (what runs say stays in this process), "cache", "history", and
    "provider:" with the name of each whose calls or probes fail.
    """

    missing: list[str]
    degraded: list[str]


def readiness(service: Service) -> Readiness:
    """How the service is now. Looks at llm's store of keys on disk unless a model needs none."""
    missing: list[str] = []
    degraded: list[str] = []
    if service.draining.is_set():
        missing.append("draining")
    local = service.local
    asleep = local is not None and not local.statistics().loaded
    if local is None or asleep:
        without = {local.model_id} if local is not None else set()
        usable = service.catalog.can_answer(without)
        if not usable:
            missing.append("models")
        if asleep:
            (degraded if usable else missing).append("weights")
    if "default" in service.catalog.broken_aliases:
        degraded.append("default_model")
    if service.replicas is not None and not service.replicas.durable:
        degraded.append("redis")
    if service.cache.shelf.resting:
        degraded.append("cache")
    if service.history is not None and service.history.facts().state == "failing":
        degraded.append("history")
    failing = service.probes.failing() | service.upstreams.down()
    degraded += [f"provider:{name}" for name in sorted(failing)]
    return Readiness(missing, degraded)
