"""Both forms of a selection say the same."""

import numpy as np
import pytest

from service.store.index.exact import Selection

MASK = np.array([True, False, True, True, False])
ROWS = np.array([0, 2, 3])


@pytest.mark.parametrize("selection", [Selection(5, mask=MASK), Selection(5, rows=ROWS)])
def test_either_form_gives_the_other(selection: Selection) -> None:
    """Rows, mask and count agree, also of those rows that another mask has."""
    assert selection.count == 3
    assert selection.rows.tolist() == [0, 2, 3]
    assert selection.mask.tolist() == MASK.tolist()
    fewer = selection.within(np.array([True, True, False, True, True]))
    assert (fewer.count, fewer.rows.tolist()) == (2, [0, 3])
    assert fewer.mask.tolist() == [True, False, False, True, False]
    assert selection.rows.tolist() == [0, 2, 3]
