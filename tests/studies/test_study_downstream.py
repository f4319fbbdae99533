"""The parts of the study of downstream prediction: the world, its ladder, and the control."""

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.studies.confusable_facts import FIRST_ID, ConfusableFacts, ladder
from concordant.studies.downstream_prediction import LADDER, _your_ladder, evened_choice
from concordant.versions.scaling import option_metrics


@pytest.fixture
def world():
    return ConfusableFacts.drawn(np.random.default_rng(0), 30, 2, n_clusters=3, cluster_size=4, noise=0.25)


def test_what_is_told_is_right_but_for_the_noise_and_then_of_the_same_cluster(world):
    rows = world.rows(np.random.default_rng(1), 4000).numpy()
    entity, relation, value = rows[:, 0] - FIRST_ID, rows[:, 1] - FIRST_ID - 30, rows[:, 2] - FIRST_ID - 32
    right = world.values[entity, relation]
    assert (value != right).mean() == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(value // 4, right // 4)
    assert (np.bincount(entity)[0] / 4000) == pytest.approx(1 / (1 / np.arange(1, 31)).sum(), rel=0.1)


def test_questions_are_different_and_their_options_of_one_cluster(world):
    prompts, options, right = world.questions(np.random.default_rng(2), 50, 3)
    assert len({tuple(row) for row in prompts.tolist()}) == 50
    values = options.numpy() - FIRST_ID - 32
    assert (values // 4 == values[:, :1] // 4).all()
    assert all(len(set(row)) == 3 for row in values.tolist())
    entity, relation = prompts[:, 0].numpy() - FIRST_ID, prompts[:, 1].numpy() - FIRST_ID - 30
    truth = world.values[entity, relation]
    assert np.array_equal(values[np.arange(50), right], truth)
    assert set(right.tolist()) == {0, 1, 2}


def test_a_ladder_has_a_rung_a_checkpoint_and_is_the_same_again(world):
    prompts, options, _ = world.questions(np.random.default_rng(3), 10, 4)
    how = {"widths": (8, 12), "checkpoints": (2, 4), "batch": 8, "rate": 1e-2}
    rungs = ladder(world, prompts, options, **how, seed=5)
    again = ladder(world, prompts, options, **how, seed=5)
    assert [rung.logprobs.shape for rung in rungs] == [(10, 4)] * 4
    assert rungs[1].compute == 2 * rungs[0].compute
    assert rungs[2].compute > rungs[0].compute
    assert all(np.array_equal(a.logprobs, b.logprobs) for a, b in zip(rungs, again, strict=True))
    assert not torch.is_grad_enabled() or (rungs[0].logprobs < 0).all()


def test_evening_the_wrong_options_by_hand():
    # one model, two items: p of the right one 0.2 and 0.1, of the wrong ones 0.1 and 0.3 together; their mean is 0.2
    logprobs = np.log([[[0.2, 0.04, 0.06], [0.1, 0.1, 0.2]]])
    found = evened_choice(logprobs, [0, 0])
    np.testing.assert_allclose(found, [[0.2 / 0.4, 0.1 / 0.3]])


def test_evening_changes_nothing_where_all_items_have_the_same_mass():
    logprobs = np.log([[[0.2, 0.1], [0.3, 0.1]]])
    np.testing.assert_allclose(evened_choice(logprobs, [0, 0]), option_metrics(logprobs, [0, 0])["p_choice"])


def test_full_scale_names_what_it_needs(monkeypatch):
    monkeypatch.delenv(LADDER, raising=False)
    with pytest.raises(ConfigError, match=LADDER):
        _your_ladder()
