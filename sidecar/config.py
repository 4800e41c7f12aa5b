"""The settings of the server: one TOML file < environment < command line."""

from __future__ import annotations

import argparse
import ipaddress
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from rerank_core.cluster.profile import Profile
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import CHOICE_VARIABLE, chosen_path
from rerank_core.errors import ConfigError
from rerank_core.records import describe

_FROZEN = ConfigDict(
    frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
)
_Count = Annotated[int, Field(ge=1)]


def _told(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    """A record's own check as one fault among others: by itself it would end the reading."""
    try:
        return read(value)
    except ConfigError as fault:
        raise PydanticCustomError("setting", "{fault}", {"fault": str(fault)}) from fault


def _told_profile(value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """As `_told`; and that the profile's cross-encoder is one that is loaded."""
    faults, given = [], ""
    try:
        profile: Profile = read(value)
        given = profile.reranker
    except ConfigError as fault:
        faults.append(str(fault))
        given = value.get("reranker", "") if isinstance(value, Mapping) else ""
    models: ModelSettings | None = info.data.get("models")  # None: it has faults of its own
    if models is not None and given not in ("", *models.reranker_names):
        loaded = ", ".join(models.reranker_names)
        faults.append(f"reranker is {given!r}, cross-encoders that are loaded: {loaded}")
    if faults:
        raise PydanticCustomError("setting", "{faults}", {"faults": "; ".join(faults)})
    return profile


def model_name(place: str) -> str:
    """A model's name: a name is its own, a folder has its last part."""
    return Path(os.path.abspath(Path(place).expanduser())).name  # noqa: PTH100  follows no link


class ModelSettings(BaseModel):
    """Which models are served. A model's name is the last part of its path."""

    model_config = _FROZEN

    reranker: str = "student"
    """The cross-encoder where none is named: 'student' or a folder."""
    other_rerankers: tuple[str, ...] = ()
    """Further cross-encoders: profiles and requests choose one by its name."""
    encoders: tuple[str, ...] = ()
    """Bi-encoders, the default one first: 'minilm' or folders. Embed needs one."""

    @property
    def rerankers(self) -> tuple[str, ...]:
        """All cross-encoders, the default one first."""
        return (self.reranker, *self.other_rerankers)

    @property
    def reranker_names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(map(model_name, self.rerankers))


class Limits(BaseModel):
    """What one request may ask for. A low limit refuses a request instead of letting it wait."""

    model_config = _FROZEN

    max_documents: _Count = 1000
    """Documents of one Rerank."""
    max_query_bytes: _Count = 4096
    """UTF-8 bytes of a query."""
    max_document_bytes: _Count = 65536
    """UTF-8 bytes of a document's text, or of the values of its fields together."""
    max_texts: _Count = 256
    """Texts of one Embed, each as long as a document at most."""
    max_message_bytes: Annotated[int, Field(ge=1024)] = 18 * 2**20
    """Bytes of a whole request. gRPC itself refuses more, with RESOURCE_EXHAUSTED."""
    max_calls: _Count = 2000
    """Calls under way at once, both surfaces together; RESOURCE_EXHAUSTED beyond."""
    max_bytes_under_way: Annotated[int, Field(ge=1024)] = 256 * 2**20
    """Bytes of their requests together; RESOURCE_EXHAUSTED beyond."""
    request_s: Annotated[float, Field(gt=0)] = 10
    """Time for a gRPC request to come whole; DEADLINE_EXCEEDED beyond. HTTP has its own."""
    score_cache_bytes: Annotated[int, Field(ge=0)] = 64 * 2**20
    """Scores that are remembered; 0 is the switch that turns the cache off."""


class TlsSettings(BaseModel):
    """Files in PEM; read at the start and on every reload."""

    model_config = _FROZEN

    certificate: Path
    """The server's certificate and its chain."""
    key: Path
    """Its private key."""
    client_ca: Path | None = None
    """Asks callers for a certificate of this authority (mTLS)."""


class HttpSettings(BaseModel):
    """The HTTP surface: Cohere, Jina and TEI routes, health, metrics."""

    model_config = _FROZEN

    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """0 takes a free one; no HTTP if not given. The address is the one of gRPC."""
    port_file: Path | None = None
    """As for gRPC."""
    max_connections: _Count = 1000
    """More are closed at once."""
    request_s: Annotated[float, Field(gt=0)] = 10
    """Time to send a request, and to read its answer; slower clients are cut off."""
    idle_s: _Count = 75
    """Until an idle connection is closed; more than a proxy in front keeps one."""


class TelemetrySettings(BaseModel):
    """What is told of the calls, and where."""

    model_config = _FROZEN

    otlp_endpoint: str | None = None
    """An OpenTelemetry collector, such as http://127.0.0.1:4317; needs the extra 'traces'."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Of calls whose caller has not decided for itself."""
    log_texts: bool = False
    """Writes queries into the log: they are personal data."""


class Settings(BaseSettings):
    """Everything the server reads at its start, checked as a whole."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        env_prefix="RERANK_",
        env_nested_delimiter="__",
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_show_env_vars=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """0 takes a free one."""
    port_file: Path | None = None
    """File that holds the port from when it is bound until the server stops."""
    max_connections: _Count = 1000
    """gRPC connections; more are closed at once. HTTP has its own."""
    insecure: bool = False
    """Allows an address that other machines reach: whoever reaches it may call."""
    tls: TlsSettings | None = None
    """Certificates for both surfaces; without them the server speaks in plain text."""
    keys_file: Path | None = None
    """API keys by their hashes, as --make-key prints them; without it everybody is let in."""
    http: HttpSettings = HttpSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    models: ModelSettings = ModelSettings()
    limits: Limits = Limits()
    default_budget_ms: Annotated[float, Field(gt=0)] = 200
    """Time for a call that brings no deadline."""
    safety_margin_ms: Annotated[float, Field(ge=0)] = 20
    """Kept of every deadline for ordering and sending the answer. The way to the server counts,
    too: gRPC tells it how long the caller waits, not since when."""
    safety_margin_us_per_document: Annotated[float, Field(ge=0)] = 20
    """Kept besides for each document that is ordered and sent."""
    workers: _Count | None = None
    """Scoring threads; one a usable core if not given."""
    grace_s: Annotated[float, Field(ge=0)] = 20
    """At a stop, time for the requests in flight."""
    cluster: Annotated[ClusterSettings | None, WrapValidator(_told)] = None
    """The search cluster: url, user, password, ca_path, timeout_s."""
    profiles: dict[str, Annotated[Profile, WrapValidator(_told_profile)]] = {}
    """What Search serves, by name; each stands for an alias on the cluster."""
    page_token_key: SecretStr = SecretStr("")
    """Signs page tokens; servers that share it read each other's. Empty: one of this process."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        faults = []
        if not self.insecure and self.tls is None and not _is_loopback(self.host):
            faults.append(
                f"host {self.host} can be reached from other machines and the server has no TLS; "
                "set tls.certificate and tls.key, listen on 127.0.0.1, or give --insecure where "
                "the network is trusted"
            )
        if self.limits.max_bytes_under_way < self.limits.max_message_bytes:
            faults.append(
                f"limits.max_bytes_under_way {self.limits.max_bytes_under_way} is less than one "
                f"request may have, {self.limits.max_message_bytes}; make it larger"
            )
        if self.safety_margin_ms >= self.default_budget_ms:
            faults.append(
                f"safety_margin_ms {self.safety_margin_ms:g} leaves nothing of "
                f"default_budget_ms {self.default_budget_ms:g}; make it smaller"
            )
        if self.profiles and self.cluster is None:
            faults.append("profiles need a cluster; set cluster.url")
        if faults:
            raise ConfigError(f"settings: {'; '.join(faults)}")
        return self

    @field_serializer("cluster")
    def _without_password(self, cluster: ClusterSettings | None) -> dict[str, Any] | None:
        if cluster is None:
            return None
        return asdict(cluster) | {"password": "***" if cluster.password else None}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The strongest first. What `__init__` is given is the file; the flags go before all."""
        return env_settings, init_settings


class CommandLine(NamedTuple):
    """What `python -m sidecar` was asked to do."""

    settings: Settings
    check_config: bool
    make_key: str | None
    """The name of a key to make."""
    ignored: tuple[str, ...]
    """Variables of the environment that look like settings and are none, such as a typing error."""


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """The effective settings. Raises `ConfigError` naming each fault; ends on a wrong flag."""
    parser = argparse.ArgumentParser(
        prog="python -m sidecar",
        description="Serves Rerank, Embed and Search over gRPC, reranking over HTTP, too.",
        epilog="Exit codes: 0 stopped as asked, 2 a setting or a model must be mended first.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML")
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="read keys, certificates and models, print the effective settings and end",
    )
    parser.add_argument(
        "--make-key",
        metavar="NAME",
        help="print a new API key and its lines for keys_file, and end",
    )
    flags: CliSettingsSource[Any] = CliSettingsSource(Settings, root_parser=parser)
    given = parser.parse_args(arguments)
    chosen_path()  # in the environment alone, for all commands that compute
    in_file = {} if given.config is None else _read_toml(given.config)
    try:
        settings = CliApp.run(Settings, cli_args=given, cli_settings_source=flags, **in_file)
    except ValidationError as fault:
        raise ConfigError(f"settings: {describe(fault)}") from fault
    except SettingsError as fault:
        raise ConfigError(f"settings: {fault}; in the environment, a list is JSON") from fault
    return CommandLine(settings, given.check_config, given.make_key, _ignored(os.environ))


# Of the engine, and of other commands of this project.
_OTHERS = {CHOICE_VARIABLE, "RERANK_DATA", "RERANK_CACHE", "RERANK_API_KEY"}


def _ignored(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Below a known table, pydantic itself refuses an unknown key."""
    prefix = str(Settings.model_config["env_prefix"])
    names = (name for name in environ if name.upper().startswith(prefix))
    return tuple(
        name
        for name in sorted(names)
        if name.upper() not in _OTHERS
        and name[len(prefix) :].partition("__")[0].lower() not in Settings.model_fields
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as fault:
        raise ConfigError(f"--config {path}: {fault.strerror or fault}") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"--config {path}: not TOML: {fault}") from fault


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"  # any other name may resolve to anything
