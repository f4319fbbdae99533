"""Trainings against those of TRL 1.16.0, step by step: the same tiny Llama, texts, order, AdamW, clipping and schedule.

The constants are in tests/fixtures/trl; each names the trainer that made it and its options, and make_offline.py
there records them anew. A loss that agrees at the last step says that all gradients before it did.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import pytest
import torch

import tiny_models
from concordant.learn import PreferencePairs, dpo, orpo, preference_loss, reward_loss, sft_nll, train
from concordant.learn.answers import answer_log_probabilities
from concordant.learn.preferences import by_side
from concordant.learn.sequences import TokenBatches, answer_rows, logits_of, sft
from fixtures.trl import case

RUNS = case.read("offline")
PROMPTS_ONCE = pytest.mark.parametrize("once", [False, True], ids=["prompts twice", "prompts once"])


def compared(name, loss, batches, *, classifier=False, rtol=2e-5):
    """Train as TRL did and compare the loss of every step and how every weight moved."""
    run = RUNS[name]
    model = case.model(classifier)
    before = deepcopy(model)
    history = train(
        model,
        loss,
        batches,
        epochs=case.EPOCHS,
        optimizer=partial(torch.optim.AdamW, lr=case.LEARNING_RATE, weight_decay=0.0),
        schedule="linear",
        clip=case.CLIP,
        device="cpu",
    )
    assert history.loss == pytest.approx(run["losses"], rel=rtol, abs=2e-6)
    moved = case.moved(before, model)
    assert moved.keys() == run["moved"].keys()
    for key, (distance, along) in run["moved"].items():
        assert moved[key][0] == pytest.approx(distance, rel=2e-4), key
        assert moved[key][1] == pytest.approx(along, abs=2e-3 * distance), key


def pairs(**numbers):
    """The texts as TRL reads them: an answer follows its prompt and ends with the token that ends a text."""
    return PreferencePairs.of_texts(
        tiny_models.tokenizer(), case.PROMPTS, case.CHOSEN, case.REJECTED, **numbers
    )


def in_order(made, size=case.BATCH, once=False):
    return made.batches(size, model=case.model() if once else None, shuffle=False)


def test_sft():
    rows = TokenBatches(answer_rows(tiny_models.tokenizer(), case.PROMPTS, case.CHOSEN))
    parts = torch.arange(12).split(case.BATCH)

    class InOrder:
        def __len__(self):
            return len(parts)

        def __call__(self, generator):
            return map(rows.batch, parts)

    compared("sft", sft, InOrder())


@PROMPTS_ONCE
@pytest.mark.parametrize("name", ["dpo", "dpo_precomputed"])
def test_dpo(name, once):
    compared(
        name, preference_loss("dpo", beta=0.3), in_order(pairs().with_reference(case.model()), once=once)
    )


@PROMPTS_ONCE
def test_dpo_with_smoothed_labels(once):
    """TRL smooths the labels of its "aot", which sorts the log-ratios of a batch: with one pair a batch, plain DPO."""
    made = pairs(label=1 - 0.2).with_reference(case.model())
    compared("dpo_smoothed", preference_loss("dpo", beta=0.3), in_order(made, 1, once))


def test_robust_dpo():
    """The unbiased loss of noisy labels is a difference of two of ours."""

    def loss(model, batch):
        sides = (
            *by_side(answer_log_probabilities(model, batch), shared=False),
            batch["reference_chosen"],
            batch["reference_rejected"],
        )
        chosen, rejected, base_chosen, base_rejected = sides
        flipped = dpo(rejected, chosen, base_rejected, base_chosen, beta=0.3)
        return (0.8 * dpo(*sides, beta=0.3) - 0.2 * flipped) / 0.6

    compared("dpo_robust", loss, in_order(pairs().with_reference(case.model())))


@PROMPTS_ONCE
def test_dpo_of_mean_log_probabilities(once):
    made = pairs().with_reference(case.model())
    compared("dpo_mean", preference_loss("dpo", beta=0.3, mean=True), in_order(made, once=once))


@PROMPTS_ONCE
def test_ipo(once):
    made = pairs().with_reference(case.model())
    compared("ipo", preference_loss("ipo", beta=0.3), in_order(made, once=once))


def test_orpo():
    """TRL imitates prompt and chosen answer, and takes the mean over the tokens of the batch.

    That is by design another loss than ours, which imitates the answer and takes the mean over pairs: the paper's
    "supervised fine-tuning loss" is of the chosen answer. The odds ratio is the same.
    """

    def loss(model, batch):
        policy = by_side(answer_log_probabilities(model, batch), shared=False)
        counts = by_side(batch["counts"], shared=False)
        tokens = batch["tokens"][: case.BATCH]
        ends = batch["ends"][: case.BATCH] - torch.arange(case.BATCH) * tokens.shape[1]
        real = torch.arange(tokens.shape[1]) <= ends[:, None]
        imitation = sft_nll(logits_of(model, tokens), tokens, real)
        return orpo(*(policy / counts), beta=0.3, nll=imitation.expand(case.BATCH))

    compared("orpo", loss, in_order(pairs()))


@PROMPTS_ONCE
def test_simpo(once):
    """Without a reference, with means over tokens and a margin, DPO is SimPO."""
    loss = preference_loss("dpo", beta=2.0, mean=True, reference_free=True)
    compared("simpo", loss, in_order(pairs(margin=0.5), once=once), rtol=1e-4)


@PROMPTS_ONCE
def test_reward_model(once):
    compared("reward", reward_loss(), in_order(pairs(), once=once), classifier=True, rtol=1e-4)


def test_reward_model_with_margins_and_centring():
    loss = reward_loss(centring=0.05)
    compared("reward_margin", loss, in_order(pairs(margin=case.MARGINS)), classifier=True, rtol=1e-4)
