"""Reading forms and pictures out of requests."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.testclient import TestClient
from starlette.types import Message

from model.errors import ImageTooLarge, QueryError
from service.http.multipart import Form, FormLimits, Upload, read_form
from tests.support.bodies import CONTENT_TYPE, form, image, part
from tests.support.problems import check_problem

LIMITS = FormLimits(images=1, image_bytes=40)


def ask(content_type: str, *chunks: bytes, leaves: bool = False) -> Form:
    """Read the body of a request."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request"})

    async def receive() -> Message:
        return messages.pop(0)

    scope: Any = {"type": "http", "headers": [(b"content-type", content_type.encode("latin-1"))]}
    return asyncio.run(read_form(Request(scope, receive), (), LIMITS))


def test_form_in_pieces() -> None:
    """A form is read to its end, in as many pieces as it comes."""
    body = form(image(b"\xff\xd8"))
    assert ask(CONTENT_TYPE, body[:5], body[5:90], body[90:]) == Form([Upload("a.jpg", b"\xff\xd8")], {})


def test_picture_alone() -> None:
    """A body that says it is a picture is one, in pieces or not, up to the limit."""
    assert ask("image/jpeg", b"\xff", b"\xd8") == Form([Upload("", b"\xff\xd8")], {})
    assert ask("Image/PNG; q=1", b"x" * 40).images[0].content == b"x" * 40
    assert ask("application/octet-stream", b"\xff", b"\xd8") == Form([Upload("", b"\xff\xd8")], {})
    with pytest.raises(ImageTooLarge):
        ask("image/jpeg", b"x" * 40, b"x")


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40) | st.text('abx";=\\ -', max_size=12))
def test_any_content_type_is_answered(parameters: str) -> None:
    """A content type that can't be made sense of is the client's error."""
    with pytest.raises((QueryError, HTTPException)):
        ask(f"multipart/form-data; boundary{parameters}", b"x")
    with pytest.raises(QueryError):
        ask(f"x{parameters}", b"x")


def test_boundary_is_needed() -> None:
    """A form's content type has to name a boundary, and not an endless one."""
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""'):
        with pytest.raises(HTTPException, match="names no boundary"):
            ask(content_type, form(image(b"x")))
    with pytest.raises(HTTPException, match="more than 200 bytes"):
        ask("multipart/form-data; boundary=" + "x" * 300, form(image(b"x")))


@pytest.mark.parametrize("parameters", ["boundary=a-b", 'charset=utf-8;BOUNDARY="a-b"', "boundary=a-b; charset=utf-8"])
def test_boundary_is_found(parameters: str) -> None:
    """The boundary may be in quotes or not, and stand beside other parameters."""
    assert ask(f"Multipart/Form-Data; {parameters}", form(image(b"x"))).images


def test_client_that_leaves() -> None:
    """A connection that ends within a form, or a picture, is no broken form."""
    for content_type in (CONTENT_TYPE, "image/jpeg"):
        with pytest.raises(ClientDisconnect):
            ask(content_type, b"--a-b\r\n", leaves=True)


@settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],  # the client may be used again
)
@given(
    st.lists(st.sampled_from([image(b"x"), part("k", b"x"), b"\r\n--a-b"]) | st.binary(max_size=20), max_size=5),
    st.sampled_from(
        [CONTENT_TYPE, "multipart/form-data; boundary=x", "multipart/form-data", "image/jpeg", "text/plain"]
    ),
)
def test_any_body_is_the_clients_error(client: TestClient, pieces: list[bytes], content_type: str) -> None:
    """Whatever comes in place of a picture is a problem that names the client's fault, on each path that takes one."""
    for path in ("/v1/search", "/v1/embeddings", "/v1/reconstructions", "/v1/subjects"):
        response = client.post(path, content=b"".join(pieces), headers={"content-type": content_type})
        assert 400 <= response.status_code < 500
        check_problem(response, response.status_code, response.json().get("field"))
