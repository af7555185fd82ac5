"""The files that make the container's image. Nothing is built."""

from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]


def test_all_that_is_copied_is_sent() -> None:
    """What the Dockerfile copies out of the checkout is there, and .dockerignore lets it pass."""
    sent = {
        PurePosixPath(line.removeprefix("!"))
        for line in ROOT.joinpath(".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    lines = [line.split() for line in ROOT.joinpath("Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    copied = [PurePosixPath(source) for line in lines if "--from" not in line[1] for source in line[1:-1]]
    assert len(copied) > 8
    for source in copied:
        assert ROOT.joinpath(source).exists(), source
        assert sent & {source, *source.parents}, f"{source} is not sent to the builder"
