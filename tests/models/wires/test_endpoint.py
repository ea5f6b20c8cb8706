"""Where a wire sends, and how long connecting may take."""

from pathlib import Path

import pytest

from llm_stream.models.keys import Keyring
from llm_stream.models.timers import Timeouts, Watch
from llm_stream.models.wires.endpoint import Address, Endpoint, ProviderKey
from llm_stream.models.wires.outgoing import Outgoing
from llm_stream.models.wires.transport import Exchange, Transport


class Noting(Transport):
    """Keeps what it is to send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Outgoing] = []

    def send(self, request: Outgoing, model_id: str) -> Exchange:
        self.sent.append(request)
        raise ConnectionRefusedError


@pytest.mark.parametrize(("asked", "expected"), [(None, 7.0), (3.0, 3.0), (20.0, 7.0)])
async def test_the_shorter_connect_limit_counts(
    tmp_path: Path, asked: float | None, expected: float
) -> None:
    """The provider's own, or that of the call it is made for."""
    transport = Noting()
    key = ProviderKey(Keyring({}, tmp_path / "keys.json"), "x", required=False)
    endpoint = Endpoint("x", Address("http://x", connect_seconds=7.0), key, transport)
    with pytest.raises(ConnectionRefusedError):
        async with (
            Watch(Timeouts(connect_seconds=asked), "m"),
            endpoint.post("/y", {}, {}, stream=True, model_id="m"),
        ):
            raise AssertionError

    assert [request.connect_seconds for request in transport.sent] == [expected]
