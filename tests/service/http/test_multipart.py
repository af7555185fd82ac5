"""Forms, however they are cut into pieces and whatever they hold."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from model.errors import ImageTooLarge, QueryError
from service.http.multipart import MAX_PART_HEAD, Form, FormLimits, FormReader, Upload
from service.http.problems import Refusal
from tests.support.bodies import BOUNDARY, form, image, part

LIMITS = FormLimits(images=2, image_bytes=40, fields=3, field_bytes=20)
NAMES = ("k", "filter")


def read(chunks: Sequence[bytes]) -> Form | tuple[type[Exception], str]:
    """What the reader makes of a body: a form, or an error that is the client's and its message."""
    reader = FormReader(BOUNDARY, NAMES, LIMITS)
    try:
        for chunk in chunks:
            reader.feed(chunk)
        return reader.finish()
    except (QueryError, ImageTooLarge) as error:
        return type(error), str(error)
    except HTTPException as error:
        return type(error), f"{error.status_code} {error.detail}"


def read_refused(chunks: Sequence[bytes]) -> tuple[type[Exception], str]:
    """The error that a body is refused with."""
    found = read(chunks)
    assert isinstance(found, tuple), found
    return found


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    """The body in pieces, cut at these places."""
    stops = sorted({place % (len(body) + 1) for place in places} | {0, len(body)})
    return [body[start:stop] for start, stop in pairwise(stops)]


# Bytes among which boundaries, halves of boundaries and line ends are frequent.
SHREDS = (b"\r\n--a-b", b"\r\n--a-", b"\r\n--", b"\r\n", b"\r", b"\n", b"--", b"a-b", b"--a-b--", b": ", b"x")
PARTS = (
    image(b"x" * 10),
    image(b"\r\n--a-" * 3),
    image(b"x" * 50),
    part("k", b"3"),
    part("k", b"x" * 30),
    part("k", b"3", "k.txt"),
    part("image", b"x"),
    part("colour", b"red"),
    image(b"x")[:-20],  # the next boundary is a part of it
    b'Content-Disposition: form-data; name="k"\r\n\r\n',
    form(image(b"y")),
)

bodies = st.lists(st.sampled_from(PARTS + SHREDS) | st.binary(max_size=4), max_size=10).map(b"".join)
"""Forms, and what is left of forms."""

contents = st.lists(st.binary(max_size=40).filter(lambda content: b"a-b" not in content), min_size=1, max_size=2)
"""Of the pictures of a good form."""

cuts = st.lists(st.integers(0, 10_000), max_size=8)
"""Where a body is cut."""


def test_form_is_read() -> None:
    """Pictures keep their order, names and bytes; fields keep theirs, in UTF-8 or else Latin-1."""
    body = form(
        image(b"\xff\xd8\r\n--a\r\n", "größe.jpg"),
        part("filter", "Größe:42".encode()),
        part("k", b"3"),
        part("filter", "Größe:43".encode("latin-1")),
        image(b"", ""),
    )
    assert read([body]) == Form(
        [Upload("größe.jpg", b"\xff\xd8\r\n--a\r\n"), Upload("", b"")],
        {"filter": ["Größe:42", "Größe:43"], "k": ["3"]},
    )


@given(contents, cuts)
def test_pictures_come_back_as_they_were(contents: list[bytes], places: list[int]) -> None:
    """Whatever a picture's bytes are, and however the body is cut, they are the bytes that come out."""
    body = form(*(image(content, f"{number}.jpg") for number, content in enumerate(contents)))
    uploads = [Upload(f"{number}.jpg", content) for number, content in enumerate(contents)]
    assert read(cut(body, places)) == Form(uploads, {})


@given(bodies, cuts)
@example(b"\r\nabc--a-b\r\n", [3])
@example(form(image(b"x")) + b"\r\n--a-b\r\n", [60])
def test_cuts_make_no_difference(body: bytes, places: list[int]) -> None:
    """A body in pieces gives the form, or the error, that it gives as a whole."""
    assert read(cut(body, places)) == read([body])


@given(bodies)
def test_single_bytes_make_no_difference(body: bytes) -> None:
    """Neither does it if each byte comes by itself."""
    assert read([body[index : index + 1] for index in range(len(body))]) == read([body])


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_the_clients_error(chunks: list[bytes]) -> None:
    """Bytes that are no form are an error that is told the client as its own."""
    error, said = read_refused(chunks)
    assert error in {QueryError, ImageTooLarge} or said.startswith("4")


