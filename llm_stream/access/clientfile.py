"""The file of clients: TOML, readable by its owner only, without a single key in it."""

import fcntl
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from llm_stream.access.principal import DEFAULT_SCOPES, Allowance, Principal, Scope
from llm_stream.privatefile import write_private

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ClientId = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{8}$")]

HEADER = (
    "# Clients of llm-stream, made by `llm-stream clients add`. It holds hashes, no keys.\n"
    "# A running service notices changes by itself.\n\n"
)


class ClientLimits(BaseModel):
    """The limits of one client where they are not the usual ones; see `Allowance`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs_per_second: float | None = Field(default=None, gt=0)
    concurrent_runs: int | None = Field(default=None, ge=1)
    sockets: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1)


class ClientRecord(BaseModel):
    """One client, as the file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    hash: Hash
    scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    models: tuple[Pattern, ...] | None = None
    templates: tuple[Pattern, ...] | None = None
    limits: ClientLimits = ClientLimits()

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= now
        return "expired" if expired else "active"

    def principal(self, client_id: str, *, shared: bool, usual: Allowance) -> Principal:
        """Who has this client's key; `shared` says that all clients have their runs in common."""
        return Principal(
            id=client_id,
            owner="" if shared else client_id,
            scopes=frozenset(self.scopes),
            models=self.models,
            templates=self.templates,
            allowance=Allowance(**self.limits.model_dump()).over(usual),
        )


_CLIENTS: TypeAdapter[dict[str, ClientRecord]] = TypeAdapter(dict[ClientId, ClientRecord])


class ClientFileFault(ValueError):
    """The file is not one of clients; the message says where and what."""


def read_clients(path: Path) -> dict[str, ClientRecord]:
    """The clients of the file, by id; none if there is no file. Blocking.

    Raises:
        ClientFileFault: it cannot be understood (the operator's doing).
        OSError: it cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    try:
        said = tomllib.loads(text)
        return _CLIENTS.validate_python(said.get("clients", {}))
    except (ValueError, RecursionError) as error:  # pydantic's, TOML's and UTF-8's are the first
        raise ClientFileFault(f"{path.name}: {_told(error)}") from error


def _told(error: Exception) -> str:
    # Without the values: a key that stands where a hash belongs must not be shown.
    faults = getattr(error, "errors", None)
    if faults is None:
        return type(error).__name__
    first = faults(include_input=False, include_url=False)[0]
    return f"clients.{'.'.join(map(str, first['loc']))}: {first['msg']}"


@contextmanager
def editing(path: Path) -> Iterator[dict[str, ClientRecord]]:
    """The clients, written back when the block ends well. One editor at a time. Blocking.

    Raises:
        ClientFileFault: the file cannot be understood.
        OSError: it cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clients = read_clients(path)
        yield clients
        write_private(path, HEADER + tomli_w.dumps({"clients": dumped(clients)}))


def dumped(clients: Mapping[str, ClientRecord]) -> dict[str, Any]:
    """The clients as TOML has them."""
    return {
        client_id: record.model_dump(exclude_none=True, exclude_defaults=True)
        | {"name": record.name, "hash": record.hash, "created_at": record.created_at}
        for client_id, record in clients.items()
    }


def now() -> datetime:
    """This moment, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
