"""`llm-stream completion`: the script that lets a shell complete commands, options and names."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands in SHELL.

    \b
      bash   eval "$(llm-stream completion bash)"       in ~/.bashrc
      zsh    eval "$(llm-stream completion zsh)"        in ~/.zshrc
      fish   llm-stream completion fish > ~/.config/fish/completions/llm-stream.fish

    Names of models, templates and runs come from the running service, if it answers at once.
    """  # noqa: D301 - click looks for the control character
    from click.shell_completion import get_completion_class

    # Below another program (`llm stream`) it is that program that a shell has to complete.
    root = context.find_root()
    name = root.info_name or "llm-stream"
    made = get_completion_class(shell)
    if made is not None:
        variable = f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()
        click.echo(made(root.command, {}, name, variable).source())
