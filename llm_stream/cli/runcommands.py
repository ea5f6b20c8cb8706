"""`llm-stream run`, `reason` and `batch`: text as it is written, results as they end."""

import base64
import mimetypes
from typing import Any

import click

from llm_stream.cli.exitcodes import EPILOG
from llm_stream.cli.material import FILE, Material, decoded, said_of
from llm_stream.cli.place import Place
from llm_stream.cli.runoptions import (
    Reading,
    with_asking,
    with_keeping,
    with_reading,
    with_template,
)


def asked(place: Place, reading: Reading, recipe: str, body: dict[str, Any]) -> None:
    """Have the run; ends the process.

    Raises:
        click.UsageError: a run is to be read, and something is asked.
    """
    if reading.resume and body:
        said = ", ".join(body)
        raise click.UsageError(f"--resume starts no run: leave out what it would ask ({said})")
    from llm_stream.cli.following import follow

    follow(place, reading, recipe, body)


@click.command(epilog=EPILOG)
@click.argument("prompt", required=False)
@click.argument("documents", nargs=-1, type=FILE, metavar="[FILE]...")
@with_template
@click.option(
    "-p",
    "--param",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A value for the template; may be repeated.",
)
@click.option("-s", "--system", help="System prompt.")
@click.option("--schema", metavar="JSON|FILE", help="JSON Schema of the answer.")
@click.option(
    "-a",
    "--attachment",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Image or other file to ask about; its name says its type.",
)
@click.option(
    "--at",
    "typed",
    nargs=2,
    multiple=True,
    metavar="FILE TYPE",
    help="The same with its media type.",
)
@with_asking
@with_keeping
@with_reading
def run(
    place: Place,
    reading: Reading,
    common: dict[str, Any],
    prompt: str | None,
    documents: tuple[str, ...],
    **said: Any,
) -> None:
    """Have an answer written, and print it as it comes.

    PROMPT may be - for standard input; what stands in FILEs (or - there) follows it. With a
    template the prompt is its $input.
    """
    material = Material()
    texts = [] if prompt is None else [material.text(prompt)]
    texts += [material.file(path) for path in documents]
    attachments = [
        attached(material, path, kind)
        for path, kind in (*((path, None) for path in said["attachment"]), *said["typed"])
    ]
    body = said_of(
        prompt="\n\n".join(texts),
        template=said["template"],
        params=dict(said["param"]),
        system=said["system"],
        attachments=attachments,
    )
    if said["schema"]:
        body["schema"] = material.json(said["schema"], "--schema")
    if not (body.get("prompt") or body.get("template") or reading.resume):
        raise click.UsageError("give a PROMPT, - to read it from standard input, or a --template")
    asked(place, reading, "generate", common | body)


def attached(material: Material, path: str, kind: str | None) -> dict[str, str]:
    """A file as a request carries it.

    Raises:
        click.BadParameter: its name does not say what it is.
    """
    kind = kind or mimetypes.guess_type(path)[0]
    if kind is None:
        raise click.BadParameter(f"{path}: say of what type it is, with --at", param_hint="-a")
    return {"type": kind, "data": base64.b64encode(material.data(path)).decode()}


@click.command(epilog=EPILOG)
@click.argument("question", required=False)
@click.argument("documents", nargs=-1, type=FILE, metavar="[FILE]...")
@click.option(
    "--strategy",
    type=click.Choice(["plan", "vote", "critique"]),
    help="Solve step by step (default), take the majority, or draft and revise.",
)
@click.option("--samples", type=click.IntRange(1, 9), help="Votes to take (3).")
@with_asking
@with_keeping
@with_reading
def reason(
    place: Place,
    reading: Reading,
    common: dict[str, Any],
    question: str | None,
    documents: tuple[str, ...],
    **said: Any,
) -> None:
    """Have a question thought about in steps.

    Prints the answer as it is written; -v shows the steps. QUESTION may be - for standard input;
    what stands in FILEs is what is known.
    """
    material = Material()
    body = said_of(
        question=needed(question, "QUESTION", reading, material),
        context=material.context(documents) if documents else "",
        **said,
    )
    asked(place, reading, "reason", common | body)


def needed(said: str | None, name: str, reading: Reading, material: Material) -> str | None:
    """An argument that only those can leave out who start nothing.

    Raises:
        click.UsageError: it is missing.
    """
    if said is None:
        if not reading.resume:
            raise click.UsageError(f"Missing argument '{name}'.")
        return None
    return material.text(said)


@click.command(epilog=EPILOG)
@click.argument("requests", type=FILE, required=False, metavar="FILE")
@click.option("--concurrency", type=click.IntRange(1, 32), help="Requests at a time (8).")
@with_keeping
@with_reading
def batch(
    place: Place,
    reading: Reading,
    common: dict[str, Any],
    requests: str | None,
    concurrency: int | None,
) -> None:
    """Have many requests answered at once.

    Prints each result as it ends, a line of JSON. FILE (- is standard input) has a JSON array of
    requests, or one a line: {"id": "a", "recipe": "generate", "input": {"prompt": "Hi"}}, or "Hi"
    for that. Exit code 5 if one of them failed.
    """
    body: dict[str, Any] = {}
    if requests is None:
        needed(requests, "FILE", reading, Material())
    else:
        body = batched(Material().file(requests))
    asked(place, reading, "batch", common | body | said_of(concurrency=concurrency))


def batched(text: str) -> dict[str, Any]:
    """The body of a batch out of a file: a whole one, an array of requests, one, or one a line.

    Raises:
        click.BadParameter: it is none of these.
    """
    try:
        whole = decoded(text)
    except ValueError:
        found = []
    else:
        if isinstance(whole, dict) and "requests" in whole:
            return whole
        given = whole if isinstance(whole, list) else [whole]
        return {"requests": [request_of(each) for each in given]}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(request_of(decoded(line)))
            except ValueError as error:
                raise click.BadParameter(
                    f"line {number} is not JSON: {error}", param_hint="FILE"
                ) from error
    if not found:
        raise click.BadParameter("there are no requests in it", param_hint="FILE")
    return {"requests": found}


def request_of(said: Any) -> Any:
    """A request of a batch; a text alone is a prompt."""
    return {"input": {"prompt": said}} if isinstance(said, str) else said
