"""The manifests for Kubernetes, held to the program and the image that they run."""

from pathlib import Path, PurePosixPath
from typing import Any

import aiohttp
import pytest

from llm_stream.config import Settings
from llm_stream.web.parts import clients_path
from llm_stream.web.server import READERS_SECONDS

from ..conftest import StartService
from .files import DEPLOY, documents, image, served, version

FOLDER = DEPLOY / "kubernetes"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def manifest(kind: str) -> Any:
    """The one manifest of a kind."""
    (found,) = [
        each for path in FOLDER.glob("*.yaml") for each in documents(path) if each["kind"] == kind
    ]
    return found


def pod() -> Any:
    """What the Deployment makes pods of."""
    return manifest("Deployment")["spec"]["template"]


def container() -> Any:
    """The only one of a pod."""
    (found,) = pod()["spec"]["containers"]
    return found


def mounted() -> dict[str, Any]:
    """The volume that stands at each path."""
    volumes = {each["name"]: each for each in pod()["spec"]["volumes"]}
    return {each["mountPath"]: volumes[each["name"]] for each in container()["volumeMounts"]}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """What a pod serves with: arguments, ConfigMap, the image's variables and the Secrets."""
    text = manifest("ConfigMap")["data"]["config.toml"]
    config = tmp_path / "config.toml"
    config.write_text(text, "utf-8")
    program, option, path = container()["args"]
    assert mounted()[path]["configMap"]["name"] == manifest("ConfigMap")["metadata"]["name"]
    secrets = {each["name"]: "redis://redis.example:6379/0" for each in container()["env"]}
    return served(monkeypatch, [program, option, str(config)], image().environment | secrets)


def test_a_pod_serves_with_what_it_is_given(settings: Settings) -> None:
    """The ConfigMap is a configuration, and no variable overrides what it says."""
    assert settings.auth.required is True
    assert settings.redis.url == settings.cache.url == "redis://redis.example:6379/0"
    assert [each["containerPort"] for each in container()["ports"]] == [settings.server.port]


def test_files_are_where_a_pod_looks_for_them(settings: Settings) -> None:
    """Clients come from the Secret; what is written is in the volume that the image writes to."""
    clients = PurePosixPath(clients_path(settings))

    assert mounted()[str(clients.parent)]["secret"]["secretName"] == "llm-stream-clients"
    assert "emptyDir" in mounted()[image().last("VOLUME")]
    assert "emptyDir" in mounted()["/tmp"]


@pytest.mark.parametrize("probe", PROBES)
async def test_probes_ask_what_is_there(
    probe: str, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """A healthy service that asks for keys answers each probe with 200."""
    service = await start_service(auth={"required": True})
    asked = container()[probe]["httpGet"]

    assert asked["port"] in {each["name"] for each in container()["ports"]}
    async with http.get(service.url + asked["path"]) as response:
        assert response.status == 200


async def test_who_drains_is_taken_out_and_left_alive(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """While a service drains it is not ready, and alive."""
    service = await start_service()
    service.parts.draining.set()
    status = {}
    for probe in PROBES:
        async with http.get(service.url + container()[probe]["httpGet"]["path"]) as response:
            status[probe] = response.status

    assert status == {"startupProbe": 200, "readinessProbe": 503, "livenessProbe": 200}


def test_a_pod_has_time_to_drain(settings: Settings) -> None:
    """It is killed only when its runs and readers had the time they are promised."""
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    needs = pause + settings.server.drain_seconds + READERS_SECONDS

    assert pod()["spec"]["terminationGracePeriodSeconds"] > needs


def test_a_pod_can_do_little_else() -> None:
    """It is the image's user, not root, on a root that is read-only, without capabilities."""
    context, own = pod()["spec"]["securityContext"], container()["securityContext"]

    assert context["runAsNonRoot"] is True
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == image().last("USER")
    assert context["fsGroup"] == context["runAsGroup"], "or it could not read the Secret"
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert pod()["spec"]["automountServiceAccountToken"] is False


def test_the_image_is_this_version() -> None:
    """The pods run the image of this release."""
    assert container()["image"] == f"llm-stream:{version()}"


def test_manifests_speak_of_the_same_pods() -> None:
    """Deployment, Service and disruption budget select what the Deployment makes."""
    labels = pod()["metadata"]["labels"]
    budget, deployment, service = (
        manifest(kind)["spec"] for kind in ("PodDisruptionBudget", "Deployment", "Service")
    )

    assert deployment["selector"]["matchLabels"] == labels
    assert budget["selector"]["matchLabels"] == labels
    assert service["selector"] == labels
    assert service["ports"][0]["targetPort"] in {each["name"] for each in container()["ports"]}


def test_there_is_always_one_left() -> None:
    """With two replicas, neither an update nor a drained node takes both."""
    deployment = manifest("Deployment")["spec"]

    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert manifest("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_no_secret_is_in_a_manifest() -> None:
    """Secrets are referred to; there is none among the manifests."""
    kinds = {each["kind"] for path in FOLDER.glob("*.yaml") for each in documents(path)}

    assert kinds == {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}
    assert all("valueFrom" in each for each in container()["env"])
