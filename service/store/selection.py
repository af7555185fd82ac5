"""Which rows a search may look at: as their numbers where they are few, as a mask where they are many."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Selection"]


class Selection:
    """Some of N rows. Immutable; either form is worked out from the other when it is first asked for."""

    def __init__(
        self, size: int, *, rows: NDArray[np.integer] | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Take one of the two, which is not to be changed afterwards.

        Args:
            size: N.
            rows: ascending, each once.
            mask: (N,), True for the rows to look at.
        """
        assert (rows is None) != (mask is None), "one of the two"
        self.size = size
        if rows is not None:
            self.rows, self.count = rows, len(rows)
        if mask is not None:
            self.mask, self.count = mask, int(np.count_nonzero(mask))

    @cached_property
    def rows(self) -> NDArray[np.integer]:
        """The rows' numbers, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(N,), True for the rows to look at."""
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[self.rows] = True
        return mask

    def within(self, mask: NDArray[np.bool_]) -> "Selection":
        """Those of the rows for which `mask`, (N,), is True."""
        return Selection(self.size, rows=self.rows[mask[self.rows]])

    def without(self, row: int) -> "Selection":
        """All but one row, which may not be among them."""
        if "rows" in self.__dict__:
            return Selection(self.size, rows=self.rows[self.rows != row])
        mask = self.mask.copy()
        mask[row] = False
        return Selection(self.size, mask=mask)
