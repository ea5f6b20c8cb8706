"""Commands that are imported when somebody asks for them: a service needs none but its own."""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class LateCommands(MutableMapping[str, click.Command]):
    """What click takes for a group's commands.

    Args:
        places: by name, the module of this package that has the command, under the same name
            with underscores.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._here: dict[str, click.Command] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._here or name in self._places

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._here:
            module = import_module(f"llm_stream.cli.{self._places[name]}")
            self._here[name] = getattr(module, name.replace("-", "_"))
        return self._here[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._here[name] = command

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._here.pop(name, None)
        self._places.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._here})

    def __len__(self) -> int:
        return len({**self._places, **self._here})
