"""Outcomes: what wins over what, each grader by hand, and the grader that is chosen by itself."""

import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError
from concordant.core.grading import GRADERS, OUTCOME, OUTCOMES, Grader, default_grader, grade, grader
from concordant.core.items import Items

SOLUTIONS = Path(__file__).parents[3] / "shared/data/gsm8k/example_model_solutions.jsonl"


def items_with(reference=None, **columns):
    """Make items with these references (and choices, ...)."""
    n = len(next(iter(columns.values()), reference))
    data = {"id": [str(i) for i in range(n)], "input": ["?"] * n, **columns}
    if reference is not None:
        data["reference"] = reference
    return Items.from_frame(pl.DataFrame(data, strict=False))


def outcomes(outputs, items, how, **columns):
    """Grade outputs and return their outcomes."""
    frame = pl.DataFrame({"output": outputs, **columns}, strict=False)
    return grade(frame, items, grader(how)).get_column("outcome").to_list()


# -- what wins over what -------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "4", "5", "no idea"]),
            st.sampled_from([None, True, False]),
            st.sampled_from([None, "timeout"]),
            st.sampled_from([None, "4"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_outcomes_follow_the_rules_row_by_row(rows):
    output, correct, error, reference = zip(*rows, strict=True)
    frame = pl.DataFrame(
        {"output": output, "correct": correct, "error": error},
        schema={"output": pl.String, "correct": pl.Boolean, "error": pl.String},
    )
    items = items_with(pl.Series(reference, dtype=pl.String))
    graded = grade(frame, items, grader("number"))
    assert graded["outcome"].dtype == OUTCOME
    for row, said in zip(rows, graded.iter_rows(named=True), strict=True):
        assert (said["outcome"], said["error"], said["unparsed"]) == by_the_rules(*row)


def by_the_rules(output, correct, error, reference):
    """Say the outcome, the error and whether it is unparsed, one behaviour at a time."""
    if error is not None:
        return "error", error, False
    if correct is not None:
        return ("right" if correct else "wrong"), None, False
    if output is None:
        return "error", "no output", False
    if reference is None:
        return "ungraded", None, False
    return ("right" if output == reference else "wrong"), None, output == "no idea"


def test_graded_behaviours_keep_their_columns():
    frame = pl.DataFrame({"item": ["a"], "output": ["4"], "latency_s": [0.5]})
    graded = grade(frame, items_with(["4"]), grader("exact"))
    assert graded.columns == ["item", "output", "latency_s", "answer", "error", "outcome", "unparsed"]
    assert graded["error"].dtype == pl.String


def test_outcome_codes_are_the_positions_of_the_names():
    graded = grade(
        pl.DataFrame({"output": ["4", "5", "4", None]}), items_with(["4", "4", None, "4"]), grader("exact")
    )
    assert graded["outcome"].to_physical().to_list() == [0, 1, 2, 3]
    assert OUTCOMES == ("right", "wrong", "ungraded", "error")


def test_recorded_verdicts_alone_are_enough():
    frame = pl.DataFrame({"output": [None, None], "correct": [1, 0]}, schema_overrides={"output": pl.String})
    assert grade(frame, items_with(input=["a", "b"]), grader("none"))["outcome"].to_list() == [
        "right",
        "wrong",
    ]


def test_samples_are_graded_with_their_items_repeated():
    items = items_with(["1", "2"]).repeat(2)
    assert outcomes(["1", "2", "1", "2"], items, "number") == ["right", "wrong", "wrong", "right"]


def test_rows_that_do_not_fit():
    items = items_with(["1", "2"])
    with pytest.raises(DataError, match="3 behaviours for 2 items"):
        outcomes(["1", "2", "3"], items, "exact")
    with pytest.raises(DataError, match="need a column 'output'; there are answer"):
        grade(pl.DataFrame({"answer": ["1", "2"]}), items, grader("exact"))
    with pytest.raises(DataError, match="'correct' must hold true and false, got String"):
        outcomes(["1", "2"], items, "exact", correct=["yes", "no"])


# -- each grader ---------------------------------------------------------------------------------------------

R, W, U = "right", "wrong", "ungraded"


@pytest.mark.parametrize(
    ("how", "reference", "outputs", "expected"),
    [
        ("exact", ["a", "a", "a"], ["a", "A", "a "], [R, W, W]),
        ("exact", [[1, 2], [1, 2]], [[1, 2], [2, 1]], [R, W]),
        ("normalized", ["The Seine", "seine", None], ["seine.", "Rhine", "x"], [R, W, U]),
        ("number", ["1,000", "A: 12", "none"], ["it is 1000.", "#### 12", "3"], [R, R, U]),
        ("number", [0.5, 0.5], ["1/2", "2"], [R, W]),
        ("label", [1, 0, None], ["1", "x", "1"], [R, W, U]),
        ("label", ["cat", "dog"], [" cat", "cat"], [R, W]),
        ("json", ['{"a": 1}', "[1]", "oops"], ['{"a":1.0}', "[1, 2]", "[1]"], [R, W, U]),
        ("contains", ["Paris", "5", "北京"], ["I say: paris!", "15 or 50", "我住在北京市"], [R, W, R]),
        ("none", ["a", "b"], ["a", "b"], [U, U]),
        # several right answers
        ("normalized", [["Paris", "city of light"], ["x"], []], ["The city of light", "y", "z"], [R, W, U]),
        ("number", [["1", "2"], ["none", "2"], None], ["2", "3", "1"], [R, W, U]),
    ],
)
def test_graders(how, reference, outputs, expected):
    assert outcomes(outputs, items_with(reference), how) == expected


@pytest.mark.parametrize("reference", [["Rome", "Oslo"], ["A", "B"], [0, 1], ["0", "1"]])
def test_choice_grader_takes_texts_letters_and_positions(reference):
    items = items_with(reference, choices=[["Rome", "Oslo"], ["Rome", "Oslo"]])
    graded = grade(pl.DataFrame({"output": ["The answer is (A).", "Rome"]}), items, grader("choice"))
    assert graded["answer"].to_list() == ["Rome", "Rome"]
    assert graded["outcome"].to_list() == ["right", "wrong"]


def test_choice_grader_needs_choices():
    with pytest.raises(DataError, match="no choices"):
        outcomes(["A"], items_with(["A"]), "choice")


@pytest.mark.parametrize("how", GRADERS)
def test_every_grader_gives_no_answer_and_no_verdict_without_output_or_reference(how):
    items = items_with(pl.Series(["Rome", None], dtype=pl.String), choices=[["Rome", "Oslo"]] * 2)
    graded = grade(pl.DataFrame({"output": pl.Series([None, "Oslo"], dtype=pl.String)}), items, grader(how))
    assert graded["answer"][0] is None
    assert graded["outcome"].to_list() == ["error", "ungraded"]
    bare = items_with(input=["?"])
    if how != "choice":
        assert outcomes(["Oslo"], bare, how) == ["ungraded"]


def test_number_grader_within_a_tolerance():
    near = grader("number", tolerance=0.1)
    graded = grade(pl.DataFrame({"output": [10.5, 12.0]}), items_with([10.0, 10.0]), near)
    assert graded["outcome"].to_list() == ["right", "wrong"]


def test_a_function_that_says_right_or_wrong():
    def long_enough(output, item):
        return None if item.reference is None else len(output) >= item.reference

    graded = grade(
        pl.DataFrame({"output": ["abc", "a", "b", None]}), items_with([2, 2, None, 2]), grader(long_enough)
    )
    assert graded["outcome"].to_list() == ["right", "wrong", "ungraded", "error"]
    assert "score" not in graded.columns
    assert grader(long_enough).name == "long_enough"


def test_a_function_that_scores():
    scored = grader(lambda output, item: len(output) / 4)
    graded = grade(pl.DataFrame({"output": ["abcd", "ab", "a", None]}), items_with(["x"] * 4), scored)
    assert graded["outcome"].to_list() == ["right", "right", "wrong", "error"]
    assert graded["score"].to_list() == [1, 0.5, 0.25, None]


def test_a_function_that_fails_names_the_item():
    with pytest.raises(ConfigError, match="grader 'len' failed on item '0': TypeError"):
        outcomes(["a"], items_with(["a"]), len)
    with pytest.raises(ConfigError, match="must give true, false, a number or None"):
        outcomes(["a"], items_with(["a"]), lambda output, item: "yes")


def test_graders_are_found_by_name():
    own = Grader("own", lambda outputs, items: outputs, lambda answers, items: answers == "x")
    assert grader(own) is own
    assert outcomes(["x", "y"], items_with(["?", "?"]), own) == ["right", "wrong"]
    with pytest.raises(ConfigError, match="no grader 'nubmer'; did you mean number"):
        grader("nubmer")
    with pytest.raises(
        ConfigError, match="grader 'number' has no option 'tolerence'; did you mean tolerance"
    ):
        grader("number", tolerence=1)
    with pytest.raises(ConfigError, match="got 3"):
        grader(3)


# -- the grader that is chosen by itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "outputs", "name", "reason"),
    [
        ({"reference": ["a"], "choices": [["a", "b"]]}, ["A"], "choice", "the items have choices"),
        ({"choices": [["a", "b"]]}, [1], "choice", "the items have choices"),
        (
            {"reference": ["a", "c"], "choices": [["a", "b"]] * 2},
            ["A"],
            "choice",
            "the items have choices; 1 of 2 references name none of them",
        ),
        ({"reference": ["12", "$1,250"]}, ["x"], "number", "every reference is a number"),
        ({"reference": ["so\n#### 12"]}, ["x"], "number", "every reference is a number"),
        ({"reference": [12]}, ["x"], "number", "every reference is a number"),
        ({"reference": ["12", "twelve"]}, ["x"], "normalized", "references and outputs are texts"),
        ({"reference": [["12", "13"]]}, ["x"], "number", "every reference is a number"),
        ({"reference": ['{"a": 1}', " [1]"]}, ["x"], "json", "every reference is a JSON document"),
        ({"reference": [1, 0]}, [1, 0], "label", "outputs are labels"),
        ({"reference": [1.0, None]}, [1.0], "label", "outputs are labels"),
        ({"reference": [True]}, [False], "label", "outputs are labels"),
        ({"reference": ["cat"]}, pl.Series(["cat"], dtype=pl.Categorical), "label", "outputs are labels"),
        ({"reference": [0.5]}, [0.5], "none", "real numbers are neither right nor wrong without a tolerance"),
        (
            {"reference": [[1, 2]]},
            [[1, 2]],
            "exact",
            "outputs of the type List(Int64) are compared as they are",
        ),
        ({"reference": [None]}, ["x"], "none", "the items have no reference"),
        ({"topic": ["x"]}, ["x"], "none", "the items have no reference"),
        ({"reference": [[]]}, ["x"], "none", "the items have no reference"),
        ({"reference": ["12"]}, [None], "number", "every reference is a number"),
    ],
)
def test_default_grader(columns, outputs, name, reason):
    chosen = default_grader(items_with(**columns), pl.Series(outputs))
    assert chosen.name == name
    assert chosen.reason.startswith(reason)


@pytest.mark.skipif(not SOLUTIONS.exists(), reason="the recorded solutions are not part of the repository")
def test_recorded_solutions_are_graded_as_their_authors_did():
    rows = [json.loads(line) for line in SOLUTIONS.read_text().splitlines()]
    items = Items.from_records(rows)
    for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
        outputs = pl.Series([row[model]["solution"] for row in rows])
        said = pl.Series([row[model]["is_correct"] for row in rows])
        graded = grade(pl.DataFrame({"output": outputs}), items, default_grader(items, outputs))
        assert ((graded["outcome"] == "right") == said).all()


def test_a_million_labels_and_flags_in_well_under_a_second():
    n, rng = 1_000_000, np.random.default_rng(0)
    items = Items.from_arrays(rng.integers(0, 9, n), rng.integers(0, 3, n))
    labels = pl.DataFrame({"output": rng.integers(0, 3, n)})
    flags = labels.with_columns(correct=rng.random(n) < 0.5)
    for frame in (labels, flags):
        start = time.process_time()
        graded = grade(frame, items, default_grader(items, frame["output"]))
        assert time.process_time() - start < 0.9
        assert set(graded["outcome"].unique()) == {"right", "wrong"}
