"""Rates of variations with their intervals."""

from __future__ import annotations

import polars as pl
import pytest

from concordant.core.errors import DataError
from concordant.core.statistics import wilson
from concordant.variants import variation_rates


def test_rows_of_one_variation_are_added_up() -> None:
    counts = pl.DataFrame(
        {
            "problem": ["a", "b", "a", "b"],
            "variation": [1, 1, 2, 1],
            "successes": [60, 0, 7, 30],
            "trials": [60, 30, 10, 30],
        }
    )
    found = variation_rates(counts)
    assert found.select("problem", "variation", "successes", "trials", "rate").rows() == [
        ("a", 1, 60, 60, 1.0),
        ("b", 1, 30, 60, 0.5),
        ("a", 2, 7, 10, 0.7),
    ]
    low, high = wilson([60, 30, 7], [60, 60, 10])
    assert found["low"].to_list() == low.tolist()
    assert found["high"].to_list() == high.tolist()
    # Wilson's interval of 60 of 60: 1 / (1 + z^2 / 60) = 60 / 63.8415
    assert found["low"][0] == pytest.approx(60 / (60 + 1.959964**2))
    assert variation_rates(counts, ["problem"], level=0.9)["trials"].to_list() == [70, 60]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match="need the column 'trials', which is not there; known: successes"):
        variation_rates(pl.DataFrame({"successes": [1]}), [])
    with pytest.raises(DataError, match="successes must lie between 0 and the trials, got 3 of 2"):
        variation_rates(pl.DataFrame({"successes": [3], "trials": [2], "variation": [1]}), ["variation"])
