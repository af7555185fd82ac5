"""The engine, without HTTP."""

import threading

import numpy as np
import pytest

from model.errors import CorruptImage, QueryError, UnknownItem, UnsupportedImage
from service.engine import Engine
from tests.service.stack import draw_shoe


def test_search_image_equals_search_by_its_vector(memory_engine: Engine) -> None:
    """A picture is searched by its embedding, and by nothing else."""
    shoe = draw_shoe(3)
    assert memory_engine.search_image(shoe, 5) == memory_engine.search(memory_engine.embed([shoe])[0], 5)


def test_bad_k_costs_nothing(memory_engine: Engine) -> None:
    """A search that can't be answered is refused before its picture is looked at."""
    with pytest.raises(QueryError, match="k is 0"):
        memory_engine.search_image(b"not an image", 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_vector_must_be_finite_in_float32(memory_engine: Engine, value: float) -> None:
    """A number that is not finite, or too large for float32, is refused as the vector's."""
    with pytest.raises(QueryError, match="finite") as caught:
        memory_engine.search([0.0] * 7 + [value], 1)
    assert caught.value.field == "vector"


def test_one_bad_picture_among_several(memory_engine: Engine) -> None:
    """The bad picture is named, by place and name; the error's kind stays."""
    with pytest.raises(CorruptImage, match=r"image 2 of 2 \('b'\)"):
        memory_engine.embed([draw_shoe(0), b""], ["a", "b"])
    with pytest.raises(UnsupportedImage, match=r"^not an image"):
        memory_engine.embed([b"text"], ["a"])


def test_unknown_shoes(memory_engine: Engine) -> None:
    """Whatever is asked of a shoe that is not there, the answer is the same error."""
    calls = (
        lambda: memory_engine.item("no"),
        lambda: memory_engine.similar("no", 3),
        lambda: memory_engine.picture("no"),
        lambda: memory_engine.reconstruct("no"),
        lambda: memory_engine.interpolate("1000.1", "no", 3),
        lambda: memory_engine.swap("no", "closure", "1000.1"),
    )
    for call in calls:
        with pytest.raises(UnknownItem, match="'no'"):
            call()


def test_many_threads_get_their_own_answers(memory_engine: Engine) -> None:
    """Searches side by side answer as they do alone."""
    shoes = [draw_shoe(number) for number in range(8)]
    alone = [memory_engine.search_image(shoe, 3) for shoe in shoes]
    together: dict[int, object] = {}

    def search(number: int) -> None:
        together[number] = memory_engine.search_image(shoes[number], 3)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(8)] == alone


def test_catalogue_facts_follow_the_store(memory_engine: Engine) -> None:
    """What is told of the catalogue is what it is now."""
    assert memory_engine.catalogue().info.count == 12
    memory_engine.store.delete(["1000.1"])
    assert memory_engine.catalogue().info.count == 11
