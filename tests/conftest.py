"""What tests of whole processes share: `e2e` and `system`."""

import subprocess
import sys

import pytest

from tests.support.server import Artifacts, environment, index_arguments
from tests.support.stack import draw_catalog, make_checkpoint

COUNT = 40


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """Forty drawn shoes with Category, SubCategory, Closure, Gender and Brand, indexed; only to be read."""
    folder = tmp_path_factory.mktemp("artifacts")
    made = Artifacts(draw_catalog(folder / "demo", COUNT), folder / "checkpoint", folder / "catalog")
    make_checkpoint(made.checkpoint)
    command = [sys.executable, "-m", "service", *index_arguments(made)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return made
