"""What the server says of itself."""

from pathlib import Path

import numpy as np
import pytest

from service.server.run import describe_start
from service.serving.engine import Engine
from service.store.base import Item, Record
from tests.support.fakes import MemoryStore


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("a.jpg", "image=@a.jpg"),
        ("Levi's® & co.jpg", "'image=@Levi'\"'\"'s® & co.jpg'"),
        ('a;b,"c".jpg', '\'image=@"a;b,\\"c\\".jpg"\''),
    ],
)
def test_example_is_quoted(
    memory_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spelled: str
) -> None:
    """The example names a real picture, from here, as the shell and curl take it."""
    store = memory_engine.store
    assert isinstance(store, MemoryStore)
    store.records.clear()
    store.root = tmp_path
    for image in ("gone.jpg", name):
        store.upsert([Record(Item(image, image, {}), np.zeros(8, np.float32))])
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert describe_start(memory_engine, "http://here") == [
        "solemate serves 2 shoes on http://here",
        f"try:  curl -F {spelled} 'http://here/v1/search?k=5'",
    ]


def test_no_example_without_a_picture(memory_engine: Engine) -> None:
    """A catalogue whose pictures are gone is announced without an example."""
    store = memory_engine.store
    assert isinstance(store, MemoryStore)
    store.root = Path("/nowhere")
    assert describe_start(memory_engine, "http://here") == ["solemate serves 12 shoes on http://here"]
