"""What schemathesis is told beyond the description: where a picture is asked for, every other time it is a real one.

Only in requests that are meant to be good: those that are not must stay so.
"""

import os
from pathlib import Path
from typing import Any
from zlib import crc32

import schemathesis
from schemathesis.transport.serialization import Binary

__all__ = ["PICTURES", "with_pictures"]

# What schemathesis takes for a text of bytes.
PICTURES = tuple(Binary(path.read_bytes()) for path in sorted(Path(os.environ["SOLEMATE_FAULTS_PICTURES"]).iterdir()))


@schemathesis.hook("map_case")
def with_pictures(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """A picture in place of the bytes that were drawn for one, in half of the cases."""
    drawn = crc32(repr((case.body, case.query)).encode())
    if case.meta is None or not case.meta.generation.mode.is_positive or drawn % 2:
        return case
    picture, body = PICTURES[drawn // 2 % len(PICTURES)], case.body
    if (case.media_type or "").startswith("image/"):
        case.body = picture
    elif case.media_type == "multipart/form-data" and isinstance(body, dict) and isinstance(body.get("image"), str):
        case.body = {**body, "image": picture}
    return case
