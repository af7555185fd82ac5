"""The short forms of what is tried on a running service, and the books that are kept of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.faults.artifacts import FILES, damages
from benchmarks.faults.asks import bad_asks, judge_refusal, mix, picture_asks, search_ask
from benchmarks.faults.client import Answer, Ask, Book
from benchmarks.faults.disk import try_disk
from benchmarks.faults.ground import Ground, make_ground
from benchmarks.faults.kills import try_batcher
from benchmarks.faults.mixed import try_mixed
from benchmarks.faults.overload import try_overload
from benchmarks.faults.report import Trial, format_table
from benchmarks.faults.scale import SHORT, Scale


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Two networks and catalogues of sixty shoes."""
    return make_ground(tmp_path_factory.mktemp("faults"), items=60, pictures=8)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", [try_mixed, try_overload, try_batcher, try_disk])
def test_short_forms(ground: Ground, attempt: Callable[[Ground, Scale], Iterator[Trial]]) -> None:
    """The service holds in the short form of each fault that only a running one shows."""
    trials = list(attempt(ground, SHORT))
    assert trials
    for trial in trials:
        assert trial.held, (trial.happened, dict(trial.figures))


def answer(status: int, body: bytes, **headers: str) -> Answer:
    """One that came at once."""
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.0)


def test_wrong_answers_are_noticed(ground: Ground) -> None:
    """An answer with other shoes, of an unknown checkpoint, or of another status than 200 is wrong."""
    ids = ground.first.nearest[0]
    ask = search_ask(b"picture", {"print": ids})
    body = '{{"checkpoint": "{}", "hits": [{}]}}'
    hits = ", ".join(f'{{"id": "{each}"}}' for each in ids)
    assert ask.judge(answer(200, body.format("print", hits).encode())) == ""
    assert "expected" in ask.judge(answer(200, body.format("print", '{"id": "x"}').encode()))
    assert "unknown checkpoint" in ask.judge(answer(200, body.format("other", hits).encode()))
    assert "status 503" in ask.judge(answer(503, b"{}", retry_after="1"))
    busy = search_ask(b"picture", {"print": ids}, busy=True)
    assert busy.judge(answer(503, b"{}", retry_after="1")) == ""
    assert "without Retry-After" in busy.judge(answer(503, b"{}"))


def test_refusals_are_looked_at() -> None:
    """A refusal must have one of the expected statuses, and be a problem that says something."""
    judge = judge_refusal(413, 422)
    problem = {"content_type": "application/problem+json"}
    assert judge(answer(422, b'{"status": 422, "detail": "too bad"}', **problem)) == ""
    assert "expected 413 or 422" in judge(answer(500, b"{}", **problem))
    assert "no problem" in judge(answer(413, b"too large", content_type="text/plain"))
    assert "empty problem" in judge(answer(413, b'{"status": 413, "detail": ""}', **problem))


def test_books_balance(ground: Ground) -> None:
    """Half of the mixed requests are bad, every kind of both is there, and each request is in the book once."""
    good, bad = picture_asks(ground.first.pictures, ground.nearest()), bad_asks(ground.first.pictures)
    asks = mix(good, bad, 2 * len(bad), seed=0)
    assert sum(ask in bad for ask in asks) == len(bad)
    assert {ask.name for ask in asks} == {ask.name for ask in [*good, *bad]}
    book = Book()
    book.enter(Ask("any", b"", lambda _: "all wrong"), answer(200, b""))
    book.failed.append("no answer")
    assert (book.asked, book.clean, book.wrong) == (2, False, ["any: all wrong"])
    assert str(book) == "1 x 200; 1 wrong, 1 without an answer"


def test_each_artifact_is_damaged(ground: Ground, tmp_path: Path) -> None:
    """Every damage leaves a file that differs from what it was, or none."""
    sizes = {file: (ground.first.folder / file).stat().st_size for file in FILES}
    found = list(damages(sizes, flips=2))
    assert {damage.file for damage in found} == set(FILES)
    for damage in found:
        whole = (ground.first.folder / damage.file).read_bytes()
        path = tmp_path / "file"
        path.write_bytes(whole)
        damage.do(path, ground.second.folder / damage.file)
        assert not path.exists() or path.read_bytes() != whole, damage.what


def test_catalogues_of_the_two_networks_differ(ground: Ground) -> None:
    """The two have the same pictures and other vectors: an answer of the wrong one would be noticed."""
    assert ground.first.pictures == ground.second.pictures
    first, second = ground.nearest().values()
    assert sum(one != other for one, other in zip(first, second, strict=True)) > len(first) // 2


def test_table_tells_what_did_not_hold() -> None:
    """What did not hold is seen at a glance."""
    table = format_table([Trial("one", "a", "b", held=True), Trial("two", "c", "d", held=False)])
    assert table.splitlines()[2:] == ["| one | a | b | held |", "| two | c | d | **did not hold** |"]
