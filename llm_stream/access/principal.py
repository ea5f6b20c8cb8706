"""Who makes a request, and what they may do: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from llm_stream.errors import Forbidden
from llm_stream.recipes.spec import RunSpec

Scope = Literal["run:create", "run:read", "run:cancel", "cache:write", "metrics", "admin"]
"""What a key may do. `admin` may do everything, and sees everybody's usage."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("run:create", "run:read", "run:cancel", "cache:write")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much one client may have; None = no limit.

    `runs_per_second` counts starts, cached and joined answers too, over bursts of as many.
    `concurrent_runs` are those that call a model, `sockets` WebSockets, `tokens_per_minute` and
    `tokens_per_day` what models reported, read and written.
    """

    runs_per_second: float | None = None
    concurrent_runs: int | None = None
    sockets: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None

    def over(self, usual: "Allowance") -> "Allowance":
        """These limits, and the usual ones where these say nothing."""
        return Allowance(
            *(
                getattr(usual, name) if getattr(self, name) is None else getattr(self, name)
                for name in self.__slots__
            )
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request.

    Attributes:
        id: of the client; "" where no keys are asked for.
        owner: whose runs and cache entries theirs are: the id, or "" where all share.
        scopes: what they may do.
        models, templates: the names they may use, patterns with `*` too; None = all.
        allowance: how much they may have.
    """

    id: str = ""
    owner: str = ""
    scopes: frozenset[str] = frozenset(SCOPES)
    models: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    allowance: Allowance = field(default_factory=Allowance)

    def may(self, scope: str) -> bool:
        """Whether they have this scope."""
        return scope in self.scopes or "admin" in self.scopes

    def check(self, spec: RunSpec, aliases: Mapping[str, str]) -> None:
        """Refuse what they may not use.

        Args:
            spec: what they ask for.
            aliases: names of models -> ids, as the allow-list may have either.

        Raises:
            Forbidden: a model or template is not on their list (the operator's doing).
        """
        if self.models is not None:
            good = {*self.models, *(aliases.get(name, name) for name in self.models)}
            for name in (spec.model, *spec.fallback_models):
                if not _matches(name, good):
                    raise Forbidden(f"Your key may not use the model {name!r}.", field="model")
        if self.templates is not None and spec.template is not None:
            name = spec.template.name
            if not _matches(name, self.templates):
                raise Forbidden(f"Your key may not use the template {name!r}.", field="template")
        for child in spec.children:
            self.check(child, aliases)


EVERYBODY: Final = Principal()
"""Who makes a request where no keys are asked for."""


def _matches(name: str, patterns: Any) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
