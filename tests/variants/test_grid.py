"""Grid: the items it is made for, hand-worked problems, the recorded trials of the AIW paper, and the law of its tests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.core.relation import Verdicts
from concordant.core.statistics import wilson
from concordant.models.recorded import Recorded
from concordant.variants import Grid, grid_items

AIW = Path(__file__).parents[3] / "shared" / "data" / "aiw" / "recorded_trials.csv"
PARTS = "id=problem,variation&sample=run,trial&output=parsed_answer&reference=right_answer"

ALICE = "Alice has {brothers} brothers and {sisters} sisters. How many sisters does her brother have?"
NUMBERS = {"brothers": [3, 4, 1, 4], "sisters": [6, 2, 4, 1]}


def one_more(brothers: int, sisters: int) -> int:
    return sisters + 1


class Counted:
    """A batch model that is right in a given number of its samples of each item; None is an error in all."""

    name = fingerprint = "counted"
    batch_size = 1000

    def __init__(self, right: list[int | None]) -> None:
        self.right = right
        self.asked: list[Request] = []

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        self.asked.append(request)
        rows = []
        for place in items.frame["place"]:
            right = self.right[place]
            failed = "down" if right is None else None
            for sample in range(request.n):
                output = None if right is None else "yes" if sample < right else "wrong"
                rows.append({"output": output, "error": failed})
        return pl.DataFrame(rows, schema={"output": pl.String, "error": pl.String})


def cells(*columns: tuple[str, Any, Any]) -> Items:
    rows = [
        {
            "id": str(i),
            "input": "q",
            "reference": "yes",
            "place": i,
            "problem": p,
            "variation": v,
            "control": c,
        }
        for i, (p, v, c) in enumerate(columns)
    ]
    return Items.from_records(rows)


def result_of(right: list[int | None], items: Items, k: int = 30, **more: Any) -> cc.Result:
    return cc.check(Counted(right), items, [Grid(k=k)], progress=False, slices=[], **more)["variants.grid"]


def of_one_problem(n: int) -> Items:
    return cells(*[("p", v, None) for v in range(n)])


# -- items -----------------------------------------------------------------------------------------------------


def test_items_of_a_grid() -> None:
    items = grid_items(ALICE, NUMBERS, one_more, combine="zip", problem="AIW", answer="Answer: ")
    assert items.frame.columns == [
        *("id", "input", "reference", "problem", "variation", "control", "brothers", "sisters")
    ]
    assert items.ids.to_list() == ["AIW/1", "AIW/2", "AIW/3", "AIW/4"]
    assert items.reference.to_list() == ["7", "3", "5", "2"]  # the four variations of the paper
    assert items.inputs[2] == (
        "Alice has 1 brothers and 4 sisters. How many sisters does her brother have? Answer:"
    )
    assert items.frame["control"].null_count() == 4
    assert items.frame["brothers"].to_list() == [3, 4, 1, 4]


def test_all_combinations() -> None:
    items = grid_items("{a}{b}", {"a": [1, 2], "b": ["x", "y", "z"]}, "{b}{a}", group="b")
    assert items.inputs.to_list() == ["1x", "1y", "1z", "2x", "2y", "2z"]
    assert items.reference.to_list() == ["x1", "y1", "z1", "x2", "y2", "z2"]
    assert items.groups.tolist() == [0, 1, 2, 0, 1, 2]
    by_field = grid_items("{a}", {"a": [1, 2], "right": [5, 6]}, "right", combine="zip")
    assert by_field.reference.to_list() == ["5", "6"]
    assert grid_items("{a}", {"a": [1]}).reference is None


def test_controls() -> None:
    controls: dict[str, Any] = {
        "siblings": ("{brothers} and {sisters} together?", lambda brothers, sisters: brothers + sisters),
        "echo": "Say {brothers}.",
    }
    items = grid_items(ALICE, NUMBERS, one_more, controls=controls, combine="zip")
    assert items.frame["control"].to_list() == [None] * 4 + ["siblings"] * 4 + ["echo"] * 4
    assert items.reference.to_list()[4:] == ["9", "6", "5", "5", None, None, None, None]
    assert items.frame["variation"].to_list() == [1, 2, 3, 4] * 3
    assert items.ids[4] == "problem/siblings/1"


def test_items_that_cannot_be_made() -> None:
    for bad, sentence in (
        ({"fields": {}}, "needs at least one field"),
        ({"fields": {"a": []}}, "the field 'a' needs a list of values"),
        ({"fields": {"a": "text"}}, "the field 'a' needs a list of values, got 'text'"),
        ({"fields": {"variation": [1]}}, "a field cannot be called 'variation'"),
        ({"fields": {"reference": [1]}}, "a field cannot be called 'reference'"),
        ({"fields": {"b": [1]}}, r"the template '\{a\}' has an unknown field \{a\}"),
        ({"fields": {"a": [1]}, "group": "b"}, "group is 'b'; allowed are the fields a"),
        ({"fields": {"a": [1]}, "combine": "sum"}, "combine is 'sum'; allowed: product, zip"),
        ({"fields": {"a": [1, 2], "b": [1]}, "combine": "zip"}, "need equally many values, got a 2, b 1"),
        (
            {"fields": {"a": [1]}, "controls": {"c": "{z}"}},
            "the template of the control 'c' '{z}' has an unknown",
        ),
    ):
        with pytest.raises(ConfigError, match=sentence):
            grid_items("{a}", **bad)


# -- one problem -----------------------------------------------------------------------------------------------


def test_one_problem_by_hand() -> None:
    # the counts of o1-preview on AIW+; figures worked by hand from the definitions
    right = [41, 59, 21, 60, 26, 31]
    result = result_of(right, of_one_problem(6), k=60)
    p = np.array(right) / 60
    assert result.accuracy.value == pytest.approx(238 / 360)
    assert result.worst_variation_accuracy.value == 21 / 60
    assert result.worst_variation_accuracy.note == "the worst variation is 2"
    assert result.variation_spread.value == pytest.approx(0.27882, abs=1e-5)
    assert result.variation_spread.note == "chance alone would give 0.061"
    # D = 0.07774 / (0.66111 x 0.33889 / 60)
    assert result.over_dispersion_ratio.value == pytest.approx(20.819, abs=1e-3)
    assert result.over_dispersion_ratio.p_value < 1e-19
    assert result.verdicts["agreement"].to_list() == pytest.approx((1 - np.abs(p - p.mean())).tolist())
    assert {finding.unit for finding in result.findings.values() if finding.measure != "agreement_score"} == {
        "variations"
    }
    low, high = wilson(right, 60, 1 - 0.05 / 6)
    assert (result.worst_variation_accuracy.low, result.worst_variation_accuracy.high) == (
        low.min(),
        high.min(),
    )
    # five degrees of freedom: chi-square quantiles 0.8312 and 12.8325 (tables)
    assert result.over_dispersion_ratio.low == pytest.approx(20.819 * 5 / 12.8325, rel=1e-4)
    assert result.over_dispersion_ratio.high == pytest.approx(20.819 * 5 / 0.83121, rel=1e-4)
    assert result.variation_spread.low == pytest.approx(0.27882 * math.sqrt(5 / 12.8325), rel=1e-4)


def test_a_model_that_is_always_right() -> None:
    result = result_of([30] * 5, of_one_problem(5))
    assert result.accuracy.value == result.worst_variation_accuracy.value == result.agreement_score.value == 1
    assert result.variation_spread.value == 0
    assert 0 < result.variation_spread.high < 0.1
    assert "over_dispersion_ratio" not in result.findings  # there is no chance to hold it against


def test_variations_that_are_alike() -> None:
    result = result_of([15] * 5, of_one_problem(5))
    assert result.over_dispersion_ratio.value == 0
    assert result.over_dispersion_ratio.low == 0
    assert result.over_dispersion_ratio.high > 1  # trials cannot vary less than by chance
    assert result.over_dispersion_ratio.p_value == 1
    # equal rates leave the noise of the trials: sqrt(0.25 / 150), with 4 degrees of freedom (t = 2.776)
    half = 2.7764 * math.sqrt(0.25 / 150)
    assert result.accuracy.low == pytest.approx(0.5 - half, abs=1e-4)


def test_single_trials_show_no_over_dispersion() -> None:
    result = result_of([1, 0, 1, 0, 1], of_one_problem(5), k=1)
    assert "over_dispersion_ratio" not in result.findings
    assert result.accuracy.value == 0.6
    assert result.worst_variation_accuracy.value == 0


def test_one_variation_has_no_spread() -> None:
    assert set(result_of([3], of_one_problem(1)).findings) == {"accuracy", "agreement_score"}


def test_errors_and_unequal_trials() -> None:
    result = result_of([30, None, 15], of_one_problem(3))
    assert result.accuracy.value == 0.75
    assert result.accuracy.n == 2
    assert result.accuracy.n_error == 1
    assert result.verdicts["agreement"].to_list() == [0.75, None, 0.75]
    records = pl.DataFrame(
        {"item": ["a"] * 4 + ["b"] * 2, "sample": [0, 1, 2, 3, 0, 1], "output": list("110010")}
    )
    model = Recorded(records.with_columns(reference=pl.lit("1")))
    result = cc.check(model, model.items(), [Grid(k=4)], progress=False)["variants.grid"]
    assert result.verdicts.select("n_right", "n_graded").rows() == [(2, 4), (1, 2)]
    assert result.over_dispersion_ratio.value == 0


def test_forms_of_one_variation_are_pooled() -> None:
    items = cells(("p", 1, None), ("p", 1, None), ("p", 2, None), ("p", 2, None))
    result = result_of([30, 0, 15, 15], items)
    assert result.accuracy.n == 2
    assert result.variation_spread.value == 0


# -- controls and several problems -----------------------------------------------------------------------------


def test_controls_and_the_gap() -> None:
    items = cells(*[("p", v, c) for c in (None, "sum") for v in range(4)])
    result = result_of([0, 15, 30, 3, 30, 30, 30, 27], items)
    assert result.accuracy.value == pytest.approx(0.4)
    assert result.control_accuracy.value == pytest.approx(0.975)
    assert result.control_gap.value == pytest.approx(0.575)
    # variation by variation: 1, 0.5, 0, 0.8
    gaps = np.array([1, 0.5, 0, 0.8])
    assert result.control_gap.estimate.stderr == pytest.approx(gaps.std(ddof=1) / 2)
    assert result.verdicts["rate"].null_count() == result.verdicts["control_rate"].null_count() == 4


def test_controls_of_other_variations() -> None:
    items = cells(("p", 1, False), ("p", 2, False), ("p", 3, False), ("p", 9, True), ("p", 8, True))
    result = result_of([0, 15, 30, 30, 24], items)
    a, b = np.array([1, 0.8]), np.array([0, 0.5, 1])
    assert result.control_gap.value == pytest.approx(0.4)
    assert result.control_gap.estimate.method == "welch"
    assert result.control_gap.estimate.stderr == pytest.approx(
        math.sqrt(a.var(ddof=1) / 2 + b.var(ddof=1) / 3)
    )
    lonely = result_of([0, 15, 30], cells(("p", 1, None), ("p", 2, None), ("p", 9, "c")))
    assert (lonely.control_gap.value, lonely.control_gap.low, lonely.control_gap.high) == (0.75, -1, 1)


@pytest.mark.parametrize("marks", [(None, "sum"), ("", "sum"), (False, True), (0, 1), (None, True)])
def test_marks_of_controls(marks: tuple[Any, Any]) -> None:
    result = result_of([0, 30], cells(("p", 1, marks[0]), ("p", 1, marks[1])))
    assert (result.accuracy.value, result.control_accuracy.value) == (0, 1)


def test_only_controls() -> None:
    result = result_of([30, 30], cells(("p", 1, "c"), ("p", 2, "c")))
    assert set(result.findings) == {"control_accuracy", "agreement_score"}


def test_several_problems() -> None:
    items = cells(*[(p, v, None) for p in "ab" for v in range(3)])
    result = result_of([30, 15, 0, 24, 24, 27], items)
    assert result.accuracy.value == pytest.approx((0.5 + 2.5 / 3) / 2)
    assert result.worst_variation_accuracy.value == pytest.approx((0 + 0.8) / 2)
    assert result.worst_variation_accuracy.unit == "problems"
    # D of a: 0.25 / (0.25 / 30) = 30; of b: (0.01 / 3) / (0.8333 x 0.1667 / 30) = 0.72; both with 2 degrees of freedom
    assert result.over_dispersion_ratio.value == pytest.approx((30 + 0.72) / 2)
    assert result.over_dispersion_ratio.n == 2
    # chi-square 2 x 30 + 2 x 0.72 = 61.44 with 4 degrees of freedom: exp(-x/2) (1 + x/2)
    assert result.over_dispersion_ratio.p_value == pytest.approx(math.exp(-30.72) * (1 + 30.72), rel=1e-6)


def test_problems_are_slices() -> None:
    items = cells(*[(p, v, None) for p in "ab" for v in range(3)])
    report = cc.check(
        Counted([30, 15, 0, 24, 24, 27]), items, [Grid(k=30)], slices=["problem"], progress=False
    )
    sliced = {(f.slice[1], f.measure): f.value for f in report.slices if f.slice is not None}
    assert sliced["a", "over_dispersion_ratio"] == pytest.approx(30)
    assert sliced["b", "worst_variation_accuracy"] == 0.8
    # against the rest only means are tested; the over-dispersion brings its own test
    tested = {f.measure for f in report.slices if f.p_value is not None}
    assert tested == {"accuracy", "agreement_score", "over_dispersion_ratio"}


def test_other_columns() -> None:
    items = cells(("p", 1, None), ("p", 2, None)).replace(kind=["x", "y"])
    grid = Grid(variation="place", problem="kind", control="control", k=2)
    result = cc.check(Counted([2, 1]), items, [grid], progress=False)["variants.grid"]
    assert result.verdicts["agreement"].to_list() == [1, 1]  # each is a problem of its own
    for name in ("variation", "problem", "control"):
        with pytest.raises(
            DataError, match=r"variants.grid: there is no column 'plac'; did you mean place\?"
        ):
            Grid(**{name: "plac"}).expand(items)
    for k in (0, True, 1.5):
        with pytest.raises(ConfigError, match="k must be a number of trials, at least 1"):
            Grid(k=k)  # type: ignore[arg-type]


def test_what_is_asked() -> None:
    model = Counted([1, 1])
    for grid in (Grid(), Grid(k=3), Grid(k=3, temperature=None)):
        cc.check(model, of_one_problem(2), [grid], progress=False)
    assert [(request.n, request.temperature) for request in model.asked] == [(1, 0.0), (3, 0.7), (3, 0.0)]


def test_the_test_of_over_dispersion_keeps_its_level() -> None:
    generator, grid, items = np.random.default_rng(5), Grid(k=60), of_one_problem(6)
    p_values = []
    for _ in range(300):
        counts = pl.DataFrame({"n_right": generator.binomial(60, 0.6, size=6), "n_graded": [60] * 6})
        verdicts = Verdicts("variants.grid", items, counts.with_columns(agreement=1.0), np.zeros(6, bool))
        found = {finding.measure: finding for finding in grid.summarize(verdicts)}
        p_values.append(found["over_dispersion_ratio"].p_value)
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09  # 0.05, standard error 0.013


# -- the recorded trials of the paper ----------------------------------------------------------------------------


@pytest.mark.skipif(not AIW.exists(), reason="the recorded trials of AIW are not on this machine")
@pytest.mark.parametrize(
    ("model", "problem", "mean", "worst", "best", "spread", "noise", "ratio"),
    [
        ("o1-preview", "AIW_plus", 0.66, 0.35, 1.00, 0.279, 0.061, 20.8),
        ("o1-mini", "AIW_Friends_Male_Female_Males_Female_Friends", 0.45, 0.22, 0.83, 0.235, 0.064, 13.3),
        ("o1-mini", "AIW_Original", 0.84, 0.58, 1.00, 0.161, 0.047, 11.9),
        ("gpt-4o-2024-05-13", "AIW_plus_MOD-6_Ref", 0.18, 0.03, 0.52, 0.177, 0.049, 12.8),
        ("o1-preview", "AIW_plus_MOD-6_Ref", 0.99, 0.97, 1.00, 0.014, 0.014, 1.0),
    ],
)
def test_the_recorded_trials_of_aiw(
    model: str,
    problem: str,
    mean: float,
    worst: float,
    best: float,
    spread: float,
    noise: float,
    ratio: float,
) -> None:
    recorded = cc.load(f"log:{AIW}?{PARTS}&model={model}&where=problem:{problem}")
    result = cc.check(recorded, recorded.items(), [Grid(k=60)], progress=False)["variants.grid"]
    assert result.accuracy.value == pytest.approx(mean, abs=0.005)
    assert result.worst_variation_accuracy.value == pytest.approx(worst, abs=0.005)
    assert result.verdicts["rate"].max() == pytest.approx(best, abs=0.005)
    assert result.variation_spread.value == pytest.approx(spread, abs=0.0006)
    assert result.variation_spread.note == f"chance alone would give {noise:.3f}"
    assert result.over_dispersion_ratio.value == pytest.approx(ratio, abs=0.06)
    assert (result.over_dispersion_ratio.p_value < 1e-9) == (ratio > 2)
