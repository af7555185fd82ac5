"""ICC profiles made for tests, by the ICC's specification (ICC.1:2001-04)."""

import struct

import numpy as np

XYZ = tuple[float, float, float]
D50 = (0.9642, 1.0, 0.8249)


def make_profile(space: bytes, tags: dict[bytes, bytes], device_class: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """A profile of version 2: a header, a table of tags and their data."""
    tags = {b"desc": b"desc" + struct.pack(">II", 0, 5) + b"test\0" + bytes(79), b"wtpt": _xyz(D50), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += padded
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, device_class, space, pcs)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", *_fixed(D50))
    return header + bytes(128 - len(header)) + table + body


def _fixed(values: XYZ) -> list[int]:
    return [round(value * 65536) for value in values]


def _xyz(values: XYZ) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *_fixed(values))


def _curve(*values: int) -> bytes:
    """A tone curve: of one value, a gamma in 1/256; of many, the table of its levels in 1/65535."""
    return b"curv" + bytes(4) + struct.pack(f">I{len(values)}H", len(values), *values)


def _matrix(red: XYZ, green: XYZ, blue: XYZ, curve: bytes) -> bytes:
    tags = {b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue)}
    return make_profile(b"RGB ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def _srgb_curve() -> bytes:
    level = np.linspace(0, 1, 1024)
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return _curve(*np.rint(linear * 65535).astype(int).tolist())


def _make_cmyk() -> bytes:
    """A press whose inks multiply: full cyan is a muted one."""
    inks = np.array([(0.15, 0.45, 0.75), (0.75, 0.10, 0.40), (0.90, 0.85, 0.05), (0.01, 0.01, 0.01)])
    corners = []
    for corner in range(16):
        rgb = np.prod([ink for bit, ink in zip((8, 4, 2, 1), inks, strict=True) if corner & bit] or [(1, 1, 1)], axis=0)
        xyz = np.array([(0.436, 0.385, 0.143), (0.222, 0.717, 0.061), (0.014, 0.097, 0.714)]) @ rgb
        f = np.cbrt(np.maximum(xyz / D50, 0.008856))
        lab = (116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2]))
        corners.append((lab[0] * 2.55, lab[1] + 128, lab[2] + 128))
    clut = np.clip(np.rint(corners), 0, 255).astype(np.uint8).tobytes()
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *_fixed((1, 0, 0)), *_fixed((0, 1, 0)), *_fixed((0, 0, 1)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + clut + 3 * ramp
    return make_profile(b"CMYK", {b"A2B0": lut}, b"prtr", b"Lab ")


ADOBE_RGB = _matrix((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), _curve(563))
P3 = _matrix((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407), _srgb_curve())
GREY = make_profile(b"GRAY", {b"kTRC": _curve(round(1.8 * 256))})
CMYK = _make_cmyk()
