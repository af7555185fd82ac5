"""The measuring of servers, tried on a stand-in: no peer is started."""

import io
import json
import shutil
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import ceiling, cli, load
from benchmarks.serving.load import BenchmarkError, Load
from benchmarks.serving.peers.work import Work
from benchmarks.serving.report import Measurement, describe_goals, format_table, make_rows
from benchmarks.serving.servers import Server, serve
from benchmarks.serving.workload import Workload, make_workload
from model.checkpoint import load_checkpoint
from model.embedder import Embedder
from service.store.embedded.store import EmbeddedStore

STUB = Server(
    name="solemate",  # no environment of its own
    title="stand-in",
    path="/search",
    field="image",
    command=(str(Path(__file__).with_name("stub.py")), "FOLDER", "{port}"),
    packages=(),
)
PLAN = cli.Plan(clients=(2,), seconds=0.3, rounds=1, warm_seconds=0.1)


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """Four pictures and sixty vectors."""
    return make_workload(tmp_path_factory.mktemp("serving"), items=60, pictures=4)


@pytest.fixture
def stub(workload: Workload) -> Server:
    """The stand-in, for that workload."""
    script, _, port = STUB.command
    return replace(STUB, command=(script, str(workload.folder), port))


def test_workload_is_made_once(workload: Workload) -> None:
    """A folder made from the same is taken as it is; of something else, only what was made there is replaced."""
    network = workload.checkpoint / "weights.safetensors"
    before = network.stat().st_mtime_ns
    assert make_workload(workload.folder, items=60, pictures=4) == workload
    assert network.stat().st_mtime_ns == before


def test_pictures_of_a_folder(tmp_path: Path, workload: Workload) -> None:
    """Pictures are taken evenly of a folder's JPEGs, by name; a folder without is an error that names it."""
    folder = tmp_path / "shots"
    folder.mkdir()
    with pytest.raises(BenchmarkError, match="shots has no JPEGs"):
        make_workload(tmp_path / "work", items=60, pictures=3, images=folder)
    (folder / "notes.txt").write_text("no picture", "utf-8")
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(workload.pictures[number % 4])
    made = make_workload(tmp_path / "work", items=60, pictures=3, images=folder)
    assert made.pictures == tuple(workload.pictures[number] for number in (0, 2, 0))


def test_service_and_peers_find_the_same(workload: Workload) -> None:
    """The peers' own few lines give the service's pixels, vectors and nearest shoes."""
    work, embedder = Work(workload.folder), Embedder(load_checkpoint(workload.checkpoint))
    pixels = np.stack([work.decode(io.BytesIO(jpeg)) for jpeg in workload.pictures])
    np.testing.assert_array_equal(pixels, [embedder.preprocessor.decode(jpeg) for jpeg in workload.pictures])
    vectors = embedder.embed_pixels(pixels)
    np.testing.assert_allclose(work.encode(pixels), vectors, atol=1e-4)
    store = EmbeddedStore.open(workload.catalog)
    try:
        ours = [[hit.item.id for hit in hits] for hits in store.search(vectors, 10)]
    finally:
        store.close()
    peers = [answer["ids"] for answer in work.search(vectors)]
    assert ours == [list(ids) for ids in workload.nearest]
    assert [ids[0] for ids in peers] == [ids[0] for ids in workload.nearest]
    assert [set(ids) for ids in peers] == [set(ids) for ids in workload.nearest]


def test_measures_a_server(workload: Workload, stub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is started, checked, put under load and stopped; its requests, time and memory are counted."""
    monkeypatch.setattr(load, "find_wrk", lambda: None)
    (measured,) = cli.measure(stub, Path(sys.executable), workload, PLAN, 0)
    assert measured.load.requests > 0
    assert measured.load.errors == 0
    assert 0 < measured.load.p50_ms <= measured.load.p99_ms
    assert measured.peak_mib > 1


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_counts_errors(workload: Workload, stub: Server) -> None:
    """With wrk too, every answer that is no success counts as an error and not as throughput."""
    requests = load.prepare("/elsewhere", "image", workload.pictures)
    port = cli.find_port()
    with serve(stub, Path(sys.executable), workload, port=port, workers=1):
        done = load.run_load(port, requests, clients=1, seconds=1, scratch=workload.folder / "requests")
    assert done.errors == done.requests > 0
    assert done.rate == 0


def test_wrong_answers_stop_the_benchmark(workload: Workload, stub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that finds other shoes is not measured."""
    monkeypatch.setattr(load, "find_wrk", lambda: None)
    wrong = replace(workload, nearest=tuple(reversed(workload.nearest)))
    with pytest.raises(BenchmarkError, match="expected"):
        list(cli.measure(stub, Path(sys.executable), wrong, PLAN, 0))


def test_python_load_counts_errors(workload: Workload) -> None:
    """Answers of another status than 2xx, with a length or in chunks, count as errors."""
    answers = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}",
    ]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        answering = threading.Thread(target=_answer_in_turn, args=(listener, answers))
        answering.start()
        requests = load.prepare("/search", "image", workload.pictures[:1])
        done = load.run_load_in_python(listener.getsockname()[1], requests, clients=1, seconds=0.1)
        answering.join()
    assert done.requests > 1
    assert done.errors == done.requests // 2


def _answer_in_turn(listener: socket.socket, answers: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        turn = 0
        while connection.recv(2**20):
            connection.sendall(answers[turn % len(answers)])
            turn += 1


@pytest.mark.parametrize("encoder", cli.ENCODERS)
def test_ceiling_times_each_stage(workload: Workload, encoder: ceiling.Encoder) -> None:
    """Without HTTP, pictures are counted in whole batches and each stage's time is told."""
    done = ceiling.work(ceiling.Job(workload.folder, workload.pictures, encoder, 0.05), lambda: None)
    assert done.pictures % ceiling.BATCH == 0
    assert done.pictures > 0
    assert all(seconds > 0 for seconds in done.stages)


def test_report_compares_medians() -> None:
    """A row is the median of its rounds; ratios are to the best peer at that load, and to the faster runtime alone."""
    measurements = [
        Measurement(server, 32, number, Load(rate, 0, 1.0, 10.0, p99), 2.0, 100.0)
        for server, rates, p99 in (("slow", (90, 100, 110), 60.0), ("solemate", (300, 330, 900), 40.0))
        for number, rate in enumerate(rates)
    ]
    measurements += [replace(each, server="fast", load=replace(each.load, requests=220)) for each in measurements[:3]]
    top = ceiling.Ceiling(660.0, dict.fromkeys(ceiling.STAGES, 1.0), 3.0, 50.0)
    rows = make_rows(
        measurements,
        {"torch": [replace(top, rate=600.0)], "onnx": [top], "torch in bfloat16": [replace(top, rate=990.0)]},
    )
    ours = rows[0]
    assert (ours.server, ours.rate, ours.slowest, ours.fastest) == ("solemate", 330.0, 300.0, 900.0)
    assert (ours.of_peer, ours.of_ceiling) == (1.5, 0.5)
    assert {row.server: row.of_peer for row in rows[1:3]} == {"slow": 100 / 220, "fast": 1.0}
    assert rows[-1].of_ceiling == 1.5
    table = format_table(rows).splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert [line.rpartition(": ")[2] for line in describe_goals(rows)] == ["not met", "not met", "met", "not met"]
    assert json.dumps([row.of_peer for row in rows])
