"""The parts under the relations: draws that belong to items, votes, and wordings."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.variants.draws import item_keys, normals, uniforms
from concordant.variants.votes import (
    MISSING,
    UNPARSED,
    coded,
    most_voted,
    n_distinct,
    pairwise_agreement,
    votes,
)
from concordant.variants.wording import fill, reword, wording


def test_uniforms_are_those_of_splitmix64() -> None:
    # SplitMix64 from seed 1234567, as published with the reference implementation (prng.di.unimi.it):
    # 6457827717110365317, 3203168211198807973, 9817491932198370423; the 53 high bits make the number.
    published = np.array([6457827717110365317, 3203168211198807973, 9817491932198370423], np.uint64)
    expected = (published >> np.uint64(11)).astype(float) / 2**53
    np.testing.assert_array_equal(uniforms(np.array([1234567], np.uint64), 3), expected)


def test_the_numbers_of_an_item_do_not_depend_on_the_items_beside_it() -> None:
    ids = pl.Series([f"item {i}" for i in range(50)])
    keys = item_keys(ids, "test", 3)
    counts = np.arange(50) % 7
    drawn = np.split(uniforms(keys, counts), np.cumsum(counts)[:-1])
    for i in (6, 17, 49):
        alone = uniforms(item_keys(ids[i : i + 1], "test", 3), counts[i])
        np.testing.assert_array_equal(alone, drawn[i])
    assert (
        len(np.unique(np.concatenate([keys, item_keys(ids, "test", 4), item_keys(ids, "other", 3)]))) == 150
    )


def test_draws_have_their_distribution() -> None:
    keys = item_keys(pl.Series([str(i) for i in range(2000)]), "test", 0)
    drawn = uniforms(keys, 50)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    # 100,000 draws: the mean of the uniform has standard error 0.0009, counts of ten bins 95
    assert abs(drawn.mean() - 0.5) < 0.004
    assert np.abs(np.histogram(drawn, 10, (0, 1))[0] - 10_000).max() < 400
    normal = normals(keys, 50)
    assert normal.shape == (2000, 50)
    assert abs(normal.mean()) < 0.013
    assert abs(normal.std() - 1) < 0.01
    assert abs(np.corrcoef(normal[:, 0], normal[:, 1])[0, 1]) < 0.1


def test_votes_by_hand() -> None:
    answers = pl.Series(["a", "a", "b", None, "a", None, "c", "c"])
    unparsed = np.array([[False] * 4, [False, True, False, False]])
    codes = coded(answers, 4, unparsed)
    assert codes[0, 3] == MISSING
    assert codes[1, 1] == UNPARSED
    assert votes(codes).tolist() == [[2, 2, 1, 0], [1, 0, 2, 2]]
    assert most_voted(codes).tolist() == [[True, True, False, False], [False, False, True, True]]
    assert n_distinct(codes).tolist() == [2, 2]
    # first: 1 of the 3 pairs of a, a, b; second: 1 of the 6 pairs of a, nothing found, c, c
    np.testing.assert_allclose(pairwise_agreement(codes), [1 / 3, 1 / 6])


def test_two_outputs_without_an_answer_are_no_pair() -> None:
    codes = np.array([[UNPARSED, UNPARSED, UNPARSED], [UNPARSED, UNPARSED, 5], [MISSING, 5, UNPARSED]])
    np.testing.assert_allclose(pairwise_agreement(codes), [np.nan, 0.0, 0.0])
    assert not most_voted(codes)[0].any()
    assert np.isnan(n_distinct(codes)[0])


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=8))
def test_pairwise_agreement_counts_pairs(row: list[int]) -> None:
    known = [code for code in row if code >= 0]
    pairs = [a == b for i, a in enumerate(known) for b in known[:i]]
    expected = np.mean(pairs) if pairs else np.nan
    np.testing.assert_allclose(pairwise_agreement(np.array([row]))[0], expected)


def test_the_wording_of_a_conversation_is_the_last_turn_of_the_user() -> None:
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"},
    ]
    items = Items.from_records([{"input": turns}, {"input": turns[:1]}])
    assert wording(items, "test").to_list() == ["three", "one"]
    new = reword(items, ["THREE", None])
    assert new.dtype == items.inputs.dtype
    assert [turn["content"] for turn in new[0]] == ["one", "two", "THREE", "four"]
    assert new.to_list()[1] is None


def test_wordings_need_a_text() -> None:
    with pytest.raises(
        DataError, match=r"test rewrites texts or lists of messages, and the inputs are Int64"
    ):
        wording(Items.from_records([{"input": 1}]), "test")
    with pytest.raises(DataError, match=r"test: item 'a' has no turn of the user to rewrite"):
        wording(Items.from_records([{"id": "a", "input": [{"role": "system", "content": "x"}]}]), "test")


def test_templates() -> None:
    columns = {"x": [1, 2], "name": ["a", "{b}"]}
    assert fill("{name}: {x:>2}", columns, "it") == ["a:  1", "{b}:  2"]
    assert fill("nothing {{here}}", columns, "it") == ["nothing {here}"] * 2
    with pytest.raises(ConfigError, match=r"it '\{nam\}' has an unknown field \{nam\}; did you mean name\?"):
        fill("{nam}", columns, "it")
    with pytest.raises(ConfigError, match=r"it '\{name' cannot be read: expected '\}'"):
        fill("{name", columns, "it")
    with pytest.raises(ConfigError, match="cannot be filled"):
        fill("{name:d}", columns, "it")
    with pytest.raises(ConfigError, match="unknown field"):  # no way into the attributes of a value
        fill("{name.__class__}", columns, "it")
