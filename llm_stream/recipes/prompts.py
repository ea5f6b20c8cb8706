"""Prompt templates in llm's YAML format: loaded, checked and hashed once, at start.

A request names a template and gives values. Nothing of a request becomes a path, a URL, a
template or code: `llm.cli.load_template`, which opens any of them, is never called.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template as StringTemplate
from typing import Any, Final, cast

import llm
import pydantic
import yaml

from llm_stream.errors import EmptyPrompt, MissingVariable, UnknownTemplate, UnknownVariable
from llm_stream.recipes.spec import TemplateRef

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
REFUSED_FIELDS: Final = (
    "functions", "tools", "fragments", "system_fragments", "attachments", "attachment_types",
    "extract", "extract_last",
)  # fmt: skip
"""Fields of llm's format that run code, read files, or that streaming cannot honour."""

YAML_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: a twentieth of the time."""

RECIPE_BY_VARIABLE: Final = {"criterion": "evaluate", "max_tasks": "breakdown"}
"""Variables that only templates of one recipe have, copies with other names included."""

JSON_TEMPLATES: Final = ("as-json", "repair")
"""What `generate` needs of models that cannot keep to a schema by themselves."""

REASON_TEMPLATES: Final = (
    "reason-plan", "reason-step", "reason-conclude", "reason-vote", "reason-draft",
    "reason-critique", "reason-revise",
)  # fmt: skip

INTERNAL: Final = frozenset({"rubric", "repair-plan", "query", *JSON_TEMPLATES, *REASON_TEMPLATES})
"""Shipped templates that recipes use by themselves."""


class TemplateFault(ValueError):
    """A template file cannot be used; the message begins with the file's name."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template with its values filled in."""

    prompt: str
    system: str | None


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """One template file.

    `variables` are the names it needs values for, `defaults` those it has values for.
    """

    ref: TemplateRef
    template: llm.Template
    variables: frozenset[str]
    defaults: Mapping[str, Any]

    @property
    def recipe(self) -> str:
        """Which recipe the template is made for; `internal` ones are no choice of a caller's."""
        for variable, recipe in RECIPE_BY_VARIABLE.items():
            if variable in self.variables:
                return recipe
        return "internal" if self.ref.name in INTERNAL else "generate"

    @property
    def model(self) -> str | None:
        """Model the file names, None if it leaves the choice open."""
        return self.template.model

    @property
    def options(self) -> Mapping[str, Any]:
        """Options the file sets; a request's own win."""
        return self.template.options or {}

    @property
    def schema(self) -> dict[str, Any] | None:
        """JSON Schema the answer has to meet, None for free text."""
        return self.template.schema_object

    def render(self, params: Mapping[str, str], user_input: str | None = None) -> Rendered:
        """Fill in values. They are data: a `$` in a value is never expanded again.

        Args:
            params: {variable: value}. `input` may be given here or as `user_input`.
            user_input: the request's `prompt`; goes to `$input`, or, where the template has
                no such variable, after the template's own prompt.

        Raises:
            MissingVariable, UnknownVariable, EmptyPrompt: the caller's doing.
        """
        values = dict(params)
        text = values.pop("input", None) if user_input is None else user_input
        for name in sorted(values):
            if name not in self.variables:
                known = ", ".join(sorted(self.variables)) or "none"
                raise UnknownVariable(
                    f"Template {self.ref.name!r} has no variable {name!r}. It has: {known}.",
                    field=f"params.{name}",
                )
        needed = self.variables - set(self.defaults) - set(values)
        if text is not None:
            needed -= {"input"}
        if needed:
            raise MissingVariable(
                f"Template {self.ref.name!r} needs a value for {', '.join(sorted(needed))}.",
                field=f"params.{min(needed)}",
            )
        if text is None:
            text = str(self.defaults.get("input", ""))
        prompt, system = self.template.evaluate(text, {k: str(v) for k, v in values.items()})
        if text and self.template.prompt and "input" not in self.variables:
            # llm's command line does the same; Template.evaluate alone would drop the input.
            prompt = f"{prompt}\n{text}"
        if not (prompt or "").strip():
            raise EmptyPrompt(
                "The template rendered to nothing. Give it some input.", field="params"
            )
        return Rendered(prompt or "", system or None)

    def describe(self) -> dict[str, Any]:
        """The template as GET /v1/templates shows it."""
        return {
            "name": self.ref.name,
            "hash": self.ref.hash,
            "recipe": self.recipe,
            "variables": sorted(self.variables),
            "defaults": dict(self.defaults),
            "model": self.model,
            "options": dict(self.options),
            "schema": self.schema,
            "prompt": self.template.prompt,
            "system": self.template.system,
        }


