"""What a process has taken: memory, open files; read from /proc."""

import os
import sys
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """Its resident memory (RSS)."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_BYTES


def open_files(pid: int) -> int:
    """How many descriptors it has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def measured(what: str, value: object) -> None:
    """Tell a figure for docs/reliability.md; `pytest -rP` shows it."""
    sys.stdout.write(f"measured: {what}: {value}\n")
