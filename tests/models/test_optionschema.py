"""Schemas of options: made once a class, and never another's."""

import llm
import pytest

from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.optionschema import schema_of
from llm_stream.models.plugins import load_plugins
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.wires import options


def options_class(**fields: type) -> type[llm.Options]:
    """A class of options; all that are made here have the same name."""
    return type("Options", (llm.Options,), {"__annotations__": fields})


@pytest.mark.parametrize(
    "kind",
    [
        options.ChatOptions,
        options.ResponsesOptions,
        options.ClaudeOptions,
        options.GeminiOptions,
        options.PalmOptions,
    ],
)
def test_the_schema_is_what_the_class_says(kind: type[llm.Options]) -> None:
    """The first who asks and all others get the schema that pydantic makes of the class."""
    assert schema_of(kind) == schema_of(kind) == kind.model_json_schema()


def test_a_class_has_one_schema() -> None:
    """It is made once, however many models have the class."""
    kind = options_class(depth=int)

    assert schema_of(kind) is schema_of(kind)


def test_classes_of_one_name_keep_their_own_schemas() -> None:
    """Plugins call their classes alike; the class counts, not its name."""
    deep, wide = schema_of(options_class(depth=int)), schema_of(options_class(width=str))

    assert (*deep["properties"], *wide["properties"]) == ("depth", "width")


def test_a_catalog_lists_every_model_with_its_own_options() -> None:
    """Of all models that llm itself registers each is described by its own class."""
    models = [registered.model for registered in load_plugins(()).models]
    catalog = ModelCatalog(load_plugins(()), SyncThreads(1), default="none", aliases={})

    assert {entry["id"]: entry["options"] for entry in catalog.describe()} == {
        model.model_id: model.Options.model_json_schema() for model in models
    }
