"""compose.yaml and what it mounts, held together: names, ports, files, drain, keys."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from llm_stream.config import Settings
from llm_stream.web.server import READERS_SECONDS

from .files import DEPLOY, PINNED, TOP, documents, image, served, version

REPLICAS = ("llm-stream-1", "llm-stream-2")


def services() -> dict[str, Any]:
    """All services, by name."""
    (composed,) = documents(TOP / "compose.yaml")
    found: dict[str, Any] = composed["services"]
    return found


def addresses() -> set[str]:
    """Where the replicas can be asked, in the network of the containers."""
    return {f"{name}:{image().last('EXPOSE')}" for name in REPLICAS}


def mounts(service: str) -> dict[str, str]:
    """What of this repository, or which volume, stands where in a container."""
    pairs = (each.split(":") for each in services()[service].get("volumes", []))
    return {target: source for source, target, *_ in pairs}


def settings_of(monkeypatch: pytest.MonkeyPatch, name: str) -> Settings:
    """The settings of a replica."""
    given = services()[name]["environment"]
    variables = {key: value for key, value in given.items() if value is not None}
    return served(monkeypatch, image().command, image().environment | variables)


def test_images_are_pinned() -> None:
    """Each image has a version; the service's own is the one that is built here."""
    for name, service in services().items():
        assert PINNED.fullmatch(service["image"]), name
    for name in REPLICAS:
        assert services()[name]["image"] == f"llm-stream:{version()}"
        assert services()[name]["build"] == "."


@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_share_redis(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and cached answers of a replica are in the Redis that is started with it."""
    settings = settings_of(monkeypatch, name)

    for url in (settings.redis.url, settings.cache.url):
        assert urlsplit(url).hostname in services()
    assert mounts(name)[image().last("VOLUME")] == "state"


@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_have_time_to_drain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica is killed only when its runs and readers had the time they are promised."""
    needs = settings_of(monkeypatch, name).server.drain_seconds + READERS_SECONDS
    has = services()[name]["stop_grace_period"]

    assert has.endswith("s")
    assert float(has.removesuffix("s")) > needs


@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_can_do_little_else(name: str) -> None:
    """The root is read-only but for /tmp, and nothing is gained by becoming somebody else."""
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert "user" not in service, "it is the image's"


@pytest.mark.parametrize("name", REPLICAS)
def test_keys_that_are_passed_on_are_providers(name: str) -> None:
    """Variables without a value are keys that the built-in providers look for."""
    known = {key for each in Settings().providers.values() for key in each.api_key_env}
    passed = {key for key, value in services()[name]["environment"].items() if value is None}

    assert passed
    assert passed <= known


def test_everything_that_is_named_is_there() -> None:
    """Files that are mounted, volumes, secrets and services that are waited for exist."""
    (composed,) = documents(TOP / "compose.yaml")
    for name, service in services().items():
        for source in mounts(name).values():
            known = (
                (TOP / source).exists()
                if source.startswith("./")
                else source in (composed["volumes"])
            )
            assert known, source
        assert set(service.get("secrets", [])) <= composed["secrets"].keys()
        assert set(service.get("depends_on", [])) <= composed["services"].keys()


def test_only_loopback_reaches_them() -> None:
    """Ports are published to this machine, unless somebody says otherwise."""
    published = [port for each in services().values() for port in each.get("ports", [])]

    assert len(published) == 3
    for port in published:
        assert port.replace("${LLM_STREAM_PUBLISH:-", "").startswith("127.0.0.1:")


def test_nginx_asks_the_replicas() -> None:
    """Its upstream is the replicas, by names that are looked up again."""
    text = (DEPLOY / "compose" / "nginx.conf").read_text("utf-8")
    source = mounts("nginx")["/etc/nginx/conf.d/default.conf"]

    assert Path(source) == Path("deploy/compose/nginx.conf")
    assert set(re.findall(r"server (\S+) resolve max_fails=0;", text)) == addresses()
    assert set(services()["nginx"]["depends_on"]) == set(REPLICAS)


def test_prometheus_scrapes_the_replicas() -> None:
    """It asks both, with the key it is given, and reads the alerts that are mounted beside it."""
    where = mounts("prometheus")
    (config,) = documents(TOP / where["/etc/prometheus/prometheus.yml"])
    (job,) = config["scrape_configs"]
    (group,) = job["static_configs"]

    assert set(group["targets"]) == addresses()
    assert "metrics_path" not in job, "/metrics is Prometheus' own default"
    (secret,) = services()["prometheus"]["secrets"]
    assert job["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}
    for file in config["rule_files"]:
        assert TOP / where[f"/etc/prometheus/{file}"] == DEPLOY / "alerts.yml"


def test_the_metrics_key_stays_out_of_the_repository() -> None:
    """The file that holds it is ignored by git and by builds of the image."""
    (composed,) = documents(TOP / "compose.yaml")
    file = Path(composed["secrets"]["metrics-key"]["file"]).name

    assert file in (TOP / ".gitignore").read_text("utf-8").splitlines()
    assert not (TOP / ".dockerignore").read_text("utf-8").count(file)


def test_grafana_shows_the_dashboard() -> None:
    """It finds the dashboard where it is told to look, and Prometheus where it is."""
    where = mounts("grafana")
    provisioning = TOP / where["/etc/grafana/provisioning"]
    (sources,) = documents(provisioning / "datasources" / "prometheus.yml")
    (boards,) = documents(provisioning / "dashboards" / "llm-stream.yml")
    (source,), (board,) = sources["datasources"], boards["providers"]
    folder = Path(board["options"]["path"])

    assert source["type"] == "prometheus"
    assert urlsplit(source["url"]).hostname in services()
    assert TOP / where[str(folder / "llm-stream.json")] == DEPLOY / "grafana.json"


def test_both_replicas_are_one_text() -> None:
    """They are the same but for their names."""
    one, two = (yaml.safe_dump(services()[name]) for name in REPLICAS)

    assert one == two
