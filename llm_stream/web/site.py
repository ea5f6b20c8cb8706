"""The documents as `make docs` has built them: files of one folder, looked at when asked for.

A start reads nothing of it. Who has edited a document since the site was built is shown the
document, as `web/pages` renders it, and not what it used to say.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

BUILT_FROM: Final = "built-from"
"""File of the site that holds the `digest` of the documents it was built from."""

LOCAL: Final = "http://127.0.0.1:8080/"
"""A service in a document that is read in a repository; where a service shows it, that one."""


def digest(documents: Mapping[str, str]) -> str:
    """What tells one state of all documents (name -> Markdown) from another."""
    state = hashlib.sha256()
    for name in sorted(documents):
        state.update(f"{name}\0{documents[name]}\0".encode())
    return state.hexdigest()


class Site:
    """The files of a built site, by the path below /docs/ that asks for each.

    Args:
        folder: where the site would be; there need not be one.
        documents: the documents as they are, name -> Markdown.
    """

    def __init__(self, folder: Path, documents: Mapping[str, str]) -> None:
        self._folder = folder
        self._documents = documents
        self._files: dict[str, Path] | None = None

    @property
    def looked_at(self) -> bool:
        """Whether `find` only looks into a table; before, it reads a folder."""
        return self._files is not None

    def find(self, path: str) -> Path | None:
        """The file for a path, None if there is no such, or no site of these documents."""
        if self._files is None:
            self._files = self._look()
        return self._files.get(path)

    def _look(self) -> dict[str, Path]:
        try:
            built_from = (self._folder / BUILT_FROM).read_text()
        except OSError:
            return {}
        if built_from != digest(self._documents):
            return {}
        files = {
            path.relative_to(self._folder).as_posix(): path
            for path in self._folder.rglob("*")
            if path.is_file()
        }
        pages = {
            name.removesuffix(".html"): path
            for name, path in files.items()
            if path.suffix == ".html"
        }
        return {**pages, **files, "": files["index.html"]} if "index.html" in files else {}
