"""The files of a catalogue's map: every shoe as a point on a plane, near those that are like it, with a small picture.

index folder/map/map.json            what the map is; written last, it names the others by their token
TOKEN-tile-0.json.gz   ids, coordinates and colours of up to 4,096 shoes
TOKEN-atlas-0.jpg      their pictures, 64 a row, in the same order

`service.catalog.maintenance.map` draws it.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.errors import QueryError
from service.errors import MapMissing

logger = logging.getLogger(__name__)

FOLDER = "map"
FACTS = "map.json"
FORMAT = 1


@dataclass(frozen=True)
class MapFacts:
    """What a map is.

    Attributes:
        method: `opentsne` or `pca`.
        items: shoes on it.
        tile_items: shoes of one tile, but for the last.
        tiles: how many.
        attributes: those that the shoes can be coloured by.
        thumbnail: pixels a side of a picture in an atlas.
        fingerprint: of the catalogue that it was drawn of.
        token: names the files.
    """

    method: Literal["opentsne", "pca"]
    items: int
    tile_items: int
    tiles: int
    attributes: tuple[str, ...]
    thumbnail: int
    fingerprint: str
    token: str


def read_map(folder: Path) -> MapFacts:
    """What the map in a catalogue's folder is. Raises MapMissing where there is none that can be used."""
    try:
        content = json.loads((folder / FOLDER / FACTS).read_bytes())
        if content.pop("format") != FORMAT:
            raise MapMissing
        return MapFacts(**{**content, "attributes": tuple(content["attributes"])})
    except FileNotFoundError:
        raise MapMissing from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("the map in %s can't be used (%s)", folder, error)
        raise MapMissing from error


def read_map_file(folder: Path, facts: MapFacts, kind: Literal["tile", "atlas"], number: int) -> bytes:
    """A tile, as JSON in gzip, or an atlas, as a JPEG.

    Raises:
        QueryError: the map has fewer tiles.
        MapMissing: another map has just taken its place.
    """
    if not 0 <= number < facts.tiles:
        raise QueryError("n", f"tile {number}; expected 0 to {facts.tiles - 1}")
    name = tile_name(facts.token, number) if kind == "tile" else atlas_name(facts.token, number)
    try:
        return (folder / FOLDER / name).read_bytes()
    except OSError:
        raise MapMissing from None


def tile_name(token: str, number: int) -> str:
    """The file of a tile."""
    return f"{token}-tile-{number}.json.gz"


def atlas_name(token: str, number: int) -> str:
    """The file of an atlas."""
    return f"{token}-atlas-{number}.jpg"
