"""Sources, their order, and what an operator is told about a faulty key."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from llm_stream.config import (
    ConfigError,
    ProviderSection,
    ServerSection,
    Settings,
    TimeoutsSection,
    load,
)
from llm_stream.config.reference import reference
from llm_stream.loopback import is_loopback
from llm_stream.resources import resource

SHIPPED = resource("config.toml")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LLM_STREAM"):
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a configuration file and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Every (dotted key or section, description)."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield prefix + name, field.annotation.__doc__
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field.description


def commented_keys(text: str) -> dict[str, str]:
    """{dotted key or table: the comment right above it}, keys that are commented out included."""
    found: dict[str, str] = {}
    section, comment = "", ""
    for line in text.splitlines():
        if table := re.fullmatch(r"\[(.+)]", line):
            section = table[1]
            found[section] = comment
        elif (key := re.match(r"(?:# )?([a-z_]+) = ", line)) is not None:
            found[f"{section}.{key[1]}"] = comment
        elif line.startswith("# "):
            comment = f"{comment} {line[2:]}".strip()
            continue
        comment = ""
    return found


def test_shipped_file_equals_defaults() -> None:
    """The file that is shipped changes nothing."""
    assert load(SHIPPED) == load() == Settings()


@pytest.mark.parametrize(("key", "description"), [*keys(Settings)])
def test_shipped_file_explains_every_key(key: str, description: str | None) -> None:
    """Each key stands in config.toml under the very words that describe it in the code."""
    assert description
    assert commented_keys(SHIPPED.read_text())[key] == description


def test_shipped_file_has_no_other_key() -> None:
    """What config.toml names exists."""
    known = {key for key, _ in keys(Settings)}
    tables = set(re.findall(r"^\[(.+)]", SHIPPED.read_text(), re.MULTILINE))

    named = set(commented_keys(SHIPPED.read_text())) - tables
    named -= {key for key in named if key.startswith("models.aliases.")}

    assert named <= known


def test_the_reference_is_made_of_the_models() -> None:
    """docs/configuration.md goes on, behind its introduction, as the script writes it."""
    assert resource("docs").joinpath("configuration.md").read_text().endswith(f"\n\n{reference()}")


def test_the_variables_of_the_reference_are_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them at once, with the defaults that stand beside them, change nothing."""
    told = re.findall("^`(LLM_STREAM__[A-Z_]+)` .*default `(.+)`$", reference(), re.MULTILINE)
    for variable, default in told:
        if "__NAME" not in variable:
            monkeypatch.setenv(variable, default.strip('"'))

    assert load() == Settings()
    assert len(told) > 80


def test_settings_are_frozen() -> None:
    """Nobody changes the configuration of a running service."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.port = 1


def test_file_beats_default(write: Any) -> None:
    """A key in the file replaces its default and leaves its neighbours alone."""
    settings = load(write("[server]\nport = 9001\n"))

    assert settings.server == ServerSection(port=9001)


def test_environment_beats_file(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable replaces one key of the file, not its section."""
    monkeypatch.setenv("LLM_STREAM__SERVER__PORT", "9002")

    settings = load(write("[server]\nport = 9001\nheartbeat_seconds = 5\n"))

    assert (settings.server.port, settings.server.heartbeat_seconds) == (9002, 5)


def test_command_line_beats_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of the command wins over everything."""
    monkeypatch.setenv("LLM_STREAM__SERVER__PORT", "9002")

    assert load(overrides={"server": {"port": 9003}}).server.port == 9003


def test_constructing_settings_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `load` reads the environment; settings that a test makes are what it says."""
    monkeypatch.setenv("LLM_STREAM__SERVER__PORT", "9002")

    assert Settings().server.port == 8080


def test_lists_and_tables_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists, tables and numbers come out of variables with their types."""
    monkeypatch.setenv("LLM_STREAM__SERVER__ALLOWED_ORIGINS", '["https://a.example"]')
    monkeypatch.setenv("LLM_STREAM__MODELS__PLUGINS", "[]")
    monkeypatch.setenv("LLM_STREAM__MODELS__FALLBACKS", '{"gpt-5": ["smollm2"]}')
    monkeypatch.setenv("LLM_STREAM__TELEMETRY__METRICS", "false")

    settings = load()

    assert settings.server.allowed_origins == ("https://a.example",)
    assert settings.models.plugins == ()
    assert settings.models.fallbacks == {"gpt-5": ("smollm2",)}
    assert settings.telemetry.metrics is False


def test_aliases_are_added_to_the_tiers(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting one alias, in the file or in the environment, keeps the others."""
    monkeypatch.setenv("LLM_STREAM__MODELS__ALIASES__FAST", "gpt-5-mini")

    settings = load(write('[models.aliases]\npowerful = "gpt-5"\n'))

    assert settings.models.aliases == {
        "fast": "gpt-5-mini",
        "balanced": "smollm2",
        "powerful": "gpt-5",
    }


