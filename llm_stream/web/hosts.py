"""By which names the service may be addressed: what keeps DNS rebinding from a local service."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from llm_stream.errors import HostRefused
from llm_stream.loopback import is_loopback

MAX_REMEMBERED: Final = 64
"""Headers that were found good and are not looked into again."""

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", re.ASCII)


class AllowedHosts:
    """Says whether a `Host` header names this service.

    Args:
        names: the configured ones, without a port.
        listens_on: the address; without names, one of loopback is addressed by loopback's names
            only, and any other by every name.
    """

    def __init__(self, names: Iterable[str], listens_on: str) -> None:
        self._names = frozenset(name.lower().rstrip(".") for name in names)
        self._any = not self._names and not is_loopback(listens_on)
        self._good: set[str] = set()

    def check(self, host: str | None) -> None:
        """Raise unless this is a name of the service; no header at all comes from no browser.

        Raises:
            HostRefused: it is another name (the caller's doing, or a page's behind its back).
        """
        if host is None or self._any or host in self._good:
            return
        if not self._names_us(host):
            raise HostRefused(
                f"This service does not answer for {host[:100]!a}. Its operator can list names in "
                "server.allowed_hosts.",
                field="Host",
            )
        if len(self._good) < MAX_REMEMBERED:
            self._good.add(host)

    def _names_us(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower().rstrip(".")
        if self._names:
            return name in self._names
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return False
