import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.errors import ConfigError
from concordant.core.finding import Finding, Measure
from concordant.core.gate import Gate, check_gate, decide
from concordant.core.statistics import estimate_mean


def finding_of(successes: int, n: int) -> Finding:
    return Finding("versions.flips", "negative_flip_rate", estimate_mean(np.arange(n) < successes), "lower")


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("negative_flip_rate <= 0.02", Gate("negative_flip_rate", high=0.02)),
        ("negative_flip_rate<2%", Gate("negative_flip_rate", high=0.02)),
        ("agreement_score >= 9.5e-1", Gate("agreement_score", low=0.95)),
        ("gain within -0.01 to 0.01", Gate("gain", -0.01, 0.01)),
        ("gain within [-1%, 1%]", Gate("gain", -0.01, 0.01)),
    ],
)
def test_gates_are_read_and_written(text: str, gate: Gate) -> None:
    assert Gate.parse(text) == gate
    assert Gate.parse(str(gate)) == gate


@pytest.mark.parametrize(
    "text",
    ["", "gain", "gain = 0", "gain <= nearly", "gain within 1 to -1", "<= 2", "gain <= 1e", "a <= 1; b"],
)
def test_what_is_no_gate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"does not parse; allowed: .*negative_flip_rate <= 0.02"):
        Gate.parse(text)


def test_a_gate_agrees_with_the_interval_printed_beside_it() -> None:
    # Wilson intervals of k of 1000: 8 -> (.0041, .0157), 20 -> (.0130, .0307), 40 -> (.0295, .0540)
    states = {
        k: decide([(Gate("negative_flip_rate", high=0.02), finding_of(k, 1000))])[0] for k in (8, 20, 40)
    }
    assert {k: result.state for k, result in states.items()} == {8: "holds", 20: "undecided", 40: "fails"}
    assert states[8].finding.high < 0.02 < states[40].finding.low


def test_an_undecided_gate_names_the_number_that_would_decide_it() -> None:
    (result,) = decide([(Gate("negative_flip_rate", high=0.02), finding_of(3, 200))])
    assert result.state == "undecided"
    assert result.needed_n is not None
    assert result.needed_n > 200
    assert f"about {result.needed_n:,} items would decide it" in result.sentence()
    (on_bound,) = decide([(Gate("negative_flip_rate", high=0.02), finding_of(4, 200))])
    assert on_bound.needed_n is None
    assert "lies on the bound" in on_bound.sentence()


def test_a_range_needs_both_sides() -> None:
    narrow = Finding(
        "versions.flips", "gain", estimate_mean(np.tile([-1.0, 1.0, 0, 0, 0, 0, 0, 0, 0, 0], 1000))
    )
    assert decide([(Gate("gain", -0.02, 0.02), narrow)])[0].state == "holds"
    assert decide([(Gate("gain", 0.05, 0.10), narrow)])[0].state == "fails"
    assert decide([(Gate("gain", -0.001, 0.001), narrow)])[0].state == "undecided"


def test_a_bound_that_cannot_be_passed_is_open() -> None:
    # A rate is never below 0: the lower bound asks nothing, also at an estimate of 0 itself.
    assert decide([(Gate("negative_flip_rate", 0.0, 0.02), finding_of(0, 1000))])[0].state == "holds"
    assert decide([(Gate("negative_flip_rate", low=0.0), finding_of(0, 10))])[0].state == "holds"
    assert decide([(Gate("agreement_score", high=1.0), finding_of(10, 10))])[0].state == "holds"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate <= 2", "always holds, as rate lies between 0 and 1; for percent write 2%"),
        ("rate >= 95", "never holds, as rate lies between 0 and 1; for percent write 95%"),
        ("rate <= -0.1", "never holds"),
        ("rate within -5 to 5", "always holds"),
        ("rat <= 0.1", "did you mean rate?"),
    ],
)
def test_a_gate_that_cannot_tell_anything_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_gate(Gate.parse(text), "r", [Measure("rate", "x", "lower", "")])


@pytest.mark.parametrize("text", ["rate <= 1", "rate >= 0", "rate within -1% to 10%", "rate <= 2%"])
def test_a_gate_at_the_end_of_the_range_is_allowed(text: str) -> None:
    check_gate(Gate.parse(text), "r", [Measure("rate", "x", "lower", "")])


def test_many_gates_are_one_family() -> None:
    close = (Gate("negative_flip_rate", high=0.02), finding_of(10, 1000))
    assert decide([close])[0].state == "holds"
    assert {r.state for r in decide([close] * 40)} == {"undecided"}


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0.01, 0.99))
def test_one_gate_is_the_interval(successes: int, n: int, bound: float) -> None:
    finding = finding_of(min(successes, n), n)
    (result,) = decide([(Gate("x", high=bound), finding)])
    if not (math.isclose(finding.high, bound) or math.isclose(finding.low, bound)):
        assert result.state == (
            "holds" if finding.high < bound else "fails" if finding.low > bound else "undecided"
        )