def test_timers_of_a_model_inherit(write: Any) -> None:
    """A timer that a model does not set is that of all models."""
    settings = load(
        write(
            "[models.timeouts]\ntotal_seconds = 5\n"
            "[models.per_model_timeouts.m]\nidle_seconds = 3\n"
        )
    )

    assert settings.models.per_model_timeouts["m"] == TimeoutsSection(
        first_token_seconds=60, idle_seconds=3, total_seconds=5
    )


def test_providers_are_added_key_by_key(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new provider keeps the four; a key of one of them, from wherever, keeps its other keys."""
    monkeypatch.setenv("LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LLM_STREAM__PROVIDERS__GEMINI__PATTERNS", '["gem*"]')

    providers = load(
        write(
            '[providers.ollama]\nbase_url = "http://127.0.0.1:2/v1"\nmodels = ["llama3.2"]\n'
            '[providers.openai]\ntransport = "plugin"\n'
        )
    ).providers

    assert set(providers) == {"openai", "anthropic", "gemini", "palm", "ollama"}
    assert providers["ollama"].kind == "openai"
    assert (providers["openai"].transport, providers["openai"].kind) == (
        "plugin", "openai_responses",
    )  # fmt: skip
    assert providers["anthropic"].api_key_env == ("ANTHROPIC_API_KEY",)
    assert providers["anthropic"].base_url == "http://127.0.0.1:1"
    assert providers["gemini"].patterns == ("gem*",)


def test_a_provider_has_to_be_somewhere(write: Any) -> None:
    """One without an address is told as a whole: only all sources together can tell."""
    with pytest.raises(ConfigError, match=r"^providers\.x\.base_url: is missing"):
        load(write('[providers.x]\nmodels = ["a"]\n'))


@pytest.mark.parametrize("key", list(ProviderSection.model_fields))
def test_every_key_of_a_provider_is_documented(key: str) -> None:
    """docs/providers.md has each in the very words of the code."""
    text = resource("docs").joinpath("providers.md").read_text()

    assert f"| `{key}` | {ProviderSection.model_fields[key].description} |" in text


FAULTY_FILES = [
    ("[server]\nprot = 1", "server.prot: there is no such key; did you mean port?"),
    (
        "[server]\nzzz = 1",
        "server.zzz: there is no such key; allowed: host, port, workers, allow_open",
    ),
    ("[srever]\nport = 1", "srever: there is no such key; did you mean server?"),
    ("port = 1", "port: there is no such key; allowed: server, auth, runs"),
    ("server = 1", "server: should be a table"),
    ('[server]\nport = "8080"', "server.port: should be a valid integer, got '8080'"),
    ("[server]\nport = 65536", "server.port: should be less than or equal to 65535, got 65536"),
    ("[server]\nhost = 127", "server.host: should be a valid string, got 127"),
    ("[server]\nallow_open = 1", "server.allow_open: should be a valid boolean, got 1"),
    ('[server]\nallowed_origins = "x"', "server.allowed_origins: should be a list such as"),
    ('[server]\nallowed_origins = ["x"]', "server.allowed_origins.0: should match"),
    ("[server]\ndrain_seconds = -1", "server.drain_seconds: should be greater than or equal to 0"),
    ("[server]\nstall_seconds = nan", "server.stall_seconds: "),
    ('[runs]\non_disconnect = "stop"', "runs.on_disconnect: should be 'cancel' or 'continue'"),
    (
        "[models.timeouts]\nidle_secs = 1",
        "models.timeouts.idle_secs: there is no such key; did you mean",
    ),
    ("[models.aliases]\nfast = 1", "models.aliases.fast: should be a valid string, got 1"),
    ("[models]\naliases = 1", "models.aliases: should be"),
    ("[models.per_model_timeouts.m]\nidle_seconds = 0", "models.per_model_timeouts.m.idle_seconds"),
    (
        '[providers.x]\nbse_url = "a"',
        "providers.x.bse_url: there is no such key; did you mean base",
    ),
    ('[providers.x]\nbase_url = "ftp://h"', "providers.x.base_url: should match"),
    ('[providers.x]\nbase_url = "http://h/?a=b"', "providers.x.base_url: should match"),
    ('[providers.x]\nkind = "x"', "providers.x.kind: should be 'openai', 'openai_responses', "),
    ('[providers.X]\nkind = "openai"', "providers.X: should match"),
]


@pytest.mark.parametrize(("text", "line"), FAULTY_FILES)
def test_faulty_file_names_key_and_source(text: str, line: str, write: Any) -> None:
    """A fault in the file is told with its key, what is allowed, and the file's name."""
    path = write(text)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert len(caught.value.faults) == 1
    assert str(caught.value).startswith(line)
    assert str(caught.value).endswith(f"(from {path})")


FAULTY_VARIABLES = [
    ("SERVER__PORT", "x", "server.port: should be a valid integer"),
    ("SERVER__PORT", "0x10", "server.port: should be a valid integer"),
    ("SERVER__PROT", "1", "server.prot: there is no such key; did you mean port?"),
    ("SREVER__PORT", "1", "srever: there is no such key; did you mean server?"),
    ("SERVER", "8080", "server: should be a table"),
    ("MODELS__PLUGINS", "a,b", "models.plugins: should be a list such as"),
    ("MODELS__FALLBACKS__M", "a", "models.fallbacks.m: should be a list such as"),
    ("LOGGING__LEVEL", "loud", "logging.level: should be 'debug', 'info', 'warning' or 'error'"),
]


@pytest.mark.parametrize(("name", "value", "line"), FAULTY_VARIABLES)
def test_faulty_variable_names_key_and_source(
    name: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in the environment is told with its key, what is allowed, and the variable."""
    monkeypatch.setenv(f"LLM_STREAM__{name}", value)

    with pytest.raises(ConfigError) as caught:
        load()

    assert str(caught.value).startswith(line)
    assert re.search(r"\(from LLM_STREAM__[A-Z_]+\)$", str(caught.value))


def test_every_fault_of_every_source_is_told_at_once(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator mends all faults in one go, those of a file that a variable overrides too."""
    monkeypatch.setenv("LLM_STREAM__SERVER__PORT", "9002")
    monkeypatch.setenv("LLM_STREAM__RUNS__RETENTION_BYTES", "0")

    with pytest.raises(ConfigError) as caught:
        load(write('[server]\nport = "x"\n[limits]\nattachments = -1\n'), {"server": {"host": ""}})

    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "server.port",
        "limits.attachments",
        "runs.retention_bytes",
        "server.host",
    ]


def test_value_of_an_unknown_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands under a misspelt name may be a secret and stays out of the message."""
    monkeypatch.setenv("LLM_STREAM__SERVER__API_KEY", "sk-canary")

    with pytest.raises(ConfigError, match=r"server\.api_key") as caught:
        load()

    assert "canary" not in str(caught.value)


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only names that begin with the prefix are read."""
    monkeypatch.setenv("LLM_STREAM_CONFIG", "x")
    monkeypatch.setenv("SERVER__PORT", "1")

    assert load() == Settings()


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"[server", "not TOML"), (b"[server]\nhost = '\xff'", "not TOML")],
)
def test_file_that_is_not_toml(content: bytes, line: str, tmp_path: Path) -> None:
    """A file that is no TOML is told by its path and the place."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(f"{path}: {line}")):
        load(path)


def test_missing_file(tmp_path: Path) -> None:
    """A file that was asked for and is not there is an error, not the defaults."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.1.x"])
