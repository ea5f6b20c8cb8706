"""The catalog: ids, aliases, and who wins when names clash."""

from typing import Any

import pytest

from llm_stream.errors import UnknownModel
from llm_stream.models.catalog import MAX_ON_DEMAND, ModelCatalog
from llm_stream.models.plugins import Loaded, PluginFault, Registered
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.testing import ScriptedModel, ScriptedSyncModel


def catalog(
    *models: Any, default: Any = "a", aliases: Any = None, own: Any = (), faults: Any = ()
) -> Any:
    """A catalog of (model, aliases) pairs."""
    loaded = Loaded([Registered(m, names, "plugin") for m, names in models], list(faults))
    return ModelCatalog(
        loaded, SyncThreads(1), default=default, aliases=aliases or {}, own_models=own
    )


A, B = ScriptedModel("a"), ScriptedSyncModel("b")


def test_ids_aliases_and_the_default_are_found() -> None:
    """An id, a plugin's alias, a configured alias and nothing at all each name a model."""
    models = catalog((A, ("first",)), (B, ()), aliases={"fast": "b", "best": "first"})

    assert [models.find(n).id for n in ("a", "first", "fast", "best", "default", None)] == [
        "a", "a", "b", "a", "a", "a",
    ]  # fmt: skip
    assert models.aliases_of("a") == ["best", "default", "first"]


def test_the_default_may_be_an_alias() -> None:
    """`models.default = "fast"` means what `fast` means."""
    assert catalog((A, ()), (B, ()), default="fast", aliases={"fast": "b"}).find(None).id == "b"


def test_an_unknown_name_is_the_callers() -> None:
    """A name nobody has raises, with the field it stood in."""
    with pytest.raises(UnknownModel) as caught:
        catalog((A, ())).find("nope", field="fallback_models.0")

    assert caught.value.field == "fallback_models.0"


def test_an_alias_cannot_take_an_id_over() -> None:
    """A plugin that claims another model's id as alias does not get it."""
    assert catalog((A, ()), (B, ("a",))).find("a").id == "a"


def test_the_services_own_models_win() -> None:
    """A model of the service replaces a plugin's of the same id."""
    own = ScriptedModel("a")

    assert catalog((A, ()), own=[own]).find("a").supports_schema
    assert len(catalog((A, ()), own=[own])) == 1


def test_broken_aliases_and_plugins_are_reported_not_fatal() -> None:
    """An alias of nothing is listed as broken; a failed plugin by its name."""
    models = catalog((A, ()), aliases={"fast": "gone"}, faults=[PluginFault("bad", "boom")])

    assert models.broken_aliases == {"fast": "gone"}
    assert models.faults == [PluginFault("bad", "boom")]
    with pytest.raises(UnknownModel):
        models.find("fast")


def test_without_a_default_model_asking_for_none_says_so() -> None:
    """A catalog whose default does not exist explains what to set."""
    with pytest.raises(UnknownModel, match="models.default"):
        catalog((A, ()), default="gone").find(None)


def test_the_list_describes_every_model() -> None:
    """Each entry has OpenAI's fields and ours, options as a JSON Schema."""
    entry, other = catalog((A, ("first",)), (B, ())).describe()

    assert entry["id"] == "a"
    assert entry["object"] == "model"
    assert entry["is_default"]
    assert entry["is_async"]
    assert entry["attachment_types"] == ["image/png", "text/plain"]
    assert "temperature" in entry["options"]["properties"]
    assert not other["is_async"]


def test_a_model_on_demand_is_made_once_for_its_id() -> None:
    """Whoever asks for it again by that has the one that was made."""
    asked: list[str] = []

    def on_demand(name: str) -> ScriptedModel:
        asked.append(name)
        return ScriptedModel("p/new")

    loaded = Loaded([Registered(A, (), "plugin")], on_demand=on_demand)
    models = ModelCatalog(loaded, SyncThreads(1), default="a", aliases={})
    first = models.find("new")

    assert models.find("p/new") is first
    assert models.find("p/new") is first
    assert asked == ["new"]


def test_a_model_on_demand_that_is_asked_for_stays() -> None:
    """Those go that nobody has asked for since."""
    loaded = Loaded([Registered(A, (), "plugin")], on_demand=ScriptedModel)
    models = ModelCatalog(loaded, SyncThreads(1), default="a", aliases={})
    first, second = models.find("p/0"), models.find("p/1")
    for number in range(2, MAX_ON_DEMAND):
        models.find(f"p/{number}")

    assert models.find("p/0") is first
    models.find("p/one more")

    assert models.find("p/0") is first
    assert models.find("p/1") is not second


def test_only_known_models_have_labels_of_their_own() -> None:
    """What a request named is its provider's other; what cannot be a model is just other."""
    on_demand = ScriptedModel("p/new")
    on_demand.provider = "p"  # type: ignore[attr-defined]
    made = {"p/new": on_demand, "p/a": "a"}
    loaded = Loaded([Registered(A, (), "plugin")], on_demand=made.get)
    models = ModelCatalog(loaded, SyncThreads(1), default="a", aliases={})
    found = [models.label_of(name) for name in ("a", "p/new", "p/a", "gone")]
    models.find("p/new")

    assert found == ["a", "p/other", "a", "other"]
    assert models.label_of("p/new") == "p/other"
