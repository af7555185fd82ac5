"""The demo catalogue: its layout, its determinism, its vocabulary, and what it refuses to overwrite."""

import csv
import hashlib
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.errors import CatalogError
from training.demo_catalog import ShoeFacts, catalog, draw_demo_catalog, draw_shoe, plan_shoes
from training.demo_catalog.attributes import BRANDS, COLUMNS, KINDS

SUBCATEGORIES = {
    "Shoes": {
        "Sneakers and Athletic Shoes", "Loafers", "Crib Shoes", "Prewalker", "Flats", "Clogs and Mules", "Oxfords",
        "Firstwalker", "Heels", "Boat Shoes",
    },
    "Boots": {"Prewalker Boots", "Ankle", "Over the Knee", "Knee High", "Mid-Calf"},
    "Sandals": {"Athletic", "Heel", "Flat"},
    "Slippers": {"Boot", "Slipper Heels", "Slipper Flats"},
}  # fmt: skip
HEELS = {
    "Flat", "Under 1in", "1in - 1 3/4in", "2in - 2 3/4in", "3in - 3 3/4in", "4in - 4 3/4in", "5in & over",
}  # fmt: skip
CLOSURES = {
    "Ankle Strap", "Buckle", "Elastic Gore", "Hook and Loop", "Lace up", "Monk Strap", "Pull-on", "Sling Back",
    "Slip-On", "T-Strap", "Zipper",
}  # fmt: skip
TOES = {
    "Almond", "Apron Toe", "Bump Toe", "Capped Toe", "Closed Toe", "Medallion", "Moc Toe", "Open Toe", "Peep Toe",
    "Pointed Toe", "Round Toe", "Square Toe", "Wingtip",
}  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file under `folder`, by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the catalogue's table."""
    with (folder / "ut-zap50k-data" / "meta-data.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalogue of 120 shoes, drawn once."""
    folder = tmp_path_factory.mktemp("demo") / "catalog"
    draw_demo_catalog(folder, count=120, workers=1)
    return folder


@pytest.fixture(scope="module")
def plan() -> list[ShoeFacts]:
    """Return the facts of the usual catalogue."""
    return list(plan_shoes(2000))


def test_layout(drawn: Path) -> None:
    """Each row of meta-data.csv has its picture at Category/SubCategory/Brand/ProductID.ColorID.jpg."""
    with (drawn / "ut-zap50k-data" / "meta-data.csv").open(encoding="utf-8") as file:
        assert file.readline().rstrip("\n").split(",") == list(COLUMNS)
    pictures = {path.stem: path.relative_to(drawn / "ut-zap50k-images").parts for path in drawn.rglob("*.jpg")}
    rows = rows_of(drawn)
    assert len(rows) == len(pictures) == 120
    for row in rows:
        category, subcategory, brand, _ = pictures[row["CID"].replace("-", ".")]
        assert (category, subcategory) == (row["Category"], row["SubCategory"])
        assert brand in BRANDS


def test_picture(drawn: Path) -> None:
    """A picture is a 136x102 RGB JPEG, white at its border, with a shoe in the middle."""
    for path in sorted(drawn.rglob("*.jpg"))[:40]:
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (136, 102))
            pixels = np.asarray(picture)
        assert pixels[0].min() > 230, path
        assert (pixels.min(axis=2) < 225).mean() > 0.05, path


def test_same_seed_same_bytes_whatever_the_workers(drawn: Path, tmp_path: Path) -> None:
    """Two processes draw, byte for byte, what one drew."""
    draw_demo_catalog(tmp_path / "again", count=120, workers=2)
    assert digests(tmp_path / "again") == digests(drawn)


def test_a_shoe_does_not_depend_on_the_count(drawn: Path, tmp_path: Path) -> None:
    """A smaller catalogue is the beginning of a larger one."""
    draw_demo_catalog(tmp_path / "small", count=7)
    small, large = digests(tmp_path / "small" / "ut-zap50k-images"), digests(drawn / "ut-zap50k-images")
    assert small.items() <= large.items()
    assert rows_of(tmp_path / "small") == rows_of(drawn)[:7]


