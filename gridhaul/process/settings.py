"""The settings, which each process reads from its environment once. No other module reads settings from it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gridhaul.process.server_urls import MongoUrl, RedisUrl

PREFIX = "GRIDHAUL_"
KIB = 1 << 10
MIB = 1 << 20
ANSWER_SECONDS = 60.0  # how long another server may be silent


class SettingsError(Exception):
    """A setting that the process needs is missing or wrong; the message names the setting."""


def _split(value: object) -> object:
    return tuple(part for part in value.split(":") if part) if isinstance(value, str) else value


def _absolute(roots: tuple[Path, ...]) -> tuple[Path, ...]:
    if not roots or not all(root.is_absolute() and ".." not in root.parts for root in roots):
        raise ValueError("one or more absolute directories without '..', separated by ':'")
    return roots


def _split_origins(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?", origin):
            raise ValueError(
                "origins like https://files.example.org, each named: '*' would let every page in a browser ask"
            )
    return origins


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < 32:
        raise ValueError("at least 32 bytes")
    return secret


def _public_url(url: str | None) -> str | None:
    if url is None or re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", url):
        return url.rstrip("/") if url else None
    raise ValueError("an address like https://files.example.org, without a query")


PublicUrl = Annotated[str | None, AfterValidator(_public_url)]
Roots = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split), AfterValidator(_absolute)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_origins), AfterValidator(_origins)]
LongSecret = Annotated[SecretStr, AfterValidator(_long_enough)]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**_secrets_from_files(os.environ) | values)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None


class DatabaseSettings(_Settings):
    """The settings that every process needs."""

    mongo_url: MongoUrl
    database: str = "files"
    service_secret: LongSecret


class BootstrapSettings(_Settings):
    """The settings that making the first database user and the first account needs."""

    mongo_url: MongoUrl
    database: str = "files"


class WebSettings(DatabaseSettings):
    """The settings of both web services: how much of a request they accept, and how long they wait for it."""

    max_header_bytes: int = Field(default=32 * KIB, ge=KIB, le=256 * KIB)
    max_body_bytes: int = Field(default=MIB, ge=KIB)
    max_json_depth: int = Field(default=32, ge=1, le=200)
    stall_seconds: float = Field(default=30, gt=0)


class ApiSettings(WebSettings):
    redis_url: RedisUrl
    chunk_service_url: str
    ca_file: Path | None = None
    answer_seconds: float = Field(default=ANSWER_SECONDS, gt=0)
    public_url: PublicUrl = None
    upload_days: float = Field(default=7, gt=0, le=3650)
    upload_memory_bytes: int = Field(default=64 * MIB, ge=8 * MIB)
    upload_draft: bool = True
    roots: Roots
    targets_file: Path = Path("targets.toml")
    large_file_bytes: int = Field(default=64 * MIB, ge=0)
    max_file_bytes: int | None = Field(default=None, ge=0)
    lease_seconds: float = Field(default=30, gt=0)
    dispatch_seconds: float = Field(default=5, gt=0)
    sweep_seconds: float = Field(default=120, ge=0)
    gc_seconds: float = Field(default=3600, ge=0)
    scrub_days: float = Field(default=30, gt=0)
    scrub_bytes_per_second: int = Field(default=10 * MIB, ge=0)
    cors_origins: Origins = ()
    access_seconds: float = Field(default=900, gt=0)
    session_days: float = Field(default=30, gt=0)
    requests_a_minute: int = Field(default=12_000, ge=0)
    failed_logins_a_minute: int = Field(default=10, ge=0)
    quota_bytes: int | None = Field(default=None, ge=0)
    max_open_files: int = Field(default=10_000, ge=1)
    max_open_batches: int = Field(default=100, ge=1)
    allow_demo: bool = False


class ChunkServiceSettings(WebSettings):
    inline_limit_chunks: int = Field(default=15, ge=0, le=15)
    block_compressor: str = Field(default="none", pattern="^(none|snappy|zlib|zstd)$")
    disk_reserve_bytes: int = Field(default=1 << 30, ge=0)
    intake_memory_bytes: int = Field(default=128 * MIB, ge=16 * MIB)


class WorkerSettings(DatabaseSettings):
    redis_url: RedisUrl
    chunk_service_url: str
    roots: Roots
    targets_file: Path = Path("targets.toml")
    large_file_bytes: int = Field(default=64 * MIB, ge=0)
    segment_chunks: int = Field(default=16, ge=1, le=16)
    segments_in_flight: int = Field(default=2, ge=1, le=16)
    lease_seconds: float = Field(default=30, gt=0)
    renew_seconds: float = Field(default=10, gt=0)
    sweep_seconds: float = Field(default=120, ge=0)
    max_file_bytes: int | None = Field(default=None, ge=0)
    quota_bytes: int | None = Field(default=None, ge=0)
    max_attempts: int = Field(default=5, ge=1)
    retry_hours: float = Field(default=24, ge=0, allow_inf_nan=False)
    answer_seconds: float = Field(default=ANSWER_SECONDS, gt=0)
    heartbeat_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.renew_seconds * 2 > self.lease_seconds:
            raise ValueError("RENEW_SECONDS must be at most half of LEASE_SECONDS")
        return self


class CommandSettings(_Settings):
    """The settings of the command `gridhaul`."""

    url: str = "http://127.0.0.1:8000"
    token: SecretStr | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None


class EmbeddedSettings(_Settings):
    """The servers that the embedded system uses instead of starting its own."""

    mongo_url: MongoUrl | None = None
    redis_url: RedisUrl | None = None


def credential(source: Mapping[str, str]) -> str:
    """Return the credential that `{ env = "NAME" }` or `{ file = "path" }` in `targets.toml` names.

    Raises SettingsError.
    """
    try:
        if set(source) == {"env"}:
            return os.environ[source["env"]]
        if set(source) == {"file"}:
            return Path(source["file"]).read_text().strip()
    except KeyError:
        raise SettingsError(f"the environment has no {source['env']}, which the targets file names") from None
    except OSError as error:
        raise SettingsError(f"cannot read {source['file']}, which the targets file names: {error.strerror}") from None
    raise SettingsError('a credential in the targets file is { env = "NAME" } or { file = "path" }')


def _secrets_from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings X whose file `GRIDHAUL_X_FILE=path` names, which is how containers pass secrets."""
    found = {}
    for name, value in environment.items():
        setting = name.removeprefix(PREFIX).removesuffix("_FILE").lower()
        if name.startswith(PREFIX) and name.endswith("_FILE") and setting in _FROM_FILES:
            try:
                found[setting] = Path(value).read_text().strip()
            except OSError as error:
                raise SettingsError(f"{name}: cannot read {value}: {error.strerror}") from None
    return found


_FROM_FILES = frozenset({"mongo_url", "redis_url", "service_secret", "token", "password"})


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = PREFIX + str(item["loc"][0]).upper() if item["loc"] else "settings"
        problem = "is not set" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {problem}")
    return "; ".join(lines)


def state_directory() -> Path:
    """Return the directory for what commands keep between two runs (XDG Base Directory Specification)."""
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (named if named.is_absolute() else Path("~/.local/state").expanduser()) / "gridhaul"
