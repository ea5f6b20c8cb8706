import os
from collections import Counter
from pathlib import Path
from typing import Any

import llm_anthropic
import llm_gemini
import pytest
import yaml
from llm.default_plugins import openai_models

from llm_stream.config import ProviderSection
from llm_stream.config.providers import built_in_providers
from llm_stream.models.keys import Keyring
from llm_stream.models.plugins import Loaded, Registered
from llm_stream.models.wires.anthropic import ClaudeModel
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.openaichat import ChatModel
from llm_stream.models.wires.openairesponses import ResponsesModel
from llm_stream.models.wires.options import (
    ChatOptions,
    ClaudeOptions,
    GeminiOptions,
    ResponsesOptions,
)
from llm_stream.models.wires.providers import Providers
from llm_stream.models.wires.transport import Transport

from .conftest import KEY
from .fakeserver import FakeProvider, Reply, fake_provider
from .pluginmodels import registered
from .samples import ANTHROPIC, CHAT, GEMINI

PLUGINS = (openai_models, llm_anthropic, llm_gemini)


def taken_over(loaded: Loaded, **changes: Any) -> dict[str, Registered]:
    """The same after the providers have had them, by id."""
    sections = built_in_providers()
    sections |= {name: sections[name].model_copy(update=change) for name, change in changes.items()}
    found = Providers(sections, Keyring({}, None)).take_over(loaded)
    return {each.model.model_id: each for each in found.models}


def test_every_asynchronous_model_is_taken_over() -> None:
    """Same ids, same aliases; only the model that cannot stream at all stays llm's."""
    before = registered(*PLUGINS)

    after = taken_over(before)

    assert list(after) == [each.model.model_id for each in before.models]
    assert [each.aliases for each in after.values()] == [each.aliases for each in before.models]
    left = [i for i, each in after.items() if not isinstance(each.model, WireModel)]
    assert left == ["gpt-3.5-turbo-instruct"]


def test_a_model_can_do_what_it_could() -> None:
    """Options are the very class of the plugin; types of attachments, schema, tools the same."""
    before = registered(*PLUGINS)
    after = taken_over(before)

    for each in before.models:
        old, new = each.model, after[each.model.model_id].model
        assert new.Options is old.Options
        assert set(new.attachment_types) == set(old.attachment_types)
        assert (new.can_stream, new.supports_schema, new.supports_tools) == (
            old.can_stream, old.supports_schema, old.supports_tools,
        )  # fmt: skip


def test_each_speaks_what_its_plugin_does() -> None:
    """Chat, Responses, Anthropic or Gemini, under the provider's own name of the model."""
    after = taken_over(registered(*PLUGINS))

    kinds = Counter(type(each.model).__name__ for each in after.values())
    assert set(kinds) == {"ChatModel", "ResponsesModel", "ClaudeModel", "GeminiModel", "Completion"}
    assert after["gemini/gemini-flash-latest"].model.upstream_name == "gemini-flash-latest"
    assert after["anthropic/claude-3-opus-latest"].model.upstream_name == "claude-3-opus-latest"


def test_traits_of_claude_come_along() -> None:
    """What the plugin knows of a model decides how it is asked."""
    after = taken_over(registered(llm_anthropic))
    old = {each.model.model_id: each.model for each in registered(llm_anthropic).models}

    for model_id, each in after.items():
        assert isinstance(each.model, ClaudeModel)
        assert each.model.traits.max_tokens == old[model_id].default_max_tokens
        assert each.model.traits.structured == old[model_id].use_structured_outputs
        assert each.model.traits.adaptive == old[model_id].supports_adaptive_thinking


def test_the_plugins_own_classes_can_be_had_back() -> None:
    """`transport = "plugin"` leaves a provider's models as they are, and only those."""
    after = taken_over(registered(*PLUGINS), openai={"transport": "plugin"})

    assert type(after["gpt-4o"].model) is openai_models.AsyncChat
    assert isinstance(after["gemini/gemini-flash-latest"].model, WireModel)


