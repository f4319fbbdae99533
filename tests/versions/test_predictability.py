"""The five scores by hand, correlations against SciPy, and the reading of ladders."""

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.versions.scaling import (
    compute_correlations,
    ladder_of_logs,
    lost_at,
    option_metrics,
    read_ladder,
)
from concordant.versions.scaling.predictability import CORRELATIONS, predictability

COMPUTE = np.array([1e3, 1e4, 3e4, 1e6, 1e7])


def test_the_five_scores_by_hand():
    found = option_metrics(np.log([[0.2, 0.1, 0.1]]), [1])
    # p_C of the options: 1/2, 1/4, 1/4; Brier: (1/2)^2 + (3/4)^2 + (1/4)^2 = 0.875
    assert {name: float(values[0]) for name, values in found.items()} == pytest.approx(
        {"log_p": np.log(0.1), "p": 0.1, "p_choice": 0.25, "brier_score": -0.875, "accuracy": 0.0}
    )


def test_a_missing_option_has_no_share():
    found = option_metrics([[np.log(0.3), np.log(0.1), -np.inf]], [0])
    assert found["p_choice"][0] == pytest.approx(0.75)


def test_a_common_factor_changes_the_first_two_scores_alone():
    rng = np.random.default_rng(0)
    table, right = rng.normal(size=(4, 9, 3)) - 5, rng.integers(3, size=9)
    before, after = option_metrics(table, right), option_metrics(table - 2, right)
    for name in ("p_choice", "brier_score", "accuracy"):
        np.testing.assert_allclose(before[name], after[name], atol=1e-12)
    np.testing.assert_allclose(before["log_p"], after["log_p"] + 2)


@pytest.mark.parametrize("method", CORRELATIONS)
def test_correlations_are_those_of_scipy(method):
    scores = np.random.default_rng(1).normal(size=(5, 12))
    scores[:, 3] = 0.25
    found = compute_correlations(scores, COMPUTE, method)
    of = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}[method]
    assert np.isnan(found[3])
    for i in (0, 1, 2, 5):
        assert found[i] == pytest.approx(of(scores[:, i], np.log10(COMPUTE)).statistic)


def test_ranks_cannot_tell_a_probability_from_its_logarithm():
    p = np.random.default_rng(2).random((5, 8))
    for method, same in (("spearman", True), ("kendall", True), ("pearson", False)):
        a, b = (compute_correlations(values, COMPUTE, method) for values in (p, np.log(p)))
        assert np.allclose(a, b) is same


def test_area_and_distance_are_the_mean_in_other_units():
    scores = {"x": np.random.default_rng(3).normal(size=(5, 400))}
    found = predictability(scores, COMPUTE)["x"]
    grid = np.linspace(-1, 1, 4001)
    area = float(np.trapezoid(found.survival(grid), grid))
    assert found.survival_area == pytest.approx(area, abs=1e-3)
    distance = stats.wasserstein_distance(found.known, [1.0])
    assert found.distance_to_one == pytest.approx(distance)


def test_constant_scores_are_counted_and_not_well_predicted():
    scores = {"a": np.column_stack([np.arange(5.0), np.ones(5)])}
    found = predictability(scores, COMPUTE)["a"]
    assert (found.mean, found.constant_rate, found.well_predicted_rate) == (1.0, 0.5, 0.5)
    assert np.isnan(predictability({"a": np.ones((5, 2))}, COMPUTE)["a"].mean)


def test_what_a_step_loses_is_paired():
    up, noise = np.linspace(0, 1, 5)[:, None], np.random.default_rng(4).normal(size=(5, 50))
    scores = {"clean": np.repeat(up, 50, axis=1), "noisy": up + 0.3 * noise}
    found = predictability(scores, COMPUTE)
    loss = lost_at(found, ["clean", "noisy"])["clean", "noisy"]
    assert loss.value == pytest.approx(1 - found["noisy"].mean)
    assert loss.low > 0
    assert loss.n == 50


@pytest.mark.parametrize(
    ("scores", "compute", "message"),
    [
        (np.ones((2, 3)), [1, 2], "at least 3 models"),
        (np.ones((3, 3)), [1, 1, 1], "not the same"),
        (np.ones((3, 3)), [0, 1, 2], "above 0"),
        (np.full((3, 1), np.inf), [1, 2, 3], "finite"),
        (np.ones((3, 3)), [1, 2], "shape"),
    ],
)
def test_what_cannot_be_correlated(scores, compute, message):
    with pytest.raises(DataError, match=message):
        compute_correlations(scores, compute)


