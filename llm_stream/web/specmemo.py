"""Equal bodies make equal specs: a request that was understood once is not read again."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from llm_stream.recipes.spec import RunSpec
from llm_stream.web.intake import Caller

MAX_BYTES: Final = 16_777_216
"""Bytes of all that is remembered, so a large body leaves room for few others."""

SPEC_BYTES: Final = 4096
"""What a spec costs beside its texts, about."""

MAX_BODY_BYTES: Final = 16_384
"""Larger ones are read each time: reading is not what they cost."""

DECODED: Final = 25
"""How much more memory a decoded body takes than its bytes, at worst."""


TEXT_BYTES: Final = 5
"""What a character of a spec's messages takes, in them and in the spec as JSON; rarely more."""


class SpecMemo:
    """What bodies meant, the least recently used forgotten first.

    Models, templates and limits do not change while the service runs, so neither does what a
    body means to the same caller. Only bodies that were valid are remembered.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, bool, bool, bytes], RunSpec] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def known(
        self, recipe: str, body: bytes, owner: str, *, waits: bool, detached: bool = False
    ) -> RunSpec | None:
        """The spec of this body, as a caller of this kind sends it, if it is remembered."""
        name = (recipe, owner, waits, detached, body)
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
        return known

    def spec(
        self, recipe: str, body: bytes, caller: Caller, make: Callable[[], RunSpec]
    ) -> RunSpec:
        """The spec of this body, from `make` the first time; errors of `make` pass."""
        if len(body) > MAX_BODY_BYTES:
            return make()
        owner = caller.principal.owner
        known = self.known(recipe, body, owner, waits=caller.waits, detached=caller.detached)
        if known is not None:
            return known
        name = (recipe, owner, caller.waits, caller.detached, body)
        made = make()
        if made.children or _chars(made) > MAX_BODY_BYTES:
            return made
        self._known[name] = made
        self._bytes += _cost(body, made)
        while self._bytes > MAX_BYTES:
            (*_, gone), spec = self._known.popitem(last=False)
            self._bytes -= _cost(gone, spec)
        return made


def _chars(spec: RunSpec) -> int:
    return sum(len(message.content) for message in spec.messages)


def _cost(body: bytes, spec: RunSpec) -> int:
    # A short body may name a template, whose texts are long.
    return SPEC_BYTES + DECODED * len(body) + TEXT_BYTES * _chars(spec)
