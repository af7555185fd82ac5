"""API keys, and where they come from."""

import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.errors import KeysUnusable
from service.http.middleware.auth import Keys, read_keys
from service.settings import Settings

PLAIN = "correct-horse-battery-staple"
OTHER = "0123456789abcdef0123456789abcdef"
HASH = hashlib.sha256(OTHER.encode()).hexdigest()


def test_keys_are_found() -> None:
    """A key is found by all of its bytes, whether it was given as itself or by its hash."""
    keys = read_keys(Settings(api_keys=SecretStr(f"me:read:{PLAIN}\n you:admin:sha256={HASH.upper()} ")))
    assert len(keys) == 2
    found = [keys.find(given) for given in (PLAIN.encode(), OTHER.encode())]
    assert [(key.name, key.scope) for key in found if key] == [("me", "read"), ("you", "admin")]
    for wrong in (b"", PLAIN[:-1].encode(), PLAIN.upper().encode(), HASH.encode(), b"sha256=" + HASH.encode(), b"\xff"):
        assert keys.find(wrong) is None


def test_no_keys() -> None:
    """Without a setting there are none, and nothing is one."""
    assert len(read_keys(Settings())) == 0
    assert Keys().find(b"") is None


def test_keys_from_a_file(tmp_path: Path) -> None:
    """A file has a key on each line, beside comments and empty lines; the environment's are accepted too."""
    path = tmp_path / "keys"
    path.write_text(f"# the shop's\n\n  shop:read:{PLAIN}:with:colons  \n", encoding="utf-8")
    keys = read_keys(Settings(api_keys=SecretStr(f"me:admin:{OTHER}"), api_keys_file=path))
    assert keys.find(f"{PLAIN}:with:colons".encode())
    assert keys.find(OTHER.encode())


@pytest.mark.parametrize(
    "entry",
    [
        OTHER,
        f"me:{OTHER}",
        f"me:write:{OTHER}",
        f":read:{OTHER}",
        f"me/you:read:{OTHER}",
        "me:read:short",
        "me:read:",
        f"me:read:sha256={OTHER}",
        f"me:read:{OTHER}ß",
    ],
)
def test_what_is_no_key_is_not_shown(entry: str) -> None:
    """An entry that is no key is an error that says which one, what is expected, and nothing of what it holds."""
    with pytest.raises(KeysUnusable, match=r"API key 2, in SOLEMATE_API_KEYS, .* expected name:read:key") as caught:
        read_keys(Settings(api_keys=SecretStr(f"first:read:{PLAIN} {entry}")))
    assert OTHER not in str(caught.value)
    assert "short" not in str(caught.value)


def test_names_are_unique() -> None:
    """Two keys of one name could not be told apart in the log."""
    with pytest.raises(KeysUnusable, match="two API keys have the name me"):
        read_keys(Settings(api_keys=SecretStr(f"me:read:{PLAIN} me:admin:{OTHER}")))


def test_file_that_can_not_be_read(tmp_path: Path) -> None:
    """A file that is missing, or is no text, is an error that names it."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("missing", "binary"):
        with pytest.raises(KeysUnusable, match=name):
            read_keys(Settings(api_keys_file=tmp_path / name))


def test_keys_are_nowhere_shown() -> None:
    """Neither the settings nor the keys show what they are made of."""
    settings = Settings(api_keys=SecretStr(f"me:read:{PLAIN}"))
    key = read_keys(settings).find(PLAIN.encode())
    for text in (repr(settings), str(settings), settings.describe(), repr(key)):
        assert PLAIN not in text
        assert hashlib.sha256(PLAIN.encode()).hexdigest() not in text
