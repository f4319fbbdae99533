"""Asking until the gates are decided."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant import versions
from concordant.core.errors import ConfigError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.core.rounds import rounds


class Fallible:
    """A batch model that is right on all items but those whose number is in `wrong`, and counts what it is asked."""

    batch_size = 64

    def __init__(self, name: str, wrong: set[int]) -> None:
        self.name = self.fingerprint = name
        self.wrong = wrong
        self.n_asked = 0

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        self.n_asked += len(items)
        return pl.DataFrame(
            {"output": ["no" if int(i) in self.wrong else "yes" for i in items.ids.to_list()]}
        )


def items(n: int) -> Items:
    return Items.from_frame(
        pl.DataFrame({"id": [str(i) for i in range(n)], "input": ["q"] * n, "reference": ["yes"] * n})
    )


def spent(share_wrong: float, gate: str, n: int = 5000, seed: int = 0) -> tuple[cc.Report, int]:
    wrong = set(np.random.default_rng(1000 + seed).permutation(n)[: int(share_wrong * n)].tolist())
    new = Fallible("new", wrong)
    relation = versions.Flips(Fallible("old", set()))
    report = cc.check(
        new,
        items(n),
        [relation],
        gates={"versions.flips": gate},
        until_decided=100,
        seed=seed,
        progress=False,
    )
    return report, new.n_asked


def test_rounds_give_every_item_once_and_grow() -> None:
    parts = list(rounds(1000, 50, seed=3))
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    assert [len(part) for part in parts] == [50, 50, 50, 75, 112, 168, 252, 243]


def test_a_clear_failure_is_found_with_few_calls() -> None:
    report, asked = spent(0.30, "negative_flip_rate <= 0.02")
    assert report.state == "fails"
    assert asked == 100
    assert (
        report["versions.flips"].negative_flip_rate.n
        == asked
        == report.about["items_asked"]
        == len(report.items)
    )


def test_a_clear_pass_is_found_before_the_end() -> None:
    report, asked = spent(0.0, "negative_flip_rate <= 0.02")
    assert report.state == "holds"
    assert asked < 1000


def test_a_rate_on_the_bound_is_asked_to_the_end_and_stays_undecided() -> None:
    report, asked = spent(0.02, "negative_flip_rate <= 0.02")
    assert report.state == "undecided"
    assert asked == 5000


def test_looking_often_does_not_create_false_alarms() -> None:
    # The truth is exactly on the bound: neither side may be claimed in more than 5 % of the runs.
    states = [spent(0.1, "negative_flip_rate <= 0.1", n=600, seed=seed)[0].state for seed in range(40)]
    assert states.count("undecided") >= 36


def test_only_means_in_a_known_range_can_be_decided_while_asking() -> None:
    with pytest.raises(ConfigError, match="relative_negative_flip_rate cannot be decided while asking"):
        spent(0.1, "relative_negative_flip_rate <= 1")
    with pytest.raises(ConfigError, match="needs a gate, and there is none"):
        cc.check(
            Fallible("a", set()),
            items(5),
            [versions.Flips(Fallible("b", set()))],
            until_decided=5,
            progress=False,
        )


def test_the_answers_are_those_of_the_items_asked() -> None:
    report, _ = spent(0.30, "negative_flip_rate <= 0.02")
    worst = report.worst("versions.flips", 5)
    assert worst["new.output"].to_list() == ["no"] * 5
    assert worst["old.output"].to_list() == ["yes"] * 5
    assert report["versions.flips"].answers["new"].frame["item"].to_list() == report.items.ids.to_list()
