"""The section about who may use the service, and how much of it."""

from typing import Literal

from pydantic import Field

from llm_stream.config.section import Section


class AuthSection(Section):
    """Client keys: who may use the service, and how much of it (docs/security.md)."""

    required: bool | None = Field(
        default=None,
        description="Whether a request needs a client key. Without this key: as soon as there is"
        " one (`llm-stream clients add`).",
    )
    clients_file: str = Field(
        default="",
        description='The file of clients, which holds hashes of their keys; "" = '
        "llm-stream-clients.toml in llm's user folder (LLM_USER_PATH).",
    )
    share: Literal["private", "shared"] = Field(
        default="private",
        description='Whether each client has its own runs and cached answers ("private"), or all'
        ' have them in common ("shared").',
    )
    runs_per_second: float = Field(
        default=0, ge=0, description="Runs one client may start a second; 0 = no limit."
    )
    concurrent_runs: int = Field(
        default=0, ge=0, description="Runs of one client at the same time; 0 = no limit."
    )
    sockets: int = Field(default=0, ge=0, description="WebSockets of one client; 0 = no limit.")
    tokens_per_minute: int = Field(
        default=0,
        ge=0,
        description="Tokens of one client, read and written; 0 = no limit. What has begun goes on.",
    )
    tokens_per_day: int = Field(
        default=0, ge=0, description="The same over a day of UTC; 0 = no limit."
    )
