"""Flips, Scores and NoiseFloor: identities, hand-worked cases, and models noisy by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import concordant as cc
from concordant import versions
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.core.model import Request


class Table:
    """A batch model that answers from a list, by the number in the item's id; None is an error."""

    batch_size = 1000

    def __init__(self, outputs: list[Any], name: str = "table", again: list[Any] | None = None) -> None:
        self.name = self.fingerprint = name
        self.outputs = outputs
        self.again = again or outputs

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        source = self.again if request.repeat else self.outputs
        values = [source[int(i)] for i in items.ids.to_list()]
        errors = ["no answer" if v is None else None for v in values]
        return pl.DataFrame(
            {"output": values, "error": errors}, schema_overrides={"error": pl.String}, strict=False
        )


def items(reference: list[Any], **columns: Any) -> Items:
    rows = {"id": [str(i) for i in range(len(reference))], "input": [f"q{i}" for i in range(len(reference))]}
    return Items.from_frame(pl.DataFrame({**rows, "reference": reference, **columns}))


def flips(old: list[Any], new: list[Any], reference: list[Any], **columns: Any) -> cc.Result:
    report = cc.check(
        Table(new, "new"), items(reference, **columns), [versions.Flips(Table(old, "old"))], progress=False
    )
    return report["versions.flips"]


def test_flips_by_hand() -> None:
    #            both right | negative | positive | both wrong, same | both wrong, other answer
    reference = ["a"] * 4 + ["a"] * 2 + ["a"] * 3 + ["a"] + ["a"] * 2
    old = ["a"] * 4 + ["a"] * 2 + ["b"] * 3 + ["b"] + ["b"] * 2
    new = ["a"] * 4 + ["b"] * 2 + ["a"] * 3 + ["b"] + ["c"] * 2
    result = flips(old, new, reference)
    values = {name: finding.value for name, finding in result.findings.items()}
    expected = {
        "accuracy_old": 6 / 12,
        "accuracy_new": 7 / 12,
        "gain": 1 / 12,
        "negative_flip_rate": 2 / 12,
        "positive_flip_rate": 3 / 12,
        "wrong_answer_churn_rate": 2 / 12,
        "backward_trust_compatibility": 4 / 6,
        "agreement_score": 5 / 12,
        "relative_negative_flip_rate": (2 / 12) / ((5 / 12) * (6 / 12)),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value), name
    # scipy.stats.binomtest(2, 5, 0.5).pvalue
    assert result.gain.p_value == pytest.approx(1.0)
    assert "items (80 % power)" in result.gain.note


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_gain_is_positive_minus_negative_flips(pairs: list[tuple[str, str]]) -> None:
    old, new = [p[0] for p in pairs], [p[1] for p in pairs]
    result = flips(old, new, ["a"] * len(pairs))
    gain = result.positive_flip_rate.value - result.negative_flip_rate.value
    assert result.gain.value == pytest.approx(gain)
    assert result.accuracy_new.value - result.accuracy_old.value == pytest.approx(gain)
    if result.accuracy_old.value > 0:
        kept = 1 - result.negative_flip_rate.value / result.accuracy_old.value
        assert result.backward_trust_compatibility.value == pytest.approx(kept)


def test_errors_are_counted_and_never_wrong() -> None:
    result = flips(["a", "a", "a", "a"], ["a", None, "a", None], ["a"] * 4)
    assert result.negative_flip_rate.value == 0
    assert result.negative_flip_rate.n == 2
    assert result.error_rate_new.value == 0.5
    assert result.error_rate_old.value == 0
    assert result.gain.n_error == 2


def test_independent_mistakes_have_a_relative_rate_of_one() -> None:
    rng = np.random.default_rng(0)
    old, new = (np.where(rng.random(20_000) < 0.7, "a", "b").tolist() for _ in range(2))
    relative = flips(old, new, ["a"] * 20_000).relative_negative_flip_rate
    assert relative.low < 1 < relative.high
    assert relative.high - relative.low < 0.1


def test_four_flips_of_four_mistakes_do_not_settle_the_relative_rate() -> None:
    """Every mistake of the new version is a flip: the table has an empty cell, and the delta method sees no spread."""
    old, new = ["a"] * 36 + ["b"] * 12, ["b"] * 4 + ["a"] * 44
    relative = flips(old, new, ["a"] * 48).relative_negative_flip_rate
    assert relative.value == pytest.approx(4 / 3)
    assert relative.low < 0.9
    few = flips(["a", "a", "b"], ["b", "a", "a"], ["a"] * 3).relative_negative_flip_rate
    assert few.low < 0.6 < 1.6 < few.high


def test_an_update_that_breaks_nothing_has_a_relative_rate_of_zero_with_an_upper_end() -> None:
    relative = flips(["a"] * 30 + ["b"] * 18, ["a"] * 40 + ["b"] * 8, ["a"] * 48).relative_negative_flip_rate
    assert (relative.value, relative.low) == (0.0, 0.0)
    assert 0.5 < relative.high < 2.0


def test_the_interval_of_the_relative_rate_covers_at_the_edge() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):  # about four mistakes of each version, so that often no item flips
        old, new = (np.where(rng.random(60) < 0.93, "a", "b").tolist() for _ in range(2))
        found = flips(old, new, ["a"] * 60).findings.get("relative_negative_flip_rate")
        covered += found is None or found.low <= 1 <= found.high
    assert covered >= 190


