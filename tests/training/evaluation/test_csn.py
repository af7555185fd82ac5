"""The lists of Conditional Similarity Networks: their order, their odd files, and what is left out."""

import json
from pathlib import Path

import pytest

from model.errors import CatalogError
from training.evaluation.csn import SPLITS, read_csn, read_listed, write_csn
from training.evaluation.triplet_lists import read_triplets

IMAGES = [
    "Shoes/Oxfords/Bostonian/100627.72.jpg",
    "Boots/Ankle/Levi's /7.1.jpg",
    "Shoes/Heels/L.A.M.B./8.2.jpg",
    "Boots/Mid-Calf/Pablosky Kids/8029595.574.jpg",
    "Slippers/Boot/Acorn/9.3.jpg",
]
IDS = ["9.3", "8.2", "7.1", "100627.72"]
"""As the catalogue orders them; 8029595.574 is not in it."""


def make_lists(folder: Path, lines: str = "0 1 2\n4 2 1\n", split: str = "test", names: str | None = None) -> Path:
    """A copy of the protocol's files, the same list for each condition."""
    (folder / "tripletlists").mkdir(parents=True, exist_ok=True)
    (folder / "filenames.json").write_text("\n".join(IMAGES) + "\n" if names is None else names)
    for condition in ("class", "closure", "gender", "heel"):
        (folder / "tripletlists" / f"{condition}_tripletlist_{split}.txt").write_text(lines)
    return folder


def test_the_far_image_comes_before_the_close_one(tmp_path: Path) -> None:
    """Anchor, far, close of the lists become anchor, positive, negative, as places among the catalogue's ids."""
    lists = read_csn(make_lists(tmp_path), IDS, "test")
    assert [each.condition for each in lists] == ["category", "closure", "gender", "heel"]
    for each in lists:
        assert each.triplets.tolist() == [[3, 1, 2], [0, 2, 1]]
        assert (each.listed, each.missing, each.repeated) == (2, 0, 0)


def test_each_condition_has_its_own_list(tmp_path: Path) -> None:
    """The list called class is the condition category; the others keep their names."""
    make_lists(tmp_path)
    (tmp_path / "tripletlists/class_tripletlist_test.txt").write_text("2 1 0\n")
    lists = {each.condition: each.triplets.tolist() for each in read_csn(tmp_path, IDS, "test")}
    assert lists["category"] == [[1, 3, 2]]
    assert lists["heel"] == [[3, 1, 2], [0, 2, 1]]


def test_lists_beside_the_image_list(tmp_path: Path) -> None:
    """The lists may lie beside `filenames.json` as well."""
    make_lists(tmp_path, split="val")
    for path in list((tmp_path / "tripletlists").iterdir()):
        path.rename(tmp_path / path.name)
    assert len(read_csn(tmp_path, IDS, "val")) == 4


def test_triplets_of_missing_shoes_are_counted(tmp_path: Path) -> None:
    """A triplet with a shoe that the catalogue lacks, or with one shoe twice, is left out and counted."""
    lists = read_csn(make_lists(tmp_path, "0 3 2\n0 1 2\n\n3 3 3\n1 1 2\n2 0 0\n"), IDS, "test")
    assert lists[0].triplets.tolist() == [[3, 1, 2]]
    assert (lists[0].listed, lists[0].missing, lists[0].repeated) == (5, 2, 2)


def test_lines_are_counted_before_some_are_left_out(tmp_path: Path) -> None:
    """The first lines are taken, and none after them fills the place of one that is left out."""
    (first, *_) = read_csn(make_lists(tmp_path, "0 3 2\n0 1 2\n4 2 1\n"), IDS, "test", limit=2)
    assert first.triplets.tolist() == [[3, 1, 2]]
    assert (first.listed, first.missing) == (2, 1)


def test_the_usual_number_of_lines(tmp_path: Path) -> None:
    """20,000 of validation, 40,000 of test and all of training are taken unless another number is given."""
    for split in SPLITS:
        make_lists(tmp_path, split=split)
        (tmp_path / f"tripletlists/class_tripletlist_{split}.txt").write_text("0 1 2\n" * 40_001)
    counts = {split: read_csn(tmp_path, IDS, split)[0].listed for split in SPLITS}
    assert counts == {"train": 40_001, "val": 20_000, "test": 40_000}


