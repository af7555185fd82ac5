"""Colour management: the transforms from the ICC profiles that pictures embed to sRGB."""

import hashlib
import io
import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20
"""Larger profiles count as none: a printer's profile, the largest kind that pictures embed, has up to 3 MB."""

MAX_CACHED = 32
"""Transforms kept in memory: about 2 MB for a CMYK profile, a few kB for the others."""

SAME_LEVELS = 2
"""A profile whose colours differ from sRGB by at most so many of 255 levels is taken for sRGB."""

DEVICE_CLASSES = frozenset({"scnr", "mntr", "prtr", "spac"})
"""The classes of profiles that describe a picture's colours: of scanners, displays, printers, and colour spaces."""

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@dataclass(frozen=True)
class ColorTransform:
    """From one profile to sRGB. Safe in many threads.

    Attributes:
        mode: of the pictures that the profile describes: RGB, CMYK, or L for grey.
        cms: LittleCMS's transform from that mode to RGB.
    """

    mode: str
    cms: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        """The picture's colours in sRGB: mode RGB, of 8 bits, without transparency."""
        source = image if image.mode == self.mode else image.convert(self.mode)
        target = Image.new("RGB", image.size)
        # Not ImageCms.applyTransform: it writes the target's profile anew for each picture.
        self.cms.transform.apply(source.getim(), target.getim())
        return target


_cache: dict[bytes, ColorTransform | None] = {}  # SHA-256 of a profile -> its transform, the oldest first
_cache_lock = threading.Lock()


def find_transform(image: Image.Image) -> ColorTransform | None:
    """What turns a picture's colours into sRGB.

    None where nothing is to be done: no profile is embedded, or it is sRGB itself, broken, or of another kind of
    picture, such as a grey profile in a colour picture.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 128 <= len(profile) <= MAX_PROFILE_BYTES:  # 128: the header's size
        return None
    digest = hashlib.sha256(profile).digest()
    try:
        transform = _cache[digest]
    except KeyError:
        transform = _build(profile)
        with _cache_lock:
            if len(_cache) >= MAX_CACHED:
                del _cache[next(iter(_cache))]
            _cache[digest] = transform
    return transform if transform is not None and _describes(transform.mode, image.mode) else None


def _describes(profile: str, mode: str) -> bool:
    """Whether a profile for pictures of mode RGB, CMYK or L holds for a picture of this mode."""
    if mode in GREY_MODES or mode.startswith("I;16"):
        return profile in {"L", "RGB"}  # in an RGB profile, grey is the colours with equal parts
    return profile == ("CMYK" if mode == "CMYK" else "RGB") and mode != "LAB"


def _build(data: bytes) -> ColorTransform | None:
    """The transform of a profile; None for sRGB and for what can't be read."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        mode = {"RGB": "RGB", "CMYK": "CMYK", "GRAY": "L"}.get(profile.profile.xcolor_space.strip())
        if mode is None or profile.profile.device_class not in DEVICE_CLASSES:
            return None
        # Colours that sRGB has stay what they are; the profile's darkest, such as a printer's black, becomes black.
        cms = ImageCms.ImageCmsTransform(
            profile,
            SRGB,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        transform = ColorTransform(mode, cms)
        return None if _is_srgb(transform) else transform
    except (OSError, ValueError, TypeError, MemoryError, ImageCms.PyCMSError):
        return None


def _is_srgb(transform: ColorTransform) -> bool:
    """Whether the transform changes no colour that can be seen, by 4096 colours that lie evenly in the cube."""
    if transform.mode == "CMYK":
        return False
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    if transform.mode == "L":
        before = np.repeat(levels[None, :, None], 3, axis=2)
    else:
        before = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
    after = np.asarray(transform.apply(Image.fromarray(before)))
    return bool(np.abs(after.astype(np.int16) - before).max() <= SAME_LEVELS)
