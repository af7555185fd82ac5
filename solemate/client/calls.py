"""An operation of the service, written once for both clients: what is asked, and how the answer is read. No I/O."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload
from urllib.parse import quote

import httpx2
import pydantic

from solemate.client.errors import UnexpectedAnswer

A = TypeVar("A")
E = TypeVar("E")
P = ParamSpec("P")

File = tuple[str, tuple[str, bytes, str]]
"""A file part of a form: its name, and its file name, bytes and content type."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one request has beside its operation's method and path.

    Attributes:
        path: name -> value, of the parameters in the path.
        query: name -> value or values; None is left out.
        headers: besides those of every request.
        json: the body, where it is JSON.
        content: the body, where it is the bytes of a picture.
        form: fields of a form; None is left out.
        files: files of a form.
        repeatable: doing it twice is like doing it once, so that it may be repeated after it was interrupted.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    form: Mapping[str, Any] | None = None
    files: Sequence[File] = ()
    repeatable: bool = True


@dataclass(frozen=True)
class Call(Generic[A]):
    """A request, and how its answer is read."""

    method: str
    url: str
    request: Request
    read: Callable[[httpx2.Response], A]

    @property
    def arguments(self) -> dict[str, Any]:
        """As `httpx2.Client.request` takes them."""
        request = self.request
        headers, body = dict(request.headers), {}
        if request.json is not None:
            body["json"] = request.json
        elif request.content is not None:
            body["content"] = request.content
            headers["content-type"] = "application/octet-stream"
        elif request.form is not None:
            # A form without files would be sent in another encoding.
            texts = [(name, (None, text.encode())) for name, text in _flatten(request.form)]
            body["files"] = [*request.files, *texts]
        return {"method": self.method, "url": self.url, "params": _flatten(request.query), "headers": headers, **body}


def _flatten(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names with texts, one for each value; None is left out."""
    pairs = []
    for name, value in given.items():
        many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs += [(name, _to_text(each)) for each in many if each is not None]
    return pairs


def _to_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Sender(Protocol):
    """A client that waits for the answer."""

    def send(self, call: Call[A]) -> A:
        """What the service answers."""
        ...


class AsyncSender(Protocol):
    """A client whose caller awaits the answer."""

    async def send_async(self, call: Call[A]) -> A:
        """What the service answers."""
        ...


@dataclass(frozen=True)
class Operation(Generic[P, A]):
    """A method of both clients: returns the answer in the one, and an awaitable of it in the other.

    Attributes:
        method, path: of HTTP.
        read: the answer.
        build: the request, from the method's arguments.
    """

    method: str
    path: str
    read: Callable[[httpx2.Response], A]
    build: Callable[Concatenate[Any, P], Request]

    def prepare(self, *args: P.args, **kwargs: P.kwargs) -> Call[A]:
        """The call with these arguments."""
        request = self.build(None, *args, **kwargs)
        url = self.path.format_map({name: quote(value, safe="") for name, value in request.path.items()})
        return Call(self.method, url, request, self.read)

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Sender, owner: type) -> Callable[P, A]: ...
    @overload
    def __get__(self, client: AsyncSender, owner: type) -> Callable[P, Awaitable[A]]: ...
    def __get__(self, client: Sender | AsyncSender | None, owner: type) -> Any:
        if client is None:
            return self

        @wraps(self.build)
        def ask(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - A, or an awaitable of it
            call = self.prepare(*args, **kwargs)
            return client.send(call) if hasattr(client, "send") else client.send_async(call)

        return ask


def operation(
    method: str, path: str, answer: Callable[[httpx2.Response], A]
) -> Callable[[Callable[Concatenate[Any, P], Request]], Operation[P, A]]:
    """Make an operation of the function that builds its request."""

    def decorate(build: Callable[Concatenate[Any, P], Request]) -> Operation[P, A]:
        return Operation(method, path, answer, build)

    return decorate


class Page(Protocol):
    """An answer that may go on."""

    next: str | None


Paged = TypeVar("Paged", bound=Page)


@dataclass(frozen=True)
class Pages(Generic[P, Paged, E]):
    """A method of both clients: an iterator, or an asynchronous one, over all pages of an operation's answers.

    Attributes:
        operation: the operation; its option `cursor` asks for a page.
        take: what of a page is iterated over.
    """

    operation: Operation[P, Paged]
    take: Callable[[Paged], Sequence[E]]

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Sender, owner: type) -> Callable[P, Iterator[E]]: ...
    @overload
    def __get__(self, client: AsyncSender, owner: type) -> Callable[P, AsyncIterator[E]]: ...
    def __get__(self, client: Sender | AsyncSender | None, owner: type) -> Any:
        if client is None:
            return self
        iterate: Any = self._iterate if hasattr(client, "send") else self._iterate_async

        @wraps(self.operation.build)
        def start(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - an iterator of either kind
            return iterate(client, self.operation.prepare(*args, **kwargs))

        return start

    def _iterate(self, client: Sender, call: Call[Paged]) -> Iterator[E]:
        while True:
            page = client.send(call)
            yield from self.take(page)
            if page.next is None:
                return
            call = _turn(call, page.next)

    async def _iterate_async(self, client: AsyncSender, call: Call[Paged]) -> AsyncIterator[E]:
        while True:
            page = await client.send_async(call)
            for each in self.take(page):
                yield each
            if page.next is None:
                return
            call = _turn(call, page.next)


def pages(operation: Operation[P, Paged], take: Callable[[Paged], Sequence[E]]) -> Pages[P, Paged, E]:
    """Make an iterator over an operation's pages."""
    return Pages(operation, take)


def _turn(call: Call[Paged], cursor: str) -> Call[Paged]:
    """The call for the page at a cursor, with everything else as it was: that is what a cursor is for."""
    request = call.request
    if isinstance(request.json, dict):
        return replace(call, request=replace(request, json={**request.json, "cursor": cursor}))
    return replace(call, request=replace(request, query={**request.query, "cursor": cursor}))


Model = TypeVar("Model", bound=pydantic.BaseModel)


def as_json(model: type[Model]) -> Callable[[httpx2.Response], Model]:
    """Read an answer as a model."""

    def read(response: httpx2.Response) -> Model:
        return _parse(model, response.content)

    return read


def as_lines(model: type[Model]) -> Callable[[httpx2.Response], list[Model]]:
    """Read an answer as a model a line."""

    def read(response: httpx2.Response) -> list[Model]:
        return [_parse(model, line) for line in response.content.splitlines() if line]

    return read


def as_bytes(response: httpx2.Response) -> bytes:
    """Read an answer as a file."""
    return response.content


def as_text(response: httpx2.Response) -> str:
    """Read an answer as text."""
    return response.text


def as_nothing(_response: httpx2.Response) -> None:
    """Read an answer that has no body."""


def _parse(model: type[Model], content: bytes) -> Model:
    try:
        return model.model_validate_json(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise UnexpectedAnswer(
            f"the answer is no {model.__name__}: {place}: {first['msg']}; is it a service of solemate, of a version "
            "that this client knows?"
        ) from error
