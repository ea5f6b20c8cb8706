"""What each client has open now, so that it can be ended when the client is gone."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Presence:
    """Open requests and sockets by client."""

    def __init__(self) -> None:
        self._open: defaultdict[str, dict[object, Callable[[], object]]] = defaultdict(dict)

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    @contextmanager
    def here(self, client: str, end: Callable[[], object]) -> Iterator[None]:
        """While the block runs, `end` is called if the client goes; it must not raise."""
        mark = object()
        self._open[client][mark] = end
        try:
            yield
        finally:
            of_client = self._open[client]
            del of_client[mark]
            if not of_client:
                del self._open[client]

    def gone(self, client: str) -> None:
        """End everything the client has open."""
        for end in tuple(self._open.get(client, {}).values()):
            end()
