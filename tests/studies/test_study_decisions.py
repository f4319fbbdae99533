"""Deciding claims: by hand, against SciPy, and where the differences do not vary."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from concordant.core.statistics import mean_power
from concordant.studies.decisions import decide, estimated, holm_states
from concordant.studies.study import Claim

CLAIM = Claim("better", better="a.score", than="b.score", direction="higher")


def runs(a, b):
    return {seed: {"a.score": x, "b.score": y} for seed, (x, y) in enumerate(zip(a, b, strict=True))}


def of(*differences, margin=0.0):
    claim = Claim("better", better="a.score", than=0, direction="higher", margin=margin)
    return decide(claim, {seed: {"a.score": d} for seed, d in enumerate(differences)})


def test_by_hand():
    # Mean 2, s = 1, stderr 1/sqrt(3), t(0.975, 2) = 4.302653 from scipy.stats.t.ppf: half the width is 2.484138.
    decision = decide(CLAIM, runs([2, 3, 5], [1, 1, 2]))
    assert decision.differences == (1, 2, 3)
    assert decision.estimate.low == pytest.approx(2 - 2.484138, rel=1e-6)
    assert decision.estimate.high == pytest.approx(2 + 2.484138, rel=1e-6)
    assert decision.state == "undecided"
    assert of(1, 2, 3, margin=-0.48).state == "undecided"
    assert of(1, 2, 3, margin=-0.49).state == "holds"
    assert of(1, 2, 3, margin=4.48).state == "undecided"
    assert of(1, 2, 3, margin=4.49).state == "fails"


def test_against_scipy():
    a, b = [0.71, 0.74, 0.69, 0.77, 0.72], [0.68, 0.69, 0.70, 0.71, 0.66]
    decision = decide(CLAIM, runs(a, b))
    for side, p in (("greater", decision.p_holds), ("less", decision.p_fails)):
        assert p == pytest.approx(stats.ttest_rel(a, b, alternative=side).pvalue, rel=1e-9)
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (decision.estimate.low, decision.estimate.high) == pytest.approx(tuple(interval), rel=1e-9)
    assert decision.state == "holds"


def test_needed_seeds_are_those_of_the_power_of_the_t_test():
    decision = of(1, 2, 3, 0, -1)
    sd = math.sqrt(2.5)  # of -1, 0, 1, 2, 3, whose mean is 1
    n = decision.needed_n
    assert mean_power(1, sd, n) >= 0.8 > mean_power(1, sd, n - 1)
    assert decision.why() == f"about {n} seeds would decide it"


def test_the_number_of_needed_seeds_is_more_than_there_are():
    decision = of(1.0, 1.2, 0.0, 2.0)  # a power of 0.8 is not a certainty
    assert decision.state == "undecided"
    assert decision.needed_n > 4


def test_one_seed_decides_nothing():
    decision = of(5)
    assert (decision.state, decision.needed_n) == ("undecided", None)
    assert decision.why() == "one seed says nothing about the spread"
    assert decision.to_dict()["low"] is None


@pytest.mark.parametrize(("n", "state"), [(2, "undecided"), (5, "undecided"), (6, "holds"), (9, "holds")])
def test_equal_differences_are_judged_by_their_number(n, state):
    a = [0.5 + 0.125 * seed for seed in range(n)]
    decision = decide(CLAIM, runs(a, [x - 0.25 for x in a]))
    assert decision.estimate.method == "sign"
    assert decision.state == state
    assert min(decision.p_holds, decision.p_fails) == 2.0**-n
    if state == "undecided":
        assert decision.needed_n == 6
        assert decision.why() == "about 6 seeds would decide it"


def test_equal_differences_up_to_rounding_are_equal():
    decision = decide(CLAIM, runs([0.1 + 0.2, 0.3, 1.3], [0.0, 0.0, 1.0]))
    assert decision.estimate.method == "sign"


def test_no_difference_at_all_is_not_decided():
    a = [0.1, 0.4, 0.3, 0.2, 0.7, 0.5, 0.6]
    decision = decide(CLAIM, runs(a, a))
    assert decision.state == "undecided"
    assert decision.needed_n is None
    assert decision.why() == "the difference lies on the margin; more seeds would hardly decide it"
    assert of(*[0.25] * 7, margin=-0.01).same  # with the very same numbers throughout, they are one seed


def test_a_seed_that_changes_nothing_is_no_repetition():
    decision = decide(CLAIM, runs([0.75] * 8, [0.5] * 8))
    assert (decision.state, decision.needed_n, decision.same) == ("undecided", None, True)
    assert decision.estimate.n == 1
    assert "the seed changes nothing" in decision.why()


def test_units_are_those_of_the_first_seed():
    claim = Claim("c", better="a.score", than=1.0, direction="higher", over="units")
    decision = decide(claim, {3: {"a.score": [9.0, 9.0]}, 1: {"a.score": [1.5, 1.75, 1.25, 2.0]}})
    assert decision.differences == (0.5, 0.75, 0.25, 1.0)
    assert (decision.state, decision.unit, decision.estimate.n) == ("holds", "units", 4)
    assert decide(claim, {0: {"a.score": [2.0] * 3}, 1: {"a.score": [2.0] * 3}}).needed_n == 6


differences = st.lists(st.integers(-1000, 1000), min_size=2, max_size=8)


@given(differences, st.integers(-500, 500))
def test_turning_a_claim_around_turns_its_state(values, margin):
    swapped = {"holds": "fails", "fails": "holds", "undecided": "undecided"}
    assert swapped[of(*values, margin=margin).state] == of(*[-v for v in values], margin=-margin).state


@given(differences, st.integers(-500, 500))
def test_state_interval_and_p_values_agree(values, margin):
    decision = of(*values, margin=margin)
    low, high = decision.estimate.low, decision.estimate.high
    assert (decision.state == "holds") == (low > margin) == (decision.p_holds < 0.025)
    assert (decision.state == "fails") == (high < margin) == (decision.p_fails < 0.025)
    document = decision.to_dict()
    assert all(not isinstance(v, float) or math.isfinite(v) for v in document.values())


def test_estimates_of_unequal_values_are_t_intervals():
    found = estimated([1.0, 2.0, 3.0])
    assert (found.method, found.value, found.n) == ("t", 2.0, 3)


def test_one_claim_is_its_own_family():
    for values in ([1, 2, 3], [1, 1.1, 1.2], [-1, -1.1, -1.2]):
        decision = of(*values)
        assert holm_states([(decision.p_holds, decision.p_fails)]) == [decision.state]


def test_a_family_by_hand():
    # Holm on 0.012, 0.02, 0.004 with m = 3: 0.012 and 0.024 pass 0.025; 0.02 stays above 0.012 * 2.
    p = [0.012, 0.02, 0.004]
    assert holm_states([(q, 1 - q) for q in p]) == ["holds", "holds", "holds"]
    p = [0.013, 0.02, 0.004]  # 0.013 * 2 = 0.026
    assert holm_states([(q, 1 - q) for q in p]) == ["undecided", "undecided", "holds"]
