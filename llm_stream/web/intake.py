"""A validated body becomes a `RunSpec`: names resolved, templates rendered, options checked."""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import orjson

from llm_stream.access.principal import EVERYBODY, Principal
from llm_stream.config import LimitsSection, ModelsSection, RunsSection
from llm_stream.errors import InvalidField, PayloadTooLarge
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.chunks import Message, ModelCall
from llm_stream.models.timers import Timeouts
from llm_stream.naming import token
from llm_stream.recipes.prompts import PromptLibrary, PromptTemplate
from llm_stream.recipes.schemas import check_schema
from llm_stream.recipes.spec import TIERS, CacheControl, RunSpec
from llm_stream.web.bodies import CommonBody, GenerateBody, TimeoutsBody
from llm_stream.web.conversation import messages_of
from llm_stream.web.tools import tools_of


class Caller(NamedTuple):
    """Who asks, and how they will read: decides what happens when nobody reads any more.

    `waits` is true where only this very connection can read the answer (plain JSON).
    `detached` is true where the caller did not stay to read (202). `claim` names what this call
    wants of its run (`new_claim`); `request`, which the client may choose, may come twice.
    """

    request: str
    claim: str
    principal: Principal = EVERYBODY
    waits: bool = False
    detached: bool = False

    @property
    def owner(self) -> str:
        """Whose the run is."""
        return self.principal.owner


@lru_cache(256)
def _timeouts(body: TimeoutsBody) -> Timeouts:
    return Timeouts(**body.model_dump())


def new_claim() -> str:
    """A claim that nobody else has."""
    return f"claim_{token()}"


class Intake:
    """Makes specs; the only place that knows what a request's words mean."""

    def __init__(
        self,
        catalog: ModelCatalog,
        prompts: PromptLibrary,
        *,
        limits: LimitsSection,
        models: ModelsSection,
        runs: RunsSection,
    ) -> None:
        self._catalog = catalog
        self._prompts = prompts
        self._limits = limits
        self._models = models
        self._runs = runs

    def generate(self, body: GenerateBody, caller: Caller) -> RunSpec:
        """The spec of one generate request.

        Raises:
            CallerError: a name, a size, a combination or an option is wrong; nothing was
                sent to a model.
        """
        template = self.template(body.template)
        if template is None and body.params:
            raise InvalidField("'params' go with a 'template'; name one.", field="params")
        spec = self.common(
            body,
            caller,
            template,
            messages=messages_of(body, template, self._limits),
            schema=self._schema(body, template),
            tools=tools_of(body, self._limits),
        )
        for model_id in (spec.model, *spec.fallback_models):
            self._catalog.find(model_id).check(spec.call)
        return spec

    def common(
        self,
        body: CommonBody,
        caller: Caller,
        template: PromptTemplate | None,
        *,
        recipe: str = "generate",
        **own: Any,
    ) -> RunSpec:
        """A spec with what every recipe has: model, options, timers, policy, tags.

        Args:
            body: what was asked.
            caller: by whom.
            template: what the body's name means.
            recipe: what runs it.
            own: the fields of the spec that are the recipe's own.

        Raises:
            CallerError: a model or an option does not exist.
        """
        name = body.model or (template.model if template else None)
        adapter = self._catalog.find(name)
        fallbacks = body.fallback_models or self._models.fallbacks.get(adapter.id, [])
        return RunSpec(
            recipe=recipe,
            model=adapter.id,
            model_version=adapter.version,
            tier=name if name and name in TIERS else "",
            options={**(template.options if template else {}), **body.options},
            template=template.ref if template else None,
            cache=CacheControl(
                mode=body.cache.mode,
                ttl_seconds=body.cache.ttl_seconds,
                tags=tuple(body.cache.tags),
                # Who waits for the whole has nothing of a pace.
                pace="instant" if caller.waits else body.cache.pace,
            ),
            timeouts=_timeouts(body.timeouts),
            fallback_models=tuple(
                self._catalog.find(name, field=f"fallback_models.{place}").id
                for place, name in enumerate(fallbacks)
            ),
            on_midstream_failure=body.on_midstream_failure,
            abandon_seconds=self.patience(caller, body.on_disconnect),
            tags=tuple(body.tags),
            owner=caller.owner,
            **own,
        )

    def template(self, name: str | None) -> PromptTemplate | None:
        """The template of that name, None for None.

        Raises:
            UnknownTemplate: there is none (the caller's doing).
        """
        return None if name is None else self._prompts.find(name)

    def check_options(self, spec: RunSpec) -> None:
        """Raise what its models would say of a spec's options, before a run exists."""
        probe = ModelCall((Message("user", "x"),), dict(spec.options))
        for model_id in (spec.model, *spec.fallback_models):
            self._catalog.find(model_id).check(probe)

    def _schema(self, body: GenerateBody, template: PromptTemplate | None) -> dict[str, Any] | None:
        schema = body.schema_
        if schema is None and template is not None:
            schema = template.schema
        if schema is None:
            return None
        size = len(orjson.dumps(schema))
        if size > self._limits.schema_bytes:
            raise PayloadTooLarge(
                f"The schema has {size} bytes; {self._limits.schema_bytes} are allowed.",
                field="schema",
            )
        check_schema(schema)
        return schema

    def patience(
        self, caller: Caller, on_disconnect: Literal["continue", "cancel"] | None = None
    ) -> float | None:
        """Seconds a run goes on without readers for this caller; None = for ever."""
        policy = on_disconnect or ("continue" if caller.detached else self._runs.on_disconnect)
        if policy == "continue":
            return None
        return 0.0 if caller.waits else self._runs.abandon_grace_seconds