def test_a_server_that_knows_only_chat_gets_chat() -> None:
    """`kind = "openai"` sends models of Responses to chat completions as well."""
    loaded = registered(openai_models)

    assert type(taken_over(loaded)["gpt-5"].model) is ResponsesModel
    assert type(taken_over(loaded, openai={"kind": "openai"})["gpt-5"].model) is ChatModel


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChatOptions, openai_models.build_options_class(reasoning=True)),
        (
            ResponsesOptions,
            openai_models.build_options_class(
                reasoning=True, reasoning_summary=True, verbosity=True,
                image_detail_original=True, chat_completions=True, service_tier=True,
            ),
        ),
        (ClaudeOptions, llm_anthropic.ClaudeOptionsWithThinkingEffort),
        (
            GeminiOptions,
            llm_gemini.AsyncGeminiPro(
                "m", can_thinking_budget=True, thinking_levels=["low"]
            ).Options,
        ),
    ],
)  # fmt: skip
def test_our_own_options_are_some_of_the_plugins(ours: Any, theirs: Any) -> None:
    """A model that no plugin knows takes no option that those of the plugins do not."""
    assert set(ours.model_fields) <= set(theirs.model_fields)


def extra_models(**more: Any) -> Loaded:
    """What llm's extra-openai-models.yaml registers."""
    path = Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump([{"model_id": "extra", "model_name": "up", **more}]))
    return registered(openai_models)


@pytest.mark.parametrize(("named", "sent"), [({}, None), ({"api_key_name": "mine"}, "stored-key")])
async def test_openais_key_goes_to_no_other_address(
    named: Any, sent: Any, provider: FakeProvider, tmp_path: Path
) -> None:
    """A model with an address of its own gets the key it names or none; llm sends OpenAI's."""
    store = tmp_path / "keys.json"
    store.write_text('{"mine": "stored-key", "openai": "canary-openai"}')
    loaded = extra_models(api_base=provider.url + "/v1", headers={"X-Own": "1"}, **named)
    provider.answer(Reply(CHAT))
    sections = built_in_providers()
    providers = Providers(sections, Keyring({"OPENAI_API_KEY": KEY}, store))
    models = {each.model.model_id: each.model for each in providers.take_over(loaded).models}

    assert await models["extra"].prompt("Hi").text() == "Héllo, wörld."
    await providers.close()

    headers = provider.last.headers
    assert headers.get("authorization") == (None if sent is None else f"Bearer {sent}")
    assert headers["x-own"] == "1"
    assert provider.last.body["model"] == "up"


@pytest.mark.parametrize(
    ("model", "blocks"),
    [("gpt-4o", CHAT), ("claude-sonnet-4.5", ANTHROPIC), ("gemini-2.5-flash", GEMINI)],
)
async def test_variables_of_sdks_take_no_key_elsewhere(
    model: str,
    blocks: list[bytes],
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Addresses and proxies meant for other programs do not move a provider: base_url does."""
    async with fake_provider() as elsewhere:
        for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL",
                         "GOOGLE_GEMINI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
                         "http_proxy", "https_proxy", "all_proxy"):  # fmt: skip
            monkeypatch.setenv(variable, elsewhere.url)
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(variable, raising=False)
        sections = {
            name: section.model_copy(update={"base_url": provider.url, "kind": kind})
            for name, section in built_in_providers().items()
            for kind in ("openai" if name == "openai" else section.kind,)
        }
        keys = {name: KEY for each in sections.values() for name in each.api_key_env}
        providers = Providers(sections, Keyring(keys, None))
        taken = providers.take_over(registered(*PLUGINS)).models
        (wired,) = [each.model for each in taken if model in (each.model.model_id, *each.aliases)]
        provider.answer(Reply(blocks))

        assert await wired.prompt("Hi").text() == "Héllo, wörld."
        await providers.close()

    assert (len(provider.requests), elsewhere.connections) == (1, 0)


def test_what_our_wire_does_not_know_is_left_to_llm() -> None:
    """Azure's kind of address stays with llm's own class."""
    loaded = extra_models(api_base="http://127.0.0.1:1", api_version="2024-01-01")

    assert type(taken_over(loaded)["extra"].model) is openai_models.AsyncChat


def test_without_a_section_nothing_is_taken_over(transport: Transport) -> None:
    """A provider that is not configured is the plugin's business."""
    providers = Providers({"x": ProviderSection(base_url="http://h")}, Keyring({}, None))

    (first, *_) = [
        each for each in providers.take_over(registered(openai_models)).models
        if each.model.model_id == "gpt-4o"
    ]  # fmt: skip

    assert type(first.model) is openai_models.AsyncChat
