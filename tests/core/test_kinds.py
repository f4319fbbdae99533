"""Kinds of relation, on models whose behaviour is known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import concordant as cc
from concordant import versions
from concordant.core.errors import ConfigError, DataError

NUMBERS = cc.Items.from_arrays(np.array([[1.0], [2.0], [3.0], [4.0]]))


def check_pair(model: Any, kind: Any, items: cc.Items = NUMBERS) -> list[float | None]:
    @cc.relation(variants=("plain", "raised"), kind=kind)
    def raised(item: Any) -> Any:
        yield np.asarray(item.input)
        yield np.asarray(item.input) + 1

    report = cc.check(cc.load(model), items, [raised], progress=False)
    return report["raised"].verdicts["agreement"].to_list()


def test_monotone() -> None:
    assert check_pair(lambda x: x[:, 0], cc.Monotone()) == [1, 1, 1, 1]
    assert check_pair(lambda x: -x[:, 0], cc.Monotone()) == [0, 0, 0, 0]
    assert check_pair(lambda x: -x[:, 0], cc.Monotone(direction=-1)) == [1, 1, 1, 1]
    peak_at_three = check_pair(lambda x: -((x[:, 0] - 3) ** 2), cc.Monotone())
    assert peak_at_three == [1, 1, 0, 0]
    assert check_pair(lambda x: -((x[:, 0] - 3) ** 2), cc.Monotone(tolerance=1.0)) == [1, 1, 1, 0]


def test_directional() -> None:
    assert check_pair(lambda x: np.minimum(x[:, 0], 3), cc.Directional()) == [1, 1, 0, 0]
    assert check_pair(lambda x: x[:, 0], cc.Directional("up", margin=0.5)) == [1, 1, 1, 1]
    assert check_pair(lambda x: x[:, 0], cc.Directional("up", margin=1.0)) == [0, 0, 0, 0]
    assert check_pair(lambda x: -x[:, 0], cc.Directional("down")) == [1, 1, 1, 1]
    with pytest.raises(ConfigError, match="direction is 'sideways'; allowed: any, up, down"):
        cc.Directional("sideways")  # type: ignore[arg-type]


def test_equivariant() -> None:
    doubled = cc.Equivariant(lambda y: y + 2, agree="number")
    assert check_pair(lambda x: 2 * x[:, 0], doubled) == [1, 1, 1, 1]
    assert check_pair(lambda x: x[:, 0] ** 2, doubled) == [0, 0, 0, 0]


def test_equal_by_a_named_agreement_or_a_function() -> None:
    assert check_pair(lambda x: x[:, 0], cc.Equal("number", {"tolerance": 1.5})) == [1, 1, 1, 1]
    assert check_pair(lambda x: x[:, 0], cc.Equal("number")) == [0, 0, 0, 0]
    assert check_pair(lambda x: x[:, 0], cc.Equal(lambda a, b: abs(a - b) < 2)) == [1, 1, 1, 1]


def test_words_have_no_order() -> None:
    with pytest.raises(DataError, match="only numbers have an order"):
        check_pair(lambda x: ["a"] * len(x), cc.Monotone())


class Classifier:
    classes_ = np.array(["no", "yes"])

    def predict(self, x: Any) -> Any:
        return self.classes_[self.predict_proba(x).argmax(axis=1)]

    def predict_proba(self, x: Any) -> Any:
        yes = np.clip(x[:, 0] / 5, 0, 1)
        return np.column_stack([1 - yes, yes])


def test_the_probability_of_a_class_has_an_order() -> None:
    assert check_pair(Classifier(), cc.Monotone(of="yes")) == [1, 1, 1, 1]
    assert check_pair(Classifier(), cc.Monotone(of="no")) == [0, 0, 0, 0]
    with pytest.raises(DataError, match=r"knows no class 'yess'; did you mean yes\?"):
        check_pair(Classifier(), cc.Monotone(of="yess"))


def test_probabilities_are_compared_by_their_distance() -> None:
    # Raising the input by one moves 1/5 of the probability, except where it is clipped already.
    agreement = check_pair(Classifier(), cc.Equal("total_variation"))
    np.testing.assert_allclose(agreement, [0.8, 0.8, 0.8, 0.8])
    with pytest.raises(DataError, match="compares probabilities, and the model"):
        check_pair(lambda x: x[:, 0], cc.Equal("total_variation"))


@pytest.mark.parametrize(
    ("base", "other", "same"),
    [
        ([4, 5], ["4", "six"], [1.0, 0.0]),
        ([1.0, 0.0], ["1", "no"], [1.0, 0.0]),
        ([True, False], ["yes", "true"], [1.0, 0.0]),
    ],
)
def test_one_log_may_hold_numbers_where_the_other_holds_texts(base: list, other: list, same: list) -> None:  # type: ignore[type-arg]
    items = cc.Items.from_records([{"input": "a"}, {"input": "b"}])
    old, new = (cc.load(lambda xs, out=out: out, batched=True, name=str(out)) for out in (base, other))
    report = cc.check(new, items, [versions.Flips(old)], grade="none", progress=False)
    assert report["versions.flips"].verdicts["agreement"].to_list() == same


def test_one_grader_reads_the_numbers_of_one_log_and_the_sentences_of_the_other() -> None:
    items = cc.Items.from_records([{"input": "a", "reference": 17}, {"input": "b", "reference": 18}])
    numbers, sentences = [17, 18], ["It is 17.", "It is 19."]
    for first, then, gain in ((numbers, sentences, -0.5), (sentences, numbers, 0.5)):
        old, new = (cc.load(lambda xs, out=out: out, batched=True, name=str(out)) for out in (first, then))
        report = cc.check(new, items, [versions.Flips(old)], progress=False)
        assert report.about["graders"] == ["number"]
        assert report["versions.flips"].gain.value == gain
