"""The libraries that decode pictures, kept from writing to the standard error stream what a picture makes them say."""

import ctypes
import warnings
from contextlib import suppress

from PIL import _imaging


def silence_codecs() -> None:
    """Drop libtiff's messages and Pillow's warnings in this process: a small picture can cause hundreds of lines.

    What is wrong with a picture is told by the exception that its decoding raises.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # libtiff has one handler for a process, which prints until it is replaced; Pillow leaves it as it is. A Pillow
    # whose libtiff can't be found through it keeps printing.
    with suppress(OSError, AttributeError):
        codecs = ctypes.CDLL(_imaging.__file__)
        codecs.TIFFSetErrorHandler(None)
        codecs.TIFFSetWarningHandler(None)
