"""Steps of replies and how far they agree: hand-worked traces, a slow alignment, and what a trace says of an answer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import concordant as cc
from concordant.core.errors import ConfigError, DataError
from concordant.core.items import Items
from concordant.versions import StepAgreement
from concordant.versions.traces import common_steps, read_steps

BBH = Path(__file__).parents[3] / "shared" / "data" / "orca" / "bbh_multistep_arithmetic_two.json"


def lists(rows: list[list[str]]) -> pl.Series:
    return pl.Series(rows, dtype=pl.List(pl.String))


def slow(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Return the length of the longest common subsequence by its definition."""

    @cache
    def longest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    return longest(0, 0)


traces = st.lists(st.sampled_from(["1", "2", "3", "10"]), max_size=7)


@given(st.lists(st.tuples(traces, traces), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_alignment_agrees_with_a_slow_one_and_is_symmetric(pairs: list[tuple[list[str], list[str]]]) -> None:
    a, b = (lists([list(pair[side]) for pair in pairs]) for side in (0, 1))
    expected = [slow(tuple(x), tuple(y)) for x, y in pairs]
    assert common_steps(a, b).tolist() == common_steps(b, a).tolist() == expected


@pytest.mark.parametrize(
    ("reply", "steps"),
    [
        ("3 + 4 = 7 ; 7 - 2 = 5 ; answer : 5", ["7", "5"]),
        ("First 3 + 4 = 7. Then 7 * 1.5 = 10.5. The answer is 10.5.", ["7", "10.5"]),
        ("She has 1,250 eggs\nso $1,000.00 remain!\n#### 1000", ["1250", "1000"]),
        ("It is 12.", ["12"]),
        ("Let me see.\nNo number here", []),
        ("-0 ; 0 ; 1/4", ["0", "0", "0.25"]),
        (r"so x = 4 and \boxed{4}", []),
        ("", []),
    ],
)
def test_values_of_replies(reply: str, steps: list[str]) -> None:
    assert read_steps(pl.Series([reply])).to_list() == [steps]


def test_other_kinds_of_steps() -> None:
    replies = pl.Series(["Tom is  tall; ANNA, too. Answer: Tom", None])
    assert read_steps(replies, "texts").to_list() == [["tom is tall", "anna, too"], None]
    assert read_steps(replies, lambda text: [len(text)]).to_list() == [["36"], None]
    assert read_steps(pl.Series([None, None])).to_list() == [None, None]
    with pytest.raises(ConfigError, match="no steps of the kind 'value'; did you mean values"):
        read_steps(replies, "value")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="steps are read from texts, got Int64"):
        read_steps(pl.Series([1]))


QUESTIONS = ["a", "b", "c", "d", "e", "f"]
TAUGHT = ["1 ; 2 ; 3 ; answer : 3"] * 6
SAID = [
    "1 ; 2 ; 3 ; answer : 3",  # the same
    "1 ; 9 ; 3 ; answer : 3",  # a wrong step, the right answer
    "1 ; 2 ; 3 ; answer : 4",  # the right trace, another answer
    "3",  # no step but the answer itself
    "1 ; 2 ; 5 ; 3 ; answer : 3",  # a step more
    "answer : 3",  # no step
]


def judged(said: list[str], taught: list[str] = TAUGHT, **how: object) -> cc.Result:
    items = Items.from_frame(
        pl.DataFrame({"id": QUESTIONS, "input": QUESTIONS, "reference": [3] * 6, "trace": taught})
    )
    model = cc.load(lambda text: said[QUESTIONS.index(text)])
    how = how or {"column": "trace"}
    return cc.check(model, items, [StepAgreement(**how)], progress=False)["versions.step_agreement"]  # type: ignore[arg-type]


def test_every_figure_by_hand() -> None:
    result = judged(SAID)
    verdicts = result.verdicts
    assert verdicts["agreement"].to_list() == pytest.approx([1, 2 * 2 / 6, 1, 2 * 1 / 4, 2 * 3 / 7, 0])
    assert verdicts["coverage"].to_list() == pytest.approx([1, 2 / 3, 1, 1 / 3, 1, 0])
    assert verdicts["lucky"].to_list() == [0, 1, None, 1, 0, 1]
    assert verdicts["slipped"].to_list() == [None, None, 1, None, None, None]
    assert verdicts["follows"].to_list() == [1, 1, 0, 1, 1, None]
    assert result.right_with_wrong_trace_rate.value == pytest.approx(3 / 5)
    assert result.mean_steps.value == pytest.approx((3 + 3 + 3 + 1 + 4 + 0) / 6)


def test_a_teacher_and_a_column_of_what_it_says_give_the_same() -> None:
    teacher = cc.load(lambda text: TAUGHT[QUESTIONS.index(text)], name="teacher")
    a, b = judged(SAID, against=teacher), judged(SAID)
    assert a.verdicts.equals(b.verdicts)
    assert list(a.answers) == ["teacher", "model"]


def test_what_a_wrong_teacher_shows_does_not_count_against_a_right_answer() -> None:
    teacher = cc.load(lambda text: "1 ; 7 ; answer : 7", name="teacher")
    result = judged(SAID, against=teacher)
    assert result.verdicts["lucky"].null_count() == result.verdicts["slipped"].null_count() == 6
    assert "right_with_wrong_trace_rate" not in result.findings
    assert result.step_agreement_score.value < 0.5


def test_items_whose_teacher_shows_nothing_are_left_out() -> None:
    result = judged(SAID, ["answer : 3", *TAUGHT[1:]])
    assert result.verdicts["agreement"].null_count() == 1
    assert result.step_agreement_score.n_ungraded == 1


def test_steps_that_are_texts_have_no_answer_that_follows() -> None:
    result = judged(["tom ; anna ; answer : 3"] * 6, ["Tom; Anna"] * 6, column="trace", steps="texts")
    assert result.step_agreement_score.value == 1.0
    assert "answer_follows_rate" not in result.findings
    assert result.relation.settings() == {"column": "trace", "steps": "texts"}


def test_bad_input_is_said() -> None:
    with pytest.raises(ConfigError, match=r"needs a teacher \(against\) or a column of traces, got neither"):
        StepAgreement()
    with pytest.raises(ConfigError, match="got both"):
        StepAgreement(cc.load(str.upper), column="trace")
    with pytest.raises(ConfigError, match="no steps of the kind 'text'; did you mean texts"):
        StepAgreement(column="trace", steps="text")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is no column 'traces'; did you mean trace"):
        judged(SAID, column="traces")
    with pytest.raises(DataError, match="traces are compared in pairs, got 1 and 2"):
        common_steps(lists([[]]), lists([[], []]))


@pytest.mark.skipif(not BBH.exists(), reason="the tasks of BIG-Bench Hard are not beside the project")
def test_the_arithmetic_of_big_bench_hard_step_by_step() -> None:
    rows = json.loads(BBH.read_text())["examples"]

    def worked(text: str, off: int) -> str:
        """Work out ``((first) sign (second)) =`` in three steps; `off` is added to the first and taken away again."""
        first, sign, second = text[2:-4].replace(") ", ")\n", 1).replace(" (", "\n", 1).split("\n")
        a, b = eval(first.rstrip(")")), eval(second.rstrip(")"))
        total = {"+": a + b, "-": a - b, "*": a * b}[sign]
        return f"the first is {a + off}; the second is {b}; together {total}; answer: {total}"

    items = Items.from_records([{"input": row["input"], "reference": int(row["target"])} for row in rows])
    teacher, student = (
        cc.load(lambda text: worked(text, 0), name="teacher"),
        cc.load(lambda text: worked(text, 1000)),
    )
    result = cc.check(student, items, [StepAgreement(teacher)], progress=False)["versions.step_agreement"]
    assert result.right_with_wrong_trace_rate.n == len(rows) == 250  # both are right on all of them
    assert result.right_with_wrong_trace_rate.value == 1.0
    np.testing.assert_allclose(result.verdicts["agreement"].to_numpy(), 2 / 3)
    same = cc.check(teacher, items, [StepAgreement(teacher)], progress=False)["versions.step_agreement"]
    assert same.step_agreement_score.value == same.answer_follows_rate.value == 1.0
