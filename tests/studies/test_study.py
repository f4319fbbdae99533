"""Claims, scales and measurements: what they accept, and what they say of what they do not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Scale, checked, method_and_metric, study
from toy_studies import HIGHER, toy_mean


def claim(**changes):
    return Claim(**{"id": "a", "better": "x.score", "than": "y.score", "direction": "higher"} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"id": "Fewer flips"},
            "the id of a claim must be lower-case words joined by hyphens, got 'Fewer flips'",
        ),
        ({"better": "score"}, "the claim 'a' must name measurements like method.metric, got 'score'"),
        ({"than": "y score"}, "the claim 'a' must name measurements like method.metric, got 'y score'"),
        ({"than": "x.score"}, "the claim 'a' compares 'x.score' with itself"),
        ({"than": float("nan")}, "than in the claim 'a' must be a name or a finite number, got nan"),
        ({"than": None}, "than in the claim 'a' must be a name or a finite number, got None"),
        ({"margin": float("inf")}, "margin in the claim 'a' must be a finite number, got inf"),
        ({"direction": "up"}, "direction in the claim 'a' must be one of higher, lower, got 'up'"),
        ({"over": "items"}, "over in the claim 'a' must be one of seeds, units, got 'items'"),
    ],
)
def test_bad_claims(changes, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        claim(**changes)


def test_differences_are_positive_in_the_claims_favour():
    found = {"x.score": 0.5, "y.score": 0.25, "x.all": [1.0, 2.0], "y.all": [4.0, 3.0]}
    assert claim().differences(found) == (0.25,)
    assert claim(direction="lower").differences(found) == (-0.25,)
    assert claim(than=1, direction="lower").differences(found) == (0.5,)
    units = claim(better="x.all", than="y.all", direction="lower", over="units")
    assert units.differences(found) == (3.0, 1.0)
    assert claim(better="x.all", than=1.5, over="units").differences(found) == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("slug", "claims", "baseline", "message"),
    [
        ("A b", [HIGHER], "it", "the slug of a study must be lower-case words joined by hyphens, got 'A b'"),
        ("a", [], "it", "the study 'a' has no claims"),
        ("a", ["better"], "it", "the claims of the study 'a' must be of Claim(...)"),
        ("a", [HIGHER, HIGHER], "it", "the claims of the study 'a' must have an id each, got better, better"),
        ("a", [HIGHER], " ", "the study 'a' must name its baseline"),
    ],
)
def test_bad_studies(slug, claims, baseline, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        study(slug, claims=claims, baseline=baseline)(lambda scale, seed: {})


def test_scales():
    assert [str(scale) for scale in Scale] == ["smoke", "pocket", "full"]
    with pytest.raises(ConfigError, match=r"^there is no scale 'poket'; did you mean pocket\?$"):
        Scale.of("poket")


def test_a_study_gives_plain_numbers():
    found = toy_mean(Scale.smoke, 0)
    assert {type(value) for value in found.values()} == {float, list}
    assert found["each.score"] == pytest.approx(np.linspace(0.4, 0.6, 7).tolist())
    assert toy_mean(Scale.smoke, 0) == found
    assert toy_mean.about == "Estimate a mean from all values, and from the first one."


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "the study 's' must return its measurements by name, got None"),
        ({}, "the study 's' must return its measurements by name, got {}"),
        ({"score": 1.0}, "the study 's' must name its measurements like method.metric, got 'score'"),
        ({1: 1.0}, "the study 's' must name its measurements like method.metric, got 1"),
        ({"x.score": float("nan")}, "the study 's' must measure finite numbers, got x.score = nan"),
        ({"x.score": "1"}, "the study 's' must measure finite numbers, got x.score = '1'"),
        ({"x.score": []}, "the study 's' must measure finite numbers, got x.score = []"),
        ({"x.score": np.array([1.0, np.inf])}, "must measure finite numbers, got x.score = [1.0, inf]"),
        (
            {"x.score": np.zeros((2, 2))},
            "must measure finite numbers, got x.score = [[0.0, 0.0], [0.0, 0.0]]",
        ),
        ({"x.score": 1.0, "y.scor": 1.0}, "needs 'y.score', which is not measured; did you mean y.scor?"),
        ({"x.score": [1.0], "y.score": [1.0]}, "is over seeds: 'x.score' must be one number"),
    ],
)
def test_bad_measurements(found, message):
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        checked(found, [claim()], "the study 's'")
    assert "\n" not in str(raised.value)


def test_units_must_pair():
    units = claim(over="units")
    assert checked({"x.score": (1, 2), "y.score": np.array([3, 4])}, [units], "s")["y.score"] == [3.0, 4.0]
    with pytest.raises(
        DataError, match=r"the claim 'a' of s pairs units, but there are x.score 1 and y.score 2"
    ):
        checked({"x.score": [1.0], "y.score": [1.0, 2.0]}, [units], "s")
    with pytest.raises(DataError, match=r"is over units: 'y.score' must be a sequence"):
        checked({"x.score": [1.0], "y.score": 1.0}, [units], "s")


def test_names_have_parts():
    assert method_and_metric("a.b") == ("a", "b", None)
    assert method_and_metric("a.b.c@x-1.5") == ("a.b", "c", "x-1.5")
