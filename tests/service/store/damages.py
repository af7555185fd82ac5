"""Ways in which a file on disk can be no longer what was written."""

from collections.abc import Callable


def flip(place: float) -> Callable[[bytes], bytes]:
    """Damage one byte, `place` of the way through."""

    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        damaged[min(int(len(data) * place), len(data) - 1)] ^= 0xFF
        return bytes(damaged)

    return damage


def cut(share: float) -> Callable[[bytes], bytes]:
    """Keep only the first part."""
    return lambda data: data[: int(len(data) * share)]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    **{f"flipped at {place}": flip(place) for place in (0.0, 0.001, 0.2, 0.5, 0.9, 1.0)},
    **{f"cut at {share}": cut(share) for share in (0.0, 0.01, 0.1, 0.5)},
    "last byte gone": lambda data: data[:-1],
    "a byte too many": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"<html>" * 1000,
    "header only": lambda data: data[: data.index(b"}\n") + 2],
    "another header": lambda data: data.replace(b'"rows": ', b'"rows": 1', 1),
    "header without end": lambda data: data[: data.index(b"\n") + 1] + b"{" * 10_000,
}
