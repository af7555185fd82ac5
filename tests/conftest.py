"""What tests of whole processes share: `e2e` and `system`."""

import pytest

from tests.support.commands import run_main
from tests.support.server import Artifacts, index_arguments
from tests.support.stack import draw_catalog, make_checkpoint

COUNT = 40


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """Forty drawn shoes with Category, SubCategory, Closure, Gender and Brand, indexed; only to be read."""
    folder = tmp_path_factory.mktemp("artifacts")
    made = Artifacts(draw_catalog(folder / "demo", COUNT), folder / "checkpoint", folder / "catalog")
    make_checkpoint(made.checkpoint)
    done = run_main(*index_arguments(made))
    assert done.status == 0, done.error
    return made
