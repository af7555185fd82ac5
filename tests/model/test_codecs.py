"""What is heard of the libraries that decode pictures."""

import subprocess
import sys

DECODE = """
import io, sys
from PIL import Image

buffer = io.BytesIO()
Image.new("RGB", (64, 64), "red").save(buffer, "TIFF", compression="tiff_lzw")
if sys.argv[1] == "quietly":
    from model.errors import ImageError
    from model.preprocess import PreprocessConfig, Preprocessor
    decode = Preprocessor(PreprocessConfig()).decode
else:
    ImageError, decode = OSError, lambda data: Image.open(io.BytesIO(data)).load()
for position in range(8, len(buffer.getvalue()) - 12, 97):
    data = bytearray(buffer.getvalue())
    data[position : position + 12] = bytes([255] * 12)
    try:
        decode(bytes(data))
    except (ImageError, OSError, SyntaxError, ValueError):
        pass
"""


def listen(how: str) -> str:
    """What a process writes to its standard error stream when it decodes broken TIFFs."""
    done = subprocess.run([sys.executable, "-c", DECODE, how], check=True, capture_output=True, text=True)
    return done.stderr


def test_codecs_are_silent() -> None:
    """A broken picture makes libtiff and Pillow write lines of their own, but not where a Preprocessor decodes it."""
    heard = listen("aloud")
    assert "Using code not yet in table" in heard
    assert "UserWarning" in heard
    assert listen("quietly") == ""