@given(st.integers(0, 41), st.integers(0, 21), cuts)
def test_sizes_are_limited_at_every_cut(picture: int, text: int, places: list[int]) -> None:
    """A picture or a field of exactly its limit passes; a byte more doesn't, wherever the body is cut."""
    chunks = cut(form(part("k", b"1" * text), image(b"x" * picture)), places)
    if text > LIMITS.field_bytes:
        assert read_refused(chunks) == (Refusal, "413 the form's field k has more than 20 bytes")
    elif picture > LIMITS.image_bytes:
        assert read_refused(chunks)[0] is ImageTooLarge
    else:
        assert read(chunks) == Form([Upload("a.jpg", b"x" * picture)], {"k": ["1" * text]})


def test_nothing_beyond_a_limit_is_kept() -> None:
    """A picture that never ends is refused with the first byte too many."""
    reader = FormReader(BOUNDARY, NAMES, LIMITS)
    reader.feed(image(b"")[:-2] + b"x" * LIMITS.image_bytes)
    with pytest.raises(ImageTooLarge):
        reader.feed(b"x" * len(BOUNDARY + b"\r\n--"))  # as many as are held back, as they might be a boundary


@given(cuts)
def test_parts_are_counted_at_every_cut(places: list[int]) -> None:
    """More pictures, and more fields, than are allowed are refused, wherever the body is cut."""
    pictures, fields = form(*[image(b"x")] * 3), form(image(b"x"), *[part("k", b"1")] * 4)
    assert read(cut(pictures, places)) == (QueryError, "more than 2 images; expected 1 to 2")
    assert read(cut(fields, places)) == (Refusal, "413 the form has more than 3 fields beside its images")


@given(st.integers(-2, 2), cuts)
def test_part_headers_are_limited_at_every_cut(more: int, places: list[int]) -> None:
    """A part with headers of more bytes than are allowed is refused, wherever the body is cut."""
    around = len(part("image", b"", "", b"X: ")) - len(b"--a-b" + b"\r\n\r\n" + b"\r\n")
    chunks = cut(form(part("image", b"x", "", b"X: " + b"y" * (MAX_PART_HEAD - around + more))), places)
    if more > 0:
        assert read_refused(chunks)[0] is Refusal
    else:
        assert read(chunks) == Form([Upload("", b"x")], {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "curl -F image=@"),
        (form(part("k", b"1")), "curl -F image=@"),
        (form(part("image", b"shoe.jpg")), "curl -F image=@"),
        (form(), "curl -F image=@"),
        (b"no form at all", "no form"),
        (b"\r\n", "no form"),
        (b"--a-b", "ends before"),
        (b"--a-b" + b" " * 300 + b"\r\n", "no form"),
        (b"--a-b\r\n folded: first\r\n\r\n", "no form"),
        (form(image(b"x"))[:-6], "ends before"),
        (image(b"x"), "ends before"),
        (form(part("colour", b"red"), image(b"x")), "unknown form field 'colour'; known are: image, k, filter"),
        (form(part("k", b"1", "k.txt"), image(b"x")), "k is a file"),
        (form(b"--a-b\r\nContent-Disposition: form-data\r\n\r\n1\r\n"), "no name"),
        (form(b'--a-b\r\nContent-Disposition: attachment; name="image"\r\n\r\n1\r\n'), "no name"),
        (form(b"--a-b\r\n\r\n1\r\n"), "no name"),
        (form(image(b"\r\n--a-bx")), "no form"),
        (form(part("image", b"x", "", b"no header")), "no form"),
        (form(part("image", b"x", "", b"X: y\nz")), "no form"),
    ],
)
def test_errors_say_what_was_expected(body: bytes, said: str) -> None:
    """What is wrong with a form is said, with what a form is expected to hold."""
    assert said in read_refused([body])[1]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'form-data; name="image"; filename="a b.jpg"', "a b.jpg"),
        (b"form-data; name=image; filename=a.jpg", "a.jpg"),
        (b'FORM-DATA ;NAME="image";\tFileName = "a.jpg"', "a.jpg"),
        (b'form-data; name="image"; filename="a\\"b\\\\.jpg"', 'a"b\\.jpg'),
        (b'form-data; name="image"; filename="a\\b.jpg"', "a\\b.jpg"),
        (b'form-data; name="image"; filename="a; name=k"', "a; name=k"),
        (b'form-data; filename="; name=k"; name="image"', "; name=k"),
        (b'form-data; other="; name=k"; name="image"; filename=""', ""),
        (b'form-data; name="k"; name="image"; filename="a.jpg"', "a.jpg"),
    ],
)
def test_names_are_read_as_clients_write_them(disposition: bytes, filename: str) -> None:
    """Names in quotes or not, with spaces, escapes and semicolons in them, are told apart."""
    head = b"--a-b\r\nX-Content-Disposition: x\r\ncontent-DISPOSITION:" + disposition
    assert read([form(head + b"\r\nX: y\r\n\r\nx\r\n")]) == Form([Upload(filename, b"x")], {})


