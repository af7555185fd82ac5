"""Authentication and authorization: API keys, trusted hosts, and origins of other pages (CORS).

Every path is for those with a key, unless it is listed as open, and every method for those who may change something,
unless it is listed as reading: what is added later and forgotten here is closed, not open. Where there are no keys at
all, everybody may read and nobody may change anything.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import KeysUnusable
from service.http.middleware.exchange import route_path
from service.http.problems import FORBIDDEN, UNAUTHORIZED, WRONG_HOST, Refusal, is_routed, render_error
from service.settings import Settings

KeyScope = Literal["read", "admin"]

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HASHED = re.compile(r"sha256=([0-9a-fA-F]{64})")
PRINTABLE = re.compile(r"[!-~]+")
SHORTEST_KEY = 20
"""Fewest characters of a key; `openssl rand -hex 32` makes one."""

FORM = f"expected name:read:key or name:admin:key, with {SHORTEST_KEY} characters of key or more, or sha256=hex for it"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, known by its digest only.

    Attributes:
        name: whose it is, for the log.
        scope: `admin` may do all that `read` may.
        digest: SHA-256 of the key.
    """

    name: str
    scope: KeyScope
    digest: bytes = field(repr=False)


class Keys:
    """The API keys that are accepted."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, given: bytes) -> Key | None:
        """The key that was given, if it is one of these; in a time that does not depend on how near to one it is."""
        digest = hashlib.sha256(given).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def read_keys(settings: Settings) -> Keys:
    """The keys that the settings give or point to."""
    entries = [("SOLEMATE_API_KEYS", entry) for entry in settings.api_keys.get_secret_value().split()]
    if settings.api_keys_file is not None:
        entries += [(str(settings.api_keys_file), entry) for entry in _read_lines(settings.api_keys_file)]
    keys: dict[str, Key] = {}
    for number, (source, entry) in enumerate(entries, 1):
        key = _parse(entry)
        if key is None:
            raise KeysUnusable(f"API key {number}, in {source}, is none: {FORM}")
        if key.name in keys:
            raise KeysUnusable(f"two API keys have the name {key.name}; expected another name for each")
        keys[key.name] = key
    return Keys(keys.values())


def _read_lines(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise KeysUnusable(f"the API keys in {path} can't be read: {reason}") from None
    for line in lines:
        if line.strip() and not line.strip().startswith("#"):
            yield line.strip()


def _parse(entry: str) -> Key | None:
    name, _, rest = entry.partition(":")
    scope, _, secret = rest.partition(":")
    if not NAME.fullmatch(name) or scope not in get_args(KeyScope):
        return None
    hashed = HASHED.fullmatch(secret)
    if hashed is None and (
        secret.startswith("sha256=") or len(secret) < SHORTEST_KEY or not PRINTABLE.fullmatch(secret)
    ):
        return None
    digest = bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(secret.encode()).digest()
    return Key(name, "admin" if scope == "admin" else "read", digest)


HEALTH = frozenset({"/healthz", "/readyz"})
OPEN = HEALTH | {"/", "/docs", "/openapi.json"}
OPEN_FOLDER = "/web/"
"""Static files need no key: the page asks its reader for one, and sends it with each request."""

READING = frozenset(
    {
        "/v1/search",
        "/v1/search/vector",
        "/v1/search:batch",
        "/v1/recommendations",
        "/v1/embeddings",
        "/v1/reconstructions",
        "/v1/reconstructions/vector",
        "/v1/subjects",
        "/v1/items:query",
        "/v1/facets:query",
    }
)
"""Paths that take a POST and change nothing."""

ADMIN_FOLDER = "/v1/admin/"


class RequireKey:
    """Lets a request through whose key allows what it asks for, or that has no route and is answered as such."""

    def __init__(self, app: ASGIApp, keys: Keys, settings: Settings, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._keys = keys
        self._routes = routes
        seen_by = settings.metrics_access
        self._metrics: KeyScope | None = seen_by if seen_by in {"read", "admin"} else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the name of its key goes into its state as `caller`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        needed = self._find_need(scope["method"], route_path(scope))
        try:
            caller = None if needed is None else self._admit(needed, scope["headers"])
        except Refusal as error:
            if not is_routed(self._routes, scope):
                await self.app(scope, receive, send)  # it can answer 404, 405 or a redirect only
                return
            await render_error(error)(scope, receive, send)
            return
        if caller is None:
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller

        async def send_privately(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _make_private(message.get("headers", ()))
            await send(message)

        await self.app(scope, receive, send_privately)

    def _find_need(self, method: str, path: str) -> KeyScope | None:
        """The scope that a request needs; None where everybody may ask."""
        if path in OPEN or path.startswith(OPEN_FOLDER):
            return None
        if path == "/metrics":
            return self._metrics
        if path.startswith(ADMIN_FOLDER):
            return "admin"
        reads = method in {"GET", "HEAD"} or (method == "POST" and path in READING)
        return "read" if reads else "admin"

    def _admit(self, needed: KeyScope, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """The name of the key; None where none is needed, as there are none. Raises Refusal."""
        if not self._keys:
            if needed == "admin":
                raise Refusal(
                    FORBIDDEN, "this service has no API keys, so that it can only be read; SOLEMATE_API_KEYS sets them"
                )
            return None
        given = _find_key(headers)
        if given is None:
            raise unauthorized("expected an API key, sent as `Authorization: Bearer KEY` or as `X-API-Key: KEY`")
        key = self._keys.find(given)
        if key is None:
            raise unauthorized("the API key is none that this service knows")
        if needed == "admin" and key.scope != "admin":
            raise Refusal(FORBIDDEN, f"the API key {key.name} may only read; expected one of the scope admin")
        return key.name


def unauthorized(detail: str) -> Refusal:
    """What is wrong with a request that has no API key, or one that is not known."""
    return Refusal(UNAUTHORIZED, detail, www_authenticate='Bearer realm="solemate"')


def _find_key(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    given = None
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            given = value.strip()
    return given


def _make_private(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Keep a proxy from handing what one client may see to others."""
    private = [
        (name, value.replace(b"public", b"private") if name == b"cache-control" else value) for name, value in headers
    ]
    return [*private, (b"vary", b"authorization, x-api-key")]


class ShareWithOrigins(CORSMiddleware):
    """Lets pages of other origins ask. Keys are headers, which a page must know: no browser sends them by itself."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "If-None-Match", "X-Request-ID"],
            expose_headers=["ETag", "Location", "Retry-After", "Server-Timing", "X-Request-ID", "X-Subject"],
        )


class TrustHosts:
    """Answers only what is addressed to one of these hosts; health checks come by address and are always answered."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """Wrap `app`. `hosts`: names, or `*.` and a name for all below it."""
        self.app = app
        self._names = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._endings = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and route_path(scope) not in HEALTH and not self._is_trusted(scope["headers"]):
            refusal = Refusal(WRONG_HOST, "the request's Host header is not one that this service answers to")
            await render_error(refusal)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_trusted(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"host"]
        if len(given) != 1:
            return False
        host = re.sub(r":\d*$", "", given[0].decode("latin-1").lower())
        return host in self._names or host.endswith(self._endings)
