"""Repairs: what is split, taught, routed, chosen and measured, by hand and by a second way of counting."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import concordant as cc
from concordant.core.behaviours import Behaviours
from concordant.core.errors import ConfigError, DataError
from concordant.core.gate import Gate
from concordant.core.grading import OUTCOME, grader
from concordant.core.items import Items
from concordant.learn import MLP, Batches, train
from concordant.versions import RepairSettings, TorchClassifier, repair
from concordant.versions.repairing.flow import chosen_of
from concordant.versions.repairing.lessons import advantage_of_old, better_reply, references, replies
from concordant.versions.repairing.measuring import Asked, measured
from concordant.versions.repairing.result import Tried
from concordant.versions.repairing.router import Routed, expected_advantage, fitted, read_router
from concordant.versions.repairing.settings import methods_of
from concordant.versions.repairing.split import split, without_shared

torch.set_num_threads(1)
ASKED = Asked(cc.Request(), None, 0.95, 0, progress=False)


def items_of(*rows):
    return Items.from_records([{"id": f"q{i}", **row} for i, row in enumerate(rows)])


def behaviours(items, outputs, right, **columns):
    outcomes = pl.Series([{True: "right", False: "wrong", None: "ungraded"}[r] for r in right], dtype=OUTCOME)
    frame = pl.DataFrame({"item": items.ids, "sample": 0, "output": outputs, "answer": outputs, **columns})
    return Behaviours(items, frame.with_columns(outcomes.alias("outcome")), 1, "model", (), grader("exact"))


# -- the split -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), min_size=40, max_size=80), st.integers(0, 5)
)
def test_no_input_and_no_group_is_on_two_sides(drawn, seed):
    rows = [{"input": f"Question  {q}" if q % 2 else f"question {q}", "group": g or None} for q, g in drawn]
    items = items_of(*rows)
    try:
        parts = split(items, [0.5, 0.5], seed=seed)
    except DataError:  # all hang together
        return
    assert sorted(i for part in parts for i in part.ids) == sorted(items.ids)
    for key in (lambda row: " ".join(row["input"].lower().split()), lambda row: row["group"]):
        sides = [{key(row) for row in part.frame.to_dicts()} - {None} for part in parts]
        assert not sides[0] & sides[1]


def test_shares_are_kept_and_a_seed_decides():
    items = items_of(*({"input": f"question {i}"} for i in range(200)))
    parts = split(items, [0.45, 0.15, 0.4], seed=3)
    assert [len(part) for part in parts] == [90, 30, 80]
    again, other = (split(items, [0.45, 0.15, 0.4], seed=seed)[0].ids.to_list() for seed in (3, 4))
    assert again == parts[0].ids.to_list() != other
    with pytest.raises(ConfigError, match="sum to 1"):
        split(items, [0.5, 0.4], seed=0)
    with pytest.raises(DataError, match="3 items in 1 clusters"):
        split(items_of(*[{"input": "a"}] * 3), [0.5, 0.5], seed=0)


def test_what_shares_an_input_or_a_group_is_left_out():
    lessons = items_of(
        {"input": "a", "group": "x"}, {"input": "b", "group": "y"}, {"input": " C ", "group": None}
    )
    held_out = items_of({"input": "d", "group": "x"}, {"input": "c", "group": None})
    assert without_shared(lessons, held_out).inputs.to_list() == ["b"]
    arrays = Items.from_arrays(np.arange(6.0).reshape(3, 2))
    assert without_shared(arrays, arrays.rows([1])).ids.to_list() == ["0", "2"]


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rule": "curent_wrong"}, "did you mean current_wrong"),
        ({"lessons": "reply"}, "did you mean replies"),
        ({"rule": "reply", "lessons": "references"}, "needs the lessons 'replies'"),
        ({"epochs": 0}, "epochs of a repair must be at least 1"),
        ({"rate": 0.0}, "above 0"),
        ({"held_out": 1.0}, "between 0 and 1"),
        ({"cross_entropy_weight": -1.0}, "at least 0"),
    ],
)
def test_settings_that_are_not_allowed(wrong, says):
    with pytest.raises(ConfigError, match=says):
        RepairSettings(**wrong)


def test_methods():
    assert methods_of(["route,muscle", "route"]) == ("route", "muscle")
    assert methods_of("muscle,all")[0] == "muscle"
    with pytest.raises(ConfigError, match="did you mean ensemble"):
        methods_of("ensembel")


# -- lessons -------------------------------------------------------------------------------------------------------

CHOICES = {"choices": ["red", "blue"]}


def test_replies_are_those_of_the_version_that_is_named():
    items = items_of({"input": "a"}, {"input": "b"}, {"input": "c"})
    old = behaviours(items, ["a1", "b1", None], [True, False, None], tokens=[3, 3, 3])
    new = behaviours(items, ["a2", "b2", "c2"], [False, True, None], tokens=[3, 9, 3])
    taught = replies(old, new, np.array([1, 0, 0], np.int8), cut_at=9, way=None)
    assert (taught.texts, taught.from_old, taught.left_out) == (["a1", "c2"], [True, False], 1)
    assert taught.prompts == ["a", "c"]
    with pytest.raises(DataError, match="nothing to learn"):
        replies(old, new, np.zeros(3, np.int8), cut_at=1, way=None)
    assert better_reply(old, new).tolist() == [1, 0, -1]
    assert advantage_of_old(old, new)[:2].tolist() == [1.0, -1.0]
    assert np.isnan(advantage_of_old(old, new)[2])


def test_options_are_taught_as_they_are_scored():
    items = items_of({"input": "which ?", "reference": "blue", **CHOICES})
    said = behaviours(items, ["B"], [True], tokens=[1])
    letter = replies(said, said, np.zeros(1, np.int8), cut_at=9, way="letter")
    cloze = replies(said, said, np.zeros(1, np.int8), cut_at=9, way="cloze")
    assert (letter.texts, cloze.texts) == (["B"], ["blue"])
    assert "A. red" in letter.prompts[0]
    assert cloze.prompts == ["which ?"]
    assert references(items, way=None).texts == ["B"]
    assert references(items, way="cloze").texts == ["blue"]
    plain = items_of({"input": "4 + 4", "reference": ["8", "eight"]})
    assert references(plain, way=None).texts == ["8"]


# -- routing -------------------------------------------------------------------------------------------------------

TEXTS = [f"{kind} question {i} ?" for i in range(30) for kind in ("sum", "fact")]


def test_a_router_is_ridge_regression_on_words(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeCV

    items = items_of(*({"input": text} for text in TEXTS))
    better = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], len(TEXTS))
    router = fitted(items, better, seed=0)
    x = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", min_df=2).fit_transform(TEXTS)
    expected = RidgeCV((1.0, 3.0, 10.0, 30.0)).fit(x, better).predict(x)
    assert router.advantage(items) == pytest.approx(expected)
    (tmp_path / "router.json").write_text(json.dumps(router.to_dict()))
    assert read_router(tmp_path / "router.json") == router
    counts = [router.to_old(items, share).sum() for share in (0.0, 0.25, 0.5, 1.0)]
    assert counts == sorted(counts)
    assert counts[-1] == len(TEXTS)


def test_predictions_of_an_item_are_made_without_it():
    items = items_of(*({"input": text} for text in TEXTS))
    better = np.array([-1.0, 1.0] * 30)
    before = expected_advantage(items, better, seed=0)
    assert ((before > 0) == (better > 0)).all()
    better[7] = -1.0  # an item that is unlike its kind is still expected to be like it
    assert expected_advantage(items, better, seed=0)[7] == pytest.approx(before[7], abs=0.2)
    better[8] = np.nan
    assert np.isnan(expected_advantage(items, better, seed=0)[8])
    with pytest.raises(DataError, match="at least 10 graded items"):
        expected_advantage(items.head(5), better[:5], seed=0)


def test_a_routed_model_asks_one_version_an_item():
    items = items_of(*({"input": text} for text in TEXTS))
    router = fitted(items, np.array([-1.0, 1.0] * 30), seed=0)
    old, new = cc.load(lambda text: f"old {text}"), cc.load(lambda text: f"new {text}")
    said = Routed(old, new, router, 0.5, name="both").respond(items, cc.Request(n=2))
    expected = [f"{'old' if text.startswith('fact') else 'new'} {text}" for text in TEXTS for _ in range(2)]
    assert said["output"].to_list() == expected


def test_arrays_are_routed_by_their_numbers():
    x = np.random.default_rng(0).normal(3.0, 2.0, (80, 2))
    items = Items.from_arrays(x)
    router = fitted(items, np.where(x[:, 0] > 3, 1.0, -1.0), seed=0)
    assert ((router.to_old(items, 0.5)) == (x[:, 0] > 3)).mean() > 0.9
    with pytest.raises(DataError, match="inputs of 2 numbers, got 1"):
        router.advantage(Items.from_arrays(x[:, :1]))


# -- measuring and choosing ----------------------------------------------------------------------------------------


def outcome(old, new):
    items = items_of(*({"input": str(i)} for i in range(len(old))))
    pair = [behaviours(items, ["-"] * len(old), list(map(bool, right))) for right in (old, new)]
    return measured(items, *pair, ASKED)


def test_differences_are_of_pairs():
    old = [1, 1, 1, 1, 0, 0, 0, 0]
    update, mended = outcome(old, [0, 0, 1, 1, 1, 1, 0, 0]), outcome(old, [0, 1, 1, 1, 1, 0, 0, 0])
    less = mended.less(update, level=0.95)
    assert less["negative_flip_rate"].value == pytest.approx(-1 / 8)
    assert less["accuracy_new"].value == pytest.approx(0.0)
    assert less["positive_flip_rate"].value == pytest.approx(-1 / 8)
    assert less["negative_flip_rate"].method == "tango"


def test_graded_outputs_have_their_regression_part():
    items = items_of(*({"input": str(i), "reference": "r"} for i in range(4)))
    score = grader(lambda output, item: float(output))
    asked = [
        cc.check(
            cc.load(lambda text, by=by: by[int(text)]),
            items,
            [cc.versions.Flips(cc.load(str.upper))],
            grade=score if by else None,
            progress=False,
        )["versions.flips"].answers["new"]
        for by in (["1.0", "0.9", "0.2", "0.6"], ["0.4", "0.9", "0.8", "0.6"])
    ]
    points = measured(items, *asked, ASKED).points
    assert points["mean_regression_part"].value == pytest.approx(0.6 / 4)
    assert points["mean_gain_part"].value == pytest.approx(0.6 / 4)
    assert points["negative_flip_rate"].value == pytest.approx(1 / 4)
    assert advantage_of_old(*asked) == pytest.approx([0.6, 0.0, -0.6, 0.0])


def test_the_weakest_repair_that_would_pass_is_chosen():
    def tried(strength, lost, won):
        old = [1] * 200 + [0] * 200
        found = outcome(old, [0] * lost + [1] * (200 - lost) + [1] * won + [0] * (200 - won))
        return Tried(strength, found, found)

    gates = [Gate.parse("negative_flip_rate <= 0.1"), Gate.parse("gain >= 0")]
    ladder = [tried(0.25, 60, 100), tried(0.5, 20, 80), tried(0.75, 4, 40), tried(1.0, 0, 1)]
    assert chosen_of(ladder, gates, 400, level=0.95).strength == 0.5
    assert chosen_of(ladder, gates, 20, level=0.95).strength == 0.75  # few items tell less from the bound
    assert chosen_of(ladder[:1] + ladder[3:], gates, 20, level=0.95).strength == 1.0
    assert chosen_of(ladder[:1], gates, 400, level=0.95).strength == 0.25


# -- the whole, on classifiers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((600, 4)).astype(np.float32))
    items = Items.from_arrays(x.numpy(), (x[:, 0] > 0).long().numpy())
    old, new = MLP(4, 2, hidden=(), seed=1), MLP(4, 2, hidden=(8,), seed=2)
    for module, direction in ((old, x[:, 0] - 0.5 * x[:, 2]), (new, x[:, 0] + x[:, 1])):
        batches = Batches((x, (direction > 0).long()), 100)
        adam = partial(torch.optim.Adam, lr=0.02)
        train(module, class_loss, batches, epochs=15, optimizer=adam, progress=False, device="cpu")
    return items, old, new


def class_loss(module, batch):
    return torch.nn.functional.cross_entropy(module(batch[0]), batch[1])


GATES = ["negative_flip_rate <= 0.05", "gain >= -0.5"]


@pytest.fixture(scope="module")
def mended(world):
    items, old, new = world
    return repair(
        old, new, items, gates=GATES, method="muscle,all", settings=RepairSettings(batch=64), progress=False
    )


def test_what_a_repair_of_classifiers_finds(mended):
    assert list(mended.candidates) == ["muscle", "route", "distil", "ensemble", "interpolation"][:-1]
    assert "one architecture" in mended.inapplicable["interpolation"]
    found = mended.to_dict()
    assert sum(found["items"].values()) == 600
    assert found["state"] == mended.after.state
    kept = mended.kept.chosen.held_out.points
    after = mended.after["versions.flips"]
    for name, estimate in kept.items():
        assert estimate.value == pytest.approx(after[name].value)
        difference = mended.kept.difference[name].value
        assert difference == pytest.approx(estimate.value - mended.update.points[name].value)
    json.dumps(found, allow_nan=False)


def test_the_mask_fires_and_a_seed_decides(world, mended):
    items, old, new = world
    about = mended.kept.way.about
    assert (about["lessons"], about["steps"], len(about["masked_rates"])) == (270, 20 * 5, 20)
    assert all(0 < rate < 1 for rate in about["masked_rates"])
    again = repair(
        old, new, items, gates=GATES, method="muscle", settings=RepairSettings(batch=64), progress=False
    )
    assert again.to_dict()["methods"]["muscle"] == mended.to_dict()["methods"]["muscle"]


def test_an_ensemble_is_between_the_two(world, mended):
    items, old, new = world
    x = torch.from_numpy(items.array.copy())
    mean = 0.25 * old(x).softmax(-1) + 0.75 * new(x).softmax(-1)
    said = mended.candidates["ensemble"].way.at(0.25).respond(items, cc.Request())
    assert said["probabilities"].to_numpy() == pytest.approx(mean.detach().double().numpy(), abs=1e-6)
    assert mended.candidates["ensemble"].way.calls == 2


def test_strength_nought_would_be_the_update(world, mended):
    items, _, new = world
    plain = TorchClassifier(new).predict(items.array)
    for method in ("muscle", "distil"):
        said = mended.candidates[method].way.at(0.0).respond(items, cc.Request())["output"].to_numpy()
        assert (said == plain).all()


def test_where_the_gates_hold_nothing_is_changed(world):
    items, _, new = world
    found = repair(new, new, items, gates="negative_flip_rate <= 0.1", progress=False)
    assert found.model is None
    assert found.after is None
    assert found.exit_code == 0


def test_items_of_ones_own_to_train_on(world):
    items, old, new = world
    lessons = items.rows(np.arange(200))
    found = repair(old, new, items.rows(np.arange(100, 600)), train=lessons, gates=GATES, progress=False)
    assert found.about["items"] == {
        "lessons": 75,
        "validation": 25,
        "held_out": 500,
        "shared_and_left_out": 100,
    }
    with pytest.raises(DataError, match="all 200 items to train on"):
        repair(old, new, items, train=lessons, gates=GATES, progress=False)


def test_what_cannot_be_repaired(world):
    items, old, new = world
    named = Items(items.frame.with_columns(input=pl.col("id")))
    log = cc.Items.from_records([{"input": "a", "output": "b"}]).frame.with_columns(item="id", sample=0)
    from concordant.models.recorded import Recorded

    with pytest.raises(ConfigError, match="old version is the recording 'v1'"):
        repair(Recorded(log, name="v1"), new, items, progress=False)
    with pytest.raises(ConfigError, match="the method route takes any two models"):
        repair(cc.load(str.upper), cc.load(str.lower), named, method="muscle", progress=False)
    with pytest.raises(ConfigError, match="rule 'reply' is for language models"):
        repair(old, new, items, method="muscle", settings=RepairSettings(rule="reply"), progress=False)
    with pytest.raises(DataError, match="names no class"):
        TorchClassifier(new, ["no", "yes"]).places(pl.Series(["maybe"]))


def test_a_repair_that_was_stopped_goes_on(world, tmp_path, monkeypatch):
    items, old, new = world
    from concordant.versions.repairing import flow

    options = {"gates": GATES, "method": "muscle", "settings": RepairSettings(batch=64), "progress": False}
    whole = repair(old, new, items, **options)
    with monkeypatch.context() as stopped:
        stopped.setattr(flow, "chosen_of", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            repair(old, new, items, folder=tmp_path, **options)
    assert (tmp_path / "training-muscle" / "last.safetensors").exists()
    again = repair(old, new, items, folder=tmp_path, **options)
    assert again.to_dict()["methods"] == whole.to_dict()["methods"]
