"""A catalogue in memory, and lists of its ids."""

from pathlib import Path

import pytest

from training.data.images import read_ids


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_ids_in_either_unicode_form(tmp_path: Path, encoding: str) -> None:
    """A list of ids names shoes in form C, whatever form it was written in, and with or without a byte order mark."""
    (tmp_path / "ids.txt").write_text("Größe 1\nGro\u0308ße 2\n\n", encoding=encoding)
    assert read_ids(tmp_path / "ids.txt") == {"Größe 1", "Größe 2"}