class PromptLibrary:
    """The templates of one folder, by name."""

    def __init__(self, templates: Mapping[str, PromptTemplate]) -> None:
        self._templates = dict(sorted(templates.items()))

    @classmethod
    def load(cls, folder: Path) -> "PromptLibrary":
        """Read every `*.yaml` of the folder. Blocking; call it at start, in a thread.

        Raises:
            TemplateFault: the first file that cannot be used (the operator's doing).
        """
        library, faults = cls.inspect(folder)
        if faults:
            raise faults[0]
        return library

    @classmethod
    def inspect(cls, folder: Path) -> tuple["PromptLibrary", list[TemplateFault]]:
        """Like `load`, with every fault instead of the first."""
        if not folder.is_dir():
            return cls({}), [TemplateFault(f"{folder}: there is no such folder of templates")]
        found: dict[str, PromptTemplate] = {}
        faults: list[TemplateFault] = []
        for path in sorted(folder.glob("*.yaml")):
            try:
                found[path.stem] = parse(path.stem, path.read_bytes())
            except TemplateFault as fault:
                faults.append(fault)
            except OSError as error:
                faults.append(TemplateFault(f"{path.name}: cannot be read: {error.strerror}"))
        return cls(found), faults

    def __iter__(self) -> Any:
        return iter(self._templates.values())

    def __len__(self) -> int:
        return len(self._templates)

    def hash_of(self, *names: str) -> str:
        """One hash of these templates, those that exist; 16 hexadecimal digits."""
        refs = [str(self._templates[name].ref) for name in names if name in self._templates]
        return hashlib.sha256("\n".join(refs).encode()).hexdigest()[:16]

    def find(self, name: str) -> PromptTemplate:
        """The template of that name.

        Raises:
            UnknownTemplate: there is none (the caller's doing).
        """
        template = self._templates.get(name)
        if template is None:
            raise UnknownTemplate(
                f"There is no template {name[:100]!r}. GET /v1/templates lists them.",
                field="template",
            )
        return template


def parse(name: str, content: bytes) -> PromptTemplate:
    """Make a template of a file's bytes; its hash is that of the bytes, so an edit is a new one.

    Raises:
        TemplateFault: it is not a template this service may use.
    """
    if not NAME.fullmatch(name):
        raise TemplateFault(f"{name}.yaml: a name has only a-z, 0-9, _ and -, 64 at most")
    try:
        fields = yaml.load(content, YAML_LOADER)  # noqa: S506 - either is a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TemplateFault(f"{name}.yaml: not YAML: {' '.join(str(error).split())}") from error
    if isinstance(fields, str):
        fields = {"prompt": fields}
    if not isinstance(fields, dict):
        raise TemplateFault(f"{name}.yaml: has to be a text or a mapping of llm's template fields")
    for field in REFUSED_FIELDS:
        if fields.get(field) is not None:
            raise TemplateFault(f"{name}.yaml: field {field!r} is not allowed in a service")
    try:
        template = cast("Any", llm).Template(**{**fields, "name": name})
        variables = frozenset(map(str, template.vars()))
        blank = dict.fromkeys(variables, "")
        for text in (template.prompt, template.system):
            StringTemplate(text or "").substitute(blank)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise TemplateFault(f"{name}.yaml: {where}: {first['msg']}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise TemplateFault(f"{name}.yaml: {error}; write $$ for a dollar sign") from error
    if not (template.prompt or template.system):
        raise TemplateFault(f"{name}.yaml: has neither prompt nor system")
    if not template.prompt:
        variables |= {"input"}
    return PromptTemplate(
        TemplateRef(name, hashlib.sha256(content).hexdigest()[:16]),
        template,
        variables,
        template.defaults or {},
    )
