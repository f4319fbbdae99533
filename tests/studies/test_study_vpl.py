"""The study of VPL: what the smallest run measures, and embeddings of one's own at full scale."""

from __future__ import annotations

import numpy as np
import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.rewards.comparisons import Comparisons
from concordant.studies.study import Scale
from concordant.studies.vpl import ANSWERS, DATA, _given_data, _told, vpl


def test_shares_are_shares() -> None:
    found = vpl(Scale.smoke, 1000)
    assert {f"vpl.accuracy@{k}" for k in ANSWERS} <= set(found)
    assert all(0 <= value <= 1 for value in found.values())
    for method in ("average", "told", "vpl"):
        assert found[f"{method}.worst_success_rate"] <= found[f"{method}.success_rate"]


def test_told_is_the_kind_beside_the_features() -> None:
    answers = Comparisons(np.ones((2, 1, 1)), np.zeros((2, 1, 1)), [[1], [0]])
    told = _told(answers, np.array([1, 0]))
    assert told.a[:, 0].tolist() == [[1, 0, 1], [1, 1, 0]]
    assert told.b[:, 0].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert told.prefers_a.tolist() == [[True], [False]]


def test_embeddings_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv(DATA, str(tmp_path / "none.npz"))
    with pytest.raises(ConfigError, match=f"{DATA} must name a file of comparisons"):
        _given_data(0)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 24, 6, 3))
    columns = {"a": a, "b": b, "prefers_a": rng.random((24, 6)) < 0.5}
    np.savez(tmp_path / "some.npz", **columns)
    monkeypatch.setenv(DATA, str(tmp_path / "some.npz"))
    with pytest.raises(DataError, match="must have a, b, prefers_a and is_test, got no is_test"):
        _given_data(0)
    np.savez(tmp_path / "some.npz", **columns, is_test=np.arange(24) < 8)
    found = _given_data(0)
    assert {"language.average.accuracy", "language.vpl.accuracy@3", "language.forgetful.accuracy@3"} <= set(
        found
    )
    assert all(0 <= value <= 1 for value in found.values())
