"""`RunSpec`: one validated request, frozen, and the fingerprint that is its identity."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, Literal, get_args

import orjson
from pydantic import TypeAdapter

from llm_stream.engine.replay import Pace
from llm_stream.models.chunks import Message, ModelCall
from llm_stream.models.timers import Timeouts
from llm_stream.models.toolset import Toolset

MidstreamPolicy = Literal["error", "splice", "restart"]
"""What follows when an answer breaks off that readers have a part of: the run fails; another call
repeats that part and goes on; readers discard it and get a new answer."""

CacheMode = Literal["use", "refresh", "bypass", "only"]

Tier = Literal["fast", "balanced", "powerful"]
"""Names by which a request can ask for a kind of model instead of a model."""

TIERS: Final = frozenset(get_args(Tier))

FINGERPRINT_VERSION: Final = 1
"""Part of every fingerprint; raised when the meaning of a field changes."""

TITLE_CHARS: Final = 80
_MARKS: Final = re.compile(r"^(<<<|>>>)[0-9a-f]{12} .*$", re.MULTILINE)
"""Lines around material in the calls of recipes, as of `material.delimited`."""


@dataclass(frozen=True, slots=True)
class TemplateRef:
    """Which template made the messages: its name, and the hash of its file."""

    name: str
    hash: str

    def __str__(self) -> str:
        return f"{self.name}@{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheControl:
    """How a request wants the cache used.

    `use` reads and writes; `refresh` computes anew and replaces; `bypass` does neither and shares
    with nobody; `only` fails rather than call a model. `ttl_seconds` is how long the answer stays
    fresh, None = as configured; `tags` name it for `invalidate`; `pace` is how a hit streams.
    """

    mode: CacheMode = "use"
    ttl_seconds: float | None = None
    tags: tuple[str, ...] = ()
    pace: Pace = "instant"


@dataclass(frozen=True, kw_only=True)  # without slots, for the cached properties
class RunSpec:
    """What is to be run. Names are resolved, templates rendered, options checked.

    `model` and `fallback_models` are ids of the catalog, `model_version` is what else tells the
    model's answers from those of another one of that id (`ModelAdapter.version`). `owner` is the
    scope in which equal runs may be shared. `input` is what recipes other than generate work on,
    as validated JSON; `sample` tells apart calls that are meant to differ though all else is equal.
    `timeouts` are those the request asks for; the others are each model's own.
    `on_midstream_failure` None means: as `midstream` says. `abandon_seconds` is how long the run
    goes on without a reader, None = for ever. `parent` is the run whose recipe asks for this one;
    `request` finds the request that started it in the log, and is the launcher's to say, so that
    equal requests can share a spec and what is computed of it once. `tier` is the tier by which the
    model was asked for, "" where it was named itself; `origin` is the recipe of the outermost run
    that asks for this one, "" where a caller does. So many characters at the beginning of the
    system prompt are `instructions` for this answer, and not for what goes on from it.
    """

    recipe: str
    model: str
    model_version: str = ""
    messages: tuple[Message, ...] = ()
    input: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    tools: Toolset | None = None
    template: TemplateRef | None = None
    cache: CacheControl = field(default_factory=CacheControl)
    timeouts: Timeouts = field(default_factory=Timeouts)
    fallback_models: tuple[str, ...] = ()
    on_midstream_failure: MidstreamPolicy | None = None
    abandon_seconds: float | None = None
    tags: tuple[str, ...] = ()
    owner: str = ""
    sample: int = 0
    children: "tuple[RunSpec, ...]" = ()
    parent: str | None = None
    request: str = ""
    tier: str = ""
    origin: str = ""
    instructions: int = 0

    @cached_property
    def title(self) -> str:
        """First words of the last user turn, at most 80 characters, on one line, without marks."""
        text = next((m.content for m in reversed(self.messages) if m.role == "user"), "")
        for name in ("stage_name", "task", "question"):
            text = text or str((self.input or {}).get(name, ""))
        return " ".join(_MARKS.sub("", text[: TITLE_CHARS * 4]).split())[:TITLE_CHARS]

    @property
    def call(self) -> ModelCall:
        """What the model is asked."""
        return ModelCall(
            self.messages,
            dict(self.options),
            None if self.schema is None else dict(self.schema),
            self.tools,
        )

    @cached_property
    def asked_chars(self) -> int:
        """Characters of what a model is asked; of attachments nothing is known."""
        schema = 0 if self.schema is None else len(orjson.dumps(dict(self.schema)))
        tools = 0 if self.tools is None else len(orjson.dumps(self.tools.tools))
        return schema + tools + sum(message.chars for message in self.messages)

    @cached_property
    def repeatable(self) -> bool:
        """Whether the same call is meant to be answered the same: temperature 0, or a seed."""
        return self.options.get("temperature") == 0 or self.options.get("seed") is not None

    @property
    def midstream(self) -> MidstreamPolicy:
        """What follows when an answer breaks off: as asked, else a splice if it can succeed."""
        return self.on_midstream_failure or ("splice" if self.repeatable else "error")

    def fingerprint(self, also: str = "") -> str:
        """64 hexadecimal digits: equal for requests with the same answer, across processes.

        Covers recipe, model, messages with attachments and calls of tools, options, schema, tools,
        template hash and owner; not cache control, timeouts, fallbacks, tags or policy.

        Args:
            also: hash of what else makes the answer: templates the recipe uses by itself.
        """
        key: str = self.derived(f"fingerprint {also}", partial(_fingerprint, also=also))
        return key

    def asked_by(self, request: str) -> "RunSpec":
        """The same with another `request`; what is known of one of them is known of both."""
        spec = object.__new__(RunSpec)
        _ = self._derived  # made before it is shared
        vars(spec).update(vars(self), request=request)
        return spec

    def derived(self, name: str, make: "Callable[[RunSpec], Any]") -> Any:
        """What follows from this spec alone, made by the first who asks for it by that name."""
        try:
            return self._derived[name]
        except KeyError:
            made = self._derived[name] = make(self)
            return made

    @cached_property
    def _derived(self) -> dict[str, Any]:
        return {}


def _fingerprint(spec: RunSpec, also: str) -> str:
    identity: dict[str, Any] = {
        "v": FINGERPRINT_VERSION,
        "recipe": spec.recipe,
        "model": spec.model,
        "messages": [
            [m.role, m.content, [[a.type, _digest(a.content)] for a in m.attachments], *_tooled(m)]
            for m in spec.messages
        ],
        "options": dict(spec.options),
        # In its own order: models write fields in the order they are asked for.
        "schema": None if spec.schema is None else orjson.dumps(dict(spec.schema)).decode(),
        "template": None if spec.template is None else spec.template.hash,
        "owner": spec.owner,
    }
    # Added only where used, so that a generate request keeps its fingerprint.
    if spec.tools is not None:
        identity["tools"] = orjson.dumps(spec.tools).decode()
    if spec.input is not None:
        identity["input"] = orjson.dumps(dict(spec.input)).decode()
    if spec.model_version:
        identity["model_version"] = spec.model_version
    if also:
        identity["also"] = also
    if spec.sample:
        identity["sample"] = spec.sample
    if spec.children:
        identity["children"] = [child.fingerprint() for child in spec.children]
    return _digest(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS))


def _tooled(message: Message) -> list[str]:
    """What a message has to do with tools; nothing as a rule."""
    if not (message.tool_calls or message.tool_call_id):
        return []
    return [orjson.dumps(message.tool_calls).decode(), message.tool_call_id]


def dump_spec(spec: RunSpec) -> bytes:
    """A spec as one line of JSON, to be run again: without its caller's claim and request."""
    dumped: bytes = spec.derived("dump", _dumped)
    return dumped


def _dumped(spec: RunSpec) -> bytes:
    return _SPECS.dump_json(spec, exclude={"parent", "request", "origin"})


def load_spec(data: bytes) -> RunSpec:
    """The spec in these bytes.

    Raises:
        ValueError: they are no spec; pydantic's error is one.
    """
    return _SPECS.validate_json(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_SPECS: Final = TypeAdapter(RunSpec)