@pytest.mark.parametrize("count", [1, 7])
def test_any_count(tmp_path: Path, count: int) -> None:
    """Any number of shoes can be drawn into an empty folder, and progress adds up to it."""
    steps: list[int] = []
    (tmp_path / "demo").mkdir()
    draw_demo_catalog(tmp_path / "demo", count=count, on_progress=steps.append)
    assert len(rows_of(tmp_path / "demo")) == sum(steps) == count


def test_draw_shoe_is_pure() -> None:
    """The same facts give the same picture and row, however often and in whatever order; another seed, others."""
    shoes = list(plan_shoes(6, seed=3))
    before = [draw_shoe(shoe) for shoe in shoes]
    after = [draw_shoe(shoe) for shoe in reversed(shoes)][::-1]
    assert [(picture.tobytes(), row) for picture, row in before] == [(picture.tobytes(), row) for picture, row in after]
    assert draw_shoe(next(plan_shoes(1, seed=4)))[0].tobytes() != before[0][0].tobytes()


def test_all_kinds_come_up(plan: list[ShoeFacts]) -> None:
    """The usual catalogue has all 4 categories and 21 subcategories, each about as often as its share says."""
    counts = Counter((shoe.category, shoe.subcategory) for shoe in plan)
    assert {category: {sub for cat, sub in counts if cat == category} for category, _ in counts} == SUBCATEGORIES
    total = sum(kind.share for kind in KINDS)
    for kind in KINDS:
        share = kind.share / total * len(plan)
        assert 0.5 * share < counts[kind.category, kind.subcategory] < 1.7 * share


def test_a_small_catalogue_has_all_categories() -> None:
    """A hundred shoes are enough to see every category."""
    for seed in range(5):
        assert {shoe.category for shoe in plan_shoes(100, seed)} == set(SUBCATEGORIES)


def test_color_variants_share_their_product(plan: list[ShoeFacts]) -> None:
    """Variants have one ProductID, other ColorIDs, the same attributes, and the same shape."""
    products: dict[int, list[ShoeFacts]] = defaultdict(list)
    for shoe in plan:
        products[shoe.product_id].append(shoe)
    several = [shoes for shoes in products.values() if len(shoes) > 1]
    assert len(several) > len(products) / 4
    for shoes in several:
        assert len({shoe.color_id for shoe in shoes}) == len(shoes)
        rows = [{**shoe.attributes, "CID": ""} for shoe in shoes]
        assert all(row == rows[0] for row in rows)
        assert len({shoe.path.rpartition("/")[0] for shoe in shoes}) == 1
    assert len({shoe.path for shoe in plan}) == len(plan)


def test_vocabulary(plan: list[ShoeFacts]) -> None:
    """Attributes use UT-Zap50K's words, and all of those that the demo knows come up."""
    seen: dict[str, set[str]] = defaultdict(set)
    for shoe in plan:
        for column, value in shoe.attributes.items():
            seen[column] |= set(value.split(";"))
    assert seen["HeelHeight"] == HEELS
    assert seen["Closure"] == CLOSURES
    assert seen["Gender"] == {"Men", "Women", "Boys", "Girls"}
    assert seen["ToeStyle"] == TOES
    assert "" not in seen["Material"]


def test_every_word_of_a_kind_can_be_drawn() -> None:
    """No combination of heel, closure, material and toe that a kind allows fails to draw."""
    for shoe in plan_shoes(700, seed=11):
        if shoe.variant == 0:
            picture, row = draw_shoe(shoe)
            assert picture.size == (136, 102)
            assert row["SubCategory"] == shoe.subcategory


