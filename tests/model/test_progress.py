import pytest

from model.progress import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [0.0]
    monkeypatch.setattr("model.progress.time.monotonic", lambda: now[0])
    return now


def test_a_resumed_job_tells_its_own_speed(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """What an earlier run did counts as done, and neither as speed nor for the time that is left."""
    with progress(desc="index", unit="shoes", total=1000, initial=500) as shown:
        clock[0] = 10.0
        shown.update(100)
    assert capsys.readouterr().err.splitlines()[0] == "index: 600/1000 (60%) 10s, 10.0 shoes/s, 40s left"


@pytest.mark.parametrize(("total", "left"), [(900, "80s left"), (10_000, "16min left"), (100_000, "2.8h left")])
def test_long_times_are_rough(clock: list[float], capsys: pytest.CaptureFixture[str], total: int, left: str) -> None:
    """What is left is told in the unit that it is known to."""
    with progress(desc="index", unit="shoes", total=total) as shown:
        clock[0] = 10.0
        shown.update(100)
    assert capsys.readouterr().err.splitlines()[0].endswith(left)


def test_without_a_total_nothing_is_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """A job of unknown size tells how much it did, and how fast."""
    with progress(desc="read", unit="rows") as shown:
        clock[0] = 5.0
        shown.update(10)
        shown.note("loss 1")
    assert capsys.readouterr().err.splitlines() == ["read: 10 5s, 2.0 rows/s", "read: 10 5s, 2.0 rows/s, loss 1"]
