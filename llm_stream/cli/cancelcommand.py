"""`llm-stream cancel`: end a run that was left to itself."""

from urllib.parse import quote

import click

from llm_stream.cli.completing import runs
from llm_stream.cli.place import Place, with_place


@click.command()
@click.argument("run", shell_complete=runs)
@with_place
def cancel(place: Place, run: str) -> None:
    """Cancel RUN, unless others want it as well.

    Prints what has become of it. One that has ended stays as it is.
    """
    path = f"/v1/runs/{quote(run, safe='')}/cancel"
    told = place.service().call("POST", path, holding="state")
    click.echo(f"{told['state']}{', others want it' if told['shared'] else ''}")
