"""What importing the client brings with it."""

import subprocess
import sys


def imported(program: str) -> set[str]:
    """Modules that a new interpreter has loaded after this program."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shown.stdout.split())


def test_the_client_brings_no_service() -> None:
    """Neither llm nor pydantic nor the server, also when it is made."""
    found = imported("from llm_stream.client import AsyncClient, Client; AsyncClient()")

    assert not found & {"llm", "pydantic", "aiohttp.web", "prometheus_client", "redis"}
    assert not {name for name in found if name.startswith(("llm_stream.web", "llm_stream.models"))}


def test_types_and_errors_come_alone() -> None:
    """aiohttp, which takes most of the time, comes with the clients."""
    assert "aiohttp" not in imported("from llm_stream.client import Task, StreamError")