@pytest.mark.parametrize("brand", ["Levi's ", "Levi's&#174; ", "Levi's%2E", "Levi's."])
def test_only_the_files_name_counts(tmp_path: Path, brand: str) -> None:
    """However a brand's folder is spelled, its shoe is found by the picture's name; the list may be JSON, too."""
    names = "\r\n".join(["ut-zap50k-images/" + IMAGES[0], f"Boots/Ankle/{brand}/7.1.jpg", IMAGES[2], "", IMAGES[4]])
    for text in ("\ufeff" + names, json.dumps(names.split("\r\n"))):
        make_lists(tmp_path, names=text)
        assert read_csn(tmp_path, IDS, "test")[0].triplets.tolist() == [[3, 1, 2], [0, 2, 1]]


def test_a_brand_that_is_not_utf8(tmp_path: Path) -> None:
    """Bytes of another encoding in a brand's folder hurt nobody, nor does a mark that ends a line elsewhere."""
    make_lists(tmp_path)
    names = [line.encode() for line in IMAGES]
    names[1], names[2] = b"Boots/Ankle/Levi\xb4s\xae\x85/7.1.jpg", "Shoes/Heels/L\u2028/8.2.jpg".encode()
    (tmp_path / "filenames.json").write_bytes(b"\n".join(names))
    assert read_csn(tmp_path, IDS, "test")[0].triplets.tolist() == [[3, 1, 2], [0, 2, 1]]


@pytest.mark.parametrize(
    ("names", "message"),
    [('["a.jpg",', "starts like JSON"), ('["a.jpg", 1]', "something else than image paths"), ("\n\n", "is empty")],
)
def test_unusable_image_lists(tmp_path: Path, names: str, message: str) -> None:
    """An image list that is torn, of other things or empty is refused."""
    with pytest.raises(CatalogError, match=message):
        read_csn(make_lists(tmp_path, names=names), IDS, "test")


@pytest.mark.parametrize("line", ["0 1", "0 1 2 3", "0 1 5", "0 -1 2", "a b c", "0 1 2.0", "0 1 99999999999999999999"])
def test_a_line_that_is_no_triplet_is_named(tmp_path: Path, line: str) -> None:
    """The error gives the file, the line and the numbers that are possible."""
    make_lists(tmp_path, f"0 1 2\n\n{line}\n")
    with pytest.raises(CatalogError, match=r"class_tripletlist_test\.txt, line 3: .* three numbers from 0 to 4"):
        read_csn(tmp_path, IDS, "test")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """A file that is not there, a list without a line and a catalogue without the shoes are errors that say so."""
    with pytest.raises(CatalogError, match=r"no filenames\.json"):
        read_csn(tmp_path, IDS, "test")
    with pytest.raises(CatalogError, match=r"no class_tripletlist_train\.txt .* get_data\.py of .* draw-csn-lists"):
        read_csn(make_lists(tmp_path), IDS, "train")
    with pytest.raises(CatalogError, match=r"none of its 2 triplets .* is the catalogue UT-Zap50K"):
        read_csn(tmp_path, ["a", "b"], "test")
    with pytest.raises(CatalogError, match="has no triplets"):
        read_csn(make_lists(tmp_path, "\n"), IDS, "test")


def test_written_lists_are_for_the_evaluation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The files read back as the same triplets, beside the ids of just their shoes; what is left out is said."""
    out = tmp_path / "out" / "lists"
    with caplog.at_level("INFO"):
        lists = write_csn(make_lists(tmp_path, "0 1 2\n0 3 2\n"), IDS, "test", out)
    assert sorted(path.name for path in out.iterdir()) == [
        *(f"test-{each.condition}.csv" for each in lists),
        "test-ids.txt",
    ]
    ids = (out / "test-ids.txt").read_text().split()
    assert ids == ["8.2", "7.1", "100627.72"]
    assert read_triplets(out / "test-gender.csv", ids).tolist() == [[2, 0, 1]]
    assert "heel: 1 of 2 triplets kept; left out: 1 name shoes that the catalogue lacks, 0 name one" in caplog.text


def test_an_unwritable_folder(tmp_path: Path) -> None:
    """A folder that can't be made is an error of one line."""
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match="can't write triplets"):
        write_csn(make_lists(tmp_path), IDS, "test", tmp_path / "file" / "out")


def test_shoes_that_a_list_names(tmp_path: Path) -> None:
    """Every shoe of every line and list counts, also one beside a missing shoe and one beyond the usual lines."""
    make_lists(tmp_path, "0 1 1\n")
    (tmp_path / "tripletlists/class_tripletlist_test.txt").write_text("0 1 1\n" * 40_000 + "4 3 3\n")
    assert read_listed(tmp_path, IDS, "test").tolist() == [0, 2, 3]
    (tmp_path / "tripletlists/heel_tripletlist_test.txt").write_text("2 2 2\n")
    assert read_listed(tmp_path, IDS, "test").tolist() == [0, 1, 2, 3]
    assert read_listed(tmp_path, ["another"], "test").tolist() == []