DISPOSITION = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'


@pytest.mark.parametrize(
    "body",
    [
        b"This is a form.\r\nIts reader knows nothing else.\r\n--a-\r\n" + form(image(b"x")),
        b"--a-b \t\r\n" + DISPOSITION + b"\r\n\r\nx\r\n--a-b--\r\n",
        form(image(b"x")).replace(b"--a-b--", b"--a-b-- \t"),
        form(image(b"x")) + b"This was a form.\r\n--a-b\r\n",
        form(b"--a-b\r\n" + DISPOSITION.replace(b"; ", b";\r\n ") + b"\r\n\r\nx\r\n"),
        form(b"--a-b\r\n" + DISPOSITION.replace(b": ", b":\r\n\t ") + b"\r\nX: y\r\n z\r\n\r\nx\r\n"),
        form(
            b"--a-b\r\n"
            + DISPOSITION.replace(b'filename="', b"filename*=UTF-8''").removesuffix(b'"')
            + b"\r\n\r\nx\r\n"
        ),
    ],
    ids=["preamble", "padded boundary", "padded end", "epilogue", "folded", "folded twice", "filename* only"],
)
def test_forms_as_their_standards_allow_them(body: bytes) -> None:
    """What RFC 2046 and its kin allow around boundaries and in headers is read, wherever it is cut."""
    for place in range(len(body)):
        assert read([body[:place], body[place:]]) == Form([Upload("a.jpg", b"x")], {})


@pytest.mark.parametrize(
    ("extended", "filename"),
    [
        (b"UTF-8''gr%C3%B6n%20%3B.jpg", "grön ;.jpg"),
        (b"utf-8'de'a.jpg", "a.jpg"),
        (b"iso-8859-1''gr%F6n.jpg", "grön.jpg"),
        (b'"a%zz.jpg"', "a%zz.jpg"),
        (b"UTF-8''a.jpg; filename=b.jpg", "b.jpg"),
    ],
)
def test_extended_filenames(extended: bytes, filename: str) -> None:
    """A part that is named only by `filename*` is a file; its name is decoded, and gives way to a plain one."""
    head = b'--a-b\r\nContent-Disposition: form-data; name="image"; filename*=' + extended
    assert read([form(head + b"\r\n\r\nx\r\n")]) == Form([Upload(filename, b"x")], {})


@given(bodies | contents.map(lambda contents: form(part("k", b"3"), *map(image, contents))))
def test_another_reader_agrees(body: bytes) -> None:
    """What is taken for a form is one to python-multipart too, with the same contents."""
    python_multipart = pytest.importorskip("python_multipart")
    found = read([body])
    if isinstance(found, tuple):
        return
    # What it refuses: text before the first boundary, padding after it, and folded headers.
    body = body[(b"\r\n" + body).index(b"\r\n--a-b") :]
    assume(not re.search(rb"--a-b[ \t]|\r\n[ \t]", body))
    values = [value.encode() for values in found.fields.values() for value in values]
    if not all(value.isascii() for value in values):  # they may have been in either encoding
        return
    others: list[bytearray] = []
    parser = python_multipart.MultipartParser(
        BOUNDARY,
        {
            "on_part_begin": lambda: others.append(bytearray()),
            "on_part_data": lambda data, start, end: others[-1].extend(data[start:end]),
        },
    )
    parser.write(body)
    assert sorted([upload.content for upload in found.images] + values) == sorted(map(bytes, others))
