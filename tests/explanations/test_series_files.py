"""Series and tables from files: what is read, how labels are counted, and every fault in one sentence."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.errors import DataError
from concordant.explanations.series_files import (
    class_numbers,
    read_series,
    rows_of,
    spread_rows,
    with_classes,
)
from concordant.explanations.series_set import SeriesSet

RNG = np.random.default_rng(7)


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "made.npz"
        np.savez(path, **arrays)
        return path

    return write


def test_npz_gives_all_that_is_known(npz) -> None:
    x = RNG.normal(size=(4, 5, 2))
    path = npz(
        x=x,
        y=np.array(["up", "down", "up", "up"]),
        classes=np.array(["up", "down"]),
        channels=np.array(["a", "b"]),
        truth=x > 0,
    )
    data = read_series(path)
    assert data.name == "made"
    assert np.array_equal(data.x, x)
    assert data.labels.tolist() == [0, 1, 0, 0]
    assert data.classes == ("up", "down")
    assert data.channels == ("a", "b")
    assert np.array_equal(data.truth, x > 0)
    assert not data.is_table


def test_npz_of_two_axes_is_one_channel_or_a_table(npz) -> None:
    x = RNG.normal(size=(4, 3))
    assert read_series(npz(x=x)).x.shape == (4, 3, 1)
    table = read_series(npz(x=x, columns=np.array(["a", "b", "c"])))
    assert table.is_table
    assert table.x.shape == (4, 1, 3)
    chosen = read_series(npz(x=x, columns=np.array(["a", "b", "c"])), columns=["c", "a"])
    assert np.array_equal(chosen.x[:, 0], x[:, [2, 0]])


def test_integer_labels_are_numbers_of_named_classes(npz) -> None:
    data = read_series(npz(x=np.ones((2, 3, 1)), labels=np.array([2, 0]), classes=np.array(["a", "b", "c"])))
    assert data.labels.tolist() == [2, 0]


def test_parquet_lists_are_channels_and_numbers_a_table(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"x": [[1.0, 2.0], [3.0, 4.0]], "y": ["u", "v"], "z": [[5, 6], [7, 8]]}).write_parquet(path)
    data = read_series(path)
    assert data.x.tolist() == [[[1, 5], [2, 6]], [[3, 7], [4, 8]]]
    assert data.channels == ("x", "z")
    assert data.classes == ("u", "v")
    pl.DataFrame({"age": [1, 2], "ill": [True, False]}).write_parquet(path)
    table = read_series(path, labels="ill")
    assert table.is_table
    assert table.x.tolist() == [[[1.0]], [[2.0]]]
    assert table.classes == ("0", "1")
    assert table.labels.tolist() == [1, 0]


def test_a_table_gives_the_columns_that_are_asked(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,b,a,label\nx,1,2,0\ny,3,4,1\n")
    data = read_series(path, columns=["a", "b"])
    assert data.x.tolist() == [[[2, 1]], [[4, 3]]]
    with pytest.raises(DataError, match="the column 'name' must hold numbers, got String"):
        read_series(path)
    with pytest.raises(
        DataError, match="no column 'c', which the classifier was fitted on; known: a, b, name"
    ):
        read_series(path, columns=["c"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.ones(3)}, r"must have an array x of shape \(n, time, channel\), got z"),
        ({"x": np.full((2, 3, 1), np.nan)}, "must be finite, got nan in row 0, step 0, channel 0"),
        ({"x": np.ones(3)}, r"must have shape \(n, time, channel\)"),
        ({"x": np.array([["a"]])}, "must hold numbers"),
        ({"x": np.ones((2, 3, 1)), "y": np.array([0])}, r"one class a row, shape \(2,\), got \(1,\)"),
        ({"x": np.ones((2, 3, 1)), "y": np.array([0.5, 1.0])}, "must hold classes, got 0.5 in row 0"),
        ({"x": np.ones((2, 3, 1)), "y": np.array([0, 2]), "classes": np.array(["a", "b"])}, "from 0 to 1"),
        (
            {"x": np.ones((2, 3, 1)), "y": np.array(["a", "c"]), "classes": np.array(["a", "b"])},
            "has 'c', which is none of classes: a, b",
        ),
        ({"x": np.ones((2, 3, 1)), "channels": np.array(["a", "b"])}, "names 2 channels, and x has 1"),
        ({"x": np.ones((2, 3, 1)), "truth": np.ones((2, 3, 1))}, "must be booleans of the shape"),
        ({"x": np.array([[1], [2, 3]], dtype=object)}, "only plain arrays are read"),
    ],
)
def test_faults_of_npz_are_said(npz, arrays, message) -> None:
    with pytest.raises(DataError, match=message):
        read_series(npz(**arrays))


def test_faults_of_files_are_said(tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"series are read from \.ts, \.npz, \.parquet, \.pq, \.csv, got \.txt"
    ):
        read_series(tmp_path / "a.txt")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_series(tmp_path / "no.npz")
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="cannot be read"):
        read_series(tmp_path / "bad.npz")
    path = tmp_path / "a.parquet"
    pl.DataFrame({"x": [[1.0, 2.0], [3.0]]}).write_parquet(path)
    with pytest.raises(DataError, match="must have one length, got 1 in row 1 of 'x' and 2 in row 0"):
        read_series(path)
    pl.DataFrame({"x": [["a"]]}).write_parquet(path)
    with pytest.raises(DataError, match="the column 'x' must hold lists of numbers"):
        read_series(path)
    pl.DataFrame({"x": [1.0, None]}).write_parquet(path)
    with pytest.raises(DataError, match="the column 'x' has no finite number in row 1"):
        read_series(path)
    with pytest.raises(DataError, match="has no 'outcome' for the labels"):
        read_series(path, labels="outcome")
    (tmp_path / "a.ts").write_text("@classLabel true a b\n@data\n1,2:a\n3:b\n")
    with pytest.raises(
        DataError, match=r"line 4 of .* has 1 channels of 1 steps and the first series 1 of 2"
    ):
        read_series(tmp_path / "a.ts")
    (tmp_path / "a.ts").write_text("@classLabel true a b\n@data\n1,NaN:a\n")
    with pytest.raises(DataError, match="must be finite, got nan in row 0, step 1"):
        read_series(tmp_path / "a.ts")
    with pytest.raises(DataError, match="--labels names nothing there"):
        read_series(tmp_path / "a.ts", labels="y")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_numbers_of_classes_name_them(values) -> None:
    numbers, names = class_numbers(values, "y")
    assert [int(names[number]) for number in numbers] == values
    assert list(names) == [str(value) for value in sorted(set(values))]


def test_classes_without_a_value_are_refused() -> None:
    with pytest.raises(DataError, match="y has no class in row 1"):
        class_numbers(["a", None], "y")
    with pytest.raises(DataError, match="y has no class in row 0"):
        class_numbers([float("nan")], "y")


def made(labels, classes):
    n = len(labels)
    return SeriesSet("made", np.zeros((n, 2, 1)), ("x",), np.asarray(labels), classes)


def test_labels_follow_the_order_of_the_classifier() -> None:
    data = with_classes(made([0, 1], ("1", "2")), [2.0, 1.0], 2, "it")
    assert data.labels.tolist() == [1, 0]
    assert data.classes == ("2", "1")
    with pytest.raises(DataError, match="made has the class '3', and it knows 1, 2"):
        with_classes(made([0], ("3",)), [1, 2], 2, "it")
    with pytest.raises(DataError, match="it names 2 classes and gives 3 probabilities"):
        with_classes(made([0], ("3",)), [1, 2], 3, "it")


def test_labels_of_a_classifier_without_names_are_numbers_where_their_count_differs() -> None:
    same = made([0, 1], ("1", "2"))
    assert with_classes(same, None, 2, "it") is same
    fewer = with_classes(made([0, 1], ("0", "2")), None, 3, "it")
    assert fewer.labels.tolist() == [0, 2]
    assert fewer.classes == ("0", "1", "2")
    with pytest.raises(DataError, match="made has 2 classes, a, b, and it tells 3 apart"):
        with_classes(made([0, 1], ("a", "b")), None, 3, "it")


@given(st.integers(1, 60), st.integers(1, 60))
def test_rows_are_spread_over_the_file(n, limit) -> None:
    rows = spread_rows(n, limit)
    assert len(rows) == min(n, limit) == len(set(rows.tolist()))
    assert rows[0] == 0
    gaps = np.diff(np.append(rows, n))
    assert gaps.max() - gaps.min() <= 1


def test_rows_keep_what_belongs_to_them() -> None:
    x = RNG.normal(size=(5, 2, 1))
    data = SeriesSet("made", x, ("x",), np.arange(5) % 2, ("a", "b"), x > 0)
    some = rows_of(data, np.array([3, 1]))
    assert np.array_equal(some.x, x[[3, 1]])
    assert some.labels.tolist() == [1, 1]
    assert np.array_equal(some.truth, x[[3, 1]] > 0)
