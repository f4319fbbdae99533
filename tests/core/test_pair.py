"""The best and the worst of a group, and whether two scores agree on them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from concordant.core.errors import DataError
from concordant.core.pair import extremes, top_order

TABLES = arrays(np.float64, st.tuples(st.integers(0, 6), st.integers(1, 5)), elements=st.integers(-3, 3))


def test_by_hand():
    best, worst, apart = extremes([[3, 1, 2], [1, 1, 4], [2, 2, 2], [7, 7, 0]])
    assert best.tolist() == [0, 2, 0, 0]
    assert worst.tolist() == [1, 0, 0, 2]
    assert apart.tolist() == [True, True, False, True]


def test_missing_scores_are_never_chosen():
    nan = math.nan
    best, worst, apart = extremes([[nan, 1, 2], [nan, 5, nan], [nan, nan, nan]])
    assert (best[0], worst[0]) == (2, 1)
    assert apart.tolist() == [True, False, False]


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_against_sorting(table):
    best, worst, apart = extremes(table)
    rows = np.arange(len(table))
    assert (table[rows, best] == np.sort(table, axis=1)[:, -1]).all()
    assert (table[rows, worst] == np.sort(table, axis=1)[:, 0]).all()
    assert apart.tolist() == [len(set(row)) > 1 for row in table.tolist()]


@settings(max_examples=60, deadline=None)
@given(TABLES, st.randoms(use_true_random=False))
def test_top_order_depends_on_order_alone(table, random):
    assert top_order(table, table).all()
    assert top_order(table, np.exp(table)).all()
    columns = list(range(table.shape[1]))
    random.shuffle(columns)
    other = table[:, columns]
    # Moving the members of both alike changes nothing, and the two scores may change places.
    assert (top_order(table[:, columns], other[:, columns]) == top_order(table, other)).all()
    assert (top_order(table, other) == top_order(other, table)).all()


def test_top_order_looks_at_both_ends_and_at_ties():
    a = [[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 3, 3], [1, 3, 3]]
    b = [[1, 3, 2], [2, 1, 3], [0, 5, 9], [1, 3, 3], [1, 2, 3]]
    assert top_order(a, b).tolist() == [False, False, True, True, False]


def test_bad_input():
    with pytest.raises(DataError, match=r"shape \(groups, k\) with k at least 1, got \(3,\)"):
        extremes([1, 2, 3])
    with pytest.raises(DataError, match=r"one shape, got \(1, 2\) and \(1, 3\)"):
        top_order([[1, 2]], [[1, 2, 3]])
    with pytest.raises(DataError, match="must not be missing, got 1 missing"):
        top_order([[1, math.nan]], [[1, 2]])
