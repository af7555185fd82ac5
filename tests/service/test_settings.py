"""Settings come from the environment."""

from pathlib import Path

import pydantic
import pytest

from service.http.middleware.limits import body_limits
from service.settings import Settings, settings_table


def test_environment_and_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment sets what is not given outright."""
    monkeypatch.setenv("SOLEMATE_MAX_K", "7")
    monkeypatch.setenv("SOLEMATE_INDEX", "/srv/catalog")
    monkeypatch.setenv("SOLEMATE_PORT", "1")
    settings = Settings(port=9000)
    assert (settings.max_k, settings.index, settings.port) == (7, Path("/srv/catalog"), 9000)


def test_a_store_in_milvus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is checked at once, and its password is not shown."""
    monkeypatch.setenv("SOLEMATE_STORE", "milvus://db.example:19530/shoes")
    monkeypatch.setenv("SOLEMATE_STORE_TOKEN", "root:geheim")
    settings = Settings()
    assert settings.location == "milvus://db.example:19530/shoes"
    assert settings.store_token.get_secret_value() == "root:geheim"
    assert "geheim" not in settings.describe()
    with pytest.raises(pydantic.ValidationError, match="milvus://host:port/collection"):
        Settings(store="redis://db.example/0")
    assert Settings(store="").location == "artifacts/catalog"


def test_loopback_by_default() -> None:
    """Unless told otherwise, only this machine reaches the service."""
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("MAX_K", "0"), ("THREADS", "x"), ("LOG_LEVEL", "loud")]
)
def test_values_out_of_range(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value out of range is an error that names the setting."""
    monkeypatch.setenv(f"SOLEMATE_{name}", value)
    with pytest.raises(pydantic.ValidationError, match=name.lower()):
        Settings()


def test_description_is_one_line() -> None:
    """The log's line has the settings that are not at their defaults, and no others."""
    assert Settings().describe() == "all at their defaults"
    own = Settings(max_k=7, workers=64, index=Path("shoes"), cors_origins=("https://a.example",), max_depth=1000)
    assert own.describe() == "index=shoes workers=64 cors_origins=['https://a.example'] max_k=7"


def test_several_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of several words takes them between commas or white space."""
    monkeypatch.setenv("SOLEMATE_TRUSTED_HOSTS", "shoes.example, *.shoes.example\n10.0.0.1")
    assert Settings().trusted_hosts == ("shoes.example", "*.shoes.example", "10.0.0.1")
    assert Settings().cors_origins == ()


def test_one_request_fits_into_memory() -> None:
    """The memory for all requests has room for the largest one."""
    largest = (2000 + 64 * 1024) * 4 // 3
    with pytest.raises(pydantic.ValidationError, match=f"at least {largest:,}, the largest body that max_body_bytes"):
        Settings(max_body_bytes=2000, max_body_memory=largest - 1)
    settings = Settings(max_body_bytes=2000, max_body_memory=largest)
    assert max(body_limits(settings).values()) * 4 // 3 == settings.max_body_memory


def test_documentation_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table in docs/operations.md is what `python -m service settings` prints, whatever the environment says."""
    monkeypatch.setenv("SOLEMATE_MAX_K", "7")
    text = Path(__file__).parents[2].joinpath("docs/operations.md").read_text(encoding="utf-8")
    assert settings_table() in text
