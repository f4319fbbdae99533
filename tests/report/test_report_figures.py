from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.finding import Finding
from concordant.core.gate import Gate, decide
from concordant.core.statistics import estimate_mean, t_estimate, wilson_estimate
from concordant.report.bars import Axis, bars, gate_bar
from concordant.report.figures import (
    about_n,
    bound_text,
    decimals,
    figure_text,
    interval_text,
    number,
    p_text,
    reason,
    value_text,
    with_p,
)


def finding(value, n=100, measure="error_rate", better="lower", **more):
    return Finding("made", measure, wilson_estimate(value, n=n), better=better, **more)


def change(value, stderr=0.01, measure="gain", better="higher", **more):
    estimate = t_estimate(value, stderr, 99, n=100, bounds=(-1, 1))
    return Finding("made", measure, estimate, better=better, **more)


def test_digits_follow_the_interval():
    # Wilson intervals of 0.5: n = 100 -> 0.404 to 0.596, n = 1,000,000 -> 0.49902 to 0.50098
    assert figure_text(finding(0.5)) == "0.500 (0.404 to 0.596, n\xa0=\xa0100 items)"
    assert figure_text(finding(0.5, n=1_000_000)) == "0.500 (0.499 to 0.501, n\xa0=\xa01,000,000 items)"
    assert decimals(0.0485, 0.0487) == 4
    assert decimals(1200, 1300) == 0


def test_changes_have_their_sign():
    assert value_text(change(0.05)) == "+0.050"
    assert interval_text(change(-0.05)) == "−0.070 to −0.030"
    assert value_text(change(0.05, measure="mean_gain_part")) == "0.050"


def test_what_is_not_finite_is_a_dash():
    unknown = Finding("made", "score", t_estimate(0.3, math.inf, 0, n=1))
    assert interval_text(unknown) == "–"
    assert [number(x) for x in (None, math.nan, math.inf, -math.inf)] == ["–"] * 4
    half_open = replace(unknown, estimate=replace(unknown.estimate, low=0.0))
    assert interval_text(half_open) == "0.000 to –"
    assert p_text(math.nan) == "–"


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 6), st.booleans())
def test_a_number_never_reads_nan_or_inf(value, places, signed):
    text = number(value, places, signed=signed)
    assert not any(word in text.lower() for word in ("nan", "inf"))
    assert text not in ("−0", "−0.000")


@given(st.floats(0, 1))
def test_p_values_are_short_and_never_zero(p):
    text = p_text(p)
    assert len(text) <= 7
    assert float(text.lstrip("< ").replace("−", "-")) > 0 or p < 0.0005 <= 0.001
    assert with_p(p).startswith("p")


def test_needed_numbers_have_two_digits_rounded_up():
    assert [about_n(n) for n in (9, 99, 101, 2_901, 160_774)] == ["9", "99", "110", "3,000", "170,000"]


def test_reasons_of_gates():
    given_gates = [
        (Gate("error_rate", high=0.2), finding(0.05, n=500)),
        (Gate("error_rate", high=0.02), finding(0.2, n=500)),
        (Gate("error_rate", high=0.06), finding(0.05, n=100)),
        (Gate("error_rate", high=0.05), finding(0.05, n=100)),
    ]
    results = decide(given_gates)
    assert [r.state for r in results] == ["holds", "fails", "undecided", "undecided"]
    assert reason(results[0]).startswith("within the bound, p")
    assert reason(results[1]).startswith("beyond the bound, p")
    assert reason(results[2]) == f"about {about_n(results[2].needed_n)} items would decide it"
    assert reason(results[3]) == "the estimate lies on the bound; more items would hardly decide it"
    assert bound_text(results[0]) == "error_rate ≤ 0.2"


# -- bars --------------------------------------------------------------------------------------------------------


def test_an_axis_keeps_a_margin_and_clips():
    axis = Axis(0.0, 2.0)
    assert (axis.at(0.0), axis.at(1.0), axis.at(2.0), axis.at(9.0)) == (3.0, 50.0, 97.0, 97.0)
    assert axis.ends == ("0", "2.00")


def test_rates_share_an_axis_and_other_figures_have_their_own():
    many = [finding(0.1), finding(0.6), Finding("made", "ratio", estimate_mean([3.0, 4.0, 5.0]))]
    laid, axis = bars(many)
    assert axis == Axis(0.0, many[1].high)
    assert [bar.ends is None for bar in laid] == [True, True, False]
    assert laid[0].value < laid[1].value
    assert laid[0].value == pytest.approx(axis.at(0.1))


@given(st.floats(-1, 1), st.floats(1e-6, 10))
def test_bars_stay_on_their_line_and_in_order(value, stderr):
    (bar,), _ = bars([change(value, stderr)])
    assert 0 <= bar.low <= bar.value <= bar.high <= 100


def test_bars_of_changes_say_which_way():
    kinds = [bar.kind for bar in bars([change(0.1), change(-0.1), change(0.0), finding(0.3)])[0]]
    assert kinds == ["better", "worse", "same", "same"]
    (bar,), _ = bars([change(0.1, better="lower")])
    assert bar.kind == "worse"


def test_a_gate_is_drawn_with_what_it_allows():
    (result,) = decide([(Gate("gain", low=-0.01, high=0.01), change(0.5))])
    bar = gate_bar(result)
    assert bar.kind == "worse"
    assert bar.inside == bar.bounds
    assert bar.bounds[0] < bar.bounds[1] < bar.value
    (one_sided,) = decide([(Gate("gain", high=0.1), change(0.0))])
    assert gate_bar(one_sided).inside[0] == 0.0


def test_what_is_not_a_number_has_no_bar():
    nothing = Finding("made", "score", t_estimate(math.nan, math.nan, 0, n=0))
    assert bars([nothing]) == ([None], None)
