"""Personal rewards: symmetries of the encoder, the bound, scaling, averages, questions, policies."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from concordant.core.errors import ConfigError, DataError
from concordant.rewards.average import LEAST_VARIANCE, AverageReward, spread_loss
from concordant.rewards.comparisons import Comparisons
from concordant.rewards.conditioned_policy import ConditionedPolicy
from concordant.rewards.queries import answer_strings, best_questions, information_score
from concordant.rewards.two_goals import DRAG, PUSH, TwoGoals, moved, random_record, reached
from concordant.rewards.vpl import Posterior, VariationalPreferences, expected_win_rate
from concordant.rewards.vpl_network import PreferenceNetwork, cyclic_cosine, elbo_loss, gaussian_kl

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _global_generators_untouched():
    before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    yield
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == str(np.random.get_state())  # noqa: NPY002


def drawn(people=5, n=4, features=3, seed=0):
    rng = np.random.default_rng(seed)
    return Comparisons(*rng.normal(size=(2, people, n, features)), rng.random((people, n)) < 0.5)


@pytest.fixture(scope="module")
def model():
    """A model with the weights it started with: symmetries must not depend on what was learnt."""
    made = VariationalPreferences(n_latent=4, hidden=(8, 8), n_context=2, steps=1)
    made.network_ = PreferenceNetwork(3, 4, (8, 8), seed=0).eval()
    return made


@pytest.fixture(scope="module")
def learnt():
    """People who like large or small numbers, learnt in a moment."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 8, 1))
    answers = Comparisons(a, b, (a > b)[..., 0] == (rng.random(300) < 0.5)[:, None])
    options = {"n_latent": 2, "hidden": (16,), "n_context": 4, "steps": 200, "learning_rate": 0.01}
    return VariationalPreferences(**options, seed=1).fit(answers), answers


class TestEncoder:
    def test_exchanging_the_sides_changes_nothing(self, model):
        for one, other in zip(model.posterior(drawn()), model.posterior(drawn().swapped()), strict=True):
            assert np.array_equal(one, other)

    def test_an_answer_the_other_way_round_matters(self, model):
        answers = drawn()
        opposite = Comparisons(answers.a, answers.b, ~answers.prefers_a)
        assert np.abs(model.posterior(answers).mean - model.posterior(opposite).mean).min(axis=1).max() > 1e-4

    def test_the_order_of_the_questions_changes_nothing(self, model):
        answers, order = drawn(), [2, 0, 3, 1]
        other = Comparisons(answers.a[:, order], answers.b[:, order], answers.prefers_a[:, order])
        for one, two in zip(model.posterior(answers), model.posterior(other), strict=True):
            assert one == pytest.approx(two, abs=1e-6)

    def test_what_was_not_given_is_as_if_it_were_not_there(self, model):
        answers = drawn()
        given = np.array([True, False, True, False])
        hidden = Comparisons(
            np.where(given[:, None], answers.a, np.nan),
            answers.b,
            answers.prefers_a,
            np.tile(given, (5, 1)),
        )
        fewer = Comparisons(*(x[:, given] for x in (answers.a, answers.b, answers.prefers_a)))
        for one, two in zip(model.posterior(hidden), model.posterior(fewer), strict=True):
            assert one == pytest.approx(two, abs=1e-6)

    @pytest.mark.parametrize("n", [0, 1, 7])
    def test_any_number_of_answers(self, model, n):
        mean, log_variance = model.posterior(drawn(people=3, n=n))
        assert mean.shape == log_variance.shape == (3, 4)
        assert n or (mean == mean[0]).all()  # of people who said nothing, nothing is known

    def test_the_number_of_answers_is_seen(self, model):
        once = drawn(people=1, n=1)
        often = Comparisons(*(np.repeat(x, 5, axis=1) for x in (once.a, once.b, once.prefers_a)))
        assert not np.allclose(model.posterior(once).log_variance, model.posterior(often).log_variance)


