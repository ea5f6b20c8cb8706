"""Where the files that ship with the package are: in the wheel, or in the source tree."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Path of `templates`, `static`, `docs` or `config.toml`.

    Raises:
        FileNotFoundError: the installation is broken.
    """
    for folder in (_PACKAGE / "_resources", _PACKAGE.parent):
        if (path := folder / name).exists():
            return path
    raise FileNotFoundError(f"{name} is missing; install llm-stream again")


def site() -> Path:
    """Folder of the documents as `make docs` builds them; a source tree need not have it."""
    return resource("docs").with_name("site")
