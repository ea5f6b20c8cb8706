"""The wheel, installed into an empty environment, works from an empty folder."""

import json
import signal
import subprocess
import sys
import venv
from pathlib import Path
from urllib.request import urlopen
from zipfile import ZipFile

import pytest

from .serving import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOP = Path(__file__).parent.parent


def succeed(*command: str | Path) -> None:
    """Run a program to its end; what it said is the failure, if it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def pip(python: Path) -> tuple[str | Path, ...]:
    """The pip of this interpreter, working on the environment of another."""
    return sys.executable, "-m", "pip", "--python", python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, TOP)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of programs of an environment that holds the wheel and what it asks for, pinned."""
    folder = tmp_path_factory.mktemp("installed")
    # Without a pip of its own, and with nothing compiled that no test imports: half the time.
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pinned = ("--no-compile", "-c", TOP / "constraints.txt", wheel)
    succeed(*pip(python), "install", "--quiet", *pinned)
    return python.parent


def test_wheel_ships_what_the_service_reads(wheel: Path) -> None:
    """Templates, page, documents, their site, the explained configuration; not the tests."""
    names = ZipFile(wheel).namelist()
    shipped = {
        name.removeprefix("llm_stream/_resources/")
        for name in names
        if name.startswith("llm_stream/_resources/")
    }
    expected = {
        str(path.relative_to(TOP))
        for path in [*TOP.glob("templates/*.yaml"), *TOP.glob("docs/*.md"), TOP / "config.toml"]
    }

    assert expected <= shipped
    assert any(name.startswith("static/") and name.endswith(".js") for name in shipped)
    assert "docs/_reference/swagger-ui-bundle.js.gz" in shipped
    assert {"site/index.html", "site/searchindex.js", "site/built-from"} <= shipped, "make docs"
    assert "llm_stream/py.typed" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"llm_stream"}


def test_installed_service_works_from_any_folder(programs: Path, tmp_path: Path) -> None:
    """Without source tree, configuration, weights or keys it serves page, documents, templates."""
    with serving(programs / "llm-stream", cwd=tmp_path) as served:
        with urlopen(f"{served.url}/livez") as alive, urlopen(f"{served.url}/") as page:
            assert (alive.status, page.status) == (200, 200)
            assert page.headers.get_content_type() == "text/html"
        with urlopen(f"{served.url}/docs") as documents:
            assert b'action="search.html"' in documents.read()
        with urlopen(f"{served.url}/v1/templates") as reply:
            templates = json.load(reply)
        served.process.send_signal(signal.SIGTERM)

        assert served.process.wait(10) == 0
    names = [template["name"] for template in templates["templates"]]
    assert names == sorted(path.stem for path in TOP.glob("templates/*.yaml"))


def test_installed_package_is_complete(programs: Path) -> None:
    """What the package asks for is what it needs: pip finds nothing missing."""
    succeed(*pip(programs / "python"), "check")
