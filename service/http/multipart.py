"""Streaming multipart/form-data parser: into memory, within limits, never onto disk."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request

from model.errors import ImageTooLarge, QueryError
from model.text import MAX_ECHO
from service.http.problems import FORM_TOO_LARGE, Refusal

IMAGE = "image"
"""The name of the parts that hold pictures."""

EXPECTED_IMAGE = (
    "expected a file part named `image` in a multipart/form-data body, as `curl -F image=@shoe.jpg` sends it, "
    "a picture alone as an image/* or application/octet-stream body, or JSON with the picture in base64 as `image`"
)

MAX_NAMES = 5
"""Unknown names that an error message repeats."""

MAX_PART_HEAD = 8 * 1024
"""Largest headers of a part, in bytes."""

MAX_PADDING = 256
"""Most spaces and tabs between a boundary and the end of its line."""

FOLD = re.compile(rb"\r\n[ \t]+")
"""Folding of a header over two lines (RFC 5322, 2.2.3)."""

HEAD = re.compile(rb"(?:\r\n[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\r\n]*)*")
DISPOSITION = re.compile(rb"\r\ncontent-disposition:[ \t]*form-data[ \t]*(;[^\r\n]*)", re.IGNORECASE)
PARAMETER = re.compile(rb';[ \t]*([^\s;="]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))')
ESCAPED = re.compile(rb'\\(["\\])')

NO_FORM = "it is no form whose parts the content type's boundary divides"


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it was sent.

    Attributes:
        filename: as the client calls it; empty where it doesn't say.
        content: the bytes.
        name: of the part.
    """

    filename: str
    content: bytes
    name: str = IMAGE


@dataclass(frozen=True, slots=True)
class Form:
    """What a body held.

    Attributes:
        images: in their order; at least one where they are called `image`.
        fields: name -> its values, in their order.
    """

    images: list[Upload]
    fields: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much a body may hold.

    Attributes:
        images: pictures, under all names.
        image_bytes: bytes of each of them.
        fields: other parts.
        field_bytes: bytes of each of them.
    """

    images: int
    image_bytes: int
    fields: int = 100
    field_bytes: int = 8 * 1024


@dataclass(slots=True)
class _Part:
    """The part that is being read; `filename` is None for a field."""

    name: str
    filename: str | None
    limit: int
    content: bytearray = field(default_factory=bytearray)


class FormReader:
    """A multipart body (RFC 7578), fed piece by piece; how it is cut into pieces makes no difference.

    What has come is searched for the next boundary or empty line as a whole, not byte by byte: of a picture's content
    only as many bytes as a boundary has are looked at twice. Of RFC 2046, text before the first boundary and after the
    last is passed over, and boundaries may be padded; nested forms and transfer encodings are not understood.

    python-multipart (0.0.34) refuses text before the first boundary, padding after it, and folded headers.

    `feed` and `finish` raise as `read_form` does; after that the reader is of no more use.
    """

    def __init__(
        self, boundary: bytes, names: Iterable[str], limits: FormLimits, *, pictures: Sequence[str] = (IMAGE,)
    ) -> None:
        """Expect a form. See `read_form`."""
        self._delimiter = b"\r\n--" + boundary
        self._pictures = pictures
        self._names = (*pictures, *names)
        self._limits = limits
        self._form = Form([], {})
        self._fields = 0
        self._part: _Part | None = None
        self._read: Callable[[FormReader], bool] = FormReader._read_content  # no bound method, which would be a cycle
        self._rest = b"\r\n"  # which the first boundary may lack
        self._begun = False

    def feed(self, chunk: bytes) -> None:
        """Read the next piece of the body."""
        self._begun = self._begun or bool(chunk)
        self._rest += chunk
        while self._read(self):
            pass

    def finish(self) -> Form:
        """What the body held, once all of it was fed."""
        if self._begun and self._read is not FormReader._read_end:
            nothing = self._read is FormReader._read_content and self._part is None
            raise HTTPException(400, NO_FORM if nothing else "it ends before the form does")
        if IMAGE in self._pictures and not self._form.images:
            raise QueryError(IMAGE, EXPECTED_IMAGE)
        return self._form

    # Each of these reads what it is named after, says what comes then, and returns whether any of that may be here.

    def _read_end(self) -> bool:
        self._rest = b""
        return False

    def _read_content(self) -> bool:
        stop = self._rest.find(self._delimiter)
        if stop < 0:
            # The last bytes may be the beginning of a boundary.
            stop = max(0, len(self._rest) - len(self._delimiter) + 1)
            self._take(self._rest[:stop])
            self._rest = self._rest[stop:]
            return False
        self._take(self._rest[:stop])
        self._end_part()
        self._rest = self._rest[stop + len(self._delimiter) :]
        self._read = FormReader._read_boundary
        return True

    def _read_boundary(self) -> bool:
        if self._rest.startswith(b"--"):
            self._read = FormReader._read_end
            return True
        following = self._rest.lstrip(b" \t")
        if len(self._rest) - len(following) > MAX_PADDING:
            raise HTTPException(400, NO_FORM)
        if following in {b"", b"\r", b"-"}:
            return False
        if not following.startswith(b"\r\n"):
            raise HTTPException(400, NO_FORM)
        self._rest = following  # a head is a line's end before each header
        self._read = FormReader._read_head
        return True

    def _read_head(self) -> bool:
        stop = self._rest.find(b"\r\n\r\n")
        if (stop if stop >= 0 else len(self._rest) - 3) > MAX_PART_HEAD:
            detail = f"the headers of one of the form's parts have more than {MAX_PART_HEAD:,} bytes"
            raise Refusal(FORM_TOO_LARGE, detail)
        if stop < 0:
            return False
        self._part = self._begin_part(self._rest[:stop])
        self._rest = self._rest[stop + 4 :]
        self._read = FormReader._read_content
        return True

    def _begin_part(self, head: bytes) -> _Part:
        """Decide by a part's headers what it is, before any of its content is taken."""
        head = FOLD.sub(b" ", head)
        if not HEAD.fullmatch(head):
            raise HTTPException(400, NO_FORM)
        found = DISPOSITION.search(head)
        parameters = {
            name.lower(): ESCAPED.sub(rb"\1", quoted) or plain
            for name, quoted, plain in (PARAMETER.findall(found[1]) if found else ())
        }
        if b"name" not in parameters:
            raise HTTPException(400, "one of the form's parts has no name")
        name, filename = _decode(parameters[b"name"]), _find_filename(parameters)
        if name in self._pictures:
            return self._begin_image(name, filename)
        return self._begin_field(name, filename)

    def _begin_image(self, name: str, filename: str | None) -> _Part:
        if filename is None:
            raise QueryError(name, EXPECTED_IMAGE.replace("`image`", f"`{name}`").replace("image=@", f"{name}=@"))
        most = self._limits.images
        if len(self._form.images) == most:
            raise QueryError(name, f"more than {most} image{'s' * (most > 1)}; expected {'1 to ' * (most > 1)}{most}")
        return _Part(name, filename, self._limits.image_bytes)

    def _begin_field(self, name: str, filename: str | None) -> _Part:
        refuse_unknown("form field", [name], self._names)
        if filename is not None:
            raise QueryError(name, f"{name} is a file; expected text")
        if self._fields == self._limits.fields:
            raise Refusal(FORM_TOO_LARGE, f"the form has more than {self._fields:,} fields beside its images")
        self._fields += 1
        return _Part(name, None, self._limits.field_bytes)

    def _take(self, content: bytes) -> None:
        part = self._part
        if part is None:  # before the first boundary
            return
        if len(part.content) + len(content) > part.limit:
            if part.filename is not None:
                raise image_too_large(part.limit)
            raise Refusal(FORM_TOO_LARGE, f"the form's field {part.name} has more than {part.limit:,} bytes")
        part.content += content

    def _end_part(self) -> None:
        part = self._part
        if part is None:
            return
        if part.filename is None:
            self._form.fields.setdefault(part.name, []).append(_decode(bytes(part.content)))
        else:
            self._form.images.append(Upload(part.filename, bytes(part.content), part.name))
        self._part = None


