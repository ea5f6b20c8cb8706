"""JSON Schemas of models' options, made once a class: many models share one."""

from functools import lru_cache
from typing import Any, Final

import llm

MAX_CLASSES: Final = 256
"""How many schemas are kept; plugins have a handful of classes, unless they make them up."""


@lru_cache(MAX_CLASSES)
def schema_of(options: type[llm.Options]) -> dict[str, Any]:
    """The schema of a class of options. All who ask share it: nobody may change it."""
    schema: dict[str, Any] = options.model_json_schema()
    return schema