def test_options_that_cannot_be_scored():
    with pytest.raises(DataError, match="NaN"):
        option_metrics([[np.nan, 0.0]], [0])
    with pytest.raises(DataError, match="finite log-probability"):
        option_metrics([[-np.inf, 0.0]], [0])
    with pytest.raises(DataError, match="between 0 and 1"):
        option_metrics([[0.0, 0.0]], [2])


def lm_eval_log(path, tables):
    """Write a sample file of multiple choice as lm-eval does, from log-probabilities by item."""
    with path.open("w") as file:
        for i, values in enumerate(tables):
            row = {
                "doc_id": i,
                "doc": {"question": f"q{i}"},
                "target": 0,
                "arguments": [[f"q{i}", f" option {k}"] for k in range(len(values))],
                "resps": [[[v, False]] for v in values],
                "filtered_resps": [[v, False] for v in values],
                "acc": float(np.argmax(values) == 0),
            }
            file.write(json.dumps(row) + "\n")
    return path


def test_logs_of_lm_eval_become_a_table(tmp_path):
    logs = [
        lm_eval_log(tmp_path / f"{m}.jsonl", [[-3.0 + m, -1.0, -2.0], [-2.0, -1.0 - m, -4.0]])
        for m in range(3)
    ]
    table = ladder_of_logs([logs[2], logs[0], logs[1]], [1e9, 1e7, 1e8])
    assert table.names == ("0.jsonl", "1.jsonl", "2.jsonl")
    assert table.compute.tolist() == [1e7, 1e8, 1e9]
    np.testing.assert_allclose(table.logprobs[:, 0, 0], [-3, -2, -1])
    assert table.right.tolist() == [0, 0]
    path = tmp_path / "ladder.yaml"
    rungs = [{"log": log.name, "parameters": 10.0, "tokens": 100.0 * 10**m} for m, log in enumerate(logs)]
    path.write_text(json.dumps({"models": rungs}))
    again = read_ladder(path)
    np.testing.assert_allclose(again.logprobs, table.logprobs)
    assert again.compute.tolist() == [6e3, 6e4, 6e5]
    assert read_ladder(path, limit=1).ids == ("0",)


def test_models_of_a_ladder_are_asked(tmp_path):
    class Model:
        def __init__(self, scale):
            self.language_model = self
            self.scale = scale

        def score(self, prompts, completions):
            return [np.array([-self.scale * len(text)]) for text in completions]

    items = [{"input": "which ?", "choices": ["a", "abc"], "reference": "abc"}]
    pl.DataFrame(items).write_ndjson(tmp_path / "items.jsonl")
    path = tmp_path / "ladder.yaml"
    models = [{"model": f"any:{m}", "compute": 10.0**m} for m in (3, 1, 2)]
    path.write_text(json.dumps({"items": "items.jsonl", "models": models}))
    table = read_ladder(path, load=lambda spec: Model(float(spec[-1])))
    assert table.names == ("any:1", "any:2", "any:3")
    np.testing.assert_allclose(table.logprobs[:, 0], [[-2, -4], [-4, -8], [-6, -12]])  # with the space
    assert table.right.tolist() == [1]
    with pytest.raises(ModelError, match="scored by a local language model"):
        read_ladder(path, load=lambda spec: object())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"models": [{"log": "a", "compute": 1.0, "size": 3}]}, "models.0.size"),
        ({"models": [{"compute": 1.0}]}, "one of model and log"),
        ({"models": [{"model": "x", "compute": 1.0}]}, "name a file"),
        ({"options": "cloze"}, "models: field required"),
    ],
)
def test_a_ladder_file_that_is_not_understood(tmp_path, document, message):
    path = tmp_path / "ladder.yaml"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=message):
        read_ladder(path)


def test_logs_that_do_not_fit(tmp_path):
    with pytest.raises(ConfigError, match="1 logs and 2 numbers"):
        ladder_of_logs(["a"], [1, 2])
    path = tmp_path / "plain.jsonl"
    path.write_text('{"question": "1+1", "answer": "2"}\n')
    with pytest.raises(DataError, match="holds no choices"):
        ladder_of_logs([path], [1.0])
