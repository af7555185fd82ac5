"""The service's settings, read from the environment: what may differ between machines that serve the same vectors."""

import difflib
import ipaddress
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.milvus_address import parse_address

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Linux's file of a container's share: `QUOTA PERIOD` in microseconds, or `max PERIOD` (cgroup v2)."""


def count_cpus(quota: Path = QUOTA) -> int:
    """At least 1: what the scheduler may give us, or less where a container's quota says so.

    Args:
        quota: the file of the quota; there is none where the file is absent or can't be parsed.
    """
    # Not os.cpu_count(): that is the machine's, also where this process is held to a few of them.
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="ascii").split()
        # Rounded up: a quota of one and a half keeps two workers busy most of the time.
        available = min(available, -(-int(share) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, available)


PREFIX = "SOLEMATE_"

OTHERS = frozenset(
    {
        # Of scripts/, the Dockerfile and docker-compose.yml.
        "CATALOG_FOLDER",
        "CATALOG_SOURCE",
        "MEMORY",
        "MILVUS_MEMORY",
        "MILVUS_PORT",
        "MINIO_PASSWORD",
        "MINIO_USER",
        "PYTHON",
        "TORCH_INDEX",
        # Of `search`.
        "SEARCH_KEY",
        # Of examples/.
        "KEY",
        "URL",
        # Of tests/ and benchmarks/.
        "CHROMIUM",
        "TEST_DATA",
        "TEST_LONG",
        "TEST_MILVUS",
        "TEST_MILVUS_SERVER",
    }
)
"""Names, without the prefix, of variables that are no settings of the service."""

RENAMED = {"CATALOG": "INDEX"}
"""Former name of a setting -> its name."""

LINK = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)

LINK_NAME = re.compile(r"SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
"""Suffixes of the variables that Kubernetes sets for each Service of a namespace."""


def is_service_link(value: object) -> bool:
    """Whether this is what Kubernetes sets `<NAME>_PORT` to for a Service, such as tcp://10.0.0.7:8000."""
    return isinstance(value, str) and LINK.match(value.strip()) is not None


def check_environment(environment: Mapping[str, str], settings: Collection[str]) -> Iterable[str]:
    """What is wrong with the names in the environment, one sentence each. Without values, which may be secrets.

    Args:
        environment: all of it.
        settings: the names of the settings, in lower case and without the prefix.
    """
    known = {name.upper() for name in settings} | OTHERS
    for variable, value in sorted(environment.items()):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper():
            continue
        if name == "PORT" and is_service_link(value):
            yield (
                f"{variable} is ignored: it is no port but what Kubernetes tells of a Service named solemate; "
                "`enableServiceLinks: false` in the Pod's specification keeps such variables out"
            )
        elif not (name in known or is_service_link(value) or LINK_NAME.search(name)):
            nearest = [RENAMED[name]] if name in RENAMED else difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {PREFIX}{nearest[0]}?" if nearest else "`solemate settings` lists those that are"
            yield f"{variable} is not a setting, and has no effect; {remedy}"


LogFormat = Literal["text", "json"]

MIB = 2**20

ENVELOPE = 64 * 1024
"""Allowance for a form's boundaries, headers and fields beside its pictures, in bytes."""

COMMON = 15
"""Number of common settings, which come first; the others are advanced."""

ROOT_PATH = r"(/[A-Za-z0-9._~-]+)*"
"""Pattern of a path that needs no escapes in links; it has no `//`, which would be another host."""

MOST_IMAGES = 1000
"""Largest value of `max_images`."""

MOST_WORKERS = 8
"""Largest default of `workers`: each is more memory, and of more than this nobody would expect it."""


