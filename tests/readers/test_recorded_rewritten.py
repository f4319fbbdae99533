"""A recording never answers a rewriting with what it holds for the original."""

from __future__ import annotations

from typing import Any

import polars as pl

import concordant as cc
from concordant import variants
from concordant.models.recorded import Recorded

RECORDS = pl.DataFrame(
    {
        "item": ["a", "b", "c"],
        "sample": [0, 0, 0],
        "input": ["Is ice cold?", "Is fire cold?", "is ice cold? please"],
        "output": ["yes", "no", "yes"],
    }
)
ITEMS = cc.Items.from_records([{"id": "a", "input": "Is ice cold?"}, {"id": "b", "input": "Is fire cold?"}])


def test_rewritings_are_matched_by_text() -> None:
    @cc.relation(variants=("plain", "polite"))
    def polite(item: Any) -> Any:
        yield item.input
        yield item.input + " Please"

    answers = cc.check(Recorded(RECORDS), ITEMS, [polite], progress=False)["polite"].answers
    assert answers["plain"]["output"].to_list() == ["yes", "no"]
    assert answers["polite"]["output"].to_list() == ["yes", None]
    assert answers["polite"]["error"].to_list() == [None, "not recorded"]


def test_permuted_choices_are_not_answered_from_the_original() -> None:
    items = cc.Items.from_records(
        [{"id": "a", "input": "Is ice cold?", "choices": ["yes", "no"], "reference": "yes"}]
    )
    result = cc.check(Recorded(RECORDS), items, [variants.OptionOrder()], progress=False)[
        "variants.option_order"
    ]
    outputs = [behaviours["output"].to_list() for behaviours in result.answers.values()]
    assert outputs == [["yes"], [None]]
