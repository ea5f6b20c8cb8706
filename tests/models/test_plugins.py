"""Plugins are loaded one by one: a broken one is named and harms no other."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from llm_stream.models.plugins import load_plugins
names = None if sys.argv[2] == "all" else [n for n in sys.argv[2].split(",") if n]
loaded = load_plugins(names)
print(sorted(r.model.model_id for r in loaded.models if r.model.model_id.startswith("test-")))
print(any(r.model.model_id.startswith("gpt") for r in loaded.models))
for fault in loaded.faults:
    print(fault.name, "|", fault.error)
"""

GOOD = """
import llm
class Good(llm.Model):
    model_id = "test-good"
    def execute(self, *args, **kwargs):
        yield "hi"
@llm.hookimpl
def register_models(register):
    register(Good(), aliases=("good",))
"""


def install(folder: Path, name: str, source: str) -> None:
    """A distribution with one `llm` entry point."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[llm]\n{name} = {name}\n")


def load(folder: Path, names: str = "all") -> list[str]:
    """Load plugins in a process of their own: llm's registry is global."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), names],
        capture_output=True, text=True, check=True,
        env={"LLM_USER_PATH": str(folder / "user"), "PATH": "", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_plugin_that_breaks_is_named_and_the_others_work(tmp_path: Path) -> None:
    """One fails to import, one to register: both are reported, all other models are there."""
    install(tmp_path, "badimport", "raise RuntimeError('sk-secret12345678 import')")
    install(
        tmp_path,
        "badregister",
        GOOD.replace("test-good", "test-half") + "    raise ValueError('cannot register')\n",
    )
    install(tmp_path, "goodplugin", GOOD)

    models, has_gpt, *faults = load(tmp_path)

    assert models == "['test-good']"
    assert has_gpt == "True"
    assert "badimport | RuntimeError: [redacted] import" in faults
    assert "badregister | ValueError: cannot register" in faults


def test_only_named_plugins_are_loaded(tmp_path: Path) -> None:
    """A list of plugins loads those, and says which of them are not installed."""
    install(tmp_path, "goodplugin", GOOD)
    install(tmp_path, "otherplugin", GOOD.replace("test-good", "test-other"))

    assert load(tmp_path, "otherplugin,missing") == [
        "['test-other']", "True", "missing | not installed",
    ]  # fmt: skip
    assert load(tmp_path, "")[0] == "[]"


def test_a_broken_alias_file_is_reported(tmp_path: Path) -> None:
    """llm's aliases.json adds names; one that is no JSON is a fault, not a crash."""
    install(tmp_path, "goodplugin", GOOD)
    (tmp_path / "user").mkdir()
    odd = '{"x": ["test-good"], "y": "test-good"}'
    (tmp_path / "user" / "aliases.json").write_text(odd)
    assert "aliases.json | 'x' names no model" in load(tmp_path)
    (tmp_path / "user" / "aliases.json").write_text("{broken")

    assert any(line.startswith("aliases.json | JSONDecodeError") for line in load(tmp_path))
