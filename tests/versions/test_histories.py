"""What became of items: hand-worked histories, and what must hold for every table of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.errors import DataError
from concordant.versions import continual
from concordant.versions.continual import STATES, forgetting, item_states, n_changes, retention_matrix


def table(*rows: str) -> np.ndarray:
    return np.array([[sign == "1" for sign in row] for row in rows])


tables = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.text("01", min_size=n, max_size=n), min_size=1, max_size=20).map(
        lambda rows: table(*rows)
    )
)


def by_hand(history: list[bool]) -> str:
    """Say the state of one item by walking through its history."""
    if all(history):
        return "kept"
    if not any(history):
        return "never"
    if not history[-1]:
        return "forgotten"
    return "regained" if "10" in "".join(str(int(right)) for right in history) else "learnt"


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ("1", "kept"), ("0", "never"), ("111", "kept"), ("001", "learnt"), ("011", "learnt"), ("101", "regained"),
        ("0101", "regained"), ("110", "forgotten"), ("010", "forgotten"), ("000", "never"),
    ],
)  # fmt: skip
def test_states_by_hand(history: str, state: str) -> None:
    assert STATES[item_states(table(history))[0]] == state


@given(tables)
def test_states_agree_with_a_walk_through_each_history(right: np.ndarray) -> None:
    assert [STATES[code] for code in item_states(right)] == [by_hand(row) for row in right.tolist()]
    changes = [sum(a != b for a, b in pairwise(row)) for row in right.tolist()]
    assert n_changes(right).tolist() == changes


def test_matrix_and_forgetting_by_hand() -> None:
    # Two sets of two items, learnt at steps 0 and 1: the first loses one item at step 2, the second gains one.
    right = table("111", "110", "010", "011")
    matrix = retention_matrix(right, [0, 0, 1, 1])
    np.testing.assert_array_equal(matrix, [[1, 1, 0.5], [0, 1, 0.5]])
    np.testing.assert_array_equal(forgetting(matrix), [0.5, 0.5])
    np.testing.assert_array_equal(forgetting(matrix, [2, 0]), [0, -0.5])


@given(tables)
def test_the_matrix_of_single_items_is_the_table_and_that_of_one_set_its_means(right: np.ndarray) -> None:
    np.testing.assert_array_equal(retention_matrix(right, np.arange(len(right))), right)
    np.testing.assert_allclose(retention_matrix(right, np.zeros(len(right), int))[0], right.mean(axis=0))


def test_a_set_without_items_has_no_accuracy() -> None:
    assert np.isnan(retention_matrix(table("10", "11"), [0, 2])[1]).all()


def test_bad_input_is_said() -> None:
    with pytest.raises(DataError, match=r"a table of true and false.*got an array of int64 of shape \(3,\)"):
        item_states(np.array([1, 0, 1]))
    with pytest.raises(DataError, match=r"sets must be whole numbers from 0, one of the 2 items each"):
        retention_matrix(table("1", "0"), [0])
    with pytest.raises(DataError, match=r"one of the steps 0 to 1 for each of 2 sets, got \[0, 2\]"):
        forgetting(np.zeros((2, 2)), [0, 2])


def test_the_public_names_are_there_and_others_are_not() -> None:
    assert dir(continual) == continual.__all__ == sorted(continual.__all__)
    assert all(getattr(continual, name) is not None for name in continual.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'forget'"):
        _ = continual.forget
