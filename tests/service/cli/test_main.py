"""The commands, and how they fail."""

import json
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from service.catalog.indexing.index import index_catalog
from service.catalog.maintenance.duplicates import MEASURE
from service.serving.bootstrap import open_engine
from service.settings import Settings
from service.store.base import iterate_items
from service.store.embedded.store import EmbeddedStore
from tests.support.commands import Done, run_main
from tests.support.stack import draw_catalog, draw_shoe, make_checkpoint


class Folder:
    """A small catalogue and a checkpoint, and the commands on them."""

    def __init__(self, path: Path) -> None:
        self.demo = draw_catalog(path / "demo", 10)
        self.checkpoint = path / "checkpoint"
        self.catalog = path / "catalog"
        make_checkpoint(self.checkpoint)

    def index(self, *options: str, catalog: str | None = None) -> Done:
        """Run `index`."""
        return run_main(
            *("index", "--catalog", catalog or str(self.demo), "--checkpoint", str(self.checkpoint)),
            *("--out", str(self.catalog), "--device", "cpu", *options),
        )

    def serve(self, *options: str) -> Done:
        """Run a `serve` that is expected to fail."""
        return run_main(
            *(
                "serve",
                "--port",
                "0",
                "--workers",
                "1",
                "--checkpoint",
                str(self.checkpoint),
                "--index",
                str(self.catalog),
                *options,
            )
        )

    def vectors(self) -> dict[str, np.ndarray]:
        """Everything in the store."""
        with closing(EmbeddedStore.open(self.catalog)) as store:
            return {item.id: store.vector(item.id) for item in iterate_items(store)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A fresh one."""
    return Folder(tmp_path)


def error_of(done: Done) -> str:
    """The one line of a command that failed as it should."""
    assert done.status == 1, done
    assert done.output == ""
    assert "Traceback" not in done.error
    lines = [line for line in done.error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_index_tells_what_it_did(folder: Folder) -> None:
    """The last line of an indexing counts what it did; a second one finds all of it there."""
    assert folder.index().output.endswith("10 embedded, 0 were there, 0 removed, 0 rows left out\n")
    assert folder.index().output.endswith("0 embedded, 10 were there, 0 removed, 0 rows left out\n")
    assert len(folder.vectors()) == 10


def test_index_in_parts(folder: Folder) -> None:
    """Parts fill one store, and each tells which it was."""
    outputs = [folder.index("--shard", f"{number}/2").output for number in (1, 2)]
    assert "; part 1/2 of the catalogue: " in outputs[0]
    assert outputs[1].startswith("10 shoes are in ")
    assert folder.index().output.endswith("0 embedded, 10 were there, 0 removed, 0 rows left out\n")


def test_wrong_parts_are_refused(folder: Folder) -> None:
    """What is no part is told, and a rebuild does not take from the parts what they are storing."""
    assert "expected i/n" in error_of(folder.index("--shard", "3/2"))
    folder.index()
    assert "--rebuild" in error_of(folder.index("--rebuild", "--shard", "1/2"))
    assert len(folder.vectors()) == 10


def test_missing_artifacts_name_the_command(folder: Folder) -> None:
    """Without artifacts a command ends with the command that makes them."""
    assert "python -m service index" in error_of(folder.serve())
    shutil.rmtree(folder.checkpoint)
    assert "python -m training train" in error_of(folder.serve())
    assert "python -m training train" in error_of(folder.index())
    assert not folder.catalog.exists()


def test_missing_artifacts_start_no_workers(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint or a catalogue that is not there is told before any process is started."""
    monkeypatch.setattr("service.server.supervisor.Supervisor", None)
    assert "python -m service index" in error_of(folder.serve("--workers", "2"))
    folder.index()
    shutil.rmtree(folder.checkpoint)
    assert "python -m training train" in error_of(folder.serve("--workers", "2"))


def test_other_checkpoint_is_refused(folder: Folder) -> None:
    """A catalogue indexed by another checkpoint is neither served nor added to; --rebuild makes it anew."""
    folder.index()
    before = folder.vectors()
    make_checkpoint(folder.checkpoint, seed=1)
    assert "--rebuild" in error_of(folder.serve())
    assert "--rebuild" in error_of(folder.index())
    assert "10 embedded" in folder.index("--rebuild").output
    after = folder.vectors()
    assert before.keys() == after.keys()
    assert not np.allclose(before["1000.1"], after["1000.1"])


def test_failed_rebuild_keeps_what_was_there(folder: Folder) -> None:
    """A rebuild of a catalogue that can't be read leaves the old index as it was."""
    folder.index()
    assert "no catalogue at" in error_of(folder.index("--rebuild", catalog=str(folder.demo / "nowhere")))
    assert len(folder.vectors()) == 10


@pytest.mark.parametrize(
    ("options", "command"), [((), "the same command"), (("--rebuild",), "the same command without --rebuild")]
)
def test_a_stopped_index_goes_on(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], command: str
) -> None:
    """What is printed when an indexing is stopped is a command that embeds only the rest."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "service.catalog.indexing.index.index_catalog",
            lambda *given, **_: index_catalog(*given, batch_size=2, stop=lambda: True),
        )
        done = folder.index(*options)
    assert f"8 shoes are still to embed; {command} goes on from here" in done.error
    assert "8 embedded, 2 were there" in folder.index().output


def test_near_duplicates_are_measured_before_the_map(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while the map is drawn leaves the measure of this catalogue, not that of the one before."""
    folder.index()
    (folder.catalog / MEASURE).write_text("of the catalogue before")
    monkeypatch.setattr("service.cli.main._draw_map", Mock(side_effect=KeyboardInterrupt))
    assert folder.index().status == 130
    assert not (folder.catalog / MEASURE).exists()  # of so few shoes there is none


