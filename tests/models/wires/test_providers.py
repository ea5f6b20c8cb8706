from typing import Any

import pytest
from llm.default_plugins import openai_models

from llm_stream.config import ProviderSection
from llm_stream.config.providers import built_in_providers
from llm_stream.errors import UnknownModel
from llm_stream.models.catalog import MAX_ON_DEMAND, ModelCatalog
from llm_stream.models.keys import Keyring
from llm_stream.models.plugins import Loaded, Registered
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.wires.providers import Providers
from llm_stream.testing import ScriptedModel

from .pluginmodels import registered

LOCAL = ProviderSection(base_url="http://127.0.0.1:1/v1", models=("llama3.2",))


def providers(**sections: ProviderSection) -> Providers:
    """The built-in ones and these."""
    return Providers({**built_in_providers(), **sections}, Keyring({}, None))


def catalog(made: Providers, *models: Any, **aliases: str) -> ModelCatalog:
    """A catalog on top of them."""
    loaded = made.take_over(Loaded([Registered(model, (), "p") for model in models]))
    return ModelCatalog(
        loaded,
        SyncThreads(1),
        default="llama3.2",
        aliases={**made.aliases, **aliases},
    )


@pytest.mark.parametrize(
    ("name", "model_id", "kind"),
    [
        ("openai/gpt-99", "openai/gpt-99", "ResponsesModel"),
        ("gpt-99", "openai/gpt-99", "ResponsesModel"),
        ("o9-mini", "openai/o9-mini", "ResponsesModel"),
        ("anthropic/claude-99", "anthropic/claude-99", "ClaudeModel"),
        ("claude-99", "anthropic/claude-99", "ClaudeModel"),
        ("gemini/gemini-99", "gemini/gemini-99", "GeminiModel"),
        ("gemini-99", "gemini/gemini-99", "GeminiModel"),
        ("local/anything", "local/anything", "ChatModel"),
        ("local/org/model:7b", "local/org/model:7b", "ChatModel"),
        ("llama3.2", "local/llama3.2", "ChatModel"),
        ("palm", "gemini/gemini-flash-latest", "GeminiModel"),
        ("chat-bison-001", "gemini/gemini-flash-latest", "GeminiModel"),
        ("text-bison-001", "gemini/gemini-flash-latest", "GeminiModel"),
    ],
)
def test_a_name_nobody_registered_goes_to_its_provider(name: str, model_id: str, kind: str) -> None:
    """By provider and name, by a pattern, as a listed model, or as the successor of a dead one."""
    adapter = catalog(providers(local=LOCAL)).find(name)

    assert (adapter.id, type(adapter._model).__name__) == (model_id, kind)


@pytest.mark.parametrize(
    "name",
    ["nobody/x", "openai/", "openai", "x", "palm/x", "gemini/../x", "gemini/a?b", "gemini/a b",
     "gemini/a#b", "gemini/%2e%2e", "gemini/-a", "gpt-\n", "gpt-9\r\nX: 1", "openai/" + "x" * 129],
)  # fmt: skip
def test_other_names_are_unknown(name: str) -> None:
    """No provider, nobody's pattern, or nothing a model could be called."""
    with pytest.raises(UnknownModel):
        catalog(providers(local=LOCAL)).find(name)


def test_a_registered_model_is_found_by_its_providers_name() -> None:
    """`openai/<name>` is the plugin's model of that name, not a second one."""
    made = providers(local=LOCAL)
    loaded = made.take_over(registered(openai_models))
    models = ModelCatalog(loaded, SyncThreads(1), default="gpt-4o", aliases={})

    assert models.find("openai/gpt-4o") is models.find("gpt-4o")


def test_models_on_demand_are_bounded() -> None:
    """However many names callers make up, the last ones are kept, and a gone one comes again."""
    models = catalog(providers(local=LOCAL))
    first = models.find("gpt-0")
    assert models.find("gpt-0") is first

    for number in range(MAX_ON_DEMAND):
        models.find(f"gpt-x{number}")

    assert len(models._demanded) == MAX_ON_DEMAND
    assert models.find("gpt-0") is not first


def test_models_on_demand_are_not_listed() -> None:
    """The list is what the configuration and the plugins name, and what aliases stand for."""
    models = catalog(providers(local=LOCAL), newest="claude-99")
    before = len(models)
    models.find("gpt-99")

    assert len(models) == before
    listed = {model["id"]: model for model in models.describe()}
    assert set(listed) == {
        "local/llama3.2", "gemini/gemini-flash-latest", "anthropic/claude-99",
    }  # fmt: skip
    assert listed["local/llama3.2"]["owned_by"] == "local"
    assert listed["gemini/gemini-flash-latest"]["aliases"] == [
        "chat-bison-001", "palm", "text-bison-001",
    ]  # fmt: skip


def test_a_configured_alias_beats_a_pattern() -> None:
    """What the operator calls gpt-99 is that."""
    assert catalog(providers(local=LOCAL), **{"gpt-99": "llama3.2"}).find("gpt-99").id == (
        "local/llama3.2"
    )


def test_palm_with_an_address_answers_itself() -> None:
    """A server that still speaks it is asked under the old names."""
    palm = built_in_providers()["palm"].model_copy(update={"base_url": "http://127.0.0.1:1"})
    models = catalog(providers(local=LOCAL, palm=palm))

    assert models.find("chat-bison-001").id == "palm/chat-bison-001"
    assert models.find("text-bison-001").id == "palm/text-bison-001"
    assert models.find("palm").id in {"palm/chat-bison-001", "palm/text-bison-001"}


def test_a_plugins_model_of_a_dead_provider_is_left_out() -> None:
    """llm-palm registers chat-bison-001; its successor answers all the same."""
    models = catalog(providers(local=LOCAL), ScriptedModel("chat-bison-001"))

    assert models.find("chat-bison-001").id == "gemini/gemini-flash-latest"
