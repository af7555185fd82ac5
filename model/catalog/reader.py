"""From a catalogue's spelling on the command line to the reader that understands it."""

import logging
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from model.catalog.base import Catalog, locate
from model.catalog.folder import read_folder
from model.catalog.manifest import ManifestOptions, read_manifest
from model.catalog.tree import IMAGE_SUFFIXES, LeftOut
from model.catalog.zappos import find_layout, read_zappos
from model.errors import CatalogError

logger = logging.getLogger(__name__)

MAX_TABLES = 3
"""Of the CSV files beside the pictures of a folder catalogue, so many are looked into."""

NAMING_COLUMNS = ("id", "ID", "Id", "sku", "SKU", "Handle", "handle", "name")
"""Columns that pictures may be named by, where a CSV file has no column of pictures."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "zappos": ("images",),
    "csv": ("id", "image", "attributes", "group", "split", "encoding", "delimiter", "root"),
    "folder": (),
}
"""Kind of catalogue -> the options that its spelling may have."""

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
"""Suffixes, in lower case, of the files that are read as CSV files."""


@dataclass(frozen=True)
class CatalogSpec:
    """A catalogue's spelling, taken apart.

    Attributes:
        kind: `zappos`, `csv` or `folder`.
        path: the folder or file.
        options: those after the question mark, decoded.
    """

    kind: str
    path: Path
    options: Mapping[str, str]

    def __str__(self) -> str:
        query = "&".join(f"{key}={urllib.parse.quote(value, safe='/{},;:')}" for key, value in self.options.items())
        return f"{self.kind}:{locate(self.path)}" + (f"?{query}" if query else "")


def read_catalog(spec: str) -> Catalog:
    """Read a catalogue.

    Args:
        spec: one of

            - `PATH` of a folder: UT-Zap50K when it has its layout, else a folder of folders of pictures;
            - `PATH.csv`: a CSV file with a row for each shoe; also `.tsv`, `.tab` and `.txt`;
            - `zappos:PATH?images=square`, `csv:PATH?id=sku&image=photos/{sku}.jpg&attributes=gender,colour`,
              `folder:PATH`: the same said outright, with options. Their values may be percent-encoded.

    Raises:
        CatalogError: nothing is there, an option is unknown (the known ones are listed), or the catalogue can't be
            read.
    """
    parsed = parse_spec(spec)
    catalog = READERS[parsed.kind](parsed)
    return replace(catalog, source=str(parsed))


def parse_spec(spec: str) -> CatalogSpec:
    """Take a catalogue's spelling apart and, where it does not say the kind, look at what is there.

    Raises:
        CatalogError: as in `read_catalog`.
    """
    prefix, colon, rest = spec.partition(":")
    kind = prefix if colon and prefix in OPTIONS else None
    path, options = _split_options(spec if kind is None else rest, spec)
    if not path.exists():
        raise CatalogError(f"no catalogue at {path}: no such file or folder")
    kind = kind or _detect_kind(path)
    unknown = sorted(set(options) - set(OPTIONS[kind]))
    if unknown:
        known = ", ".join(OPTIONS[kind]) or "none"
        raise CatalogError(f"unknown option {', '.join(unknown)} in {spec!r}; known for a {kind} catalogue: {known}")
    return CatalogSpec(kind, path, options)


def _split_options(text: str, spec: str) -> tuple[Path, dict[str, str]]:
    if not text.strip():
        raise CatalogError(f"the catalogue {spec!r} names no file or folder")
    literal = Path(text).expanduser()
    if literal.exists():
        return literal, {}
    name, _, query = text.partition("?")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise CatalogError(f"expected KEY=VALUE instead of {part!r} in {spec!r}")
        if key in options:
            raise CatalogError(f"the option {key} is given twice in {spec!r}")
        # Not parse_qs: a plus sign in a file's or column's name is a plus sign.
        options[key] = urllib.parse.unquote(value)
    return Path(name).expanduser(), options


def _detect_kind(path: Path) -> str:
    if path.is_dir():
        return "zappos" if find_layout(locate(path)) is not None else "folder"
    if path.suffix.lower() in TABLE_SUFFIXES:
        return "csv"
    raise CatalogError(
        f"{path} is neither a folder nor a .csv file (or {', '.join(TABLE_SUFFIXES[1:])}); a CSV file of another name "
        f"is spelled csv:{path}, a spreadsheet is saved as CSV first, and an archive is unpacked first"
    )


def _read_zappos(spec: CatalogSpec) -> Catalog:
    return read_zappos(spec.path, images=spec.options.get("images"))


def _read_csv(spec: CatalogSpec) -> Catalog:
    options = spec.options
    attributes = options.get("attributes")
    root = options.get("root")
    return read_manifest(
        spec.path,
        ManifestOptions(
            id=options.get("id"),
            image=options.get("image"),
            attributes=None if attributes is None else tuple(filter(None, map(str.strip, attributes.split(",")))),
            group=options.get("group"),
            split=options.get("split", ";"),
            encoding=options.get("encoding"),
            delimiter=options.get("delimiter"),
            root=None if root is None else spec.path.parent / Path(root).expanduser(),
        ),
    )


def _read_folder(spec: CatalogSpec) -> Catalog:
    left_out = LeftOut()
    try:
        return read_folder(spec.path, left_out)
    finally:
        for table in left_out.tables[:MAX_TABLES]:
            logger.warning("%s", _advise_table(spec.path / table))
        if len(left_out.tables) > MAX_TABLES:
            logger.warning("%d more CSV files are not read either", len(left_out.tables) - MAX_TABLES)


def _advise_table(path: Path) -> str:
    """That a CSV file beside a folder's pictures is not read, and how to have it read."""
    ignored = f"{path} is not read: the folders' names are the attributes"
    tabs = {"delimiter": "\t"} if path.suffix.lower() == ".tsv" else {}
    suffixes = dict.fromkeys(each.suffix for each in sorted(path.parent.iterdir()) if each.suffix in IMAGE_SUFFIXES)
    templates = [f"{{{column}}}{suffix}" for suffix in suffixes for column in NAMING_COLUMNS]
    reason = ""
    for image in (None, *templates):
        spec = CatalogSpec("csv", path, tabs if image is None else {**tabs, "image": image})
        try:
            catalog = _read_csv(spec)
        except CatalogError as error:
            reason = reason or str(error)
        else:
            usable = f"{len(catalog.shoes)} of {catalog.size} have a picture"
            return f"{ignored}. To read its rows, of which {usable}: --catalog '{spec}'"
    return f"{ignored}. To read its rows: --catalog 'csv:{locate(path)}'; but {reason}"


READERS: Mapping[str, Callable[[CatalogSpec], Catalog]] = {
    "zappos": _read_zappos,
    "csv": _read_csv,
    "folder": _read_folder,
}
