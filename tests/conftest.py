"""How examples are drawn, and what tests of whole processes share: `e2e` and `system`."""

import gc

import pytest
from hypothesis import HealthCheck, settings

from tests.support.commands import run_main
from tests.support.server import Artifacts, index_arguments
from tests.support.stack import draw_catalog, make_checkpoint

COUNT = 40

# The same examples in each run: what breaks is a change, not a draw. `--hypothesis-profile default` draws others.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that was imported, which it would go through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """Forty drawn shoes with Category, SubCategory, Closure, Gender and Brand, indexed; only to be read."""
    folder = tmp_path_factory.mktemp("artifacts")
    made = Artifacts(draw_catalog(folder / "demo", COUNT), folder / "checkpoint", folder / "catalog")
    make_checkpoint(made.checkpoint)
    done = run_main(*index_arguments(made))
    assert done.status == 0, done.error
    return made
