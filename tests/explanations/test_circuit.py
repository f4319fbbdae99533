"""The circuit and its rivals: planted parameters, slopes, bounds, hand-worked constants, other libraries."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.special import expit, logit
from scipy.stats import pearsonr, spearmanr
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mechanisms import circuit
from concordant.explanations.mechanisms.accuracy_laws import (
    ConstantLaw,
    InferenceTimeLaw,
    LogisticLaw,
    logistic_fit,
)
from concordant.explanations.mechanisms.cells import cells_of, split_cells
from concordant.explanations.mechanisms.circuit import CircuitModel
from concordant.explanations.mechanisms.difficulty import question_difficulty, solution_difficulty
from concordant.explanations.mechanisms.law_scoring import compare_laws, law_scores
from concordant.explanations.mechanisms.published_circuit import (
    PublishedCircuit,
    published_power,
    published_resistance,
)

PLANTED = {
    "intercept": 1.2,
    "slope": 0.8,
    "flux": 0.5,
    "direct: hops": 1.5,
    "direct: offset": 0.7,
    "steps: hops": 0.4,
}


def planted(n=10_000, *, votes=False):
    """Return cells whose counts are what a circuit with the planted parameters expects."""
    rows = [
        {"reasoning": way, "flux": flux, "hops": hops, "samples": samples, "n": n}
        for way in ("direct", "steps")
        for flux in (0.0, 1.0, 2.0, 4.0)
        for hops in (1, 2, 4)
        for samples in ((1, 3, 9) if votes else (1,))
    ]
    cells = pl.DataFrame(rows)
    direct = (cells["reasoning"] == "direct").to_numpy()
    hops, flux, samples = (cells[name].to_numpy() for name in ("hops", "flux", "samples"))
    resistance = np.where(direct, 1.5 * hops + 0.7, 0.4 * hops)
    resistance = np.where(samples > 1, 1.8 * resistance / samples + 0.2, resistance)
    power = ((1 + 0.5 * flux) / (1 + resistance)) ** 2
    return cells.with_columns(n_right=pl.Series(n * expit(1.2 + 0.8 * np.log(power))))


@cache
def fitted_once():
    return CircuitModel(["hops"], starts=1).fit(planted(100))


def test_planted_parameters_are_found() -> None:
    cells = planted()
    fitted = CircuitModel(["hops"]).fit(cells)
    np.testing.assert_allclose(fitted.predict(cells), cells["n_right"] / cells["n"], atol=1e-4)
    found = dict(fitted.summary().select("parameter", "value").iter_rows())
    assert found.pop("steps: offset") == 0
    assert found == pytest.approx(PLANTED, rel=0.05)
    assert fitted.starts_agree_rate_ > 0.5
    assert fitted.summary().filter(pl.col("parameter") == "flux")["is_pinned"].item()


def test_planted_votes_are_found() -> None:
    cells = planted(votes=True)
    fitted = CircuitModel(["hops"], starts=2).fit(cells)
    found = dict(fitted.summary().select("parameter", "value").iter_rows())
    assert found["votes: share"] == pytest.approx(1.8, rel=0.1)
    assert found["votes: offset"] == pytest.approx(0.2, rel=0.2)
    one, nine = (fitted.resistance(cells.filter(pl.col("samples") == n)) for n in (1, 9))
    np.testing.assert_allclose(nine, found["votes: share"] * one / 9 + found["votes: offset"])


def test_votes_that_were_not_fitted_are_foretold_as_published() -> None:
    fitted = fitted_once()
    cells = planted()
    voted = fitted.resistance(cells.with_columns(samples=pl.lit(4)))
    np.testing.assert_allclose(voted, 2 * fitted.resistance(cells) / 4 + 1)
    assert not fitted.summary()["parameter"].str.starts_with("votes").any()


def test_power_is_voltage_squared_over_resistance() -> None:
    cells = planted()
    fitted = fitted_once()
    found = dict(fitted.summary().select("parameter", "value").iter_rows())
    gain = 1 + found["flux"] * cells["flux"].to_numpy()
    np.testing.assert_allclose(fitted.power(cells), (gain / (1 + fitted.resistance(cells))) ** 2)
    expected = expit(found["intercept"] + found["slope"] * np.log(fitted.power(cells)))
    np.testing.assert_allclose(fitted.predict(cells), expected)


def test_slopes_are_those_of_finite_differences() -> None:
    cells = planted(votes=True, n=50)
    fitted = CircuitModel(["hops"], starts=1).fit(cells)
    inputs = fitted._inputs(cells)
    theta = np.random.default_rng(0).uniform(0.2, 2, len(fitted._names()))
    _, slopes = circuit._logit(theta, inputs)
    for row in range(0, len(cells), 7):
        near = approx_fprime(theta, lambda x, row=row: circuit._logit(x, inputs)[0][row], 1e-7)
        np.testing.assert_allclose(slopes[row], near, rtol=1e-3, atol=1e-5)


def test_what_cannot_be_told_apart_is_not_pinned_down() -> None:
    cells = planted().with_columns(again=pl.col("hops"))
    table = CircuitModel(["hops", "again"], starts=2).fit(cells).summary()
    twins = table.filter(pl.col("parameter").str.contains("direct: (hops|again)"))
    assert not twins["is_pinned"].any()
    assert twins["value"].sum() == pytest.approx(1.5, rel=0.1)


def test_standard_errors_are_the_spread_of_refitted_draws() -> None:
    """The Fisher information against a parametric bootstrap, for the parameter that is known best."""
    cells = planted(2000)
    fitted = CircuitModel(["hops"], starts=2).fit(cells)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(15):
        drawn = cells.with_columns(n_right=pl.Series(rng.binomial(2000, fitted.predict(cells))))
        table = CircuitModel(["hops"], starts=1).fit(drawn).summary()
        found.append(table.filter(pl.col("parameter") == "flux")["value"].item())
    expected = fitted.summary().filter(pl.col("parameter") == "flux")["standard_error"].item()
    assert 0.5 < np.std(found, ddof=1) / expected < 1.8


def test_more_of_an_easy_thing_is_no_negative_resistance() -> None:
    cells = planted().with_columns(ease=5 - pl.col("hops"))
    table = CircuitModel(["ease"], starts=2).fit(cells).summary()
    assert table.filter(pl.col("parameter") == "direct: ease").row(0)[1:] == (0.0, None, False)


def test_a_descriptor_can_be_left_out_of_one_way() -> None:
    table = CircuitModel(["hops"], without={"steps": ["hops"]}, starts=2).fit(planted()).summary()
    assert table.filter(pl.col("parameter") == "steps: hops")["value"].item() == 0


@settings(max_examples=10)
@given(st.floats(0, 10), st.floats(0, 10), st.floats(0.1, 5))
def test_flux_never_lowers_and_difficulty_never_raises_what_is_expected(flux, hops, more) -> None:
    fitted = fitted_once()
    base = pl.DataFrame({"reasoning": ["steps"], "flux": [flux], "hops": [hops]})
    at = fitted.predict(base)
    assert fitted.predict(base.with_columns(flux=flux + more)) >= at
    assert fitted.predict(base.with_columns(hops=hops + more)) <= at


def test_isotonic_link_rises_with_the_power() -> None:
    cells = planted(100)
    fitted = CircuitModel(["hops"], link="isotonic", starts=1).fit(cells)
    expected = fitted.predict(cells)[np.argsort(fitted.power(cells))]
    assert (np.diff(expected) >= 0).all()
    assert abs(expected.mean() - (cells["n_right"] / cells["n"]).mean()) < 1e-6


def test_habits_of_scikit_learn() -> None:
    model = CircuitModel(["hops"], starts=2)
    assert clone(model).get_params() == model.get_params()
    first, second = (clone(model).fit(planted(100)).predict(planted(100)) for _ in range(2))
    assert (first == second).all()
    for law in (model, LogisticLaw(), InferenceTimeLaw(), ConstantLaw(), PublishedCircuit("hops")):
        with pytest.raises(ConfigError, match="has not been fitted"):
            law.predict(planted())


def test_what_cannot_be_fitted_is_said() -> None:
    cells = planted()
    with pytest.raises(DataError, match="no column 'hopz'; did you mean hops"):
        CircuitModel(["hopz"]).fit(cells)
    with pytest.raises(DataError, match="hops must be finite and at least 0, got -1 in row 0"):
        CircuitModel(["hops"]).fit(cells.with_columns(hops=pl.lit(-1)))
    with pytest.raises(DataError, match="n_right from 0 to n, got n 10000 and n_right 20000 in row 0"):
        CircuitModel(["hops"]).fit(cells.with_columns(n_right=pl.lit(20_000)))
    with pytest.raises(DataError, match="the reasoning 'tools'"):
        CircuitModel(["hops"]).fit(cells).predict(cells.with_columns(reasoning=pl.lit("tools")))
    for options in ({"link": "probit"}, {"starts": 0}, {"without": {"tools": ["hops"]}}):
        with pytest.raises(ConfigError):
            CircuitModel(["hops"], **options).fit(cells)


def test_published_constants_by_hand() -> None:
    # k = 7, m = 140000: with steps 2 |1 + 1 - 0.4| = 3.2, without 2 |4.5 + 5.2 - 0.1| = 19.2
    assert published_resistance(7, 140_000) == pytest.approx(3.2)
    assert published_resistance(7, 140_000, written_steps=False) == pytest.approx(19.2)
    assert published_resistance(7, 140_000, tools=True) == pytest.approx(1.2)
    assert published_resistance(7, 140_000, samples=4) == pytest.approx(2 * 3.2 / 4 + 2.5)
    # (60 + 0.1 * 100)^2 * 2.5 / 5.7^2
    assert published_power(7, 140_000, flux=100) == pytest.approx(4900 * 2.5 / 5.7**2)


def test_published_resistance_falls_before_it_rises() -> None:
    resistance = published_resistance(np.arange(8))
    assert resistance[1] > resistance[2] < resistance[3]


def test_only_the_link_of_the_published_circuit_is_fitted() -> None:
    cells = planted(100)
    fitted = PublishedCircuit("hops").fit(cells)
    order = np.argsort(fitted.power(cells))
    assert (np.diff(fitted.predict(cells)[order]) >= 0).all()
    total = float((fitted.predict(cells) * 100).sum())
    assert total == pytest.approx(cells["n_right"].sum(), rel=1e-4)  # what the intercept settles


def test_logistic_fit_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    cells = pl.DataFrame({"n": rng.integers(5, 20, 30)}).with_columns(n_right=pl.col("n") // 3)
    n, right = cells["n"].to_numpy(), cells["n_right"].to_numpy()
    other = LogisticRegression(C=2.0, tol=1e-10).fit(
        np.repeat(x, 2, 0), np.tile([1, 0], 30), np.stack([right, n - right], 1).ravel()
    )
    found = logistic_fit(x, cells, shrinkage=0.5)
    np.testing.assert_allclose(found, [*other.intercept_, *other.coef_[0]], atol=1e-4)


def test_logistic_law_tells_ways_of_reasoning_apart() -> None:
    cells = planted()
    law = LogisticLaw(["hops"]).fit(cells)
    gap = np.abs(logit(law.predict(cells)) - logit(cells["n_right"] / cells["n"]))
    assert gap.max() < 0.4
    with pytest.raises(DataError, match="the reasoning 'tools'"):
        law.predict(cells.with_columns(reasoning=pl.lit("tools")))


def test_inference_time_law_is_a_weighted_line() -> None:
    cells = pl.DataFrame({"tokens": [0, 1, 3, 9], "n": [10, 20, 30, 40], "n_right": [2, 7, 12, 24]})
    slope, level = np.polyfit(
        np.log1p(cells["tokens"]), cells["n_right"] / cells["n"], 1, w=np.sqrt(cells["n"])
    )
    expected = level + slope * np.log1p(cells["tokens"].to_numpy())
    np.testing.assert_allclose(InferenceTimeLaw().fit(cells).predict(cells), expected)
    assert ConstantLaw().fit(cells).predict(cells).tolist() == [0.45] * 4


def test_scores_are_those_of_other_libraries() -> None:
    rng = np.random.default_rng(0)
    cells = pl.DataFrame({"n": rng.integers(5, 50, 40)}).with_columns(
        n_right=pl.Series((rng.random(40) * 5).astype(int))
    )
    p = rng.random(40).round(1)
    found = law_scores(cells, p, n_replicates=100)
    accuracy = (cells["n_right"] / cells["n"]).to_numpy()
    assert found.spearman.value == pytest.approx(spearmanr(p, accuracy).statistic)
    assert found.pearson.value == pytest.approx(pearsonr(p, accuracy).statistic)
    n, right = cells["n"].to_numpy(), cells["n_right"].to_numpy()
    answers = np.concatenate([np.r_[np.ones(r), np.zeros(k - r)] for k, r in zip(n, right, strict=True)])
    assert found.auroc == pytest.approx(roc_auc_score(answers, np.repeat(p, n)))
    assert found.spearman.low < found.spearman.value < found.spearman.high
    table = found.table()
    assert table["score"].to_list() == [
        "spearman",
        "pearson",
        "binned_spearman",
        "auroc",
        "calibration_error",
    ]
    assert table["low"].null_count() == 3


def test_calibration_by_hand() -> None:
    # three bins of 100 answers; gaps 0.1, 0.05 and 0; many cells, so that no resample is constant
    cells = pl.DataFrame({"n": [10] * 30, "n_right": [2] * 10 + [5] * 10 + [8] * 10})
    predicted = np.repeat([0.3, 0.55, 0.8], 10)
    found = law_scores(cells, predicted, n_bins=3, n_replicates=20)
    assert found.calibration_error == pytest.approx(0.05)
    assert (found.spearman.value, found.binned_spearman, found.n_cells) == (1.0, 1.0, 30)


def test_laws_are_compared_in_pairs() -> None:
    cells = planted(100)
    true = (cells["n_right"] / cells["n"]).to_numpy()
    same = compare_laws(cells, true, true, n_replicates=50)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    worse = np.random.default_rng(0).permutation(true)
    assert compare_laws(cells, true, worse, correlation="pearson", n_replicates=200).low > 0
    with pytest.raises(ConfigError, match="did you mean spearman"):
        compare_laws(cells, true, true, correlation="spearmen")
    with pytest.raises(DataError, match="24 numbers from 0 to 1"):
        law_scores(cells, true[:-1])


def test_cells_of_cells_are_cells_of_rows() -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "task": list("ab") * 20,
            "hops": rng.integers(1, 4, 40),
            "flux": rng.random(40),
            "right": rng.random(40) > 0.5,
        }
    )
    at_once = cells_of(rows, ["task"]).drop("hops")
    by_and_by = cells_of(cells_of(rows, ["task", "hops"]), ["task"]).drop("hops")
    assert at_once.drop("flux").equals(by_and_by.drop("flux"))
    np.testing.assert_allclose(at_once["flux"], by_and_by["flux"])
    named = cells_of(rows.with_columns(kind=pl.col("task") + "!"), ["hops"])
    assert "kind" not in named.columns  # it differs within cells


def test_split_keeps_tasks_whole() -> None:
    cells = pl.DataFrame({"task": np.repeat(np.arange(10), 3), "n": 1, "n_right": 1})
    fitted, left = split_cells(cells, "task", seed=3)
    assert len(fitted) == len(left) == 15
    assert not set(fitted["task"]) & set(left["task"])
    assert len(split_cells(cells)[0]) == 15
    with pytest.raises(DataError, match="at least one task on each side, got 0 of 10"):
        split_cells(cells, "task", share=0.01)
    with pytest.raises(ConfigError, match="share must be between 0 and 1"):
        split_cells(cells, share=1.0)


def test_difficulty_of_solutions_and_questions() -> None:
    solutions = pl.Series(["none", "<<2*3=6>> and <<1,000*20+4*5=20020>>", "<<7-1=6>>"])
    assert solution_difficulty(solutions).rows() == [(0, 0.0), (4, 20_000.0), (1, 0.0)]
    assert question_difficulty(pl.Series(["none", "3 of 40.5"])).rows() == [(0, 0, 1), (2, 3, 3)]


def test_a_constant_ranks_nothing() -> None:
    cells = planted(100)
    found = law_scores(cells, ConstantLaw().fit(cells).predict(cells), n_replicates=20)
    assert (found.spearman.value, found.pearson.value, found.binned_spearman, found.auroc) == (0, 0, 0, 0.5)
