"""Packages that others import and this service may never use: left for later, or left out.

Importing takes hundreds of milliseconds and megabytes, which every start would pay for.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

_LATE: Final[set[str]] = set()

_BROKEN: Final[dict[str, Exception]] = {}


class _Later(ModuleType):
    """Stands for a package in the module that imported it, and fetches it when it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python's own looks must not fetch it
            raise AttributeError(name)
        return getattr(_fetch(self.__name__), name)


def _fetch(package: str) -> ModuleType:
    if isinstance(sys.modules.get(package), _Later):
        del sys.modules[package]
    if package in _BROKEN:
        raise ImportError(f"{package} cannot be imported") from _BROKEN[package]
    return import_module(package)


@contextmanager
def later(package: str) -> Iterator[None]:
    """What is imported inside gets the package when it first uses one of its names.

    Only `import package` waits, not `from package import name`. Use it at start, where nothing
    else imports that package at the same time.
    """
    if package in sys.modules or find_spec(package) is None:
        yield
        return
    stand_in = sys.modules[package] = _Later(package)
    _LATE.add(package)
    try:
        yield
    finally:
        if sys.modules.get(package) is stand_in:
            del sys.modules[package]


def is_late() -> bool:
    """Whether something may have been left for later that `fetch_late` has not fetched yet."""
    return bool(_LATE)


def fetch_late() -> None:
    """Import now what was left for later. Blocks, once; for a thread.

    One that cannot be imported is an `ImportError` for who uses it, and for nobody else.
    """
    for package in [*_LATE]:
        try:
            _fetch(package)
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything at import
            _BROKEN[package] = error
        # Only now: until then others have to wait as well, and not on the event loop.
        _LATE.discard(package)


@contextmanager
def without(package: str) -> Iterator[None]:
    """What is imported inside does as if the package were not installed, unless it is loaded.

    For what asks for it only to offer more. Use it at start, as `later`.
    """
    if package in sys.modules:
        yield
        return
    # "Not there", by the language reference; typeshed does not know.
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
