"""The study of factors: its data, what it measures of a pool and of networks, and a survey of one's own."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from concordant.core.errors import ConfigError, DataError, MissingExtraError
from concordant.studies import factor_consistency as module
from concordant.studies.factor_consistency import (
    DATA,
    DECAYS,
    PENALTIES,
    Sizes,
    factor_consistency,
    marriages,
    squared_error,
)
from concordant.studies.study import Scale

SMALL = Sizes(60, 40, 40, 20, 10, 5, 4, 5, 1e-2, 2, 100)


def test_the_marriages_are_those_of_the_package() -> None:
    names, x, y = marriages()
    assert names == (
        "age",
        "yrs_married",
        "children",
        "religious",
        "educ",
        "occupation",
        "occupation_husb",
        "affairs",
    )
    assert x.shape == (6366, 8)
    assert np.bincount(y.astype(int)).tolist() == [
        0,
        99,
        348,
        993,
        2242,
        2684,
    ]  # as statsmodels describes them
    assert np.isfinite(x).all()


def test_without_statsmodels_it_says_how_to_get_it(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'concordant\[explain\]'"):
        marriages()


def test_all_arms_are_measured_alike() -> None:
    found = factor_consistency(Scale.smoke, 1000)
    arms = ("plain", "decayed", "knowledge", "equal", "reversed")
    for arm in arms:
        assert found[f"{arm}.squared_error"] > 0
        assert found[f"{arm}.seed_gap"] >= 0
    assert found["decayed.chosen_weight"] in DECAYS
    assert {found[f"{arm}.chosen_weight"] for arm in arms[2:]} <= set(PENALTIES)
    assert 0 <= found["kinds.js_gap"] <= np.log(2)


def test_an_error_is_the_mean_of_squares() -> None:
    import torch

    model = lambda x: x.sum(1, keepdim=True)  # noqa: E731
    batch = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([1.0, 1.0])
    assert squared_error(model, batch).item() == 2


def survey(n=400):
    """Return a survey in which one factor decides nearly all."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5))
    y = 2 * x[:, 0] + 0.2 * x[:, 1] + rng.normal(size=n) / 10
    return pl.DataFrame({**{f"f{i}": x[:, i] for i in range(5)}, "happiness": y})


def test_a_survey_of_ones_own(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(module.SIZES, Scale.full, SMALL)
    monkeypatch.delenv(DATA, raising=False)
    with pytest.raises(ConfigError, match=f"needs a table that {DATA} names, got none"):
        factor_consistency(Scale.full, 0)
    path = tmp_path / "survey.csv"
    monkeypatch.setenv(DATA, str(path))
    survey().write_csv(path)
    found = factor_consistency(Scale.full, 0)
    assert found["kinds.same_first_factor_score"] == 1  # all kinds find what decides
    assert found["kinds.top_k_score"] > 0
    survey(100).write_csv(path)
    with pytest.raises(DataError, match="needs more than 140 rows, got 100"):
        factor_consistency(Scale.full, 0)
    survey().drop("happiness").write_csv(path)
    with pytest.raises(DataError, match="must have a column 'happiness'"):
        factor_consistency(Scale.full, 0)
    survey().with_columns(f1=pl.lit("yes")).write_csv(path)
    with pytest.raises(DataError, match="the column 'f1' must have a number in every row"):
        factor_consistency(Scale.full, 0)
