"""Resample: samples by hand, a flaky model of known probability, and recorded trials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ConfigError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.models.recorded import Recorded
from concordant.variants import Resample


class Tape:
    """A batch model whose samples are given; None is an error."""

    name = fingerprint = "tape"
    batch_size = 100

    def __init__(self, samples: list[list[Any]]) -> None:
        self.samples = samples
        self.asked: list[Request] = []

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        self.asked.append(request)
        outputs = [value for i in items.ids for value in self.samples[int(i)][: request.n]]
        errors = ["failed" if value is None else None for value in outputs]
        return pl.DataFrame({"output": outputs, "error": errors}, schema_overrides={"error": pl.String})


def result_of(samples: list[list[Any]], relation: Resample, reference: Any = "4") -> cc.Result:
    rows = [{"id": str(i), "input": f"q{i}", "reference": reference} for i in range(len(samples))]
    return cc.check(Tape(samples), Items.from_records(rows), [relation], progress=False)["variants.resample"]


def test_by_hand() -> None:
    samples = [
        ["4", "4", "4", "4"],  # all right
        ["4", "4", "5", "4"],  # 3 of 4
        ["4", "4", "5", "5"],  # a tie
        ["4", "6", "5", "5"],  # the majority is wrong
    ]
    verdicts = result_of(samples, Resample(k=4, at=[1, 2, 4])).verdicts
    expected = {
        "agreement": [1, 3 / 6, 2 / 6, 1 / 6],
        "majority_right": [1, 1, 0.5, 0],
        "right": [1, 3 / 4, 1 / 2, 1 / 4],
        "distinct": [1, 2, 2, 3],
        "pass_at_1": [1, 3 / 4, 1 / 2, 1 / 4],
        "pass_hat_1": [1, 3 / 4, 1 / 2, 1 / 4],
        "pass_at_2": [1, 1, 5 / 6, 3 / 6],
        "pass_hat_2": [1, 3 / 6, 1 / 6, 0],
        "pass_at_4": [1, 1, 1, 1],
        "pass_hat_4": [1, 0, 0, 0],
    }
    for column, values in expected.items():
        assert verdicts[column].to_list() == pytest.approx(values), column


def test_errors_and_unread_answers() -> None:
    samples = [
        ["4", None, "4"],  # the failure counts for nothing
        [None, None, None],
        ["4", "who knows", "who can say"],  # read in one sample; the others are wrong, and vote for nothing
        ["who knows", "who knows", "who knows"],
        [None, "5", None],
    ]
    result = result_of(samples, Resample(k=3))
    verdicts = result.verdicts
    assert verdicts["agreement"].to_list() == [1.0, None, 0.0, None, None]
    assert verdicts["right"].to_list() == [1.0, None, pytest.approx(1 / 3), 0.0, 0.0]
    assert verdicts["majority_right"].to_list() == [1.0, None, 1.0, 0.0, 0.0]
    assert verdicts["pass_at_3"].to_list() == [None, None, 1.0, 0.0, None]  # too few are graded
    assert verdicts["distinct"].to_list() == [1.0, None, 1.0, None, 1.0]
    assert result.agreement_score.n == 2
    assert result.agreement_score.n_error == 2
    assert result.agreement_score.n_ungraded == 1


def test_without_references_only_agreement_is_judged() -> None:
    items = Items.from_records([{"id": "0", "input": "q"}])
    result = cc.check(Tape([["a", "a", "b"]]), items, [Resample(k=3)], progress=False)["variants.resample"]
    assert result.agreement_score.value == pytest.approx(1 / 3)
    assert set(result.findings) == {"agreement_score", "distinct_answers"}


def test_a_flaky_model() -> None:
    # right with probability 0.7, else one of two wrong answers, evenly
    generator = np.random.default_rng(1)
    samples = generator.choice(["4", "5", "6"], p=[0.7, 0.15, 0.15], size=(600, 5)).tolist()
    result = result_of(samples, Resample(k=5, at=[2, 5]))
    expected = {
        "accuracy": 0.7,
        "agreement_score": 0.7**2 + 2 * 0.15**2,
        "pass_at_2": 1 - 0.3**2,
        "pass_hat_2": 0.7**2,
        "pass_at_5": 1 - 0.3**5,
        "pass_hat_5": 0.7**5,
    }
    for measure, value in expected.items():
        finding = result[measure]
        assert abs(finding.value - value) < 4 * finding.estimate.stderr, measure
        assert finding.estimate.stderr < 0.02


def test_recorded_trials_are_samples() -> None:
    records = pl.DataFrame(
        {"item": ["a"] * 3 + ["b"] * 3, "sample": [0, 1, 2] * 2, "output": ["4", "4", "5", "7", "7", "7"]}
    ).with_columns(reference=pl.lit("4"))
    model = Recorded(records)
    result = cc.check(model, model.items(), [Resample(k=3)], progress=False)["variants.resample"]
    assert result.verdicts["right"].to_list() == pytest.approx([2 / 3, 0])
    # recorded verdicts without outputs: the outcomes vote
    graded = records.select("item", "sample", correct=pl.Series([True, True, False] * 2))
    model = Recorded(graded.with_columns(output=pl.lit(None, dtype=pl.String)))
    result = cc.check(model, model.items(), [Resample(k=3)], progress=False)["variants.resample"]
    assert result.majority_accuracy.value == 1
    assert "agreement_score" not in result.findings


def test_what_is_asked() -> None:
    model = Tape([["4"] * 9])
    items = Items.from_records([{"id": "0", "input": "q", "reference": "4"}])
    cc.check(model, items, [Resample(k=2), Resample(k=3, temperature=None)], progress=False)
    assert [(request.n, request.temperature) for request in model.asked] == [(2, 0.7), (3, 0.0)]


def test_measures_and_bad_settings() -> None:
    assert {"pass_at_5", "pass_hat_5"} <= {measure.name for measure in Resample.measures}
    assert {"pass_at_2", "pass_hat_8"} <= {measure.name for measure in Resample(k=8, at=[2, 8]).measures}
    assert math.isinf(Resample.measures[-1].bounds[1])
    for k in (1, 0, True, 2.5):
        with pytest.raises(ConfigError, match="k must be a number of samples, at least 2"):
            Resample(k=k)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"the temperature must be at least 0, got -1"):
        Resample(temperature=-1)
    with pytest.raises(ConfigError, match=r"pass@k needs k from 1 to the 5 samples, got 6"):
        Resample(at=[6])
