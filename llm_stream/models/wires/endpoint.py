"""One provider's address and its key: where a wire sends, and with what."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import orjson

from llm_stream.errors import MissingKey
from llm_stream.models.keys import REST_SECONDS, FoundKey, Keyring
from llm_stream.models.timers import connect_limit
from llm_stream.models.wires.outgoing import Heard, Outgoing
from llm_stream.models.wires.ratelimits import NoteLimits, limits_in
from llm_stream.models.wires.transport import Transport
from llm_stream.models.wires.upstream import Upstream

EVENT_STREAM = "text/event-stream"
JSON = "application/json"

COPIED_BYTES: Final = 65_536
"""Smaller bodies are copied: they are kept as long as their answers take, and the bytes that
orjson makes hold several KiB that nobody uses."""


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

    @property
    def several(self) -> bool:
        """Whether there is a further key to use while one is limited."""
        return self.keyring.count(self.name, self.variables) > 1

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

    def refused(self, value: str | None, retry_after_ms: int | None) -> bool:
        """The provider did not take it: use another one for a while; whether there is one now."""
        if value is None:
            return False
        seconds = REST_SECONDS if retry_after_ms is None else retry_after_ms / 1000
        self.keyring.rest(value, seconds)
        return self.keyring.awake(self.name, self.variables)


class Endpoint:
    """Sends to one provider.

    Args:
        provider: its name in the configuration.
        address: where it is.
        key: how its key is found.
        transport: the process's pool.
        note_limits: is told what responses say of a model's limit; None = nobody.
    """

    def __init__(
        self,
        provider: str,
        address: Address,
        key: ProviderKey,
        transport: Transport,
        note_limits: NoteLimits | None = None,
    ) -> None:
        self.provider = provider
        self.key = key
        self._address = address
        self.base_url = address.base_url.rstrip("/")
        self._transport = transport
        self._note_limits = note_limits

    def get(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Upstream]:
        """Ask for a JSON value; see `Transport.send`."""
        return self._transport.send(self._request(path, headers, None, JSON), self.provider)

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
        if len(encoded) < COPIED_BYTES:
            encoded = memoryview(encoded).tobytes()
        accept = EVENT_STREAM if stream else JSON
        request = self._request(path, headers, encoded, accept, partial(self._heard, model_id))
        return self._transport.send(request, model_id)

    def _heard(self, model_id: str, headers: Mapping[str, str]) -> None:
        # A limit is a key's: where there are several, a 429 makes the next call use another.
        if self._note_limits is None or (limits := limits_in(headers)) is None:
            return
        if not self.key.several:
            self._note_limits(model_id, *limits)

    def _request(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        accept: str,
        heard: Heard | None = None,
    ) -> Outgoing:
        seconds, limit = self._address.connect_seconds, connect_limit()
        return Outgoing(
            f"{self.base_url}{path}",
            {**self._address.headers, **headers},
            body,
            accept,
            seconds if limit is None else min(seconds, limit),
            heard,
        )
