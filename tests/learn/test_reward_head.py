"""Reward models: the head, its scores by two routes, the loss by hand, and the judge that is asked with texts."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch

import tiny_models
from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn import PreferencePairs, preference_loss, reward_head, reward_loss, train
from concordant.learn.answers import answer_batch, answer_scores
from concordant.models import RewardModel
from concordant.models.reward_head import RewardHead
from concordant.models.text_classifier import TextClassifier

PROMPTS = [[1, 5, 6], [1, 7], [1, 9, 10, 11, 12], [1, 4, 4]]
CHOSEN = [[13, 14, 2], [15, 2], [16, 17, 18, 2], [19]]
REJECTED = [[14, 2], [20, 21, 22, 23, 2], [24, 2], [25, 2]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "llama": tiny_models.save_llama(folder / "llama", chat=True),
        "gpt2": tiny_models.save_gpt2(folder / "gpt2"),
    }


@pytest.fixture(scope="module")
def judges(folders):
    from transformers import AutoModelForCausalLM

    made = {name: AutoModelForCausalLM.from_pretrained(folder) for name, folder in folders.items()}
    return {name: reward_head(model, seed=1).eval() for name, model in made.items()}


def pairs(**numbers):
    return PreferencePairs(PROMPTS, CHOSEN, REJECTED, **numbers)


def alone(judge, prompts, answers):
    """The scores of one row at a time, where transformers needs to look for no padding."""
    with torch.no_grad():
        return torch.stack(
            [judge(torch.tensor([[*p, *a]])).logits[0, 0] for p, a in zip(prompts, answers, strict=True)]
        )


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("shared", [False, True])
def test_scores_are_those_of_rows_alone(judges, name, shared):
    judge = judges[name]
    batches = pairs().batches(4, model=judge if shared else None, shuffle=False)
    assert batches.shared == shared
    (batch,) = batches(torch.Generator())
    scores = answer_scores(judge, batch)[:, 0]
    sides = [alone(judge, PROMPTS, CHOSEN), alone(judge, PROMPTS, REJECTED)]
    expected = torch.stack(sides, dim=1).flatten() if shared else torch.cat(sides)
    assert torch.allclose(scores, expected, rtol=1e-4, atol=1e-6)
    assert not judge.score._forward_hooks


def test_an_answer_may_end_with_the_padding_token(judges):
    judge = judges["llama"]
    assert judge.config.pad_token_id == 0
    (batch,) = PreferencePairs([[1, 5]], [[7, 0]], [[7]]).batches(1, shuffle=False)(torch.Generator())
    ends_with_padding, without = answer_scores(judge, batch)[:, 0].tolist()
    assert ends_with_padding != without
    # transformers itself would read the last token that is no padding.
    with torch.no_grad():
        assert judge(torch.tensor([[1, 5, 7, 0]])).logits.item() == pytest.approx(without, rel=1e-5)


def test_the_body_is_that_of_the_language_model_and_the_head_of_the_seed(folders):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folders["llama"])
    first, again, other = (reward_head(model, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.score.weight, again.score.weight)
    assert not torch.equal(first.score.weight, other.score.weight)
    for mine, theirs in zip(first.base_model.parameters(), model.base_model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()
    assert model.config.num_labels == 2  # what transformers has by default: left as it was


@pytest.mark.parametrize("shared", [False, True])
def test_loss_by_hand(judges, shared):
    judge = judges["llama"]
    numbers = {
        "label": [1.0, 0.9, 0.0, 0.5],
        "weights": [1.0, 2.0, 0.5, 1.0],
        "margin": [0.0, 0.1, -1.0, 2.0],
    }
    (batch,) = pairs(**numbers).batches(4, model=judge if shared else None, shuffle=False)(torch.Generator())
    got = reward_loss(scale=0.5, centring=0.01)(judge, batch)
    chosen, rejected = alone(judge, PROMPTS, CHOSEN).tolist(), alone(judge, PROMPTS, REJECTED).tolist()
    by_hand = 0.0
    for c, r, label, weight, margin in zip(chosen, rejected, *numbers.values(), strict=True):
        d = 0.5 * (c - r) - margin
        cross = label * math.log1p(math.exp(-d)) + (1 - label) * math.log1p(math.exp(d))
        by_hand += (weight * cross + 0.01 * (c + r) ** 2) / 4
    assert got["loss"].item() == pytest.approx(by_hand, rel=1e-4)
    differences = [c - r for c, r in zip(chosen, rejected, strict=True)]
    assert got["reward_margin"].item() == pytest.approx(sum(differences) / 4, rel=1e-3)
    assert got["accuracy"].item() == sum(d > 0 for d in differences) / 4


def test_training_learns_pairs_and_the_judge_is_served(judges, folders, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folders["llama"])
    judge = deepcopy(judges["llama"])
    prompts = [[{"role": "user", "content": f"{a} {b}"}] for a in "abcd" for b in "123"]
    better, worse = ["x y"] * 12, ["z"] * 6 + ["y z x"] * 6
    made = PreferencePairs.of_texts(tokenizer, prompts, better, worse)
    adam = partial(torch.optim.Adam, lr=1e-2)
    history = train(judge, reward_loss(), made.batches(4, model=judge), epochs=10, optimizer=adam)
    assert history.loss[0] > 0.3
    assert sum(history.loss[-3:]) < 0.3
    assert history.parts["accuracy"][-1] == 1.0

    judge.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    served = RewardHead(again, tokenizer, batch_size=5)
    assert isinstance(served, RewardModel)
    assert repr(served) == "RewardHead(LlamaForSequenceClassification)"
    assert (served.reward(prompts, better) > served.reward(prompts, worse)).all()
    # The other route: texts through the scorer that `load` gives, which looks for the last token itself.
    texts = TextClassifier(again, tokenizer).predict(["a bx y</s>", "cy</s>"])
    assert served.reward(["a b", "c"], ["x y", "y"]) == pytest.approx(texts, rel=1e-4)


def test_several_attributes(folders, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tiny_models.save_gpt2_classifier(tmp_path, n_labels=3)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    judge = RewardHead(model, AutoTokenizer.from_pretrained(folder), name="helpful")
    assert judge.attributes == ("LABEL_0", "LABEL_1", "LABEL_2")
    rewards = judge.reward(["a", "b c"], ["d", ""])
    assert rewards.shape == (2, 3)
    assert np.isfinite(rewards).all()
    (batch,) = pairs().batches(4)(torch.Generator())
    with pytest.raises(ModelError, match="reward_loss needs a model with one output, got 3"):
        reward_loss()(model, batch)
    with pytest.raises(
        ModelError, match=r"model 'helpful': an answer with its prompt has 73 tokens, not at most 64"
    ):
        judge.reward(["a" * 70], ["b"])
    with pytest.raises(DataError, match="got 1 prompts and 2 answers"):
        judge.reward(["a"], ["b", "c"])


def test_bad_models_and_options(judges, folders):
    from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folders["llama"])
    batch = answer_batch([([1], [[2]])])
    with pytest.raises(ModelError, match=r"needs a head 'score' at each token, .* got a LlamaForCausalLM"):
        answer_scores(model, batch)
    with pytest.raises(
        ModelError, match="need a causal language model, got a LlamaForSequenceClassification"
    ):
        preference_loss(reference_free=True)(judges["llama"], batch)
    with pytest.raises(
        ModelError, match="RewardHead needs a decoder for sequence classification, got a Llama"
    ):
        RewardHead(model, None)
    with torch.random.fork_rng():
        recurrent = MambaForCausalLM(
            MambaConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, state_size=4)
        )
    with pytest.raises(
        ModelError, match="no model for sequence classification of the kind of MambaForCausalLM"
    ):
        reward_head(recurrent)
    with pytest.raises(ConfigError, match="scale of reward_loss must be greater than 0, got 0"):
        reward_loss(scale=0)
    with pytest.raises(ConfigError, match="centring of reward_loss must be finite and at least 0, got -1"):
        reward_loss(centring=-1)
