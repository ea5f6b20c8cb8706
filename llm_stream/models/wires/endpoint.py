"""One provider's address and its key: where a wire sends, and with what."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import orjson

from llm_stream.errors import MissingKey
from llm_stream.models.keys import Keyring
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
        """The key as it is now, so that a reload is noticed. No I/O.

        Raises:
            MissingKey: there is none, and one is required (the operator's doing).
        """
        found = self.keyring.find(self.name, self.variables)
        if found is not None:
            return found.value
        if self.required:
            variable = f"Set {self.variables[0]}, or use" if self.variables else "Use"
            raise MissingKey(
                f"There is no key for {self.name}. {variable} 'llm-stream keys set {self.name}' on"
                " the server."
            )
        return None


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

    def post(
        self, path: str, headers: Mapping[str, str], body: object, *, stream: bool, model_id: str
    ) -> AbstractAsyncContextManager[Upstream]:
        """See `Transport.post`.

        Args:
            path: below the base URL; what came from a request is quoted in it.
            headers: with the key.
            body: what is sent as JSON.
            stream: whether events or one JSON value are expected.
            model_id: begins the details of errors.
        """
        request = Outgoing(
            f"{self._base}{path}",
            {**self._address.headers, **headers},
            orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS),
            EVENT_STREAM if stream else JSON,
            self._address.connect_seconds,
        )
        return self._transport.post(request, model_id)