def _find_filename(parameters: Mapping[bytes, bytes]) -> str | None:
    """What a client calls its file; some say so only in RFC 5987's form: `filename*=UTF-8''gr%C3%B6n.jpg`."""
    if b"filename" in parameters:
        return _decode(parameters[b"filename"])
    extended = parameters.get(b"filename*")
    return None if extended is None else _decode(unquote_to_bytes(extended.rpartition(b"'")[2]))


def refuse_unknown(kind: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise QueryError if there is a name that is not known: a misspelt filter must not pass for none."""
    unknown = sorted(set(given).difference(known))
    if unknown:
        expected = f"known are: {', '.join(known)}" if known else "none is known here"
        shown = [name[:MAX_ECHO] for name in unknown[:MAX_NAMES]]
        raise QueryError(shown[0], f"unknown {kind} {', '.join(map(repr, shown))}; {expected}")


def image_too_large(limit: int) -> ImageTooLarge:
    """What is wrong with a picture of more bytes than `limit`."""
    return ImageTooLarge(f"the image has more than {limit:,} bytes, which is all that is allowed")


def _decode(data: bytes) -> str:
    """UTF-8, as forms have it; what is no UTF-8 is taken for Latin-1, in which every byte is a letter."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;",]+))', re.IGNORECASE)
MAX_BOUNDARY = 200
"""Longest boundary, in bytes; RFC 2046 has 70."""


async def read_form(
    request: Request, names: Sequence[str], limits: FormLimits, *, pictures: Sequence[str] = (IMAGE,)
) -> Form:
    """Read a request's body: a multipart form, or a picture alone.

    Args:
        request: its body has not been read yet.
        names: the fields that are known, beside the pictures.
        limits: each is checked as the bytes arrive, and what is beyond is not read.
        pictures: the names of the parts that hold pictures; a picture alone goes by the first. There is one at least if
            `image` is among them.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        reader = FormReader(_find_boundary(content_type), names, limits, pictures=pictures)
        async for chunk in request.stream():
            reader.feed(chunk)
        return reader.finish()
    # Of a picture's bytes only those that decode it judge what they are, whatever the content type says.
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Form([Upload("", await _read_picture(request, limits.image_bytes), pictures[0])], {})
    # curl's --data-binary says urlencoded: a picture would be taken for a field with a very strange name.
    raise QueryError(IMAGE, EXPECTED_IMAGE)


async def _read_picture(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        if len(content) + len(chunk) > limit:
            raise image_too_large(limit)
        content += chunk
    return bytes(content)


def _find_boundary(content_type: str) -> bytes:
    found = BOUNDARY.search(content_type)
    if found is None:
        raise HTTPException(400, "the content type names no boundary")
    boundary = (found[1] or found[2]).encode("latin-1")
    if len(boundary) > MAX_BOUNDARY:
        raise HTTPException(400, f"the content type's boundary has more than {MAX_BOUNDARY} bytes")
    return boundary
