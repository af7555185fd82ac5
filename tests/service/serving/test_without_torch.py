"""A service whose checkpoint has ONNX files does without torch."""

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.checkpoint import save_checkpoint
from model.localizer import Localizer, LocalizerConfig
from model.onnx_checkpoint import FOLDER
from service.serving.bootstrap import open_backend
from service.serving.generations import Live, OneProcess
from service.settings import Settings
from tests.model.networks import fixed_weights
from tests.support.commands import run_main
from tests.support.server import environment
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint
from training.onnx_export import export_onnx

SERVE = """
import sys
from functools import partial
from pathlib import Path
from starlette.testclient import TestClient
from service.http.app import create_app
from service.serving.bootstrap import open_backend
from service.serving.generations import Live, OneProcess
from service.settings import Settings

folder = Path(sys.argv[1])
settings = Settings(checkpoint=folder / "checkpoint", index=folder / "catalog")
live = Live(partial(open_backend, settings))
with TestClient(create_app(settings, live, OneProcess(live))) as client:
    client.portal.call(live.start)
    for name in ("shoe.jpg", "photo.png"):
        answer = client.post("/v1/search?k=1", files={"image": (folder / name).read_bytes()}).raise_for_status().json()
        print(answer["hits"][0]["id"], answer["subject"] is not None)
    client.get("/v1/items/1000.1/reconstruction").raise_for_status()
    client.get("/readyz").raise_for_status()
    print(client.get("/v1/info").raise_for_status().json()["checkpoint"]["runtime"])
    client.portal.call(live.close)
print("torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a localizer and ONNX files, an indexed catalogue, and pictures to ask for."""
    folder = tmp_path_factory.mktemp("stack")
    made = make_checkpoint(folder / "checkpoint")
    localizer = fixed_weights(Localizer(LocalizerConfig(size=16, widths=(4, 8))))
    preprocess = replace(made.preprocess, framing="subject")
    save_checkpoint(folder / "checkpoint", replace(made, localizer=localizer, preprocess=preprocess))
    export_onnx(folder / "checkpoint")
    done = run_main(
        *("index", "--catalog", str(draw_catalog(folder / "demo", 6)), "--checkpoint", str(folder / "checkpoint")),
        *("--out", str(folder / "catalog"), "--device", "cpu", "--no-map"),
    )
    assert done.status == 0, done
    (folder / "shoe.jpg").write_bytes(draw_shoe(0))
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.png")
    return folder


def test_a_service_never_loads_torch(folder: Path) -> None:
    """Searches by a catalogue picture and by a photo, drawings, and the check of readiness are done without it."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(folder)], env=environment(), check=True, capture_output=True, text=True
    )
    shoe, photo, runtime, loaded = done.stdout.split("\n")[:4]
    assert shoe == "1000.1 True"
    assert photo.split()[0].startswith("100")
    assert (runtime, loaded) == ("onnx", "False"), done.stderr


async def test_a_reload_chooses_anew(folder: Path, tmp_path: Path) -> None:
    """What runs the networks is what the checkpoint's folder has at the time; answers stay the same."""
    shutil.copytree(folder / "checkpoint", tmp_path / "checkpoint")
    live = Live(partial(open_backend, Settings(checkpoint=tmp_path / "checkpoint", index=folder / "catalog")))
    await live.start()
    runtimes, vectors = [], []
    for change in ("none", "gone", "back"):
        if change == "gone":
            shutil.rmtree(tmp_path / "checkpoint" / FOLDER)
        elif change == "back":
            shutil.copytree(folder / "checkpoint" / FOLDER, tmp_path / "checkpoint" / FOLDER)
        await OneProcess(live).reload()
        engine = live.current.engine
        runtimes.append(engine.network.runtime)
        vectors.append(engine.embed([draw_shoe(1)])[0])
    await live.close()
    assert runtimes == ["onnx", "torch", "onnx"]
    np.testing.assert_allclose(vectors, vectors[:1] * 3, rtol=0, atol=1e-4)
