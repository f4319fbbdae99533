"""Explanations of classifiers whose reasons are known: what is enough, what is missed, who is better, and what is said."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations import Gradient, IntegratedGradients, SeriesModel, find_method, judge
from concordant.explanations.importance_order import importance_places, most_important
from concordant.explanations.judging import MEASURES, with_random_weights
from concordant.explanations.judging.agreement import latent_cosines, latent_gram_losses
from concordant.explanations.judging.candidates import FreshRandom
from concordant.explanations.judging.faithfulness import area, n_first
from concordant.explanations.judging.perturbation import StandIns
from concordant.explanations.judging.stability import rank_similarity
from concordant.explanations.masking import Baseline
from concordant.explanations.saliency_metrics import saliency_scores
from concordant.learn.losses.relational import gram_loss

N, TIME = 300, 8
X = np.random.default_rng(0).normal(size=(N, TIME, 1))
TRUTH = np.zeros(X.shape, bool)
TRUTH[:, 3:5] = True
RIGHT, WRONG = TRUTH.astype(float), -TRUTH.astype(float)
quiet = partial(judge, progress=False)


def window(x):
    """The sum of steps 3 and 4 decides, and nothing else."""
    p = 1 / (1 + np.exp(-3 * x[:, 3:5].sum((1, 2))))
    return np.stack([1 - p, p], axis=1)


def value(judged, explainer, measure, column="value"):
    found = judged.measures.filter((pl.col("explainer") == explainer) & (pl.col("measure") == measure))
    return found[column].item()


class Fixed:
    """Says the same of all classifiers."""

    def explain(self, x):
        return np.broadcast_to(np.arange(x.shape[1], dtype=float)[:, None], x.shape)


class Window(nn.Module):
    """Steps 3 and 4 decide, and the other weights are small; the latent is the row before the head."""

    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(1).normal(size=(4, TIME)) * 0.02
        weights[:, 3:5] += 1
        self.first = nn.utils.skip_init(nn.Linear, TIME, 4)
        self.head = nn.utils.skip_init(nn.Linear, 4, 2)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor(weights))
            self.first.bias.copy_(torch.linspace(-0.1, 0.1, 4))
            self.head.weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 4))
            self.head.bias.copy_(torch.tensor([0.0, 0.1]))

    def forward(self, x):
        return self.head(torch.tanh(self.first(x)))


def series_model():
    return SeriesModel(Window(), flat=True, latent="first", name="window").double()


# -- sufficiency and comprehensiveness --------------------------------------------------------------------------------


def test_the_right_explanation_is_enough_and_without_it_nothing_is_left():
    """Zero stands in: with the window alone p is as before, and without it p is 1/2."""
    judged = quiet({"right": RIGHT, "wrong": WRONG}, window, X, absent="zero", shares=[0.25, 0.5, 0.75])
    before = window(X).max(1)
    right, wrong = judged.values["right"], judged.values["wrong"]
    assert np.allclose(right["sufficiency_gap"], 0, atol=1e-12)
    assert np.allclose(right["comprehensiveness_score"], before - 0.5)
    assert (right["label_agreement_rate"] == 1).all()
    assert np.allclose(wrong["sufficiency_gap"], before - 0.5)
    assert np.allclose(wrong["comprehensiveness_score"], 0, atol=1e-12)
    between = value(judged, "random", "sufficiency_gap")
    assert 0 < between < value(judged, "wrong", "sufficiency_gap")
    at = judged.curves.filter((pl.col("explainer") == "right") & (pl.col("curve") == "comprehensiveness"))
    assert at["share"].to_list() == [0.25, 0.5, 0.75]
    assert np.allclose(at["value"], (before - 0.5).mean())
    assert judged.ranking["explainer"].to_list() == ["right", "random", "wrong"]
    assert judged.ranking["rank"].to_list() == [1, 2, 3]
    assert judged.ranking["beats"].to_list() == [["random", "wrong"], ["wrong"], []]


def test_the_sweep_is_that_of_a_loop():
    """Series by series and share by share, with the draws as documented: one generator, one draw after another."""
    attribution = np.random.default_rng(1).normal(size=X.shape)
    shares, draws = (0.1, 0.3, 0.6), 3
    judged = quiet({"a": attribution}, window, X, training=X * 2 + 1, shares=shares, draws=draws, seed=7)
    stand_ins, generator = StandIns.of(X * 2 + 1), np.random.default_rng([7, 1])
    curves = np.zeros((2, len(shares), N))
    for _ in range(draws):
        drawn = stand_ins.draw(N, generator)
        for row in range(N):
            c = window(X[row : row + 1])[0].argmax()
            order = np.argsort(-attribution[row, :, 0])
            for s, share in enumerate(shares):
                kept, removed = drawn[row].copy(), X[row].copy()
                for step in order[: round(share * TIME)]:
                    kept[step], removed[step] = X[row, step], drawn[row, step]
                before = window(X[row : row + 1])[0, c]
                curves[0, s, row] += (before - window(kept[None])[0, c]) / draws
                curves[1, s, row] += (before - window(removed[None])[0, c]) / draws
    width = shares[-1] - shares[0]
    for measure, curve in zip(("sufficiency_gap", "comprehensiveness_score"), curves, strict=True):
        expected = ((curve[0] + curve[1]) / 2 * 0.2 + (curve[1] + curve[2]) / 2 * 0.3) / width
        assert np.allclose(judged.values["a"][measure], expected)


def test_shares_are_whole_numbers_of_at_least_one_and_never_all():
    assert [n_first(share, 4) for share in (0.01, 0.25, 0.5, 0.99)] == [1, 1, 2, 3]
    assert area(np.array([[2.0, 1.0]]), [0.3]).tolist() == [2.0, 1.0]


def test_places_and_masks_are_one_order():
    values = np.random.default_rng(0).integers(0, 3, (40, 5, 2))
    places = importance_places(values, 3)
    assert (np.sort(places.reshape(40, -1), axis=1) == np.arange(10)).all()
    assert (most_important(values, 0.3, 3) == (places < 3)).all()
    ordered = np.take_along_axis(values.reshape(40, -1), places.reshape(40, -1).argsort(1), 1)
    assert (np.diff(ordered, axis=1) <= 0).all()


def test_what_stands_in_has_the_moments_of_the_training_series():
    ours, torch_s = StandIns.of(X, "moments"), Baseline.of(torch.tensor(X))
    assert np.allclose(ours.rows[0], torch_s.mean)
    assert np.allclose(ours.std, torch_s.std)
    drawn = ours.draw(20_000, np.random.default_rng(0))
    assert np.allclose(drawn.mean(0), ours.rows[0], atol=0.05)
    assert np.allclose(drawn.std(0), ours.std, atol=0.05)
    assert np.allclose(StandIns.of(X, "mean").draw(2, np.random.default_rng(0)), X.mean(0))
    assert not StandIns.of(X, "zero").draw(2, np.random.default_rng(0)).any()
    assert not StandIns.of(X[:1], "moments").varies
    rows = StandIns.of(X[:3], "rows").draw(50, np.random.default_rng(0))
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in X[:3].astype(np.float64)}


# -- agreement --------------------------------------------------------------------------------------------------------


def test_latents_by_hand_and_by_the_loss_of_timex():
    generator = np.random.default_rng(0)
    whole, kept = generator.normal(size=(30, 4)), generator.normal(size=(30, 3))
    losses = latent_gram_losses(kept, whole)
    assert np.isclose(losses.mean(), gram_loss(torch.tensor(kept), torch.tensor(whole)).item())
    assert np.allclose(latent_gram_losses(whole * 3, whole), 0, atol=1e-12)
    row = [
        (latent_cosines([whole[0]], [w])[0] - latent_cosines([kept[0]], [k])[0]) ** 2
        for w, k in zip(whole, kept, strict=True)
    ]
    assert np.isclose(losses[0], np.mean(row))
    assert latent_cosines([[0.0, 0.0]], [[1.0, 0.0]]).tolist() == [0.0]


def test_latents_are_compared_where_there_are_any():
    right = {"right": RIGHT}
    judged = quiet(right, series_model(), X, shares=[0.25], absent="mean")
    assert value(judged, "right", "latent_cosine_score") > value(judged, "random", "latent_cosine_score")
    assert value(judged, "right", "latent_gram_loss") < value(judged, "random", "latent_gram_loss")
    assert value(judged, "right", "latent_gram_loss", "over_random") > 0
    unseen = quiet(right, window, X, shares=[0.25])
    assert "latent_gram_loss" not in unseen.values["right"]
    assert any("no latent of window is known" in note for note in unseen.notes)


# -- the truth --------------------------------------------------------------------------------------------------------


def test_series_without_truth_are_left_out_of_what_is_compared_with_it():
    truth = TRUTH.copy()
    truth[:100] = False
    attribution = np.random.default_rng(1).normal(size=X.shape)
    judged = quiet({"a": attribution}, window, X, truth, shares=[0.25])
    scores = saliency_scores(attribution[100:], truth[100:])
    assert np.allclose(judged.values["a"]["auprc_score"][100:], scores.auprc)
    assert np.isnan(judged.values["a"]["auprc_score"][:100]).all()
    assert value(judged, "a", "auprc_score", "n") == 200
    assert value(judged, "a", "aur_score") == pytest.approx(scores.aur.mean())
    assert "100 of 300 series have no truth, and are left out of what is compared with it" in judged.notes
    nothing = quiet({"a": attribution}, window, X, truth & False, shares=[0.25])
    assert "auprc_score" not in nothing.measures["measure"].to_list()


def test_the_right_set_overlaps_fully():
    judged = quiet({"right": RIGHT}, window, X, TRUTH, shares=[0.25], main="iou_score")
    assert value(judged, "right", "iou_score") == 1
    assert judged.main == "iou_score"
    narrow = quiet({"right": RIGHT, "wrong": WRONG}, window, X, TRUTH, shares=[0.125])
    assert value(narrow, "right", "iou_score") == 0.5  # one of the two, though both are equally important
    assert value(narrow, "wrong", "iou_score") == 0
    assert judged.ranking["beats"].to_list() == [["random"], []]


# -- explaining again -------------------------------------------------------------------------------------------------


def test_similarity_of_ranks():
    a = np.random.default_rng(0).normal(size=(20, 4, 2))
    assert np.allclose(rank_similarity(a, np.exp(a)), 1)
    assert np.allclose(rank_similarity(a, -a), -1)


def test_random_weights_keep_the_numbers_and_leave_the_classifier():
    model = series_model()
    before = [parameter.clone() for parameter in model.parameters()]
    shuffled = with_random_weights(model, 0)
    for was, now, other in zip(before, model.parameters(), shuffled.parameters(), strict=True):
        assert torch.equal(was, now)
        assert torch.equal(was.flatten().sort()[0], other.flatten().sort()[0])
    assert not torch.equal(before[0], next(shuffled.parameters()))
    assert torch.equal(next(shuffled.parameters()), next(with_random_weights(model, 0).parameters()))


def test_what_ignores_the_classifier_is_exposed():
    model = series_model()
    judged = quiet(
        {
            "gradient": "gradient",
            "made": Gradient(model),
            "integrated": IntegratedGradients(model, steps=4),
            "fixed": lambda classifier, x, seed: Fixed(),
            "ready": Fixed(),
        },
        model,
        X,
        seeds=8,
        randomisations=8,
    )
    assert value(judged, "fixed", "sanity_loss") == value(judged, "fixed", "seed_stability_score") == 1.0
    assert value(judged, "gradient", "sanity_loss") < 0.6
    assert value(judged, "made", "sanity_loss") == value(judged, "gradient", "sanity_loss")
    assert value(judged, "integrated", "sanity_loss") < 0.9
    assert value(judged, "random", "sanity_loss") < 0.5
    assert value(judged, "fixed", "sanity_loss", "over_random") < -0.5
    assert value(judged, "fixed", "noise_stability_score") == 1.0
    assert value(judged, "gradient", "noise_stability_score", "over_random") > 0.5
    assert abs(value(judged, "random", "noise_stability_score")) < 0.1
    assert "sanity_loss" not in judged.values["ready"]
    assert any("sanity_loss of ready was not measured: what is ready" in note for note in judged.notes)
    hurried = quiet({"fixed": lambda classifier, x, seed: Fixed()}, model, X, shares=[0.25]).notes
    for measure in ("seed_stability_score", "sanity_loss"):
        assert (
            f"{measure} of fixed was not measured: each time is a training; ask for it with seeds" in hurried
        )


def test_noise_counts_where_the_class_stays():
    judged = quiet({"fixed": Fixed()}, window, X, noise=1.0, n_again=200, shares=[0.25])
    measured = ~np.isnan(judged.values["fixed"]["noise_stability_score"])
    assert 20 < measured.sum() < 195
    assert value(judged, "fixed", "noise_stability_score", "n") == measured.sum()
    assert not any(
        "noise_stability" in name for name in quiet({"a": Fixed()}, window, X, noise=0).values["a"]
    )


class Learnt:
    """Another order for every seed, but for the last step."""

    def __init__(self, seed):
        self.seed = seed

    def explain(self, x):
        values = np.random.default_rng(self.seed).normal(size=x.shape[1:])
        values[-1] = 10
        return np.broadcast_to(values, x.shape)


def test_seeds_are_counted_on():
    seen = []

    def make(classifier, training, seed):
        seen.append((type(classifier).__name__, seed))
        return Learnt(seed)

    judged = quiet({"learnt": make}, window, X, seeds=2, seed=5, shares=[0.25])
    assert [seed for _, seed in seen] == [5, 6, 7]
    one = X[:1]
    expected = np.mean(
        [
            rank_similarity(Learnt(a).explain(one), Learnt(b).explain(one))[0]
            for a, b in ((5, 6), (5, 7), (6, 7))
        ]
    )
    assert value(judged, "learnt", "seed_stability_score") == pytest.approx(expected)
    assert any("window is known by its probabilities alone" in note for note in judged.notes)
    seen.clear()
    quiet({"learnt": make}, series_model(), X, seeds=1, randomisations=3, shares=[0.25])
    assert [seed for _, seed in seen] == [0, 1, 0]  # one classifier with random weights, as one further seed


def test_a_training_that_fails_on_random_weights_is_a_note():
    model = series_model()

    def make(classifier, training, seed):
        if classifier is not model:
            message = "all series have one class"
            raise DataError(message)
        return Learnt(seed)

    judged = quiet({"learnt": make}, model, X, seeds=1, shares=[0.25])
    assert "sanity_loss of learnt was not measured: all series have one class" in judged.notes
    assert "sanity_loss" not in judged.measures.filter(pl.col("explainer") == "learnt")["measure"].to_list()


def test_a_classifier_without_weights_cannot_be_made_random():
    class Bare(nn.Module):
        def forward(self, x):
            return torch.stack([-x[:, 3, 0], x[:, 3, 0]], 1)

    judged = quiet({"gradient": "gradient"}, SeriesModel(Bare()), X.astype(np.float32), shares=[0.25])
    assert any(
        note.startswith("sanity_loss was not measured: Bare has no parameter") for note in judged.notes
    )
    assert value(judged, "gradient", "sufficiency_gap") < value(judged, "random", "sufficiency_gap")


def test_the_control_is_fresh_at_every_call():
    control = FreshRandom(0)
    assert not np.array_equal(control.explain(X), control.explain(X))
    assert np.array_equal(FreshRandom(0).explain(X), FreshRandom(0).explain(X))


# -- the whole --------------------------------------------------------------------------------------------------------


def test_same_seed_same_result_as_json():
    everything = {"gradient": find_method("gradient"), "a": RIGHT}
    first, second = (quiet(everything, series_model(), X, TRUTH, labels=TRUTH[:, 0, 0], seed=3) for _ in "ab")
    text = json.dumps(first.to_dict(), allow_nan=False)
    assert text == json.dumps(second.to_dict(), allow_nan=False)
    assert set(first.measures["measure"]) == set(MEASURES) - {"seed_stability_score"}
    other = quiet(everything, series_model(), X, TRUTH, seed=4)
    assert text != json.dumps(other.to_dict())
    assert "3. random" in repr(first)
    assert first.attributions["gradient"].shape == X.shape


def test_tables_have_the_same_columns_whatever_is_measured():
    judged = quiet({"a": RIGHT}, window, X, noise=0, shares=[0.25])
    full = quiet({"gradient": "gradient"}, series_model(), X, TRUTH)
    for table in ("measures", "curves", "ranking", "pairs"):
        assert getattr(judged, table).schema == getattr(full, table).schema
    assert judged.pairs.height == 1
    pair = judged.pairs.row(0, named=True)
    a, b = judged.values["a"]["sufficiency_gap"], judged.values["random"]["sufficiency_gap"]
    assert pair["difference"] == pytest.approx((a - b).mean())
    assert value(judged, "a", "sufficiency_gap", "over_random") == pytest.approx((b - a).mean())
    assert value(judged, "random", "sufficiency_gap", "p_adjusted") is None


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_properties(seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, 6, 2))
    attribution, order = generator.normal(size=x.shape), generator.permutation(40)

    def classify(x):
        p = 1 / (1 + np.exp(-x.sum((1, 2))))
        return np.stack([1 - p, p], 1)

    truth = generator.random(x.shape) < 0.3
    how = {"absent": "mean", "training": x, "shares": (0.1, 0.4)}
    judged = quiet({"a": attribution}, classify, x, truth, **how)
    for name, numbers in judged.values["a"].items():
        known = numbers[~np.isnan(numbers)]
        low, high = MEASURES[name].bounds
        assert (known >= low - 1e-9).all()
        assert (known <= high + 1e-9).all()
    moved = quiet({"a": attribution[order]}, classify, x[order], truth[order], **how)
    stretched = quiet({"a": np.exp(3 * attribution)}, classify, x, truth, **how)
    for name, numbers in judged.values["a"].items():
        assert np.allclose(moved.values["a"][name], numbers[order], equal_nan=True)
        if name not in ("aup_score", "aur_score"):
            assert np.allclose(stretched.values["a"][name], numbers, equal_nan=True)


def test_rows_of_a_table_by_scikit_learn():
    x = np.random.default_rng(0).normal(size=(200, 3))
    labels = (x[:, 1] > 0).astype(int)
    model = LogisticRegression(C=100.0).fit(x, labels)
    rows = x[:, None]
    weights = np.broadcast_to(abs(model.coef_), x.shape)[:, None]
    judged = quiet({"weights": weights}, model, rows, labels=labels)
    assert judged.ranking["beats"][0].to_list() == ["random"]
    assert value(judged, "weights", "label_agreement_rate") > 0.9
    assert not any("mean little" in note for note in judged.notes)


def test_nothing_needs_torch():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from concordant.explanations import judge\n"
        "x = np.random.default_rng(0).normal(size=(40, 1, 3))\n"
        "p = lambda x: np.stack([x[:, 0, 0] > 0, x[:, 0, 0] <= 0], 1)\n"
        "judged = judge({'random': 'random', 'x': np.abs(x)}, p, x, np.abs(x) > 1, progress=False)\n"
        "print(judged.ranking.height)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


# -- bad input --------------------------------------------------------------------------------------------------------


def test_a_weak_classifier_is_noted():
    half = np.arange(N) % 2
    judged = quiet({"a": RIGHT}, window, X, labels=window(X).argmax(1), shares=[0.25])
    assert not any("mean little" in note for note in judged.notes)
    wrong = np.where(np.arange(N) < 90, 1 - window(X).argmax(1), window(X).argmax(1))
    judged = quiet({"a": RIGHT}, window, X, labels=wrong, shares=[0.25])
    assert any("window is right on 70.0% of the series, below 80%" in note for note in judged.notes)
    judged = quiet({"a": RIGHT}, window, X, labels=np.minimum(half, window(X).argmin(1)), shares=[0.25])
    assert any("so is whoever always says their commonest class" in note for note in judged.notes)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"explainers": {"a": "gradeint"}}, ConfigError, r"no method 'gradeint'; did you mean gradient\?"),
        ({"explainers": {}}, ConfigError, "no explainer to judge"),
        ({"explainers": ["timex"]}, ConfigError, "must be a mapping from names to explainers, got a list"),
        ({"explainers": {"random": RIGHT}}, ConfigError, "'random' is that of the control"),
        ({"explainers": {"a": Gradient}}, ConfigError, "a must be an explainer that is ready, got the class"),
        ({"explainers": {"a": 3}}, ConfigError, "a must be an explainer, a method .* got a int"),
        ({"explainers": {"a": lambda c, x, s: 3}}, ConfigError, "of a must return an explainer, got a int"),
        ({"explainers": {"a": "gradient"}}, ConfigError, "gradient needs slopes of a torch classifier"),
        ({"explainers": {"a": RIGHT[:, :3]}}, DataError, r"shape \(300, 8, 1\) of X, got \(300, 3, 1\)"),
        ({"explainers": {"a": RIGHT * np.nan}}, DataError, "a must be finite, .* in series 0"),
        ({"x": X[:1]}, DataError, "at least two series, got 1"),
        ({"x": X[:, :1]}, DataError, "at least two numbers"),
        ({"model": lambda x: np.ones((len(x), 2)) / 2}, DataError, "gives all 300 series class 0"),
        ({"truth": TRUTH[:5]}, DataError, r"truth must have the shape \(300, 8, 1\) of X, got \(5, 8, 1\)"),
        ({"training": X[:, :5]}, DataError, r"training must have the \(time, channel\) \(8, 1\) of X"),
        ({"labels": np.full(N, 2)}, DataError, "labels must be 300 integers from 0 to 1"),
        (
            {"labels": np.zeros(N)},
            DataError,
            "labels must be 300 integers from 0 to 1, got an array of float64",
        ),
        ({"shares": (0.3, 0.1)}, ConfigError, "shares must be ascending numbers above 0 and below 1"),
        ({"shares": ()}, ConfigError, "shares must be ascending"),
        ({"main_share": 0.25}, ConfigError, "main_share must be one of the shares"),
        ({"main": "sufficency_gap"}, ConfigError, "did you mean sufficiency_gap"),
        ({"main": "sanity_loss"}, ConfigError, "main must be a measure that every explainer has"),
        ({"main": "auprc_score"}, ConfigError, "no truth was given"),
        ({"main": "latent_gram_loss"}, ConfigError, "no latent of the classifier is known"),
        ({"absent": "median"}, ConfigError, "absent must be one of mean, rows, moments, zero, got 'median'"),
        ({"draws": 0}, ConfigError, "draws of judge must be at least 1, got 0"),
        ({"noise": -0.1}, ConfigError, "noise of judge must be at least 0"),
    ],
)
def test_bad_input(change, error, text):
    given = {"explainers": {"a": RIGHT}, "model": window, "x": X, **change}
    with pytest.raises(error, match=text):
        quiet(**given)


def test_a_stand_in_that_drowns_what_is_kept_is_told():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 20, 1))

    def first_step(x):
        p = 1 / (1 + np.exp(-8 * (x[:, 0, 0] + 2 * (x == 0).sum((1, 2)))))
        return np.stack([1 - p, p], 1)

    drowned = judge({"wave": np.sin(x)}, first_step, x, absent="zero", progress=False)
    assert any(note.endswith("try another absent") for note in drowned.notes)
    fine = judge({"wave": np.sin(x)}, first_step, x, absent="rows", progress=False)
    assert not any("another absent" in note for note in fine.notes)
