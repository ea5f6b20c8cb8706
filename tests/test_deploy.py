"""What is deployed beside the service: its dashboard and alerts speak of metrics that there are."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from llm_stream.cache.answers import Count
from llm_stream.config import ProviderSection
from llm_stream.engine.runinfo import State
from llm_stream.errors import concrete_errors
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.mockproviders import mock_providers
from llm_stream.web.recipes import RECIPES

from .conftest import StartService
from .redisserver import RedisServer
from .wire import follow, start_async

DEPLOY = Path(__file__).parent.parent / "deploy"

OF_PROMETHEUS = frozenset({"instance", "job", "le"})
"""Labels that a scrape adds, and that of buckets."""

VALUES = {
    "outcome": set(get_args(State)),
    "event": set(get_args(Count)),
    "code": {error.code for error in concrete_errors()},
    "recipe": {*RECIPES, "generate"},
}
"""What labels can say that expressions look for."""

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}


def dashboard() -> Any:
    """The dashboard as Grafana reads it."""
    return json.loads((DEPLOY / "grafana.json").read_text("utf-8"))


def alerts() -> list[dict[str, Any]]:
    """Every rule of the alerts."""
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def targets() -> Iterator[dict[str, Any]]:
    """Every query of the dashboard."""
    for panel in dashboard()["panels"]:
        yield from panel.get("targets", [])


def expressions() -> list[str]:
    """All of both."""
    return [target["expr"] for target in targets()] + [rule["expr"] for rule in alerts()]


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    return set(re.findall(r"\b(?:llm_stream|process)_\w+", expression))


def matchers_of(expression: str) -> Iterator[tuple[str, str, str]]:
    """(metric, label, value) of each condition; a value of alternatives is several."""
    for metric, conditions in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)\s*=~?\s*"([^"]*)"', conditions):
            for each in value.split("|"):
                yield metric, label, each


async def scraped(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel, redis: str
) -> dict[str, set[str]]:
    """The labels of every metric of a service to which everything has happened once, by name."""
    async with mock_providers() as mocks:
        price = {"input_per_million": 1, "output_per_million": 1}
        service = await start_service(
            ScriptedModel("second"),
            redis={"url": redis},
            cache={"prices": {"scripted": price}},
            history={"enabled": True},
            models={"retries": {"initial_seconds": 0}, "breaker": {"failures": 100}},
            providers={
                "p": ProviderSection(
                    base_url=mocks.openai_url, api_key_env=("MOCK_KEY",), models=("mock",)
                )
            },
        )
        broken = Script(fault=Fault(at=1, error=ConnectionError("x")))
        model.scripts = [Script(), Script(fault=Fault(error=ConnectionError("x")))]
        url = f"{service.url}/v1/generate"
        for body in (
            {"prompt": "a"},
            {"prompt": "a"},
            {"prompt": "b", "fallback_models": ["second"]},
            {"prompt": "c"},
            {"prompt": "d", "model": "p/mock"},
        ):
            async with http.post(url, json=body) as response:
                await response.read()
        model.calls.clear()
        model.scripts = [broken, Script()]
        asked = {"prompt": "e", "on_midstream_failure": "restart"}
        async with http.post(url, json=asked) as response:
            await response.read()
        model.scripts = [Script(fault=Fault(at=1, stall=True))]
        run, _ = await start_async(http, service.url, prompt="f")
        async with http.post(f"{service.url}/v1/runs/{run}/cancel") as response:
            assert response.status == 200
        await follow(http, service.url, run)
        async with http.get(f"{service.url}/metrics") as response:
            text = await response.text()
    shown: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for suffix in SUFFIXES.get(family.type, ("",)):
            shown.setdefault(family.name + suffix, set())
        for sample in family.samples:
            shown.setdefault(sample.name, set()).update(sample.labels)
    return shown


@pytest.mark.slow
async def test_every_expression_speaks_of_what_the_service_shows(
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Metrics, their labels and the labels of legends are those of a running service."""
    monkeypatch.setenv("MOCK_KEY", "sk-mock-key-1234567890")
    shown = await scraped(start_service, http, model, redis_server.url)

    for expression in expressions():
        metrics = metrics_of(expression)
        assert metrics, expression
        assert metrics <= shown.keys(), expression
        for metric, label, _ in matchers_of(expression):
            assert label in shown[metric] | OF_PROMETHEUS, expression
        for group in re.findall(r"by \(([^)]*)\)", expression):
            for metric, label in itertools.product(metrics, re.findall(r"\w+", group)):
                assert label in shown[metric] | OF_PROMETHEUS, expression
    for target in targets():
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named <= set().union(*(shown[name] for name in metrics_of(target["expr"]))) | (
            OF_PROMETHEUS
        ), target["expr"]


def test_values_that_are_looked_for_can_occur() -> None:
    """No expression waits for an outcome, event, code or recipe that does not exist."""
    looked_for = [
        (label, value)
        for expression in expressions()
        for _, label, value in matchers_of(expression)
        if label not in OF_PROMETHEUS
    ]

    assert looked_for
    for label, value in looked_for:
        assert value in VALUES[label]


def test_brackets_are_closed() -> None:
    """Every bracket in an expression has its other half, in order."""
    pairs = {")": "(", "]": "[", "}": "{"}
    for expression in expressions():
        opened: list[str] = []
        for sign in re.sub(r'"[^"]*"', "", expression):
            if sign in pairs.values():
                opened.append(sign)
            elif sign in pairs:
                assert opened.pop() == pairs[sign], expression
        assert not opened, expression


def test_quantiles_are_taken_of_buckets() -> None:
    """A quantile needs rates of buckets, and these their `le`."""
    found = [each for each in expressions() if "histogram_quantile" in each]

    assert found
    for expression in found:
        for part in expression.split("histogram_quantile")[1:]:
            assert re.search(r"sum by \(le\b.*rate\(\w+_bucket", part, re.DOTALL), expression


def test_the_dashboard_has_the_shape_grafana_expects() -> None:
    """Panels have ids of their own, places that do not overlap, a data source and queries."""
    board = dashboard()
    panels = board["panels"]

    assert board["schemaVersion"] >= 36
    assert {"uid", "title", "time", "templating"} <= board.keys()
    assert {each["name"] for each in board["templating"]["list"]} == {"datasource", "instance"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)


def test_alerts_have_the_shape_prometheus_expects() -> None:
    """Each rule has a name of its own, an expression, a severity and words for people."""
    rules = alerts()

    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.search(r"[<>=]|absent", rule["expr"]), "an alert is a condition"


def test_alerts_are_told_in_the_document() -> None:
    """docs/operations.md has a line on every alert, and on no other."""
    text = (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")

    assert set(re.findall(r"`(LlmStream\w+)`", text)) == {rule["alert"] for rule in alerts()}
