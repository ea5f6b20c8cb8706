"""Providers' keys: from the environment, then from llm's store; values never leave by any text.

llm itself reads its store once a prompt, looks a caller's key up among the names in it, and lets
one provider's variable stand in for another's key: none of that is done here.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import llm

from llm_stream.models.faults import never_show
from llm_stream.privatefile import write_private

LOOK_SECONDS: Final = 1.0
"""How often at most the store is looked at for changes: one stat of a local file."""

REST_SECONDS: Final = 60.0
"""How long a key that was refused or limited is passed over if nobody says how long."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """Where a key came from: `environment:NAME` or `store:NAME`. Its value is not in its repr."""

    source: str
    value: str

    def __repr__(self) -> str:
        return f"FoundKey({self.source})"


class Keyring:
    """The keys of all providers. What is changed in the store is noticed within a second.

    Args:
        environ: variables, `os.environ` for a service.
        store: llm's `keys.json`; None = no store.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        store: Path | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._store = store
        self._clock = clock
        self._stored: dict[str, str] = {}
        self._seen: tuple[int, int] | None = None
        self._looked = clock()
        self._resting: dict[str, float] = {}
        self.fault: str | None = None
        """Why the store could not be read, None if it could; its old keys hold then."""
        self._look()

    def find(self, name: str, variables: Sequence[str]) -> FoundKey | None:
        """The key to use for a provider now, None if there is none.

        Of several the first that does not rest; if all do, the one whose rest ends first.

        Args:
            name: under which llm's store has it.
            variables: of the environment, in order; the store comes last.
        """
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        found = list(self._candidates(name, variables))
        awake = (key for key in found if self._resting.get(key.value, now) <= now)
        first = next(awake, None)
        if first is None and found:
            return min(found, key=lambda key: self._resting[key.value])
        return first

    def count(self, name: str, variables: Sequence[str]) -> int:
        """How many different keys there are for a provider; arguments as of `find`."""
        return len({key.value for key in self._candidates(name, variables)})

    def awake(self, name: str, variables: Sequence[str]) -> bool:
        """Whether a provider has a key that does not rest; arguments as of `find`."""
        now = self._clock()
        return any(
            self._resting.get(key.value, now) <= now for key in self._candidates(name, variables)
        )

    def rest(self, value: str, seconds: float = REST_SECONDS) -> None:
        """Use other keys of the provider for a while, where there are any."""
        self._resting[value] = self._clock() + seconds

    def _candidates(self, name: str, variables: Sequence[str]) -> Iterator[FoundKey]:
        for variable in variables:
            if value := usable(self._environ.get(variable, "")):
                never_show(value)
                yield FoundKey(f"environment:{variable}", value)
        if value := usable(self._stored.get(name, "")):
            yield FoundKey(f"store:{name}", value)

    def _look(self) -> None:
        """Read the store if it has changed."""
        if self._store is None:
            return
        try:
            status = self._store.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            self._stored = _keys_in(self._store)
        except FileNotFoundError:
            self._stored, self._seen, self.fault = {}, None, None
            return
        except (OSError, ValueError) as error:
            self.fault = f"keys.json: {type(error).__name__}"
            return
        self._seen, self.fault = seen, None
        for value in self._stored.values():
            never_show(value.strip())


def _keys_in(store: Path) -> dict[str, str]:
    said = json.loads(store.read_text("utf-8"))
    if not isinstance(said, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - of a file
    return {name: value for name, value in said.items() if isinstance(value, str) and value}


def usable(value: str) -> str:
    """The key without white space around it; "" if it cannot stand in a header."""
    stripped = value.strip()
    return stripped if stripped.isascii() and stripped.isprintable() else ""


def keys_path() -> Path:
    """Where llm keeps keys; the folder is made if it is missing."""
    return Path(cast("Any", llm).user_dir()) / "keys.json"


def store_key(store: Path, name: str, value: str) -> None:
    """Put a key into llm's store, readable by its owner only. Blocking.

    Raises:
        ValueError: the store or the key cannot be used.
        OSError: the store cannot be written.
    """
    key = usable(value)
    if not key:
        raise ValueError("a key is one line of printable ASCII")
    said = json.loads(store.read_text("utf-8")) if store.exists() else {}
    if not isinstance(said, dict):
        raise ValueError(f"{store.name} holds no JSON object")  # noqa: TRY004 - of a file
    write_private(store, json.dumps({**said, name: key}, indent=2) + "\n")
