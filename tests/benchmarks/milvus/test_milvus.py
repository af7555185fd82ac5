"""The benchmark of Milvus notices what it is there to notice: it is held against a store that lies."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("pymilvus")

from benchmarks.milvus import faults, server
from benchmarks.milvus.cli import format_faults
from benchmarks.milvus.faults import K, Outage, Story
from benchmarks.milvus.replicas import Answer, Replica
from benchmarks.milvus.shoes import DIMENSION, WHOLE, make_queries, make_records, make_vectors, nearest
from service.store.base import StoreSpec, VectorStore
from service.store.embedded.store import EmbeddedStore

SHOES = 60


class FakeReplica:
    """Answers as a replica over a store does; `lie` is put in the place of its next answers to searches."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        self.lie: Answer | None = None

    def get(self, path: str) -> Answer:
        """Pages of shoes and facets."""
        body: dict[str, Any] = {"facets": self.store.facets()}
        if path.startswith("/v1/items?"):
            body = {"items": [{"id": item.id} for item in self.store.page(limit=1000).items], "next": None}
        return Answer(200, body, "", 0.0)

    def search(self, vector: list[float], *, k: int = 10, filter: tuple[str, ...] = ()) -> Answer:
        """A search by a vector."""
        if self.lie is not None:
            return self.lie
        hits = self.store.search(np.array([vector], dtype=np.float32), k)[0]
        return Answer(200, {"hits": [{"id": hit.item.id, "distance": hit.distance} for hit in hits]}, "", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VectorStore]:
    """Shoes that never change."""
    made = EmbeddedStore.create(tmp_path, StoreSpec.of(DIMENSION, WHOLE, "c0ffee", tmp_path))
    with closing(made):
        made.upsert(make_records(make_vectors(SHOES)))
        yield made


@pytest.fixture
def story(store: VectorStore) -> Story:
    """Two replicas over them."""
    replicas = [cast("Replica", FakeReplica(store)) for _ in range(2)]
    return Story(cast("Any", store), replicas, make_vectors(SHOES))


def write_once(story: Story) -> None:
    """Let the writer do one round."""
    look = story._look

    def stop(number: int) -> None:
        look(number)
        story.over.set()

    story._look = stop  # type: ignore[method-assign]
    story.write()


def test_all_is_well(story: Story) -> None:
    """A store that keeps to its word gives no problem, and all is counted."""
    write_once(story)
    story.verify()
    assert story.agree() == 204
    assert story.book.problems == []
    assert (story.book.acknowledged, story.book.seen, story.book.away) == (2, 2, 0)


@pytest.mark.parametrize(
    ("lost", "said"), [("new-1-3", "1 acknowledged shoes are lost, such as new-1-3"), ("shoe-7", "such as shoe-7")]
)
def test_a_lost_write(story: Story, store: VectorStore, lost: str, said: str) -> None:
    """A shoe that was acknowledged and is gone is told."""
    write_once(story)
    store.delete([lost])
    story.verify()
    assert said in story.book.problems[0]


def test_a_phantom(story: Story, store: VectorStore) -> None:
    """So is one that nobody has written."""
    store.upsert(make_records(make_vectors(1), prefix="phantom"))
    story.verify()
    assert story.book.problems == ["1 shoes are there that should not be, such as phantom-0"] * 2


def test_an_older_state(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """And an acknowledged change that no later answer has."""
    monkeypatch.setattr(faults, "SEEN_SECONDS", 0.1)
    write_once(story)
    story.written["counter"] = 2
    story.verify()
    story._look(2)
    assert story.book.problems[0] == "counter has another vector than was acknowledged, or none"
    assert "change 2 is in no answer" in story.book.problems[1]


def test_a_wrong_answer(story: Story) -> None:
    """Readers compare each answer with the exact one, and replicas with each other."""
    fake = cast("FakeReplica", story.replicas[0])
    fake.lie = Answer(200, {"hits": [{"id": "shoe-0"}] * K}, "", 0.0)

    class Once:
        """Lets the reader ask once."""

        asked = False

        def is_set(self) -> bool:
            before, self.asked = self.asked, True
            return before

    story.over = cast("Any", Once())
    story.read(story.replicas[0], 0)
    assert "question" in story.book.problems[0]
    story.agree()
    assert "the replicas differ" in story.book.problems[1]
    text = format_faults(story.book, [Outage(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)], 7)
    assert f"differences: {len(story.book.problems)}" in text
    assert "| 1 | 1.0 | 2.0 | 3.0 | 4.0 | 5.0 | 6.0 |" in text


def test_nearest_is_the_definition() -> None:
    """What answers are compared with agrees with a plain loop."""
    vectors, queries = make_vectors(SHOES), make_queries(make_vectors(SHOES), 5)
    for query, rows in zip(queries, nearest(vectors, queries, 3), strict=True):
        distances = [float(((vector.astype(float) - query) ** 2).sum()) for vector in vectors]
        assert rows.tolist() == sorted(range(SHOES), key=lambda row: (distances[row], row))[:3]


def test_a_server_that_others_could_reach_is_not_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It listens on all interfaces, so there may be no other than the loopback."""
    text = "Inter-|\n face |\n lo: 0\n eth0: 0\n"
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_more: text)
    with pytest.raises(RuntimeError, match=r"eth0.*ip netns"):
        server.MilvusProcess(tmp_path / "milvus-server", tmp_path)
