"""Series to explain, or rows of a table, with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """Series of one length, or rows of a table.

    Attributes
    ----------
    name
        What reports call it, such as the name of the file.
    x
        Shape ``(n, time, channel)``; of a table ``(n, 1, columns)``.
    channels
        Names of the channels, or of the columns of a table.
    labels
        Numbers of the true classes, shape ``(n,)``, or None where they are not known.
    classes
        Names of the classes, by number; empty where nothing is known of them.
    truth
        True where the class is in a series, shape of `x`, or None where that is not known.
    is_table
        Whether it is a table, so that the channels have no order in time.
    numbers
        By which numbers reports call the series, shape ``(n,)``, where they are a part of a file; else they are counted.
    """

    name: str
    x: NDArray[Any]
    channels: tuple[str, ...]
    labels: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    truth: NDArray[Any] | None = None
    is_table: bool = False
    numbers: NDArray[Any] | None = None

    def number(self, row: int) -> int:
        """Return by which number reports call a series.

        Examples
        --------
        >>> import numpy as np
        >>> SeriesSet("part", np.zeros((2, 3, 1)), ("value",), numbers=np.array([7, 9])).number(1)
        9
        """
        return row if self.numbers is None else int(self.numbers[row])