def test_open_address_is_refused(host: str) -> None:
    """An address that others reach needs a decision of the operator, from whatever source."""
    with pytest.raises(ConfigError, match=r"^server\.host: .* server\.allow_open = true"):
        load(overrides={"server": {"host": host}})


def test_open_address_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision and the address may come from different sources."""
    monkeypatch.setenv("LLM_STREAM__SERVER__ALLOW_OPEN", "true")

    assert load(overrides={"server": {"host": "0.0.0.0"}}).server.host == "0.0.0.0"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_addresses(host: str) -> None:
    """All addresses of this machine alone count as closed."""
    assert is_loopback(host)


def test_shipped_file_is_toml_with_units() -> None:
    """Keys that hold times or sizes end in their unit."""
    values = tomllib.loads(SHIPPED.read_text())
    units = ("_seconds", "_bytes", "_chars", "_tokens", "_days")
    counts = {
        "port",
        "workers",
        "attachments",
        "parallel",
        "threads",
        "sync_threads",
        "max_entries",
    }
    counts |= {"sockets", "runs_per_second", "tokens_per_minute", "tokens_per_day"}
    counts |= {
        key for key in values["auth"] | values["limits"] if key.endswith(("_runs", "_streams"))
    }

    for section in values.values():
        for key, value in section.items():
            if type(value) in (int, float):
                assert key.endswith(units) or key in counts