def test_the_interval_of_the_relative_rate_covers() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        old, new = (np.where(rng.random(400) < 0.7, "a", "b").tolist() for _ in range(2))
        relative = flips(old, new, ["a"] * 400).relative_negative_flip_rate
        covered += relative.low <= 1 <= relative.high
    assert 88 <= covered <= 99


def test_slices_show_where_it_broke() -> None:
    n = 400
    topic = ["odd" if i % 2 else "even" for i in range(n)]
    old = ["a"] * n
    new = ["b" if t == "odd" and i < 100 else "a" for i, t in enumerate(topic)]
    result = flips(old, new, ["a"] * n, topic=topic)
    worst = next(f for f in result.slices if f.measure == "gain")
    assert worst.slice == ("topic", "odd")
    assert worst.value == pytest.approx(-0.25)
    assert worst.correction == "Benjamini-Hochberg over 2 slices"
    assert worst.p_value < 1e-6


def test_scores_split_into_gain_and_regression() -> None:
    old, new = [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 3.0, 6.0]
    report = cc.check(
        Table(new, "new"),
        items([0.0] * 4),
        [versions.Scores(Table(old, "old"), of="output", agree="number")],
        progress=False,
    )
    result = report["versions.scores"]
    assert result.mean_gain_part.value == pytest.approx(3 / 4)
    assert result.mean_regression_part.value == pytest.approx(1 / 4)
    assert result.score_change.value == pytest.approx(2 / 4)
    assert result.regression_rate.value == 0.25
    # scipy.stats.ttest_rel([2, 1, 3, 6], [1, 2, 3, 4]).pvalue
    assert result.score_change.p_value == pytest.approx(0.4950253460597111)


def test_scores_by_a_function_and_by_the_reference() -> None:
    texts = items(["the cat", "a dog", "one bird"])
    old, new = Table(["the cat", "dog", "fish"], "old"), Table(["cat", "cow", "one bird"], "new")
    by_length = versions.Scores(old, score=lambda output, item: len(output))
    assert cc.check(new, texts, [by_length], progress=False)[
        "versions.scores"
    ].score_change.value == pytest.approx(0.0, abs=1)
    by_reference = cc.check(new, texts, [versions.Scores(old, of="reference")], progress=False)[
        "versions.scores"
    ]
    assert by_reference.score_old.value == pytest.approx(2 / 3)
    assert by_reference.score_new.value == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="gives no score; pass score=FUNCTION"):
        cc.check(new, texts, [versions.Scores(old)], progress=False)
    with pytest.raises(ConfigError, match="of is 'scores'; allowed: score, output, logprob, reference"):
        versions.Scores(old, of="scores")


def test_a_deterministic_model_has_no_noise() -> None:
    report = cc.check(Table(["a", "b"] * 20, "m"), items(["a"] * 40), [versions.NoiseFloor()], progress=False)
    result = report["versions.noise_floor"]
    assert result.noise_flip_rate.value == 0
    assert result.agreement_score.value == 1
    assert set(result.findings) >= {
        "noise_flip_rate_seed",
        "noise_flip_rate_order",
        "noise_flip_rate_batch_size",
    }


def test_noise_alone_explains_the_flips_of_a_noisy_model_against_itself() -> None:
    rng = np.random.default_rng(2)
    first, again, old, old_again = (np.where(rng.random(4000) < 0.8, "a", "b").tolist() for _ in range(4))
    floor = versions.NoiseFloor(Table(old, "old", old_again), repeats=["seed"])
    result = cc.check(Table(first, "new", again), items(["a"] * 4000), [floor], progress=False)[
        "versions.noise_floor"
    ]
    # Two independent runs of accuracy .8 differ with probability 2 x .8 x .2 = .32, and half of that is negative.
    assert result.noise_flip_rate.value == pytest.approx(0.32, abs=0.03)
    assert result.negative_flips_from_noise.value == pytest.approx(0.16, abs=0.015)
    beyond = result.negative_flips_beyond_noise
    assert beyond.low < 0 < beyond.high


def test_a_real_regression_stands_above_the_noise() -> None:
    rng = np.random.default_rng(3)
    old, old_again = (np.where(rng.random(4000) < 0.8, "a", "b").tolist() for _ in range(2))
    new, again = (np.where(rng.random(4000) < 0.6, "a", "b").tolist() for _ in range(2))
    floor = versions.NoiseFloor(Table(old, "old", old_again), repeats=["seed"])
    result = cc.check(Table(new, "new", again), items(["a"] * 4000), [floor], progress=False)[
        "versions.noise_floor"
    ]
    # .8 x .4 = .32 negative flips; noise (.32 + .48) / 2 / 2 = .20
    assert result.negative_flips_beyond_noise.value == pytest.approx(0.12, abs=0.02)
    assert result.negative_flips_beyond_noise.low > 0


def test_a_model_that_depends_on_its_batch_is_found() -> None:
    class Batchy(Table):
        batch_size = 10

        def respond(self, items: Items, request: Request) -> pl.DataFrame:
            return pl.DataFrame({"output": ["a" if len(items) == 10 else "b"] * len(items)})

    result = cc.check(Batchy([], "m"), items(["a"] * 40), [versions.NoiseFloor()], progress=False)[
        "versions.noise_floor"
    ]
    assert result.noise_flip_rate_batch_size.value == 1.0
    assert result.noise_flip_rate_seed.value == 0.0
    assert result.noise_flip_rate.value == pytest.approx(1 / 3)


def test_unknown_repeats_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no repeat 'sed'; did you mean seed\?"):
        versions.NoiseFloor(repeats=["sed"])
    with pytest.raises(ConfigError, match="repeats is empty"):
        versions.NoiseFloor(repeats=[])
