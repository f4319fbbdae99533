"""Cells: how often a model is right under one way of prompting on questions of one difficulty, as a table.

A cell is a row with the numbers ``n`` of answers and ``n_right`` of right ones, and columns that say under what: the
``reasoning`` that was asked for, the ``flux`` of the demonstrations, ``samples`` that were voted on, descriptors of the
difficulty. A single answer is a cell of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COUNTS = ("n", "n_right")


def cells_of(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Group rows, or finer cells, into cells.

    Parameters
    ----------
    rows
        Single answers with a column ``right`` of 0 and 1 or booleans; or cells, with ``n`` and ``n_right``.
    by
        Columns whose values make a cell, such as ``["strategy", "steps"]``.

    Returns
    -------
    pl.DataFrame
        One row a cell, in the order in which they come: `by`, the means over answers of all other columns of numbers,
        all other columns that have one value in each cell, then ``n`` and ``n_right``.

    Raises
    ------
    DataError
        If a column is missing, or there are no rows.

    Examples
    --------
    >>> rows = pl.DataFrame({"steps": [1, 1, 2], "flux": [0.0, 1.0, 4.0], "right": [True, False, True]})
    >>> cells_of(rows, ["steps"]).rows()
    [(1, 0.5, 2, 1), (2, 4.0, 1, 1)]
    """
    if "right" in rows.columns:
        rows = rows.with_columns(n=pl.lit(1, pl.Int64), n_right=pl.col("right").cast(pl.Int64)).drop("right")
    check_columns(rows, [*by, *COUNTS])
    others = [name for name in rows.columns if name not in (*by, *COUNTS)]
    numbers = [name for name in others if rows[name].dtype.is_numeric()]
    per_cell = rows.group_by(by, maintain_order=True).agg(
        *((pl.col(name) * pl.col("n")).sum() / pl.col("n").sum() for name in numbers),
        *(pl.col(name).first() for name in others if name not in numbers),
        *(pl.col(name).n_unique().alias(f"{name} differs") for name in others if name not in numbers),
        *(pl.col(name).sum() for name in COUNTS),
    )
    differing = [name for name in others if name not in numbers and (per_cell[f"{name} differs"] > 1).any()]
    return per_cell.select(*by, *(name for name in others if name not in differing), *COUNTS)


def split_cells(
    cells: pl.DataFrame, by: str | None = None, *, share: float = 0.5, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw cells to fit on, and leave the others to predict.

    Parameters
    ----------
    cells
        Cells, n of them.
    by
        A column whose values stay together, such as a task: whole values are then unseen. By default each cell is
        drawn by itself.
    share
        Of the cells, or of the values, that are fitted on, in (0, 1); default 0.5.
    seed
        Decides which.

    Raises
    ------
    ConfigError
        If the share is not between 0 and 1.
    DataError
        If one side would be empty.

    Examples
    --------
    >>> fitted, left = split_cells(pl.DataFrame({"task": list("aabbcc")}), "task", share=0.34)
    >>> len(fitted), len(left), set(fitted["task"]) & set(left["task"])
    (2, 4, set())
    """
    if not 0 < share < 1:
        message = f"share must be between 0 and 1, got {share}"
        raise ConfigError(message)
    if by is not None:
        check_columns(cells, [by])
    units = np.arange(len(cells)) if by is None else cells[by].rank("dense").to_numpy() - 1
    n_units = int(units.max()) + 1 if len(units) else 0
    n_fitted = round(share * n_units)
    if not 0 < n_fitted < n_units:
        message = (
            f"a split needs at least one {by or 'cell'} on each side, got {n_fitted} of {n_units} to fit on"
        )
        raise DataError(message)
    fitted = np.isin(units, np.random.default_rng(seed).permutation(n_units)[:n_fitted])
    return cells.filter(fitted), cells.filter(~fitted)


def counts_of(cells: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the numbers of answers and of right answers, each of shape ``(n_cells,)``.

    Raises
    ------
    DataError
        If there are no cells, or a cell has no answers or more right ones than answers.
    """
    check_columns(cells, COUNTS)
    n, right = (cells[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in COUNTS)
    bad = ~((n > 0) & (right >= 0) & (right <= n))
    if bad.any() or not len(n):
        got = (
            f"n {n[bad][0]:g} and n_right {right[bad][0]:g} in row {bad.argmax()}"
            if bad.any()
            else "no cells"
        )
        message = f"cells need n of at least 1 and n_right from 0 to n, got {got}"
        raise DataError(message)
    return n, right


def column_of(cells: pl.DataFrame, name: str, *, low: float = 0.0) -> NDArray[np.float64]:
    """Return a column of finite numbers of at least `low`, shape ``(n_cells,)``.

    Raises
    ------
    DataError
        If it is missing, or holds anything else.
    """
    check_columns(cells, [name])
    series = cells[name]
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        message = f"the column {name!r} must hold numbers, got {series.dtype}"
        raise DataError(message)
    values = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = ~(np.isfinite(values) & (values >= low))
    if bad.any():
        message = f"{name} must be finite and at least {low:g}, got {values[bad][0]:g} in row {bad.argmax()}"
        raise DataError(message)
    return values


def check_columns(cells: pl.DataFrame, names: Sequence[str]) -> None:
    """Check that columns are there.

    Raises
    ------
    DataError
        If one is not.
    """
    if missing := next((name for name in names if name not in cells.columns), None):
        message = f"cells have no column {missing!r}; {nearest(missing, cells.columns)}"
        raise DataError(message)


def check_seen(names: pl.Series, seen: Sequence[str]) -> None:
    """Check that a law was fitted on all ways of reasoning.

    Raises
    ------
    DataError
        If it was not.
    """
    if unseen := next((name for name in names.unique() if name not in seen), None):
        message = f"the law was not fitted on the reasoning {unseen!r}; {nearest(str(unseen), seen)}"
        raise DataError(message)
