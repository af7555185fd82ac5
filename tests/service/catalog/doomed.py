"""A process that is killed in the middle of a change: `python -m tests.service.catalog.doomed FOLDER ID NUMBER MOMENT`.

It puts a drawn shoe into the store in FOLDER, and is killed (-9) at the MOMENT: `row`, when the picture is written and
the row is not, or `old`, when the row is written and the picture that it replaced is still there.
"""

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from model.preprocess import PreprocessConfig, Preprocessor
from service.catalog.images import Uploads, clean_picture
from service.catalog.writer import Add, CatalogWriter
from service.store.embedded.store import EmbeddedStore
from tests.support.stack import draw_shoe

MOMENTS = {"row": "service.store.embedded.store.EmbeddedStore.upsert", "old": "service.catalog.images.Uploads.remove"}


def die(*_: object, **__: object) -> None:
    """As a power cut would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, item_id: str, number: int, moment: str) -> None:
    """See above."""
    picture = clean_picture(Preprocessor(PreprocessConfig(size=16)), draw_shoe(number))
    change = Add(item_id, {}, picture, np.full(8, number, np.float32))
    with mock.patch(MOMENTS[moment], side_effect=die):
        CatalogWriter(EmbeddedStore.open(folder), Uploads(folder)).run([change])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
