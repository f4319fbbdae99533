"""Arrays of numbers as small pictures: a grid of shades, so that two inputs can be told apart at a glance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

LEAST, MOST = 25, 4096
SHADES = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """A grid of shades.

    Parameters
    ----------
    width, height
        Cells across and down.
    shades
        Pairs of an opacity in (0, 1] and the SVG path of all cells that have it; cells of the least value are left out.
    """

    width: int
    height: int
    shades: list[tuple[float, str]]


def picture(value: Any) -> Picture | None:
    """Draw an array, from its least value (nothing) to its greatest (full).

    Parameters
    ----------
    value
        A matrix of numbers, or a row of them: one whose length is a square is drawn as a square, row by row, any
        other as a strip.

    Returns
    -------
    Picture or None
        None for what is not an array of 25 to 4,096 finite numbers that are not all the same.

    Examples
    --------
    >>> drawn = picture(np.arange(64))
    >>> drawn.width, drawn.height, len(drawn.shades)
    (8, 8, 8)
    >>> picture("text") is None
    True
    """
    grid = _grid(value)
    if grid is None:
        return None
    low, high = float(grid.min()), float(grid.max())
    if not low < high or not math.isfinite(high - low):
        return None
    level = np.rint((grid - low) / (high - low) * SHADES).astype(int)
    shades = []
    for shade in range(1, SHADES + 1):
        cells = np.argwhere(level == shade).tolist()
        if cells:
            shades.append((round(shade / SHADES, 3), "".join(f"M{x} {y}h1v1h-1z" for y, x in cells)))
    return Picture(grid.shape[1], grid.shape[0], shades)


def _grid(value: Any) -> np.ndarray[Any, Any] | None:
    if isinstance(value, pl.Series):
        if value.null_count() or len(value) > MOST:
            return None
        value = value.to_numpy()
    elif (
        isinstance(value, list)
        and LEAST <= len(value) <= MOST
        and all(type(v) in (int, float) for v in value)
    ):
        value = np.asarray(value, dtype=float)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or not LEAST <= value.size <= MOST:
        return None
    if value.ndim == 1:
        side = math.isqrt(value.size)
        value = value.reshape(side, side) if side * side == value.size else value[None, :]
    return value.astype(float) if value.ndim == 2 else None
