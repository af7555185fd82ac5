"""The documents for developers name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PACKAGES = ("model", "training", "service", "solemate", "tests", "benchmarks", "scripts", "docs", "examples")

DOCUMENTS = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md", "examples/README.md")
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)\)")
SOURCE = re.compile(r"`([\w./-]+\.(?:py|js))`")


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """The paths of all source files, relative to the repository."""
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.suffix in {".py", ".js"})
    return {path.relative_to(ROOT).as_posix() for path in files}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Each relative link of a document leads to a file or a folder."""
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_sources_exist(document: Path, sources: set[str]) -> None:
    """Each source file that a document names exists, by its whole path or the end of it."""
    names = SOURCE.findall(document.read_text(encoding="utf-8"))
    assert [name for name in names if not any(f"/{path}".endswith(f"/{name}") for path in sources)] == []
