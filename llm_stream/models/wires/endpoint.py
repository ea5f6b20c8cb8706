"""One provider's address and its key: where a wire sends, and with what."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import orjson

from llm_stream.errors import MissingKey
from llm_stream.models.keys import REST_SECONDS, FoundKey, Keyring
from llm_stream.models.timers import connect_limit
from llm_stream.models.wires.transport import Outgoing, Transport, Upstream

EVENT_STREAM = "text/event-stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a provider is: nothing of a request changes scheme, host or port.

    `headers` are sent with every request; `connect_seconds` limits connecting.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    connect_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """How a provider's key is found: `name` and `variables` as `Keyring.find` takes them.

    Without a key a call is refused if one is `required`, else sent without.
    """

    keyring: Keyring
    name: str
    variables: tuple[str, ...] = ()
    required: bool = True

    def value(self) -> str | None:
        """The key to use now, None if none is needed and there is none.

        Raises:
            MissingKey: there is none, and one is required (the operator's doing).
        """
        found = self._found()
        return None if found is None else found.value

    def source(self) -> str | None:
        """Where it comes from; raises as `value`."""
        found = self._found()
        return None if found is None else found.source

    def _found(self) -> FoundKey | None:
        found = self.keyring.find(self.name, self.variables)
        if found is not None:
            return found
        if self.required:
            variable = f"Set {self.variables[0]}, or use" if self.variables else "Use"
            raise MissingKey(
                f"There is no key for {self.name}. {variable} 'llm-stream keys set {self.name}' on"
                " the server."
            )
        return None

    def refused(self, value: str | None, retry_after_ms: int | None) -> None:
        """The provider did not take it: use another one for a while, where there is one."""
        if value is not None:
            seconds = REST_SECONDS if retry_after_ms is None else retry_after_ms / 1000
            self.keyring.rest(value, seconds)


class Endpoint:
    """Sends to one provider.

    Args:
        provider: its name in the configuration.
        address: where it is.
        key: how its key is found.
        transport: the process's pool.
    """

    def __init__(
        self, provider: str, address: Address, key: ProviderKey, transport: Transport
    ) -> None:
        self.provider = provider
        self.key = key
        self._address = address
        self._base = address.base_url.rstrip("/")
        self._transport = transport

    def get(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Upstream]:
        """Ask for a JSON value; see `Transport.send`."""
        return self._send(path, headers, None, JSON, self.provider)

    def post(
        self, path: str, headers: Mapping[str, str], body: object, *, stream: bool, model_id: str
    ) -> AbstractAsyncContextManager[Upstream]:
        """Send a request; see `Transport.send`.

        Args:
            path: below the base URL; what came from a request is quoted in it.
            headers: with the key.
            body: what is sent as JSON.
            stream: whether events or one JSON value are expected.
            model_id: begins the details of errors.
        """
        encoded = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
        return self._send(path, headers, encoded, EVENT_STREAM if stream else JSON, model_id)

    def _send(
        self, path: str, headers: Mapping[str, str], body: bytes | None, accept: str, model_id: str
    ) -> AbstractAsyncContextManager[Upstream]:
        limits = [self._address.connect_seconds, connect_limit()]
        request = Outgoing(
            f"{self._base}{path}",
            {**self._address.headers, **headers},
            body,
            accept,
            min(limit for limit in limits if limit is not None),
        )
        return self._transport.send(request, model_id)
