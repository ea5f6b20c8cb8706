"""llm-stream: language-model answers as runs that stream, resume and replay."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("llm-stream")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
