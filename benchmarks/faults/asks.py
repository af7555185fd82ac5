"""Good requests with their right answers, and bad ones with the status that each must get."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from benchmarks.faults.client import Answer, Ask, build
from benchmarks.faults.nasty import make_big_jpeg, make_png
from benchmarks.serving.load import BOUNDARY, form
from benchmarks.serving.servers import is_right
from benchmarks.serving.workload import Workload

__all__ = ["MULTIPART", "bad_asks", "endless", "good_asks", "judge_refusal", "mix", "picture_asks", "search_ask"]

MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
EMPTY_FORM = f"--{BOUNDARY}--\r\n".encode()


def search_ask(picture: bytes, nearest: Mapping[str, Sequence[str]], *, busy: bool = False, close: bool = False) -> Ask:
    """A search by picture whose answer must be right for the checkpoint that it names.

    Args:
        picture: what is searched by.
        nearest: fingerprint of a checkpoint -> the ten nearest ids.
        busy: a 503 with Retry-After is right too.
        close: the connection is not to be kept.
    """

    def judge(answer: Answer) -> str:
        if busy and answer.status == 503:
            return "" if answer.headers.get("retry-after", "").isdigit() else "a 503 without Retry-After"
        if answer.status != 200:
            return _spell(answer)
        told = answer.json()
        expected = nearest.get(told["checkpoint"])
        if expected is None:
            return f"an unknown checkpoint {told['checkpoint']}"
        ids = [hit["id"] for hit in told["hits"]]
        return "" if is_right(ids, expected) else f"found {ids}, expected {list(expected)}"

    headers = {"Connection": "close"} if close else {}
    return Ask("search", build("POST", "/v1/search", form("image", picture), MULTIPART, headers), judge)


def picture_asks(
    pictures: Sequence[bytes],
    nearest: Mapping[str, Sequence[Sequence[str]]],
    *,
    busy: bool = False,
    close: bool = False,
) -> list[Ask]:
    """`search_ask` for each picture; `nearest` has the ids by fingerprint and picture."""
    return [
        search_ask(picture, {key: ids[number] for key, ids in nearest.items()}, busy=busy, close=close)
        for number, picture in enumerate(pictures)
    ]


def endless(asks: Sequence[Ask]) -> Iterator[Ask]:
    """The asks over and over."""
    return (asks[number % len(asks)] for number in count())


def good_asks(workload: Workload, vectors: Sequence[Sequence[float]], fingerprint: str) -> list[Ask]:
    """A request of every kind that there is, for each picture, with the right answer known beforehand.

    Args:
        workload: what is served.
        vectors: of its pictures, by the library: (P, D).
        fingerprint: of its checkpoint.
    """
    asks = []
    for number, picture in enumerate(workload.pictures):
        vector, nearest = vectors[number], workload.nearest[number]
        name, other = f"{number:06}", (number + 1) % len(workload.pictures)
        body = json.dumps({"vector": list(map(float, vector)), "k": 10}).encode()
        asks += [
            search_ask(picture, {fingerprint: nearest}),
            Ask("search, bare", build("POST", "/v1/search?k=10", picture, "image/jpeg"), _hits(nearest)),
            Ask("search, k=1", build("POST", "/v1/search?k=1", picture, "image/jpeg"), _hits(nearest[:1])),
            Ask("vector", build("POST", "/v1/search/vector", body, "application/json"), _hits(nearest)),
            Ask(
                "embeddings",
                build("POST", "/v1/embeddings", two_pictures(picture, workload.pictures[other]), MULTIPART),
                _vectors([vector, vectors[other]]),
            ),
            Ask("item", build("GET", f"/v1/items/{name}"), _item(name, vector)),
            Ask("similar", build("GET", f"/v1/items/{name}/similar?k=9"), _hits(nearest[1:])),
            Ask("picture", build("GET", f"/v1/items/{name}/image"), _bytes(picture)),
            Ask("drawing", build("GET", f"/v1/items/{name}/reconstruction"), _starts(b"\x89PNG")),
        ]
    return asks


def two_pictures(one: bytes, other: bytes) -> bytes:
    """A form with both."""
    return form("image", one).removesuffix(EMPTY_FORM) + form("image", other)


def bad_asks(pictures: Sequence[bytes]) -> list[Ask]:
    """A request of every kind of mistake, with the status that it must get."""
    jpeg = pictures[0]
    numbers = json.dumps({"vector": [0.0] * 3}).encode()
    texts = [
        (415, "no picture", build("POST", "/v1/search", form("image", b"not a picture"), MULTIPART)),
        (422, "empty picture", build("POST", "/v1/search", form("image", b""), MULTIPART)),
        (422, "half a picture", build("POST", "/v1/search", form("image", jpeg[: len(jpeg) // 2]), MULTIPART)),
        (413, "bomb", build("POST", "/v1/search", form("image", make_png(50_000, 50_000)), MULTIPART)),
        (413, "large picture", build("POST", "/v1/search", make_big_jpeg(), "image/jpeg")),
        (422, "no form", build("POST", "/v1/search", jpeg, "text/plain")),
        (400, "form cut off", build("POST", "/v1/search", form("image", jpeg)[:-9], MULTIPART)),
        (400, "wrong boundary", build("POST", "/v1/search", form("image", jpeg), "multipart/form-data; boundary=x")),
        (400, "no boundary", build("POST", "/v1/search", form("image", jpeg), "multipart/form-data")),
        (422, "form without a picture", build("POST", "/v1/search", EMPTY_FORM, MULTIPART)),
        (422, "unknown field", build("POST", "/v1/search", form("picture", jpeg), MULTIPART)),
        (422, "two pictures", build("POST", "/v1/search", two_pictures(jpeg, jpeg), MULTIPART)),
        (422, "one bad of two", build("POST", "/v1/embeddings", two_pictures(jpeg, jpeg[:300]), MULTIPART)),
        (422, "k=0", build("POST", "/v1/search?k=0", jpeg, "image/jpeg")),
        (422, "k=many", build("POST", "/v1/search?k=1000000", jpeg, "image/jpeg")),
        (422, "k=words", build("POST", "/v1/search?k=ten", jpeg, "image/jpeg")),
        (422, "unknown condition", build("POST", "/v1/search?condition=taste", jpeg, "image/jpeg")),
        (422, "unknown attribute", build("POST", "/v1/search?filter=Taste:Good", jpeg, "image/jpeg")),
        (422, "unknown parameter", build("POST", "/v1/search?fliter=Gender:Women", jpeg, "image/jpeg")),
        (422, "vector too short", build("POST", "/v1/search/vector", numbers, "application/json")),
        (400, "broken JSON", build("POST", "/v1/search/vector", numbers[:-3], "application/json")),
        (422, "JSON of another kind", build("POST", "/v1/search/vector", b"[1]", "application/json")),
        (404, "unknown shoe", build("GET", "/v1/items/nobody")),
        (404, "shoe of a path", build("GET", "/v1/items/..%2f..%2fetc%2fpasswd/image")),
        (422, "no such cursor", build("GET", "/v1/items?cursor=xyz")),
        (422, "limit below 1", build("GET", "/v1/items?limit=-1")),
        (404, "unknown path", build("GET", "/v2/search")),
        (405, "wrong method", build("DELETE", "/v1/search")),
        (401, "wrong key", build("POST", "/v1/admin/reload", headers={"X-API-Key": "wrong"})),
        (431, "many headers", build("GET", "/healthz", headers={f"X-{number}": "1" for number in range(150)})),
    ]
    return [Ask(name, request, judge_refusal(status)) for status, name, request in texts]


def mix(good: Sequence[Ask], bad: Sequence[Ask], total: int, seed: int) -> list[Ask]:
    """So many asks, half of them bad, in an order that is drawn."""
    rng = random.Random(seed)
    chosen = [(bad if number % 2 else good)[number // 2 % len(bad if number % 2 else good)] for number in range(total)]
    rng.shuffle(chosen)
    return chosen


def judge_refusal(*statuses: int) -> Callable[[Answer], str]:
    """The answer is a problem of one of these statuses."""

    def judge(answer: Answer) -> str:
        if answer.status not in statuses:
            return f"expected {' or '.join(map(str, statuses))}: {_spell(answer)}"
        if answer.headers.get("content-type") != "application/problem+json":
            return f"no problem: {_spell(answer)}"
        problem = answer.json()
        return "" if problem["status"] == answer.status and problem["detail"] else f"an empty problem: {_spell(answer)}"

    return judge


def _spell(answer: Answer) -> str:
    return f"status {answer.status}: {answer.body[:200]!r}"


def _judge(check: Callable[[Answer], bool]) -> Callable[[Answer], str]:
    return lambda answer: "" if answer.status == 200 and check(answer) else _spell(answer)


def _hits(expected: Sequence[str]) -> Callable[[Answer], str]:
    return _judge(lambda answer: is_right([hit["id"] for hit in answer.json()["hits"]], expected))


def _vectors(expected: Sequence[Sequence[float]]) -> Callable[[Answer], str]:
    return _judge(
        lambda answer: all(
            _close(each["vector"], vector) for each, vector in zip(answer.json()["embeddings"], expected, strict=True)
        )
    )


def _item(name: str, vector: Sequence[float]) -> Callable[[Answer], str]:
    def check(answer: Answer) -> bool:
        told: dict[str, Any] = answer.json()
        return bool(told["id"] == name) and _close(told["vector"], vector)

    return _judge(check)


def _close(found: Sequence[float], expected: Sequence[float]) -> bool:
    return len(found) == len(expected) and all(abs(a - b) < 1e-4 for a, b in zip(found, expected, strict=True))


def _bytes(expected: bytes) -> Callable[[Answer], str]:
    return _judge(lambda answer: answer.body == expected)


def _starts(expected: bytes) -> Callable[[Answer], str]:
    return _judge(lambda answer: answer.body.startswith(expected))
