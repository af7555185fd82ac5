"""Clients that are generated from the served description search with a picture, by the recipes of docs/clients.md.

Skipped, each, where its tools are not there: `pipx install openapi-python-client`, and npm with its registry.
openapi-python-client is none of the development dependencies: it needs an older typer than this project has.
"""

import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.support.server import ROOT, Artifacts

RECIPES = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")


@pytest.fixture
def photo(artifacts: Artifacts) -> Path:
    """A picture of a shoe."""
    return next(artifacts.demo.rglob("*.jpg"))


def recipe(language: str) -> str:
    """The block of code in the documentation."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)
    return str(found)


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def search(url: str, photo: Path) -> list[str]:
    """The ids that a plain request finds."""
    query: dict[str, str | int] = {"k": 3, "filter": "Gender:Women"}
    answer = httpx2.post(f"{url}/v1/search", params=query, files={"image": (photo.name, photo.read_bytes())}).json()
    return [hit["id"] for hit in answer["hits"]]


def test_python_client(live_server: str, photo: Path, tmp_path: Path) -> None:
    """A client by openapi-python-client, generated without a warning, finds the same shoes and gets their pictures."""
    generator = shutil.which("openapi-python-client")
    if generator is None:
        pytest.skip("openapi-python-client is not installed")
    config = "post_hooks: []\n" + recipe("yaml")  # the generator tidies with a ruff of its own, which may not be there
    tmp_path.joinpath("client.yaml").write_text(config, encoding="utf-8")
    document = ("--url", f"{live_server}/openapi.json")
    printed = run(generator, "generate", *document, "--config", "client.yaml", "--meta", "none", cwd=tmp_path)
    assert "WARNING" not in printed, printed
    tmp_path.joinpath("search.py").write_text(recipe("python"), encoding="utf-8")
    # What generated code imports is installed beside the generator.
    python = Path(generator).resolve().with_name("python")
    lines = [line.split() for line in run(python, "search.py", live_server, photo, cwd=tmp_path).splitlines()]
    assert [item_id for item_id, _, _ in lines] == search(live_server, photo)
    for item_id, _, size in lines:
        assert int(size) == len(httpx2.get(f"{live_server}/v1/items/{item_id}/image").content)


def test_typescript_client(live_server: str, photo: Path, tmp_path: Path) -> None:
    """What `scripts/typescript-client` makes compiles with the documentation's code, and finds the same shoes."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path / "repository" / "clients" / "typescript"
    shutil.copytree(ROOT / "clients" / "typescript", folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    script = tmp_path / "repository" / "scripts" / "typescript-client"
    script.parent.mkdir()
    shutil.copy(ROOT / "scripts" / "typescript-client", script)
    install = (npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    if subprocess.run(install, cwd=folder, check=False, capture_output=True, timeout=250).returncode:
        pytest.skip("npm can't fetch what the client is generated with")
    run(script, f"{live_server}/openapi.json", cwd=tmp_path)
    packages = tmp_path / "node_modules"
    packages.mkdir()
    (packages / "solemate-client").symlink_to(folder)
    tmp_path.joinpath("package.json").write_text('{"type": "module"}', encoding="utf-8")
    tmp_path.joinpath("search.ts").write_text(recipe("ts"), encoding="utf-8")
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    run("node", compiler, *("--strict", "--target", "es2022", "--module", "nodenext"), "search.ts", cwd=tmp_path)
    tmp_path.joinpath("main.mjs").write_text(
        'import { readFile } from "node:fs/promises";\n'
        'import { search } from "./search.js";\n'
        "const [url, path] = process.argv.slice(2);\n"
        'console.log((await search(url, new File([await readFile(path)], "shoe.jpg"))).join("\\n"));\n',
        encoding="utf-8",
    )
    assert run("node", "main.mjs", live_server, str(photo), cwd=tmp_path).split() == search(live_server, photo)
