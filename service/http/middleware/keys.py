"""API keys: where they come from, and which of them one is. Only their digests are kept."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from service.errors import KeysUnusable
from service.settings import Settings

__all__ = ["Key", "KeyScope", "Keys", "read_keys"]

KeyScope = Literal["read", "admin"]

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HASHED = re.compile(r"sha256=([0-9a-fA-F]{64})")
PRINTABLE = re.compile(r"[!-~]+")
SHORTEST_KEY = 20
"""Characters. Keys are not typed: `openssl rand -hex 32` makes one."""

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
        """The key that was given, if it is one of these; how long that takes doesn't tell how near to one it came."""
        digest = hashlib.sha256(given).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def read_keys(settings: Settings) -> Keys:
    """The keys that the settings give or point to.

    Raises:
        KeysUnusable: the file can't be read, or an entry is no key; the message never holds one.
    """
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
