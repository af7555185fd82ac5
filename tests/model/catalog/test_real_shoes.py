"""On real catalogue photographs, where there are some."""

import os
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from model.catalog import BadRow, decode_shoes, read_catalog
from model.preprocess import PreprocessConfig, Preprocessor

SHOES = Path(os.environ.get("SOLEMATE_TEST_DATA", "../shared/data")) / "shoes"

pytestmark = pytest.mark.skipif(not SHOES.is_dir(), reason=f"no {SHOES}; set SOLEMATE_TEST_DATA")


def test_real_photographs_are_read() -> None:
    """Every row of the table has its picture, and a stretch of them decodes without a bad row."""
    spec = f"csv:{SHOES / 'styles.csv'}?id=id&image=images/{{id}}.jpg&attributes=articleType,gender,baseColour,usage"
    catalog = read_catalog(spec)
    assert len(catalog.shoes) == 8027
    assert catalog.bad_rows == ()
    types = Counter(value for shoe in catalog.shoes for value in shoe.attributes["articleType"])
    assert types.most_common(1) == [("Casual Shoes", 2497)]
    assert not any("NA" in values for shoe in catalog.shoes for values in shoe.attributes.values())
    decoded = decode_shoes(islice(catalog.shoes, 0, None, 40), Preprocessor(PreprocessConfig()))
    assert not [picture for _, picture in decoded if isinstance(picture, BadRow)]
