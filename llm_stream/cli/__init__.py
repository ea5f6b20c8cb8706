"""The command line: `llm-stream serve`, `pull`, `models`, `check`, `cache`, `usage` and more."""

from llm_stream.cli.commands import main

__all__ = ["main"]
