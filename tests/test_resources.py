"""Shipped files are found wherever the package is."""

from typing import Any

import pytest

from llm_stream.resources import resource


@pytest.mark.parametrize("name", ["templates", "static", "docs", "config.toml"])
def test_each_shipped_file_is_there(name: Any) -> None:
    """Templates, page, documents and the configuration have a place."""
    assert resource(name).exists()


def test_anything_else_is_a_broken_installation() -> None:
    """What does not ship raises."""
    with pytest.raises(FileNotFoundError):
        resource("nothing")