class TestBound:
    def test_divergence_against_torch(self):
        mean, log_variance = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)).double()
        standard = torch.distributions.Normal(0.0, 1.0)
        of_each = torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, (log_variance / 2).exp()), standard
        )
        assert gaussian_kl(mean, log_variance).numpy() == pytest.approx(of_each.sum(1).numpy(), rel=1e-9)

    def test_context_and_targets_are_disjoint(self):
        class Recorder:
            def encode(self, preferred, other, given):
                self.read = [
                    set(row[there].tolist()) for row, there in zip(preferred[..., 0], given, strict=True)
                ]
                return torch.zeros(len(given), 2), torch.zeros(len(given), 2)

            def reward(self, things, z):
                self.judged = things[..., 0]
                return torch.zeros(things.shape[:-1])

        numbers = torch.arange(60.0).view(6, 10, 1)
        batch = {"preferred": numbers, "other": -numbers, "given": torch.ones(6, 10, dtype=torch.bool)}
        read = 0
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for _ in range(20):
                recorder = Recorder()
                elbo_loss(recorder, batch, 4, 0.1)
                for context, targets in zip(recorder.read, -recorder.judged, strict=True):
                    assert len(targets) == 6
                    assert not context & set(targets.tolist())
                    read = max(read, len(context))
        assert read == 4

    def test_the_loss_is_the_mean_target_and_the_weighted_divergence(self):
        class Known:
            def encode(self, preferred, other, given):
                return torch.ones(len(given), 2), torch.full((len(given), 2), -60.0)

            def reward(self, things, z):
                return things[..., 0] * z[..., 0]

        batch = {
            "preferred": torch.full((3, 5, 1), 2.0),
            "other": torch.ones(3, 5, 1),
            "given": torch.ones(3, 5, dtype=torch.bool),
        }
        with torch.random.fork_rng():
            parts = elbo_loss(Known(), batch, 2, 0.5)
        kl = 0.5 * 2 * (1 + math.exp(-60) - 1 + 60)
        assert parts["kl"].item() == pytest.approx(kl)
        assert parts["log_likelihood"].item() == pytest.approx(-math.log(1 + math.exp(-1)), rel=1e-6)
        assert parts["loss"].item() == pytest.approx(0.5 * kl + math.log(1 + math.exp(-1)), rel=1e-6)

    def test_everybody_keeps_a_target(self):
        given = torch.zeros(2, 8, dtype=torch.bool)
        given[0, [1, 5]] = True  # two answers: one is context at most
        given[1] = True
        things = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
        network = PreferenceNetwork(3, 2, (4,), seed=0)
        with torch.random.fork_rng():
            parts = elbo_loss(network, {"preferred": things, "other": -things, "given": given}, 6, 1.0)
        assert parts["log_likelihood"] < 0

    def test_cycles(self):
        factors = [cyclic_cosine(step, 40, 4) for step in range(40)]
        assert factors[0] == factors[10] == 0
        assert factors[:10] == pytest.approx(factors[30:])
        assert factors[5:10] == [1] * 5
        assert factors[:6] == sorted(factors[:6])


class TestLearning:
    def test_more_answers_say_more(self, learnt):
        model, answers = learnt
        rights = []
        test = answers.columns(slice(4, None))
        for k in (0, 1, 4):
            z = model.posterior(answers.columns(slice(k))).mean
            rights.append(float(((model.probability(test, z) > 0.5) == test.prefers_a).mean()))
        assert rights[0] < 0.65
        assert rights[2] > 0.9
        assert rights[0] < rights[1] <= rights[2] + 0.02

    def test_the_same_seed_is_the_same_model(self, learnt):
        model, answers = learnt
        again = VariationalPreferences(
            n_latent=2, hidden=(16,), n_context=4, steps=200, learning_rate=0.01, seed=1
        ).fit(answers)
        assert np.array_equal(model.posterior(answers).mean, again.posterior(answers).mean)

    def test_a_heavy_divergence_forgets(self, learnt):
        _, answers = learnt
        options = {"n_latent": 2, "hidden": (16,), "n_context": 4, "steps": 200, "learning_rate": 0.01}
        forgetful = VariationalPreferences(**options, kl_weight=5.0, cycles=0).fit(answers)
        assert np.mean(forgetful.history_.parts["kl"][-20:]) < 0.02

    def test_rewards_and_rates_broadcast(self, learnt):
        model, _ = learnt
        things, z = np.linspace(-1, 1, 5)[:, None], np.ones((3, 1, 2))
        assert model.reward(things, z).shape == (3, 5)
        rates = model.win_rate(things, np.ones(2), things)
        own = model.reward(things, np.ones(2))
        assert rates == pytest.approx(expected_win_rate(own, own), abs=1e-6)
        assert rates.mean() == pytest.approx(0.5, abs=1e-6)  # against themselves
        assert (np.argsort(rates) == np.argsort(own)).all()

    def test_draws_have_the_moments_of_the_posterior(self):
        posterior = Posterior(np.array([[1.0, -2.0]]), np.log([[4.0, 0.25]]))
        draws = posterior.draw(40_000, seed=0)[:, 0]
        assert draws.mean(axis=0) == pytest.approx([1, -2], abs=0.05)
        assert draws.std(axis=0) == pytest.approx([2, 0.5], rel=0.02)


