"""The study of MUSCLE: its world, what it measures at the smallest scale, and identities that hold whatever comes out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concordant.learn import Batches
from concordant.studies.concepts import NOISE, Concepts, taught
from concordant.studies.muscle import MEASURES, RULES, flips_of, muscle
from concordant.studies.study import Scale

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    before = torch.get_rng_state()
    found = muscle(Scale.smoke, 1000)
    assert torch.equal(before, torch.get_rng_state())
    return found


def of_concepts(measured: dict[str, float]) -> set[str]:
    return {name.split(".")[0] for name in measured if not name.startswith("chat_")}


def test_what_is_measured(measured: dict[str, float]) -> None:
    methods = {"update", "again", "longer", "between", "ensemble", *RULES}
    assert of_concepts(measured) == {"old", *methods}
    chat = {name for name in measured if name.startswith("chat_")}
    assert chat == {"chat_old.accuracy"} | {
        f"chat_{name}.{metric}"
        for name in ("update", "muscle", "longer", "route")
        for metric in ("accuracy", "negative_flip_rate")
    }
    assert {name for name in measured if name.startswith("muscle.")} == {
        *(f"muscle.{metric}" for metric in MEASURES),
        *(f"muscle.masked_rate@{epoch}" for epoch in (1, 2, 3)),
    }


def test_gain_is_positive_minus_negative_flips(measured: dict[str, float]) -> None:
    for method in of_concepts(measured) - {"old"}:
        accuracy, lost = measured[f"{method}.accuracy"], measured[f"{method}.negative_flip_rate"]
        gain = measured[f"{method}.positive_flip_rate"] - lost
        assert accuracy - measured["old.accuracy"] == pytest.approx(gain, abs=1e-12)
        kept = measured[f"{method}.backward_trust_compatibility"]
        assert kept == pytest.approx(1 - lost / measured["old.accuracy"])
        relative = measured[f"{method}.relative_negative_flip_rate"]
        assert relative == pytest.approx(lost / ((1 - accuracy) * measured["old.accuracy"]))


def test_every_claim_can_be_decided(measured: dict[str, float]) -> None:
    for claim in muscle.claims:
        assert len(claim.differences(measured)) == 1


def test_a_seed_decides_all(measured: dict[str, float]) -> None:
    assert muscle(Scale.smoke, 1000) == measured
    assert muscle(Scale.smoke, 1001) != measured


def test_flips_by_hand() -> None:
    #                      kept  lost  won  other mistake  same mistake
    before = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])
    after = torch.tensor([0, 0, 0, 2, 1, 1, 2, 3])
    right = torch.tensor([0, 0, 1, 1, 0, 1, 0, 0])
    found = flips_of("new", before, after, right)
    assert found == pytest.approx(
        {
            "new.accuracy": 3 / 8,
            "new.negative_flip_rate": 2 / 8,
            "new.positive_flip_rate": 1 / 8,
            "new.wrong_answer_churn_rate": 1 / 8,
            "new.backward_trust_compatibility": 2 / 4,
            "new.relative_negative_flip_rate": (2 / 8) / ((5 / 8) * (4 / 8)),
        }
    )


def test_flips_where_none_can_be() -> None:
    right = torch.tensor([1, 2, 3])
    for before, after in ((right, right), (right + 1, right), (right + 1, right + 1)):
        found = flips_of("new", before, after, right)
        assert found.keys() == {f"new.{metric}" for metric in MEASURES}
        assert found["new.negative_flip_rate"] == found["new.relative_negative_flip_rate"] == 0
        assert found["new.backward_trust_compatibility"] == 1


# -- the world ---------------------------------------------------------------------------------------------------


def test_items_lie_around_their_concepts() -> None:
    world = Concepts(3)
    items, classes = world.items(20_000)
    noise = (items - world.concepts[classes]) / NOISE
    assert abs(float(noise.mean())) < 0.005
    assert float(noise.std()) == pytest.approx(1, abs=0.005)
    assert np.bincount(classes, minlength=20).min() > 800
    # the best there is: the nearest concept; about three items in four can be told
    nearest = torch.cdist(items, world.concepts).argmin(-1)
    assert 0.65 < float((nearest == classes).float().mean()) < 0.85


def test_a_base_is_worth_something_and_is_left_as_it_was() -> None:
    world = Concepts(1000)
    lessons, (items, classes) = Batches(world.items(2_000), 256), world.items(2_000)
    base = world.base(64, 3_000, 150, seed=1)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    right = []
    for start in (base, world.base(64, 256, 1, seed=1)):  # a base, and one that was hardly trained
        model = taught(start, lessons, 40, seed=2)
        right.append(float((model(items).argmax(-1) == classes).float().mean()))
    assert right[0] > right[1] + 0.02
    assert all(torch.equal(before[name], weight) for name, weight in base.state_dict().items())
