"""What answers can be invalidated by."""

from llm_stream.recipes.spec import RunSpec


def names_of(spec: RunSpec) -> list[str]:
    """What an answer to this request can be invalidated by; each owner has names of its own.

    To be read only: made once for each spec.
    """
    found: list[str] = spec.derived("names", _names)
    return found


def _names(spec: RunSpec) -> list[str]:
    names = [
        name_of(spec.owner, "all"),
        name_of(spec.owner, "recipe", spec.recipe),
        name_of(spec.owner, "model", spec.model),
    ]
    if spec.template is not None:
        names.append(name_of(spec.owner, "template", spec.template.name))
    names += [name_of(spec.owner, "tag", tag) for tag in dict.fromkeys(spec.cache.tags)]
    return names


def name_of(owner: str, kind: str, value: str = "") -> str:
    """The name of all entries of an owner, or of those with one recipe, model, template or tag."""
    return f"{owner}/{kind}:{value}"