def split(value: object) -> object:
    """A text's words, between commas or white space; anything else as it is."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
"""Several words; in the environment, between commas or white space."""


def in_base64(size: int) -> int:
    """Bytes of a body whose pictures are in base64, which needs four for three."""
    return size * 4 // 3


class Settings(BaseSettings):
    """The service's settings, read from `SOLEMATE_<NAME>`; the command line's options win over them.

    An empty value counts as none, as Compose and many templates write a variable that is not set.
    Nothing in here changes a vector; what does, lives in the checkpoint.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="The address to listen on; 0.0.0.0 is every interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on; 0 takes any that is free.")
    checkpoint: Path = Field(default=Path("artifacts/checkpoint"), description="The checkpoint's folder.")
    index: Path = Field(default=Path("artifacts/catalog"), description="The indexed catalogue's folder.")
    store: str = Field(
        default="",
        description="A catalogue in Milvus in place of that folder: milvus://host:port/collection (docs/scaling.md).",
    )
    store_token: SecretStr = Field(
        default=SecretStr(""), description="Credentials for Milvus: user:password, or an API key."
    )
    workers: int = Field(
        default_factory=lambda: min(count_cpus(), MOST_WORKERS),
        ge=1,
        le=64,
        description="Processes that serve, each with the network and the index in memory; 1 needs no supervisor. "
        "Default: the processors that may be used, at most 8.",
    )
    api_keys: SecretStr = Field(
        default=SecretStr(""),
        description="API keys, `name:scope:key` or `name:scope:sha256=hex`, scope `read` or `admin`, between white "
        "space. With none, reading is open and changing off.",
    )
    api_keys_file: Path | None = Field(default=None, description="A file with more of them, one a line; # comments.")
    cors_origins: Words = Field(
        default=(), description="Origins whose pages may use the service, such as https://shop.example; * is any."
    )
    trusted_hosts: Words = Field(
        default=(), description="Host headers that are answered, such as shoes.example or *.example; none: every one."
    )
    root_path: str = Field(
        default="",
        description="The path under which a proxy shows the service, such as /shoes; it may cut it off, or pass it on.",
    )
    trusted_proxies: Words = Field(
        default=(),
        description="Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Prefix (in place of "
        "root_path) are believed, such as 10.0.0.0/8; * is any. The proxy must set all three or remove them.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="What is logged.")
    log_format: LogFormat = Field(default="text", description="Log lines for people, text, or for programs, json.")

    # Advanced: the defaults do for most services.

    drain_seconds: float = Field(
        default=20, ge=0, le=3600, description="How long a stop waits for the requests that are under way."
    )
    device: str = Field(default="cpu", description="Where the network runs: auto, cpu or cuda.")
    runtime: Literal["auto", "onnx", "torch"] = Field(
        default="auto",
        description="What runs the networks: onnx, on the CPU and without torch; torch; or auto, onnx where the "
        "checkpoint has its files.",
    )
    threads: int = Field(default=1, ge=1, le=256, description="Threads that one embedding or one search may use.")
    batch_size: int = Field(
        default=32, ge=1, le=1024, description="Pictures of different requests that go through the network at once."
    )
    batch_wait_ms: float = Field(
        default=0,
        ge=0,
        le=1000,
        description="How long a batch waits to be filled. 0: what has come while the one before ran is the next.",
    )
    queue_size: int = Field(
        default=256, ge=1, le=100_000, description="Pictures and searches under way in each process; beyond them: 503."
    )
    wait_seconds: float = Field(
        default=10, gt=0, le=600, description="How long a request may wait for its turn and its answer; beyond: 503."
    )
    decode_threads: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Large pictures that each process decodes at once, beside the small ones; each takes up to 9 bytes "
        "a pixel of max_pixels, 450 MB.",
    )
    max_upload_bytes: int = Field(default=20 * MIB, ge=1, description="Bytes of one picture.")
    max_body_bytes: int = Field(default=64 * MIB, ge=1, description="Bytes of all pictures of one request.")
    max_pixels: int = Field(
        default=8192 * 6144,
        ge=1,
        description="Width times height of one picture, as it is decoded: a JPEG is decoded at down to 1/8 of both, "
        "and a WebP or AVIF may have half as many.",
    )
    avif: bool = Field(
        default=False,
        description="Whether AVIF pictures are taken. Only from senders who are trusted: a small one may take 870 MB "
        "to decode, whatever max_pixels says.",
    )
    max_images: int = Field(default=32, ge=1, le=MOST_IMAGES, description="Pictures in one request for embeddings.")
    max_k: int = Field(default=100, ge=1, le=10_000, description="Shoes in one answer.")
    max_depth: int = Field(
        default=1000, ge=1, le=10_000, description="Shoes of one search, on all its pages; never less than max_k."
    )
    duplicate_distance: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="The largest distance of near-duplicates. Left out: what `python -m service duplicates` measured.",
    )
    max_body_memory: int = Field(
        default=128 * MIB, ge=1, description="Bytes of all requests under way, in each process; beyond them: 503."
    )
    max_head_bytes: int = Field(default=32 * 1024, ge=1024, description="Bytes of one request's line and headers.")
    max_connections: int = Field(default=512, ge=1, description="Open connections of each process; beyond them: 503.")
    head_seconds: float = Field(default=10, gt=0, description="How long a request's line and headers may take.")
    body_seconds: float = Field(default=120, gt=0, description="How long a request's body may take, however large.")
    grace_seconds: float = Field(default=10, gt=0, description="How long a client may be slower than min_rate.")
    min_rate: int = Field(
        default=4096, ge=1, description="Bytes a second with which a body must come and an answer be taken, at least."
    )
    keep_alive_seconds: int = Field(
        default=20, ge=1, description="How long an idle connection is kept; behind a proxy, longer than its own time."
    )
    metrics_access: Literal["open", "read", "admin", "off"] = Field(
        default="open",
        description="Who may see /metrics where API keys are set: everybody, or a scope's keys; off: nobody, ever.",
    )
    frame_ancestors: Words = Field(default=(), description="Origins whose pages may show this one in a frame.")
    exact_shoes: int = Field(
        default=100_000,
        ge=0,
        description="Up to so many shoes searches are exact; beyond them by an index whose recall is measured.",
    )
    min_recall: float = Field(
        default=0.98, ge=0, le=1, description="The share of the ten nearest shoes that such an index must find."
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_unset(cls, values: dict[str, object]) -> dict[str, object]:
        """Take the default for what is empty, and for a port that is Kubernetes' variable of a Service."""
        return {
            name: value
            for name, value in values.items()
            if not (isinstance(value, str) and not value.strip()) and not (name == "port" and is_service_link(value))
        }

    @field_validator("*", mode="before")
    @classmethod
    def _ignore_case(cls, value: object, info: ValidationInfo) -> object:
        """Take one of several fixed words in upper or lower case."""
        if not isinstance(value, str):
            return value
        words = [word for word in get_args(cls.model_fields[info.field_name or ""].annotation) if isinstance(word, str)]
        return next((word for word in words if word.lower() == value.strip().lower()), value)

    @field_validator("store")
    @classmethod
    def _require_address(cls, value: str) -> str:
        """An address that can be understood, or none."""
        if value:
            parse_address(value)
        return value

    @field_validator("root_path")
    @classmethod
    def _require_path(cls, value: str) -> str:
        """A path that links can begin with; the slash at its end does not count."""
        value = value.rstrip("/")
        if not re.fullmatch(ROOT_PATH, value):
            raise ValueError("expected a path such as /shoes, of letters, digits and - . _ ~ between its slashes")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _require_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Numbers, not names: what a connection has is an address."""
        for proxy in value:
            if proxy != "*":
                ipaddress.ip_network(proxy)
        return value

    @field_validator("max_body_memory")
    @classmethod
    def _require_room(cls, value: int, info: ValidationInfo) -> int:
        """One request of the largest size must fit into the memory for all of them."""
        largest = in_base64(info.data.get("max_body_bytes", 0) + ENVELOPE)
        if value < largest:
            raise ValueError(f"expected at least {largest:,}, the largest body that max_body_bytes allows, in base64")
        return value

    @property
    def location(self) -> str:
        """Where the catalogue is, for messages."""
        return self.store or str(self.index)

    @property
    def depth(self) -> int:
        """Shoes of one search, on all its pages."""
        return max(self.max_depth, self.max_k)

    def describe(self) -> str:
        """The settings that are not at their defaults in one line, for the log; the values of secrets are masked."""
        defaults = Settings.model_construct().model_dump(mode="json")
        own = {name: value for name, value in self.model_dump(mode="json").items() if value != defaults[name]}
        return " ".join(f"{name}={value}" for name, value in own.items()) or "all at their defaults"


def settings_table() -> str:
    """All settings as two Markdown tables, the common ones and the advanced ones, for the documentation."""
    defaults, rows = Settings.model_construct().model_dump(mode="json"), []
    for name, field in Settings.model_fields.items():
        # What depends on the machine says so in its description.
        none = field.default_factory is not None or defaults[name] in (None, "", [])
        shown = "" if none else f"`{defaults[name]}`"
        rows.append(f"| `SOLEMATE_{name.upper()}` | {shown} | {field.description} |")
    head = ["| variable | default | what it is |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows[:COMMON], "", "Advanced:", "", *head, *rows[COMMON:]])