def test_too_many_bad_pictures(folder: Folder) -> None:
    """Too many bad pictures end an indexing with the reason and the report; the option lets them pass."""
    next(folder.demo.rglob("1000.1.jpg")).write_bytes(b"not a picture")
    assert "--max-bad-share" in error_of(folder.index())
    assert "1000.1" in (folder.catalog / "bad-rows.csv").read_text()
    assert folder.index("--max-bad-share", "0.1").output.endswith("1 rows left out\n")
    assert len(folder.vectors()) == 9


def test_csv_catalogue(folder: Folder, tmp_path: Path) -> None:
    """A CSV file of shoes is indexed with the columns that its spelling names."""
    (tmp_path / "a.jpg").write_bytes(draw_shoe(1))
    (tmp_path / "shoes.csv").write_text("sku,photo,colour\nA1,a.jpg,red;white\n")
    spec = f"csv:{tmp_path}/shoes.csv?id=sku&image=photo&attributes=colour"
    assert folder.index(catalog=spec).output.startswith("1 shoes")
    with closing(EmbeddedStore.open(folder.catalog)) as store:
        assert store.get("A1").attributes == {"colour": ("red", "white")}


def test_port_taken(folder: Folder) -> None:
    """A port that is taken ends `serve` before anything is loaded, naming it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"127.0.0.1 port {port}" in error_of(folder.serve("--port", str(port)))
    assert "nohost.invalid" in error_of(folder.serve("--host", "nohost.invalid"))


def test_wrong_settings_are_named() -> None:
    """A setting out of range ends `serve` with its name and its value."""
    done = run_main("serve", SOLEMATE_MAX_K="0", SOLEMATE_THREADS="many")
    assert done.status == 2
    assert "SOLEMATE_MAX_K is '0'" in done.error
    assert "SOLEMATE_THREADS is 'many'" in done.error
    assert run_main("serve", "--port", "70000").status == 2


def test_log_can_be_json(tmp_path: Path) -> None:
    """With that setting every line of the log is a JSON object, from the first one on."""
    done = run_main("serve", "--port", "0", "--checkpoint", str(tmp_path), "--workers", "1", SOLEMATE_LOG_FORMAT="json")
    log = [line for line in done.error.splitlines() if not line.startswith("error: ")]
    assert json.loads(log[0])["message"].startswith("settings: ")
    assert all("level" in json.loads(line) for line in log)


def test_device_that_is_not_there(folder: Folder) -> None:
    """A device that can't be used is an error that names those that can be asked for."""
    assert "expected auto, cpu or cuda" in error_of(folder.index("--device", "abacus"))


def test_unfinished_index_is_told(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    """Serving what an interrupted indexing left says so."""
    folder.index()
    (folder.catalog / "indexing-unfinished").touch()
    open_engine(Settings(checkpoint=folder.checkpoint, index=folder.catalog)).close()
    assert "did not finish" in caplog.text


def test_commands_load_only_what_they_need() -> None:
    """--help and the supervision of workers do without NumPy, and serving without torch and what Milvus needs."""
    code = """
import sys, service.cli.main
import service.http.middleware.auth, service.server.listener, service.server.supervisor  # before workers start
assert not {"numpy", "torch"} & sys.modules.keys()
import service.server.run, service.store.factory
assert not {"matplotlib", "pymilvus", "torch", "training"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unusable_keys_stop_the_start() -> None:
    """API keys that can't be used are told at once, by number and never by what they are."""
    done = run_main("serve", "--port", "0", SOLEMATE_API_KEYS="me:read:hunter2")
    assert done.status == 1
    assert "error: API key 1, in SOLEMATE_API_KEYS" in done.error
    assert "hunter2" not in done.error
