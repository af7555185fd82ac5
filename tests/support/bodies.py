"""Multipart bodies, written down byte by byte."""

BOUNDARY = b"a-b"
CONTENT_TYPE = "multipart/form-data; boundary=a-b"


def part(name: str, content: bytes, filename: str | None = None, *headers: bytes) -> bytes:
    """One part of a form, with the boundary before it."""
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    lines = [b"--" + BOUNDARY, b"Content-Disposition: " + disposition.encode(), *headers, b"", content, b""]
    return b"\r\n".join(lines)


def image(content: bytes, filename: str = "a.jpg") -> bytes:
    """A picture's part."""
    return part("image", content, filename, b"Content-Type: image/jpeg")


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"
