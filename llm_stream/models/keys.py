"""Providers' keys: from the environment, then from llm's store; values never leave by any text.

Read at start and when asked to, not once a prompt. llm itself looks a caller's key up among the
names of its store, and lets one provider's variable stand in for another's key: neither is done
here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import llm

from llm_stream.models.faults import never_show


@dataclass(frozen=True, slots=True)
class FoundKey:
    """Where a key came from: `environment:NAME` or `store:NAME`. Its value is not in its repr."""

    source: str
    value: str

    def __repr__(self) -> str:
        return f"FoundKey({self.source})"


class Keyring:
    """The keys of all providers.

    Args:
        environ: variables, `os.environ` for a service.
        store: llm's `keys.json`; None = no store.
    """

    def __init__(self, environ: Mapping[str, str], store: Path | None) -> None:
        self._environ = environ
        self._store = store
        self._stored: dict[str, str] = {}
        self.fault: str | None = None
        """Why the store could not be read, None if it could."""
        self.reload()

    def reload(self) -> None:
        """Read the store again. Blocking."""
        self.fault = None
        try:
            said = json.loads(self._store.read_text("utf-8")) if self._store else {}
        except FileNotFoundError:
            said = {}
        except (OSError, ValueError) as error:
            said = {}
            self.fault = f"keys.json: {type(error).__name__}"
        self._stored = {
            name: value
            for name, value in (said.items() if isinstance(said, dict) else ())
            if isinstance(value, str) and value and not name.startswith("//")
        }
        for value in self._stored.values():
            never_show(value)

    def find(self, name: str, variables: Sequence[str]) -> FoundKey | None:
        """The key of a provider, None if there is none.

        Args:
            name: under which llm's store has it.
            variables: of the environment, in order; the first that is set counts.
        """
        for variable in variables:
            if value := usable(self._environ.get(variable, "")):
                never_show(value)
                return FoundKey(f"environment:{variable}", value)
        if value := usable(self._stored.get(name, "")):
            return FoundKey(f"store:{name}", value)
        return None


def usable(value: str) -> str:
    """The key without white space around it; "" if it cannot stand in a header."""
    stripped = value.strip()
    return stripped if stripped.isascii() and stripped.isprintable() else ""


def keys_path() -> Path:
    """Where llm keeps keys; the folder is made if it is missing."""
    return Path(cast("Any", llm).user_dir()) / "keys.json"
