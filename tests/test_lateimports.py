"""Packages that are left for later, or left out."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from llm_stream.lateimports import fetch_late, is_late, later, without


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages; each test has names of its own, for what is loaded stays."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def package(tree: Path, name: str, source: str) -> None:
    """Something to import."""
    (tree / f"{name}.py").write_text(source)


def user_of(tree: Path, name: str) -> ModuleType:
    """A module that imports the package and uses it only when it is asked to."""
    package(tree, f"{name}_user", f"import {name}\n\n\ndef use():\n    return {name}.NAME\n")
    with later(name):
        return import_module(f"{name}_user")


def test_a_package_comes_when_it_is_used(tree: Path) -> None:
    """Its importer does not bring it, its first use does, others import it as ever."""
    package(tree, "heavy_one", "NAME = 'heavy'\n")
    user = user_of(tree, "heavy_one")

    assert "heavy_one" not in sys.modules
    assert user.use() == "heavy"
    assert import_module("heavy_one").NAME == "heavy"
    fetch_late()


def test_who_takes_a_name_at_once_has_it(tree: Path) -> None:
    """`from package import name` fetches the package there and then."""
    package(tree, "heavy_two", "NAME = 'heavy'\n")
    package(tree, "eager", "from heavy_two import NAME\n")

    with later("heavy_two"):
        assert import_module("eager").NAME == "heavy"

    assert "heavy_two" in sys.modules
    fetch_late()


def test_what_is_late_can_be_fetched(tree: Path) -> None:
    """A thread brings all of it, so that nobody meets an import while serving."""
    package(tree, "heavy_three", "NAME = 'heavy'\n")
    user = user_of(tree, "heavy_three")
    assert is_late()

    fetch_late()

    assert not is_late()
    assert "heavy_three" in sys.modules
    assert user.use() == "heavy"


def test_a_broken_package_fails_who_uses_it(tree: Path) -> None:
    """Fetching it harms nobody else, and it is not tried again and again."""
    package(tree, "heavy_four", "raise RuntimeError('broken')\n")
    user = user_of(tree, "heavy_four")

    fetch_late()

    assert not is_late()
    with pytest.raises(ImportError, match="heavy_four cannot be imported"):
        user.use()


def test_a_missing_package_is_missing_at_once(tree: Path) -> None:
    """Who imports what is not installed hears of it, not who uses it later."""
    with pytest.raises(ModuleNotFoundError):
        user_of(tree, "heavy_never")

    assert not is_late()


def test_a_package_can_be_left_out(tree: Path) -> None:
    """Inside it is not installed, afterwards it is; where it is loaded it stays."""
    package(tree, "heavy_five", "NAME = 'heavy'\n")

    with without("heavy_five"), pytest.raises(ImportError):
        import_module("heavy_five")

    loaded = import_module("heavy_five")
    with without("heavy_five"):
        assert import_module("heavy_five") is loaded
