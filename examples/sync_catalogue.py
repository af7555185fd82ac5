"""Make a service's catalogue what a shop's CSV file is: add and replace its shoes, and remove those that are gone.

SOLEMATE_KEY=... python examples/sync_catalogue.py http://127.0.0.1:8000 export.csv

The file has the columns `id` and `image`, a path beside the file; the others are attributes, several values divided by
`;`. Run again, it sends only what changed: a digest of each shoe is kept in its attribute `Version`.
"""

import csv
import hashlib
import json
import os
import sys
import unicodedata
from pathlib import Path

from solemate.client import Client, NewItem

BATCH = 100
"""Shoes in one request: at most 1000, and 64 MB."""

VERSION = "Version"


def read(table: Path) -> dict[str, NewItem]:
    """The shoes of the file, each with a digest of its picture and attributes."""
    shoes = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            item_id = unicodedata.normalize("NFC", row.pop("id"))  # as the service lists it
            image = (table.parent / row.pop("image")).read_bytes()
            attributes = {name: values.split(";") for name, values in row.items() if values}
            digest = hashlib.sha256(image + json.dumps(attributes, sort_keys=True).encode()).hexdigest()[:16]
            shoes[item_id] = NewItem(item_id, image, {**attributes, VERSION: [digest]})
    return shoes


def main(url: str, table: str) -> int:
    """Bring the catalogue up to date; the number of shoes that the service refused."""
    shoes, refused = read(Path(table)), 0
    with Client(url, api_key=os.environ["SOLEMATE_KEY"], timeout=120) as client:
        there = {item.id: item.attributes.get(VERSION) for item in client.iterate_items(limit=500)}
        due = [shoe for shoe in shoes.values() if there.get(shoe.id) != shoe.attributes[VERSION]]
        for start in range(0, len(due), BATCH):
            for line in client.add_items(due[start : start + BATCH]):
                if line.problem is not None:
                    refused += 1
                    print(f"{line.id}: {line.problem.detail}", file=sys.stderr)
        gone = there.keys() - shoes.keys()
        for item_id in gone:
            client.delete_item(item_id)
    print(f"{len(due) - refused} sent, {len(gone)} removed, {len(shoes) - len(due)} as they were, {refused} refused")
    return refused


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
