from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from concordant.core.behaviours import ERROR, RIGHT, WRONG
from concordant.core.gate import Gate, GateResult
from concordant.core.results import Report
from concordant.report.telling import (
    change_sentence,
    direction,
    errors,
    flip_counts,
    flips,
    focus,
    left_out,
    slice_direction,
    state,
    verdict,
    worst_slices,
)
from report.made_reports import flips_report, stored


def with_gates(report, *states, needed=120):
    finding = report["versions.flips"]["negative_flip_rate"]
    gate = Gate("negative_flip_rate", high=0.05)
    given = [GateResult(gate, finding, s, 0.5, 0.5, needed if s == "undecided" else None) for s in states]
    return Report(report.title, report.items, report.results, given, report.about)


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ([], "No gates were set: this report measures, and decides nothing."),
        (["holds"], "The gate holds."),
        (["holds", "holds"], "All 2 gates hold."),
        (["undecided"], "The gate cannot be decided by these data; about 120 items would do."),
        (["holds", "undecided"], "1 of 2 gates cannot be decided by these data; about 120 items would do."),
    ],
)
def test_verdicts(report, states, sentence):
    assert verdict(with_gates(report, *states)) == sentence


def test_a_failing_gate_is_named_with_its_figure(report):
    one = verdict(with_gates(report, "fails", "undecided"))
    assert one.startswith(
        "1 of 2 gates fails: negative_flip_rate ≤ 0.05 (versions.flips); measured was 0.135"
    )
    many = verdict(with_gates(report, *["fails"] * 5))
    assert many.startswith("All 5 gates fail: ")
    assert many.endswith("; and 2 more.")
    assert "needed" not in verdict(with_gates(report, "undecided", needed=None))


def test_a_report_without_gates_only_measures(report):
    assert state(with_gates(report)) == "measured"
    assert state(with_gates(report, "undecided")) == "undecided"


def test_the_measures_that_matter(report):
    assert focus(report, report["versions.flips"]) == ["gain", "negative_flip_rate", "accuracy_old"]
    assert focus(report, report["made.reworded"]) == ["agreement_score"]


def test_flips_are_counted_as_by_hand(report):
    result = report["versions.flips"]
    matrix = flip_counts(result)
    names = {RIGHT: "right", WRONG: "wrong", ERROR: "error"}
    by_hand: dict[tuple[str, str], int] = {}
    for old, new in zip(*(result.answers[v].outcome[:, 0] for v in ("old", "new")), strict=True):
        pair = names[old], names[new]
        by_hand[pair] = by_hand.get(pair, 0) + 1
    assert matrix.n == len(report.items) == sum(by_hand.values())
    assert {
        (o, n): matrix.count(o, n) for o in matrix.outcomes for n in matrix.outcomes if matrix.count(o, n)
    } == by_hand
    assert matrix.outcomes == ["right", "wrong", "error"]
    n = result["negative_flip_rate"].n
    assert matrix.count("right", "wrong") == round(result["negative_flip_rate"].value * n)
    assert matrix.count("wrong", "right") == round(result["positive_flip_rate"].value * n)


def test_flips_are_known_from_the_verdicts_alone(report):
    live, kept = flip_counts(report["versions.flips"]), flip_counts(stored(report)["versions.flips"])
    assert kept.outcomes == ["right", "wrong"]
    assert np.array_equal(kept.counts, live.counts[:2, :2])
    assert flip_counts(stored(report)["made.reworded"]) is None


def test_what_changed_in_words(report):
    (result,) = flips(report)
    assert change_sentence(result).startswith(
        "Accuracy rose from 0.582 to 0.772: a change of +0.190 (+0.106 to +0.272, n\xa0=\xa0237 items; McNemar, exact p"
    )
    assert change_sentence(result).endswith("32 items went from right to wrong and 77 from wrong to right.")


def test_directions(report):
    flips_found = report["versions.flips"]
    assert direction(flips_found["gain"]) == "better"
    assert direction(replace(flips_found["gain"], better="lower")) == "worse"
    assert direction(replace(flips_found["gain"], better=None)) == "same"


def test_slices_held_against_zero_are_ranked_by_p_among_the_bad(report):
    result = report["versions.flips"]
    base = result.slices[0]
    made = [
        (+0.20, 0.001),  # better, surely
        (-0.10, 0.300),
        (-0.01, 0.020),
        (+0.01, 0.900),
    ]
    gains = [
        replace(
            base,
            measure="gain",
            better="higher",
            slice=("topic", str(i)),
            p_value=p,
            test="McNemar, exact",
            estimate=replace(base.estimate, value=value, low=value - 0.1, high=value + 0.1),
        )
        for i, (value, p) in enumerate(made)
    ]
    ranked = worst_slices(replace(result, slices=gains), "gain", 4)
    assert [f.slice[1] for f in ranked] == ["2", "1", "3", "0"]
    assert [slice_direction(f, result["gain"]) for f in ranked] == ["worse", "same", "same", "better"]


def test_slices_held_against_the_rest_are_bad_below_the_whole(report):
    result = report["made.reworded"]
    whole = result["agreement_score"]
    ranked = worst_slices(result, "agreement_score", 3)
    assert ranked[0].value < whole.value
    assert "against the rest" in ranked[0].test
    assert slice_direction(replace(ranked[0], p_value=0.01), whole) == "worse"
    assert slice_direction(replace(ranked[0], p_value=0.01, better="lower"), whole) == "better"


def test_slices_without_a_test_are_ranked_by_the_favourable_end(report):
    result = report["made.reworded"]
    untested = [replace(f, p_value=None, test=None) for f in result.slices if f.measure == "agreement_score"]
    ranked = worst_slices(replace(result, slices=untested), "agreement_score", 99)
    assert [f.high for f in ranked] == sorted(f.high for f in untested)


def test_errors_are_counted_most_frequent_first(report):
    assert errors(report["versions.flips"]) == [("time-out after 30 s ", 3)]
    assert errors(report["made.reworded"]) == []
    assert errors(stored(report)["versions.flips"]) == []


def test_what_was_left_out_is_said(report):
    assert left_out(report["versions.flips"].findings.values()) == "Left out: 3 items with an error."
    assert left_out([]) == ""
    one = replace(report["versions.flips"]["gain"], n_error=0, n_ungraded=1)
    assert left_out([one]) == "Left out: 1 item that could not be graded or compared."


def test_a_small_report_still_says_something():
    report = flips_report(4, gates=())
    assert verdict(report).startswith("No gates")
    assert "did not change demonstrably" in change_sentence(report["versions.flips"])
