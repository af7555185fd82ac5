from pathlib import Path

import pytest

from model.catalog.table import Row, Table, read_table
from model.errors import CatalogError


def write(folder: Path, data: str | bytes) -> Path:
    """Make a table of just these bytes."""
    path = folder / "shoes.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_rows_know_their_lines(tmp_path: Path) -> None:
    """Lines are those of an editor, also after blank lines and cells of several lines; cells are trimmed."""
    table = read_table(write(tmp_path, 'id, name\n1,"two\nlines"\n\n 2 ,x\n,\n3,y'))
    assert table.columns == ("id", "name")
    assert table.rows == (Row(2, ("1", "two\nlines")), Row(5, ("2", "x")), Row(7, ("3", "y")))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path: Path, newline: str) -> None:
    """The line ends of every system are read."""
    assert [row.cells for row in read_table(write(tmp_path, newline.join(["id", "1", "2"]))).rows] == [("1",), ("2",)]


def test_byte_order_mark(tmp_path: Path) -> None:
    """A byte order mark, as Excel writes it, is not part of the first column's name."""
    assert read_table(write(tmp_path, "\ufeffid,x\n1,2\n")).columns == ("id", "x")


def test_other_encodings_are_asked_for(tmp_path: Path) -> None:
    """Text that is not UTF-8 is refused with the way out, and read when its encoding is named."""
    path = write(tmp_path, "id,brand\n1,Größe\n".encode("cp1252"))
    with pytest.raises(CatalogError, match=r"not utf-8 text.*encoding="):
        read_table(path)
    assert read_table(path, encoding="cp1252").rows[0].cells == ("1", "Größe")
    path = write(tmp_path, "id,brand\n1,Größe\n".encode("utf-7"))
    assert read_table(path, encoding="utf-7").rows[0].cells == ("1", "Größe")
    with pytest.raises(CatalogError, match="unknown text encoding 'klingon'"):
        read_table(path, encoding="klingon")


def test_delimiters(tmp_path: Path) -> None:
    """Any single character stands between cells; anything else is refused."""
    path = write(tmp_path, "id;x\n1;2\n")
    assert read_table(path, delimiter=";").rows[0].cells == ("1", "2")
    for delimiter in ("", ";;", '"', "\n"):
        with pytest.raises(CatalogError, match="delimiter"):
            read_table(path, delimiter=delimiter)


@pytest.mark.parametrize(
    ("text", "delimiter", "first"),
    [
        ("id,material\n1,Leather; Suede\n2,Mesh\n", ",", ("1", "Leather; Suede")),
        ("id;price;note\n1;1,50;a, b\n2;2,50;c\n", ";", ("1", "1,50", "a, b")),
        ("id;a, b;c, d\n1;x;y\n2;x;y\n", ";", ("1", "x", "y")),
        ('id;note\n1;"a;b, c"\n2;"d, ""e"""\n', ";", ("1", "a;b, c")),
        ("id\tnote\n1\ta,b;c|d\n", "\t", ("1", "a,b;c|d")),
        ("id|note\n1|a,b\n", "|", ("1", "a,b")),
        ("id,x\n1,2\n3\n4,5,6\n7,8\n", ",", ("1", "2")),
        ("id\n1\n2\n", ",", ("1",)),
        ("id;brand\n", ";", None),
        ("sep=;\r\nid;x,y,z\r\n1;2\r\n", ";", ("1", "2")),
        ("sep=^\nid^x\n1^2\n", "^", ("1", "2")),
    ],
)
def test_the_delimiter_is_found(tmp_path: Path, text: str, delimiter: str, first: tuple[str, ...] | None) -> None:
    """What divides most rows as it does the header is the delimiter, whatever else cells hold; Excel may say it."""
    table = read_table(write(tmp_path, text))
    assert table.delimiter == delimiter
    assert [row.cells for row in table.rows[:1]] == ([] if first is None else [first])


def test_a_hint_is_a_line(tmp_path: Path) -> None:
    """The line that names the delimiter counts where lines are told."""
    table = read_table(write(tmp_path, "sep=;\nid;x\n1;2\n"))
    assert table.rows == (Row(3, ("1", "2")),)
    with pytest.raises(CatalogError, match="line 3"):
        read_table(write(tmp_path, 'sep=;\nid;x\n1;"open\n'))


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_encodings_of_spreadsheets_are_found(tmp_path: Path, encoding: str, marked: bool) -> None:
    """A byte order mark names the encoding; UTF-16 is known without one as well."""
    mark = "\ufeff" if marked else ""
    table = read_table(write(tmp_path, f"{mark}id,brand\n1,Größe\n".encode(encoding)))
    assert (table.columns, table.rows[0].cells) == (("id", "brand"), ("1", "Größe"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('id,x\n1,"open\n2,y\n3,z\n', "line 2"),
        ('id,x\n1,2\n2,"a"b\n', "line 3"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, data: str, message: str) -> None:
    """A quote that is never closed, which would swallow the rest of the rows, is an error that names its line."""
    with pytest.raises(CatalogError, match=message):
        read_table(write(tmp_path, data))


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """A missing file and a folder are errors of the catalogue."""
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(CatalogError, match="can't read"):
            read_table(path)


def test_columns_that_are_not_there() -> None:
    """A missing column is named beside those that are there, and a repeated one is refused only when it is used."""
    table = Table(Path("x.csv"), ("id", "a", "a"), ())
    assert table.index_of("id") == 0
    with pytest.raises(CatalogError, match=r"no column 'b', 'c'; its columns are 'id', 'a', 'a'"):
        table.require(["b", "id", "c"])
    with pytest.raises(CatalogError, match="'a' more than once"):
        table.index_of("a")
