"""Agreement of a model with its previous self, what is believed of its pairs, and the rounds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn.losses import dpo
from concordant.rewards.cream import (
    Pairs,
    best_and_worst,
    rank_agreement,
    rewards,
    self_rewarding,
    soft_labels,
)
from concordant.rewards.linear_world import (
    draw_prompts,
    fine_tuned,
    log_policy,
    mean_quality,
    preference_tuned,
    qualities,
    sampled,
    scored,
)

GROUPS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=5),
    max_size=5,
)


class TestAgreement:
    def test_by_hand(self):
        # Of the 6 pairs of "a" one is the other way round: tau = (5 - 1) / 6, rho = 1 - 6 * 2 / (4 * 15).
        found = rank_agreement({"a": [1, 2, 3, 4], "b": [2, 1]}, {"a": [1, 2, 4, 3], "b": [5, 0]})
        assert found.tau.tolist() == pytest.approx([2 / 3, 1])
        assert found.rho.tolist() == pytest.approx([0.8, 1])
        assert found.top_order.tolist() == [False, True]
        assert found.consistency.tolist() == pytest.approx([5 / 6, 1])
        assert found.mean_consistency == pytest.approx(11 / 12)

    def test_keyed_by_id_not_by_place(self):
        # The prompt in the middle has no ranking: what comes behind it must not move up into its place.
        current = {"a": [1, 2], "none": [0, 0], "z": [1, 2]}
        previous = {"z": [2, 1], "a": [1, 2], "none": [1, 2]}
        found = rank_agreement(current, previous)
        assert found.ids == ("a", "none", "z")
        assert found.tau[[0, 2]].tolist() == [1, -1]
        assert math.isnan(found.tau[1])
        assert soft_labels(found, by="prompt").tolist() == [1, 0.5, 0]
        assert soft_labels(found).tolist() == [0.5, 0.5, 0.5]

    @settings(max_examples=60, deadline=None)
    @given(GROUPS, st.randoms(use_true_random=False))
    def test_against_scipy_in_any_order(self, groups, random):
        current = {one: [a for a, _ in row] for one, row in groups.items()}
        previous = {one: [b for _, b in row] for one, row in groups.items()}
        shuffled = list(previous.items())
        random.shuffle(shuffled)
        found = rank_agreement(current, dict(shuffled))
        for one, tau in zip(found.ids, found.tau, strict=True):
            a, b = current[one], previous[one]
            if len(set(a)) > 1 and len(set(b)) > 1:
                assert tau == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
            else:
                assert math.isnan(tau)

    def test_bad_input(self):
        with pytest.raises(DataError, match="of the same prompts, got 2 in one of them only, such as 'a'"):
            rank_agreement({"a": [1]}, {"b": [1]})
        with pytest.raises(DataError, match=r"prompt 'a' must have one shape \(k,\), got \(2,\) and \(3,\)"):
            rank_agreement({"a": [1, 2]}, {"a": [1, 2, 3]})
        with pytest.raises(DataError, match="prompt 'a' must not have missing scores"):
            rank_agreement({"a": [1, 2]}, {"a": [1, math.nan]})


class TestLabels:
    FOUND = rank_agreement(
        {"a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 2, 3]}, {"a": [1, 2, 3], "b": [1, 3, 2], "c": [3, 2, 1]}
    )  # tau 1, 1/3 and -1

    def test_mean_and_each(self):
        assert soft_labels(self.FOUND).tolist() == pytest.approx([(1 + 2 / 3 + 0) / 3] * 3)
        assert soft_labels(self.FOUND, by="prompt").tolist() == pytest.approx([1, 2 / 3, 0])

    def test_below_a_half_only_without_a_clamp(self):
        assert soft_labels(self.FOUND, by="prompt", at_least=0.5).tolist() == pytest.approx([1, 2 / 3, 0.5])
        flipped = rank_agreement({"a": [1, 2]}, {"a": [2, 1]})
        assert soft_labels(flipped).tolist() == [0]
        assert soft_labels(flipped, at_least=0.5).tolist() == [0.5]

    def test_nothing_known_is_a_half(self):
        nothing = rank_agreement({"a": [1, 1]}, {"a": [1, 2]})
        assert math.isnan(nothing.mean_consistency)
        assert soft_labels(nothing).tolist() == soft_labels(nothing, by="prompt").tolist() == [0.5]

    def test_bad_input(self):
        with pytest.raises(ConfigError, match="by of soft_labels must be 'mean' or 'prompt', got 'pair'"):
            soft_labels(self.FOUND, by="pair")
        with pytest.raises(ConfigError, match="at_least of soft_labels must be from 0 to 1, got 2"):
            soft_labels(self.FOUND, at_least=2)
        with pytest.raises(ConfigError, match="one from 0 to 1 a prompt, 1 of them"):
            best_and_worst({"a": "?"}, {"a": [1, 2]}, {"a": [1, 2]}, [1.5])


def test_pairs_skip_prompts_whose_answers_are_equally_good():
    prompts = {"a": "1 ?", "b": "2 ?", "c": "3 ?"}
    answers = {"a": "xyz", "b": "xyz", "c": "xy"}
    pairs = best_and_worst(
        prompts, answers, {"a": [0, 2, 1], "b": [1, 1, 1], "c": [0, -1]}, np.array([0.1, 0.2, 0.3])
    )
    assert (pairs.ids, pairs.prompts) == (("a", "c"), ("1 ?", "3 ?"))
    assert (pairs.chosen, pairs.rejected) == (("y", "x"), ("x", "y"))
    assert pairs.labels.tolist() == [0.1, 0.3]


class Recorder:
    """A model is a number; answers are numbers; what is called with what is written down."""

    def __init__(self):
        self.sampled, self.trained = [], []

    def sample(self, model, prompts, seed):
        self.sampled.append((model, list(prompts), seed))
        return [[0.0, 1.0, 2.0] for _ in prompts]

    def score(self, model, prompts, answers):
        return [[model * answer**2 - answer for answer in row] for row in answers]

    def train(self, model, pairs, seed):
        self.trained.append((model, pairs, seed))
        return model + 1.0

    def run(self, shares=({"a": "p"}, {"b": "q", "c": "r"}, {"d": "s"}), **options):
        calls = {"sample": self.sample, "score": self.score, "train": self.train}
        return self_rewarding(0.0, 1.0, list(shares), **calls, **options)


class TestRounds:
    def test_each_round_samples_from_the_newest_and_agrees_with_the_one_before(self):
        recorder = Recorder()
        rounds = recorder.run()
        assert [model for model, _, _ in recorder.sampled] == [1.0, 2.0, 3.0]
        assert [prompts for _, prompts, _ in recorder.sampled] == [["p"], ["q", "r"], ["s"]]
        assert [model for model, _, _ in recorder.trained] == [1.0, 2.0, 3.0]
        assert [one.model for one in rounds] == [2.0, 3.0, 4.0]
        # Own reward 1 * answer^2; the base ranks by -answer, all the other way round; then answer^2 both times.
        assert [one.agreement.tau.tolist() for one in rounds] == [[-1], [1, 1], [1]]
        assert [one.pairs.chosen for one in rounds] == [(2.0,), (2.0, 2.0), (2.0,)]
        assert [one.pairs.labels.tolist() for one in rounds] == [[0], [1, 1], [1]]

    def test_a_number_for_all_labels(self):
        assert [one.pairs.labels.tolist() for one in Recorder().run(labels=0.8)] == [[0.8], [0.8, 0.8], [0.8]]

    def test_the_first_base_ranks_by_the_token(self):
        # -answer divided by lengths 1, 1, 8 is 0, -1, -1/4: of the pairs only the last is not reversed.
        (first,) = Recorder().run([{"a": "p"}], lengths=lambda row: [1, 1, 8])
        assert first.agreement.tau.tolist() == pytest.approx([-1 / 3])

    def test_a_judge_decides_the_pairs_and_not_the_agreement(self):
        worst_first = Recorder().run(labels=1.0, judge=lambda prompts, answers: [[2, 1, 0] for _ in prompts])
        assert [one.pairs.chosen[0] for one in worst_first] == [0.0, 0.0, 0.0]
        assert [one.agreement.tau[0] for one in worst_first] == [-1, 1, 1]

    def test_seeds_decide_and_differ(self):
        first, again, other = Recorder(), Recorder(), Recorder()
        first.run(seed=3)
        again.run(seed=3)
        other.run(seed=4)
        assert first.sampled == again.sampled != other.sampled
        seeds = [seed for _, _, seed in [*first.sampled, *first.trained]]
        assert len(set(seeds)) == len(seeds)

    def test_bad_input(self):
        made = {"sample": lambda m, p, s: [[1, 2]], "train": lambda m, p, s: m}
        for scores, message in (
            ([[1, 2, 3]], "score must give each of at least one answer to prompt 'a' a finite score"),
            ([[1, math.inf]], "finite score, got 2 answers"),
            ([], "score must be given answers to 1 prompts and score each, got 1 and 0"),
        ):
            with pytest.raises(ModelError, match=message):
                self_rewarding(0, 1, [{"a": "?"}], **made, score=lambda m, p, a, s=scores: s)

    def test_a_round_without_pairs_leaves_the_model_alone(self):
        first, second = self_rewarding(
            0,
            1,
            [{"a": "?"}, {"b": "?"}],
            sample=lambda m, p, s: [["x", "y"]],
            score=lambda m, p, a: [[1, 1]],
            train=lambda m, p, s: m + 1,
        )
        assert (first.model, second.model, len(first.pairs)) == (1, 1, 0)


class TestLinearWorld:
    def test_log_policy_and_quality_by_hand(self):
        prompts = np.array([[[1.0, 0.0], [0.0, 1.0]]])
        weights = np.array([math.log(3), 0.0])  # probabilities 3/4 and 1/4
        assert np.exp(log_policy(weights, prompts)).tolist() == [pytest.approx([0.75, 0.25])]
        assert mean_quality(weights, prompts, np.array([1.0, -1.0])) == pytest.approx(0.5)

    def test_sampling_has_the_frequencies_of_the_policy(self):
        rng = np.random.default_rng(0)
        prompts, weights = draw_prompts(rng, 2, 3, 4), rng.normal(size=4)
        drawn = sampled(weights, prompts, 20_000, seed=1)
        shares = np.stack([np.bincount(row, minlength=3) for row in drawn]) / 20_000
        assert np.abs(shares - np.exp(log_policy(weights, prompts))).max() < 0.015  # 4 standard errors

    def test_scores_are_those_of_the_answers(self):
        rng = np.random.default_rng(0)
        prompts, weights = draw_prompts(rng, 2, 3, 4), rng.normal(size=4)
        found = scored(weights, list(prompts), [[0, 2], [1, 1]])
        assert found[0].tolist() == log_policy(weights, prompts)[0, [0, 2]].tolist()
        assert found[1, 0] == found[1, 1]
        assert qualities(weights, list(prompts), [[0, 2], [1, 1]])[1, 0] == pytest.approx(
            prompts[1, 1] @ weights
        )

    def test_fine_tuning_makes_features_as_expected_under_the_answers(self):
        # At the maximum of the likelihood the expected features are those of the answers.
        rng = np.random.default_rng(0)
        prompts = draw_prompts(rng, 400, 5, 2)
        answers = sampled(np.array([1.0, -0.5]), prompts, 1, seed=0)[:, 0]
        weights = fine_tuned(np.zeros(2), prompts, answers, steps=400, rate=1.0)
        assert np.abs(weights - [1.0, -0.5]).max() < 0.25
        again = fine_tuned(weights, prompts, answers, steps=1, rate=1.0)
        assert np.abs(again - weights).max() < 1e-6

    def test_one_step_is_a_gradient_step_on_the_dpo_loss(self):
        rng = np.random.default_rng(0)
        prompts, reference = draw_prompts(rng, 6, 4, 3), rng.normal(size=3)
        chosen, rejected = (0, 1, 2, 3, 0, 1), (3, 2, 0, 1, 1, 0)
        labels = np.array([1.0, 0.9, 0.5, 0.3, 0.0, 0.7])
        pairs = Pairs(tuple("abcdef"), tuple(prompts), chosen, rejected, labels)
        start = preference_tuned(reference, pairs, beta=0.5, steps=3, rate=0.7)
        moved = preference_tuned(reference, pairs, beta=0.5, steps=4, rate=0.7)

        weights = torch.tensor(start, requires_grad=True)
        log_p = torch.log_softmax(torch.tensor(prompts) @ weights, dim=1)
        base = torch.tensor(log_policy(reference, prompts))
        rows = torch.arange(6)
        sides = (log_p[rows, list(chosen)], log_p[rows, list(rejected)])
        base_sides = (base[rows, list(chosen)], base[rows, list(rejected)])
        dpo(*sides, *base_sides, beta=0.5, label=torch.tensor(labels)).backward()
        assert moved == pytest.approx(start - 0.7 * weights.grad.numpy(), rel=1e-9)

    def test_labels_of_a_half_teach_nothing_when_pairs_are_at_the_reference(self):
        rng = np.random.default_rng(0)
        pairs = Pairs(("a",), tuple(draw_prompts(rng, 1, 4, 3)), (0,), (1,), np.array([0.5]))
        weights = rng.normal(size=3)
        assert preference_tuned(weights, pairs).tolist() == weights.tolist()

    def test_true_labels_raise_the_quality(self):
        rng = np.random.default_rng(1000)
        truth = rng.normal(size=24) / math.sqrt(24)
        prompts = draw_prompts(rng, 120)
        share = {str(i): prompt for i, prompt in enumerate(prompts)}
        start = np.zeros(24)
        (only,) = self_rewarding(
            start,
            start + 0.1 * rng.normal(size=24),
            [share],
            sample=lambda weights, asked, seed: sampled(weights, asked, 5, seed),
            score=scored,
            train=lambda weights, pairs, seed: preference_tuned(weights, pairs),
            labels=1.0,
            judge=lambda asked, answers: qualities(truth, asked, answers),
        )
        held_out = draw_prompts(rng, 100)
        assert mean_quality(only.model, held_out, truth) > mean_quality(start, held_out, truth) + 1


def test_rewards_are_differences():
    found = rewards({"a": [1.0, 2.0], "b": [3.0]}, {"b": [1.0], "a": [0.0, 5.0]})
    assert {one: row.tolist() for one, row in found.items()} == {"a": [1.0, -3.0], "b": [2.0]}
