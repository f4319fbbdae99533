from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from concordant.core.errors import DataError
from concordant.explanations.ts_files import read_ts

TWO_CHANNELS = """# a comment
@problemName Two
@timeStamps false
@univariate false
@classLabel true left right

@data
1,2,3:4,5,6:right
7,8,9:-1,0,1e1:left
"""


def written(tmp_path, text):
    path = tmp_path / "some.ts"
    path.write_text(text)
    return path


def test_two_channels(tmp_path):
    data = read_ts(written(tmp_path, TWO_CHANNELS))
    assert data.x.shape == (2, 3, 2)
    assert data.x[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert data.x[1, 2].tolist() == [9, 10]
    assert (data.labels.tolist(), data.classes) == ([1, 0], ("left", "right"))
    assert read_ts(written(tmp_path, TWO_CHANNELS), classes=["right", "left"]).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("4,5,6", "4,?,6"), r"line 8 of .*some\.ts has a missing value, expected numbers alone"),
        (("4,5,6", "4,x,6"), "line 8 of .* has 'x', expected numbers alone"),
        (("4,5,6", "4,5"), "line 8 of .* has 2 channels of 2 and 3 steps and the first series 2 of"),
        (("7,8,9:", ""), "line 9 of .* has 1 channels of 3 steps and the first series 2 of 3"),
        ((":right", ":up"), "line 8 of .* has class 'up', expected one of left, right"),
        (("@timeStamps false", "@timeStamps true"), "has time stamps, which are not read"),
        (("@classLabel true left right", "@classLabel false"), "names no classes"),
        (("@data", "@rows"), "has no series after @data"),
    ],
)
def test_bad_files(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as raised:
        read_ts(written(tmp_path, TWO_CHANNELS.replace(*change)))
    assert "\n" not in str(raised.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none\.ts cannot be read: No such file"):
        read_ts(tmp_path / "none.ts")


@pytest.mark.parametrize(
    ("name", "shape", "n_classes"),
    [("GunPoint", (50, 150, 1), 2), ("ItalyPowerDemand", (67, 24, 1), 2), ("BasicMotions", (40, 100, 6), 4)],
)
def test_files_of_the_archive(name, shape, n_classes):
    folder = os.environ.get("CONCORDANT_SERIES")
    if not folder or not Path(folder, f"{name}_TRAIN.ts").is_file():
        pytest.skip(f"CONCORDANT_SERIES names no folder with {name}_TRAIN.ts")
    data = read_ts(Path(folder, f"{name}_TRAIN.ts"))
    assert data.x.shape == shape
    assert len(data.classes) == n_classes == len(np.unique(data.labels))
    assert np.isfinite(data.x).all()
