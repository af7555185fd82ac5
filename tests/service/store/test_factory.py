"""Which store the settings name."""

import sys
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import ArtifactError
from service.store.embedded.store import EmbeddedStore
from service.store.factory import create_store, open_store, remove_store
from tests.service.store.naive import SPEC, shoe


def test_a_folder_unless_told_otherwise(folder: Path) -> None:
    """Without an address the store is the embedded one, in the folder, and needs no Milvus."""
    with closing(create_store(folder, SPEC)) as made:
        made.upsert([shoe("a", [1.0])])
    with closing(open_store(folder)) as opened:
        assert isinstance(opened, EmbeddedStore)
        assert opened.info().count == 1
    remove_store(folder)
    assert not (folder / "catalog.sqlite").exists()


def test_milvus_without_its_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    for name in [each for each in sys.modules if each.startswith("service.store.milvus.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(ArtifactError, match=r"pymilvus.*solemate\[milvus\]"):
        open_store(folder, "milvus://127.0.0.1/shoes")
