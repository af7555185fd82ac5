"""What the environment may hold beside settings, and what it is told of names that nobody knows."""

import re
from pathlib import Path

import pydantic
import pytest
import yaml

from service.settings import OTHERS, Settings, check_environment
from tests.support.commands import run_main

ROOT = Path(__file__).parents[2]

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

OF_THE_IMAGE = {"host", "port", "checkpoint", "index"}
"""Settings that mean something else within a container than on the machine that it runs on."""


def warnings(**environment: str) -> list[str]:
    """What is said of these variables."""
    return list(check_environment({f"SOLEMATE_{name}": value for name, value in environment.items()}, SETTINGS))


SETTINGS = Settings.model_fields


@pytest.mark.parametrize("value", ["", " ", "\t\r"])
def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An empty variable is as good as none, whichever setting it is for."""
    expected = Settings()
    for name in SETTINGS:
        monkeypatch.setenv(f"SOLEMATE_{name.upper()}", value)
        assert Settings() == expected, name


def test_empty_option_is_unset(tmp_path: Path) -> None:
    """Commands that take a folder from the environment take the default for an empty variable, too."""
    done = run_main("verify", "--checkpoint", str(tmp_path), SOLEMATE_INDEX="")
    assert "artifacts/catalog" in done.error
    assert "is not a setting" not in done.error


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("log_level", "info", "INFO"),
        ("log_level", " Warning\r", "WARNING"),
        ("log_format", "JSON", "json"),
        ("metrics_access", "Admin", "admin"),
    ],
)
def test_words_in_any_case(monkeypatch: pytest.MonkeyPatch, name: str, value: str, taken: str) -> None:
    """Where there is a choice of words, upper and lower case are the same."""
    monkeypatch.setenv(f"SOLEMATE_{name.upper()}", value)
    assert getattr(Settings(), name) == taken


def test_wrong_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is not among them is still wrong, and shown as it was written."""
    monkeypatch.setenv("SOLEMATE_LOG_FORMAT", "Xml")
    with pytest.raises(pydantic.ValidationError, match="'Xml'"):
        Settings()


def test_port_of_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kubernetes sets for a Service named solemate is no port: the default is taken, and the reason told."""
    monkeypatch.setenv("SOLEMATE_PORT", "tcp://10.96.14.3:8000")
    assert Settings().port == 8000
    (warning,) = warnings(PORT="tcp://10.96.14.3:8000")
    assert "Kubernetes" in warning
    assert "enableServiceLinks" in warning
    monkeypatch.setenv("SOLEMATE_PORT", "http")
    with pytest.raises(pydantic.ValidationError, match="port"):
        Settings()


def test_service_links_are_known() -> None:
    """The other variables of a Service named solemate, or solemate-something, are passed over without a word."""
    links = {
        "SERVICE_HOST": "10.96.14.3",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT_8000_TCP": "tcp://10.96.14.3:8000",
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": "10.96.14.3",
        "DB_SERVICE_HOST": "10.96.14.4",
        "DB_PORT": "tcp://10.96.14.4:19530",
        "DB_PORT_19530_TCP": "tcp://10.96.14.4:19530",
    }
    assert warnings(**links) == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("WORKER", "WORKERS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("API_KEY", "API_KEYS"),
        ("TORCH_INDX", "TORCH_INDEX"),
        ("CATALOG", "INDEX"),
    ],
)
def test_mistyped_names(name: str, nearest: str) -> None:
    """A name that there is not is told with the nearest that there is, and without its value."""
    (warning,) = warnings(**{name: "geheim"})
    assert f"SOLEMATE_{name} is not a setting" in warning
    assert warning.endswith(f"did you mean SOLEMATE_{nearest}?")
    assert "geheim" not in warning


def test_name_like_no_other() -> None:
    """Where no name is near, the list of them is."""
    (warning,) = warnings(QQQ="1")
    assert warning.endswith("`solemate settings` lists those that are")


def test_foreign_names() -> None:
    """Names without the prefix are nobody's business, and known ones are known in lower case too."""
    assert list(check_environment({"SOLE": "1", "PATH": "/bin", "solemate_workers": "3"}, SETTINGS)) == []


def test_commands_tell_it(tmp_path: Path) -> None:
    """`serve` and the other commands warn of a mistyped name before they do their work."""
    for command in (("serve", "--port", "0", "--workers", "1"), ("verify",)):
        done = run_main(*command, SOLEMATE_CHECKPOINT=str(tmp_path), SOLEMATE_MAXK="5", SOLEMATE_INDEX=str(tmp_path))
        assert done.status == 1
        assert done.error.count("did you mean SOLEMATE_MAX_K?") == 1


def used_names() -> set[str]:
    """Every name with the prefix in what reads or sets the environment."""
    files = [ROOT / "Dockerfile", ROOT / "docker-compose.yml", *(ROOT / "scripts").iterdir()]
    files += [path for folder in ("service", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in files if path != Path(__file__))
    return set(re.findall(r"(?<![A-Z_])SOLEMATE_([A-Z][A-Z_]*[A-Z])\b", text))


def test_all_names_in_use_are_known() -> None:
    """What scripts, containers, tests and measurements read is not warned of; what nothing reads is not listed."""
    used = used_names() - {name.upper() for name in SETTINGS}
    assert used == OTHERS


@pytest.mark.parametrize("name", ["service", "index-milvus", "replica-1", "replica-2"])
def test_compose_passes_every_setting(name: str) -> None:
    """Each setting reaches the containers that serve, but those that the image fixes; unset ones as nothing."""
    passed = COMPOSE["services"][name]["environment"]
    assert set(passed) == {f"SOLEMATE_{setting.upper()}" for setting in SETTINGS.keys() - OF_THE_IMAGE}
    fixed = {"SOLEMATE_WORKERS", "SOLEMATE_STORE"} if "milvus" in str(passed) else {"SOLEMATE_WORKERS"}
    assert {variable for variable, value in passed.items() if value is not None} == fixed


def test_image_fixes_the_rest() -> None:
    """What Compose does not pass on has its value from the image."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert all(re.search(rf"^ +SOLEMATE_{name.upper()}=", text, re.MULTILINE) for name in OF_THE_IMAGE)
