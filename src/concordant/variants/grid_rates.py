"""What a grid found of each variation: its rate with an interval, to look at before anything is averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from concordant.core.errors import DataError, nearest
from concordant.core.statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTS = ("successes", "trials")


def variation_rates(
    counts: pl.DataFrame, by: Sequence[str] = ("problem", "variation"), *, level: float = 0.95
) -> pl.DataFrame:
    r"""Return the success rate :math:`p_v = k_v / n_v` of each variation with its Wilson interval.

    Parameters
    ----------
    counts
        Columns `successes` and `trials`, and those of `by`; rows of one variation are added up.
    by
        Columns that tell variations apart.
    level
        Confidence level, in (0, 1); default 0.95.

    Returns
    -------
    pl.DataFrame
        One row a variation, in order of appearance: the columns of `by`, `successes`, `trials`, `rate`, `low`,
        `high`.

    Raises
    ------
    DataError
        If a column is missing, or there are more successes than trials.

    Examples
    --------
    >>> counts = pl.DataFrame({"variation": [1, 2, 1], "successes": [8, 0, 7], "trials": [10, 10, 10]})
    >>> variation_rates(counts, ["variation"]).select("variation", "rate", pl.col("low", "high").round(3)).rows()
    [(1, 0.75, 0.531, 0.888), (2, 0.0, 0.0, 0.278)]
    """
    for name in (*by, *COUNTS):
        if name not in counts.columns:
            message = f"rates of variations need the column {name!r}, which is not there; {nearest(name, counts.columns)}"
            raise DataError(message)
    summed = counts.group_by(*by, maintain_order=True).agg(pl.col(*COUNTS).sum())
    low, high = wilson(summed["successes"].to_numpy(), summed["trials"].to_numpy(), level)
    return summed.with_columns(
        (pl.col("successes") / pl.col("trials")).alias("rate"), pl.Series("low", low), pl.Series("high", high)
    )