class TestAverage:
    def test_spread_loss_is_the_probit_of_the_difference(self):
        outputs = torch.tensor([[1.0, 0.3], [0.2, -1.0]])
        got = spread_loss(lambda x: x, (outputs[:1], outputs[1:])).item()
        variance = np.logaddexp(0, 0.3) + np.logaddexp(0, -1.0) + 2 * LEAST_VARIANCE
        assert got == pytest.approx(-stats.norm.logcdf(0.8 / math.sqrt(variance)), rel=1e-5)

    def test_what_people_disagree_about_has_the_larger_variance(self):
        rng = np.random.default_rng(0)
        people = 500
        kind = rng.random(people) < 0.5
        # One thing is always 0, everybody's; the other is liked by half of the people and loathed by the others.
        a = np.tile(np.array([[[1.0, 0.0]]]), (people, 1, 1))
        b = np.tile(np.array([[[0.0, 1.0]]]), (people, 1, 1))
        c = np.tile(np.array([[[0.0, 0.0]]]), (people, 1, 1))
        sides = np.concatenate([a, b], axis=1), np.concatenate([c, c], axis=1)
        answers = np.stack([kind, np.ones(people, dtype=bool)], axis=1)
        model = AverageReward(spread=True, hidden=(16,), steps=200, learning_rate=0.01).fit(
            Comparisons(*sides, answers)
        )
        disputed, liked, zero = model.reward([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        assert abs(disputed - zero) < abs(liked - zero)
        assert model.variance([[1.0, 0.0]])[0] > 2 * model.variance([[0.0, 1.0]])[0]

    def test_bad_input(self):
        with pytest.raises(ConfigError, match="call fit first"):
            AverageReward().reward([[0.0]])
        with pytest.raises(DataError, match="at least one comparison to learn from, got none"):
            AverageReward().fit(drawn(n=0))
        with pytest.raises(ConfigError, match="with spread=True only"):
            AverageReward().variance([[0.0]])


class FakeModel:
    """The first coordinate of a question's preferred side is the mean of the posterior; the second its variance."""

    def posterior(self, answers):
        if not answers.n:
            return Posterior(np.zeros((answers.n_people, 1)), np.zeros((answers.n_people, 1)))
        chosen = answers.preferred.astype(float).mean(axis=1)
        return Posterior(chosen[:, :1], np.log(chosen[:, 1:]))

    def reward(self, things, z):
        return np.asarray(things)[..., 0] * np.asarray(z)[..., 0]


class TestQuestions:
    def test_strings_are_all_or_different(self):
        rng = np.random.default_rng(0)
        assert len(answer_strings(3, 8, rng)) == 8
        some = answer_strings(10, 50, rng)
        assert some.shape == (50, 10)
        assert len(np.unique(some, axis=0)) == 50

    def test_released_score_by_hand(self):
        # One question, two answers with variances 0.5 and 0.1 in the one direction.
        a, b = np.array([[[1.0, 0.5]]]), np.array([[[-1.0, 0.1]]])
        by_hand = (
            math.log(2 * math.pi * 0.3) - (math.log(2 * math.pi * 0.5) + math.log(2 * math.pi * 0.1)) / 2
        )
        assert information_score(FakeModel(), a, b)[0] == pytest.approx(by_hand, rel=1e-6)

    def test_moments_score_by_hand(self):
        # Equal probabilities, by symmetry of the drawn vectors only nearly so: means 1 and -1, variances 0.1.
        a, b = np.array([[[1.0, 0.1]]]), np.array([[[-1.0, 0.1]]])
        got = information_score(FakeModel(), a, b, form="moments", n_draws=20_000)[0]
        assert got == pytest.approx(0.5 * math.log(1.1 / 0.1), abs=0.01)

    def test_moments_want_answers_that_differ_and_the_released_form_does_not_care(self):
        a = np.array([[[1.0, 0.1]], [[0.0, 0.1]]])
        b = np.array([[[-1.0, 0.1]], [[0.0, 0.1]]])
        telling, silent = information_score(FakeModel(), a, b, form="moments")
        assert telling > silent + 1
        released = information_score(FakeModel(), a, b)
        assert released[0] == pytest.approx(released[1])

    def test_the_best_of_the_pool_is_found(self):
        a = np.array([[0.1, 0.1], [3.0, 0.1], [0.2, 0.1], [0.0, 0.1]])
        b = a * [-1, 1]
        assert best_questions(FakeModel(), a, b, 1, form="moments", n_candidates=50).tolist() == [1]

    def test_what_is_known_goes_before(self, learnt):
        model, answers = learnt
        known = answers[:1].columns(slice(3))
        a, b = np.random.default_rng(0).normal(size=(2, 5, 2, 1))
        for form in ("released", "moments"):
            before = information_score(model, a, b, form=form)
            after = information_score(model, a, b, known=known, form=form)
            assert np.isfinite(after).all()
            assert not np.allclose(before, after)
        assert (after < before.max()).all()  # somebody who is known has less left to tell

    def test_bad_input(self, learnt):
        model, answers = learnt
        a, b = np.zeros((2, 3, 2, 1))
        with pytest.raises(
            ConfigError, match="form of information_score must be 'released' or 'moments', got 'kl'"
        ):
            information_score(model, a, b, form="kl")
        with pytest.raises(DataError, match="known must be of one person, got 300"):
            information_score(model, a, b, known=answers)
        with pytest.raises(DataError, match="two sides of one shape"):
            information_score(model, a, b[:2])
        with pytest.raises(ConfigError, match="from 1 to the 3 of the pool, got 4"):
            best_questions(model, a[:, 0], b[:, 0], 4)


class TestPolicy:
    @staticmethod
    def on_a_line(**options):
        """Moves on a line, where one person wants to the left and the other to the right."""
        rng = np.random.default_rng(0)
        states, actions = rng.uniform(-1, 1, size=(2, 1500, 1))
        after = np.clip(states + 0.2 * actions, -1, 1)
        z = np.array([[-1.0], [1.0]])
        policy = ConditionedPolicy(hidden=(16,), steps=200, batch_size=256, learning_rate=0.01, **options)
        return policy.fit(states, actions, after, z * after[:, 0], z)

    def test_everybody_is_taken_where_they_want(self):
        policy = self.on_a_line()
        states = np.array([[0.0], [0.5], [-0.5]])
        assert (policy.act(states, goals=np.ones((3, 1))) > 0.2).all()
        assert (policy.act(states, goals=-np.ones((3, 1))) < -0.2).all()

    def test_without_preference_the_record_is_imitated(self):
        policy = self.on_a_line(sharpness=0.0)
        assert np.abs(policy.act(np.zeros((1, 1)), goals=np.ones((1, 1)))).max() < 0.15  # its mean action

    def test_bad_input(self):
        for option, message in (
            ({"discount": 1.0}, "discount of ConditionedPolicy must be from 0 to below 1, got 1.0"),
            ({"expectile": 0.3}, "expectile of ConditionedPolicy must be from 0.5 to below 1, got 0.3"),
            ({"sharpness": -1.0}, "sharpness of ConditionedPolicy must be at least 0"),
        ):
            with pytest.raises(ConfigError, match=message):
                ConditionedPolicy(**option)
        zeros = np.zeros((4, 2))
        with pytest.raises(DataError, match=r"rewards \(vectors, moves\) and z"):
            ConditionedPolicy().fit(zeros, zeros, zeros, np.zeros((1, 3)), np.zeros((1, 0)))
        with pytest.raises(ConfigError, match="call fit first"):
            ConditionedPolicy().act(zeros)


class TestTwoGoals:
    WORLD = TwoGoals(np.array([[0.5, 0.0], [-0.5, 0.0]]))

    def test_rewards_by_hand(self):
        places = np.array([[[0.5, 0.0], [0.5, 1.0]], [[0.5, 0.0], [-0.5, 0.25]]])
        assert self.WORLD.reward(places, np.array([0, 1])).tolist() == [[0, -1], [-1, -0.25]]

    def test_answers_have_the_stated_probability(self):
        a, b = np.tile([[[0.5, 0.1]]], (20_000, 1, 1)), np.tile([[[0.5, 0.2]]], (20_000, 1, 1))
        rng = np.random.default_rng(0)
        share = self.WORLD.preferences(rng, a, b, np.zeros(20_000, dtype=int)).mean()
        assert share == pytest.approx(1 / (1 + math.exp(-0.8)), abs=0.012)

    def test_moves_by_hand(self):
        found = moved(np.array([[0.0, 0.95, 0.1, 0.1]]), np.array([[2.0, 1.0]]))
        along = DRAG * 0.1 + PUSH
        assert found[0] == pytest.approx([along, 1.0, along, 0.0])  # the wall took the speed upwards

    def test_a_record_is_of_moves(self):
        record = random_record(np.random.default_rng(0), 3, 5)
        assert record.states.shape == record.next_states.shape == (15, 4)
        assert np.array_equal(moved(record.states, record.actions), record.next_states)
        assert np.array_equal(record.next_states[:3], record.states[3:6])

    def test_who_has_arrived(self):
        start = np.array([[0.45, 0.0, 0.0, 0.0], [0.45, 0.0, 0.0, 0.0]])
        there = reached(self.WORLD, lambda state: np.zeros((2, 2)), start, np.array([0, 1]), 3)
        assert there.tolist() == [True, False]


def test_bad_input():
    with pytest.raises(DataError, match=r"answers \(people, n\), got \(1, 2, 1\), \(1, 2, 1\) and \(2,\)"):
        Comparisons(np.zeros((1, 2, 1)), np.zeros((1, 2, 1)), [1, 0])
    with pytest.raises(DataError, match=r"1 where a is preferred and 0 where b is, got 0\.5"):
        Comparisons(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), [[0.5]])
    with pytest.raises(DataError, match="must be finite where an answer was given"):
        Comparisons(np.full((1, 1, 1), np.nan), np.zeros((1, 1, 1)), [[1]])
    with pytest.raises(ConfigError, match="n_latent of VariationalPreferences must be at least 1, got 0"):
        VariationalPreferences(n_latent=0)
    with pytest.raises(ConfigError, match="kl_weight of VariationalPreferences must be at least 0, got -1"):
        VariationalPreferences(kl_weight=-1)
    with pytest.raises(DataError, match="more answers than the 8 of the context"):
        VariationalPreferences().fit(drawn(n=8))
    with pytest.raises(DataError, match="each person needs at least 2 answers, got 1"):
        VariationalPreferences(n_context=2).fit(
            Comparisons(np.zeros((1, 4, 1)), np.ones((1, 4, 1)), np.ones((1, 4)), [[1, 0, 0, 0]])
        )
    with pytest.raises(ConfigError, match="call fit first"):
        VariationalPreferences().posterior(drawn())


def test_features_must_be_those_that_were_learnt(model):
    with pytest.raises(DataError, match="the 3 features that were learnt, got 2"):
        model.posterior(drawn(features=2))
