"""`llm-stream mock-providers`: fakes of the providers' wires, for any client on this machine."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_stream.cli.configured import Refused

if TYPE_CHECKING:
    from llm_stream.testing.mockproviders import MockProviders

STARTED = """\
mock providers on {mocks.url}; nobody listens on {mocks.refused_url}

config.toml of llm-stream, under [providers]:
  openai.base_url = "{mocks.openai_url}"
  anthropic.base_url = "{mocks.anthropic_url}"
  gemini.base_url = "{mocks.gemini_url}"
  palm.base_url = "{mocks.palm_url}"

or beside the real ones, with a menu of faults on the page:
  mock = {{ base_url = "{mocks.openai_url}", mock = true, api_key_env = ["MOCK_KEY"] }}
and in its environment MOCK_KEY=mock

environment of other clients; any key will do that does not contain "invalid":
  OPENAI_BASE_URL={mocks.openai_url} OPENAI_API_KEY=mock
  ANTHROPIC_BASE_URL={mocks.anthropic_url} ANTHROPIC_API_KEY=mock

faults by model name: mock-429-3, mock-cut-50-rst, mock-stall-10, ... (docs/testing.md)
requests so far: GET {mocks.url}/mock/requests; begin anew: POST {mocks.url}/mock/forget"""


@click.command("mock-providers")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9100,
    show_default=True,
    help="TCP port, 0 = any free one.",
)
@click.option(
    "--script",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML file with answers and faults by model name.",
)
@click.option("--seed", type=int, help="Of the answers that no script gives (0).")
def mock_providers(port: int, script: Path | None, seed: int | None) -> None:
    """Serve fakes of the providers until Ctrl-C.

    OpenAI, Anthropic, Gemini and PaLM, on this machine only. They need nobody's key, and answer as
    a model's name or a script says, faults included.
    """
    from llm_stream.testing.mockproviders import ScriptFault, load_script
    from llm_stream.testing.mockproviders.foreground import serve
    from llm_stream.testing.mockproviders.script import ScriptFile

    try:
        scripted = load_script(script) if script is not None else ScriptFile()
    except ScriptFault as error:
        raise Refused(*(f"{script}: {line}" for line in str(error).splitlines())) from error
    try:
        serve(port, scripted if seed is None else replace(scripted, seed=seed), tell)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise Refused(f"cannot serve on 127.0.0.1:{port}: {reason}") from error


def tell(mocks: "MockProviders") -> None:
    """Print where they are and how clients are pointed at them."""
    click.echo(STARTED.format(mocks=mocks))