def test_an_older_demo_catalogue_is_replaced(tmp_path: Path) -> None:
    """Drawing again into a demo catalogue leaves the new one only."""
    draw_demo_catalog(tmp_path / "demo", count=5)
    draw_demo_catalog(tmp_path / "demo", count=2, seed=4)
    assert len(rows_of(tmp_path / "demo")) == len(list(tmp_path.rglob("*.jpg"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.parametrize("content", ["ut-zap50k-data/meta-data.csv", "notes.txt", "demo-catalog.json"])
def test_refuses_a_folder_that_is_not_its_own(tmp_path: Path, content: str) -> None:
    """A folder that holds anything else is left as it is, and so is a file."""
    file = tmp_path / "mine" / content
    file.parent.mkdir(parents=True)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(CatalogError, match="isn't a demo catalogue"):
        draw_demo_catalog(tmp_path / "mine", count=1)
    with pytest.raises(CatalogError, match="is a file"):
        draw_demo_catalog(file, count=1)
    assert file.read_text(encoding="utf-8") == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("name", "count", "seed", "workers"), [("count", 0, 0, 1), ("seed", 1, -1, 1), ("workers", 1, 0, 0)]
)
def test_refuses_numbers_out_of_range(tmp_path: Path, name: str, count: int, seed: int, workers: int) -> None:
    """The error names the number at fault, and nothing is made."""
    with pytest.raises(CatalogError, match=name):
        draw_demo_catalog(tmp_path / "demo", count=count, seed=seed, workers=workers)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_drawing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """Interrupted halfway, the drawing leaves the older catalogue untouched and no half of a new one."""
    draw_demo_catalog(tmp_path / "demo", count=3)
    before = digests(tmp_path)
    real, calls = draw_shoe, iter(range(4))

    def draw_four(facts: ShoeFacts) -> tuple[Image.Image, dict[str, str]]:
        if next(calls, None) is None:
            raise error
        return real(facts)

    monkeypatch.setattr(catalog, "draw_shoe", draw_four)
    for name in ("demo", "other"):
        with pytest.raises(error):
            draw_demo_catalog(tmp_path / name, count=9, workers=1)
    assert digests(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_attributes_are_seen(plan: list[ShoeFacts]) -> None:
    """High heels stand higher than flats, knee boots higher than ankle boots, men's sneakers larger than girls'."""

    def height(shoes: list[ShoeFacts]) -> float:
        return float(np.mean([(np.asarray(draw_shoe(shoe)[0]).min(axis=(1, 2)) < 200).sum() for shoe in shoes[:12]]))

    def width(shoes: list[ShoeFacts]) -> float:
        return float(np.mean([(np.asarray(draw_shoe(shoe)[0]).min(axis=(0, 2)) < 200).sum() for shoe in shoes[:12]]))

    pumps = [shoe for shoe in plan if shoe.subcategory == "Heels" and shoe.closure == ("Slip-On",)]
    assert height([s for s in pumps if s.heel == "4in - 4 3/4in"]) > 1.4 * height(
        [s for s in pumps if s.heel[0] == "1"]
    )
    boots = {name: [shoe for shoe in plan if shoe.subcategory == name] for name in ("Ankle", "Knee High")}
    assert height(boots["Knee High"]) / width(boots["Knee High"]) > 1.5 * height(boots["Ankle"]) / width(boots["Ankle"])
    sneakers = [shoe for shoe in plan if shoe.subcategory.startswith("Sneakers")]
    assert width([s for s in sneakers if "Men" in s.gender]) > 1.15 * width(
        [s for s in sneakers if "Girls" in s.gender]
    )


def test_processes_that_can_not_start_are_an_error(tmp_path: Path) -> None:
    """A script on standard input, which no new process can read again, ends with an error and leaves no catalogue."""
    script = (
        "from pathlib import Path\nfrom training.demo_catalog import draw_demo_catalog\n"
        f"draw_demo_catalog(Path({str(tmp_path / 'demo')!r}), count=120, workers=2)\n"
    )
    result = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode != 0
    assert "BrokenProcessPool" in result.stderr
    assert not (tmp_path / "demo").exists()
