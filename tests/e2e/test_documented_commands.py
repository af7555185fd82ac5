"""The commands of docs/api.md: there is one for every operation, and each of them works."""

import os
import re
import subprocess
from pathlib import Path

import httpx2

from tests.e2e.conftest import ADMIN_KEY
from tests.support.server import ROOT
from tests.support.stack import draw_shoe

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

COMMANDS = [line.strip() for line in PAGE.splitlines() if re.match(r"    (curl|echo|NEXT=|VECTOR=)", line)]


def test_commands_work(changing: str, tmp_path: Path) -> None:
    """All of them in their order, in one shell; what is refused ends it."""
    (tmp_path / "shoe.jpg").write_bytes(draw_shoe(3))
    # Reading takes a key here as well, since changing does; a service without keys is read by everybody.
    curl = f'curl() {{ command curl -fsS -H "X-API-Key: {ADMIN_KEY}" "$@"; }}'
    script = "\n".join(
        [
            "set -euxo pipefail",
            curl,
            *(f"{command} >/dev/null" if "=$(" not in command else command for command in COMMANDS),
        ]
    )
    environment = {**os.environ, "URL": changing, "KEY": ADMIN_KEY, "A": "1001.2", "B": "1000.1"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_operation_has_one(live_server: str) -> None:
    """The page has a command for each operation that the service describes, and for its metrics."""
    described = httpx2.get(f"{live_server}/openapi.json").json()["paths"]
    expected = {(method.upper(), path) for path, methods in described.items() for method in methods}
    shown = set()
    for command in COMMANDS:
        for given in re.findall(r'"\$URL([^"?]*)', command):
            path = re.sub(r"/items/(\$A|boot-\d)", "/items/{id}", re.sub(r"(map/\w+)/0", r"\1/{n}", given))
            named = re.search(r"-X (\w+)", command)
            posts = re.search(r" (-F|--json|--data-binary) ", command)
            shown.add((named[1] if named else "POST" if posts else "GET", path))
    assert shown == expected | {("GET", "/metrics")}
