"""Which version of solemate this is."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def find_version() -> str:
    """The version of solemate that is installed; in a tree that was not installed, the tree's."""
    try:
        return version("solemate")
    except PackageNotFoundError:
        pass
    try:
        project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])
    except (OSError, LookupError):
        return "unknown"
