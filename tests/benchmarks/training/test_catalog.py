from pathlib import Path

import pytest

from benchmarks.training.catalog import draw_shoes, make_plan
from model.catalog import read_catalog
from model.errors import CatalogError

TABLE = """id,image,Gender
1,a.jpg,Men
2,b.jpg,Women;Men
3,c.jpg,
4,d.jpg,Women
5,e.jpg,Men
6,f.jpg,Women
"""


def _write(folder: Path, table: str) -> str:
    for name in "abcdef":
        (folder / f"{name}.jpg").write_bytes(b"x")
    (folder / "shoes.csv").write_text(table)
    return f"csv:{folder / 'shoes.csv'}?id=id&image=image&attributes=Gender"


def test_classes(tmp_path: Path) -> None:
    """Shoes with the same values share a class; one without any has none."""
    plan = make_plan(_write(tmp_path, TABLE), network="shoes", epochs=2, batch_size=4, device="cpu")
    assert plan.attributes == {"gender": "Gender"}
    men, both, unknown, women, *others = plan.labels["gender"]
    assert unknown == -1
    assert len({men, both, women}) == 3
    assert others == [men, women]
    assert [part.name for part in plan.slices] == ["gender", "free"]
    assert [Path(path).name for path in plan.images] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]


def test_bad_rows_are_refused(tmp_path: Path) -> None:
    """A catalogue with a row that can't be used is refused: the sides would not train on the same shoes."""
    with pytest.raises(CatalogError, match="1 bad rows, such as"):
        make_plan(_write(tmp_path, TABLE + "6,f.jpg,Men\n"), network="shoes", epochs=2, batch_size=4, device="cpu")


def test_shoes_are_drawn_once(tmp_path: Path) -> None:
    """A second benchmark trains on the shoes that the first one drew."""
    catalog = draw_shoes(tmp_path, 2)
    changed = Path(read_catalog(catalog).shoes[0].image).stat().st_mtime_ns
    assert draw_shoes(tmp_path, 2) == catalog
    assert Path(read_catalog(catalog).shoes[0].image).stat().st_mtime_ns == changed
