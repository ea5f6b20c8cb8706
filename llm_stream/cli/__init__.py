"""The command line: `llm-stream serve`, `pull`, `models`, `check`, `cache`, `mock-providers`."""

from llm_stream.cli.commands import main

__all__ = ["main"]
