"""Training on a model's own answers: closed-form gradients and optima, rewards that rise, stops and goings on."""

from __future__ import annotations

import math
import random
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn import WithCritic, train_policy
from concordant.learn.loop import own_generator
from concordant.learn.sampling import sample_answers

METHODS = ["rloo", "grpo", "ppo"]
SGD = partial(torch.optim.SGD, lr=1.0)
ADAM = partial(torch.optim.Adam, lr=0.02)


class Digits:
    """A tokenizer of digits."""

    bos_token = bos_token_id = eos_token = eos_token_id = chat_template = None

    def __call__(self, texts, add_special_tokens):
        return {"input_ids": [[int(letter) for letter in text] for text in texts]}

    def decode(self, ids, skip_special_tokens):
        return "".join(map(str, ids))


class Table(nn.Module):
    """A policy of one number for each pair of a token and the next; answers of one token make it a bandit."""

    def __init__(self, size, dtype=torch.float64):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(size, size, dtype=dtype))
        self.config = SimpleNamespace(hidden_size=size)

    def forward(self, tokens, **options):
        hidden = nn.functional.one_hot(tokens, len(self.table)).to(self.table.dtype)
        return SimpleNamespace(logits=self.table[tokens], hidden_states=[hidden])


def policy_of(table):
    return table.table.detach()[0].softmax(-1)


GAINS = torch.tensor([1.0, -0.5, 0.25, 2.0, 0.0, 0.5, -1.0, 3.0]).double()


def bandit(prompts, answers):
    return [float(GAINS[int(answer)]) for answer in answers]


def each_once(model, rows, k, generator):
    return [[[token] for token in range(k)] for _ in rows]


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("method", METHODS)
def test_one_step_is_the_gradient_of_the_expected_reward(method, beta):
    # Eight answers of probability 1/8, each drawn once: the sample is the distribution. Two routes: autograd through
    # the expected reward, and one round of the method, whose advantages are r - mean over 7/8, s + 1e-4 and s.
    logits = torch.zeros(8).double().requires_grad_()
    (logits.softmax(-1) * GAINS).sum().backward()
    s = GAINS.std()
    scale = {"rloo": 7 / 8, "grpo": s + 1e-4, "ppo": s}[method]
    model = Table(8)
    options = {"rounds": 1, "prompts_a_round": 1, "samples": 8, "optimizer": SGD}
    history = train_policy(
        model, Digits(), ["0"], bandit, method=method, beta=beta, sample=each_once, **options
    )
    assert torch.allclose(model.table[0].detach(), logits.grad / scale, rtol=1e-6)
    assert (model.table[1:] == 0).all()
    assert history.parts["reward"] == [pytest.approx(GAINS.mean().item())]
    assert history.parts["length"] == [1.0]


@pytest.mark.parametrize("method", METHODS)
def test_sampled_gradients_point_the_same_way(method):
    torch_gains = GAINS - GAINS.mean()
    model = Table(8)
    options = {
        "rounds": 1,
        "prompts_a_round": 1,
        "samples": 1500,
        "max_tokens": 1,
        "optimizer": SGD,
        "beta": 0.0,
    }
    train_policy(model, Digits(), ["0"], bandit, method=method, **options)
    step = model.table[0].detach()
    assert torch.cosine_similarity(step, torch_gains, dim=0) > 0.98


def test_the_optimum_near_a_reference_is_the_tilted_reference():
    # max E[r] - beta KL(pi || pi0) is at pi0 exp(r / beta), normalised
    beta, start = 0.8, torch.tensor([0.0, 1.0, 0.5, -1.0]).double()
    gains = torch.tensor([1.0, 0.0, 0.0, 1.5]).double()
    model = Table(4)
    with torch.no_grad():
        model.table[0] = start
    options = {"rounds": 120, "prompts_a_round": 1, "samples": 64, "max_tokens": 1, "schedule": "linear"}
    history = train_policy(
        model,
        Digits(),
        ["0"],
        lambda p, a: gains[[int(x) for x in a]],
        beta=beta,
        optimizer=partial(ADAM, lr=0.05),
        **options,
    )
    tilted = (start + gains / beta).softmax(-1)
    assert (policy_of(model) - tilted).abs().max() < 0.03
    exact = (tilted * (tilted.log() - start.log_softmax(-1))).sum().item()
    assert sum(history.parts["kl"][-20:]) / 20 == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_the_penalty_keeps_near_the_reference(method):
    kl = {}
    for beta in (0.001, 2.0):
        model = Table(8)
        options = {"rounds": 40, "prompts_a_round": 1, "samples": 16, "max_tokens": 1}
        train_policy(
            model,
            Digits(),
            ["0"],
            bandit,
            method=method,
            beta=beta,
            optimizer=partial(ADAM, lr=0.1),
            **options,
        )
        p = policy_of(model)
        kl[beta] = (p * (p.log() + math.log(8))).sum().item()
    assert kl[0.001] > 0.8
    assert kl[2.0] < 0.3 * kl[0.001]


def llama(seed=0, size=10):
    with own_generator(torch.device("cpu"), seed):
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=size,
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                eos_token_id=9,
            )
        )


def gpt2():
    with own_generator(torch.device("cpu"), 0):
        return GPT2LMHeadModel(
            GPT2Config(vocab_size=10, n_embd=16, n_layer=2, n_head=2, bos_token_id=9, eos_token_id=9)
        )


def sevens(prompts, answers):
    """The share of sevens in an answer; the prompt asks for nothing."""
    assert all(isinstance(prompt, str) for prompt in prompts)
    return torch.tensor([answer.count("7") / max(1, len(answer)) for answer in answers])


PROMPTS = ["12", "3", "450", "66", "1"]
SMALL = {"prompts_a_round": 4, "samples": 4, "max_tokens": 5, "optimizer": ADAM}


@pytest.mark.parametrize("method", METHODS)
def test_the_reward_of_a_language_model_rises(method):
    model = llama()
    history = train_policy(
        model,
        Digits(),
        PROMPTS,
        sevens,
        method=method,
        rounds=25,
        inner_epochs=2,
        updates=2,
        beta=0.01,
        clip=1.0,
        **SMALL,
    )
    rewards = history.parts["reward"]
    assert history.steps == 100
    assert rewards[0] < 0.25
    assert sum(rewards[-10:]) / 10 > 0.6
    assert ("critic_loss" in history.parts) == (method == "ppo")


class KilledError(Exception):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_bit_for_bit_and_samples_no_round_twice(method, tmp_path):
    options = {
        **SMALL,
        "method": method,
        "rounds": 6,
        "inner_epochs": 2,
        "updates": 2,
        "checkpoint_every": 2,
        "seed": 3,
    }
    expected = train_policy(llama(), Digits(), PROMPTS, sevens, checkpoint=tmp_path / "whole", **options)
    calls = 0

    def killed(prompts, answers):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KilledError
        return sevens(prompts, answers)

    with pytest.raises(KilledError):
        train_policy(llama(), Digits(), PROMPTS, killed, checkpoint=tmp_path / "run", **options)
    rounds = []
    history = train_policy(
        llama(),
        Digits(),
        PROMPTS,
        lambda p, a: rounds.append(p) or sevens(p, a),
        checkpoint=tmp_path / "run",
        resume=True,
        **options,
    )
    assert history == expected
    assert len(rounds) == 2  # the fifth and the sixth: the checkpoint is of the fourth
    whole, run = (tmp_path / name / "last.safetensors" for name in ("whole", "run"))
    assert run.read_bytes() == whole.read_bytes()


def test_accumulation_is_the_large_batch():
    tables = []
    for accumulate in (1, 4):
        table = Table(8)
        options = {"rounds": 3, "prompts_a_round": 2, "samples": 8, "max_tokens": 2, "optimizer": SGD}
        train_policy(
            table,
            Digits(),
            ["0", "1", "2"],
            lambda prompts, answers: [int(answer[0]) / 8 for answer in answers],
            accumulate=accumulate,
            **options,
        )
        tables.append(table.table.detach())
    assert torch.allclose(*tables, rtol=1e-9)


def test_a_reward_that_is_not_a_number_stops_and_names_the_step(tmp_path):
    calls = 0

    def breaks(prompts, answers):
        nonlocal calls
        calls += 1
        return [math.nan if calls == 4 and i == 2 else 1.0 for i in range(len(answers))]

    with pytest.raises(
        ModelError,
        match=r"^training stopped at step 7 because the reward of the answer '\d+' to '\d+' is nan: "
        r"the last good checkpoint is step 6 in \S+$",
    ):
        train_policy(
            llama(),
            Digits(),
            PROMPTS,
            breaks,
            rounds=8,
            updates=2,
            checkpoint=tmp_path,
            checkpoint_every=1,
            **SMALL,
        )


def test_divergence_is_noticed():
    options = {**SMALL, "optimizer": partial(torch.optim.SGD, lr=1e30)}
    with pytest.raises(
        ModelError,
        match=r"stopped at step \d+ because (the model gives probabilities|the (loss|norm of the gradient) is)",
    ):
        train_policy(llama(), Digits(), PROMPTS, sevens, rounds=20, **options)


def test_a_critic_that_is_given_is_kept_and_learns():
    both = WithCritic(llama())
    history = train_policy(
        both,
        Digits(),
        PROMPTS,
        lambda p, a: [2.0] * len(a),
        method="ppo",
        rounds=30,
        inner_epochs=4,
        critic_clip=None,
        trace=1.0,
        beta=0.0,
        **SMALL,
    )
    _, values = both.logits_and_values(torch.tensor([[1, 2, 5, 5]]))
    assert values[0, 1:].detach().tolist() == pytest.approx([2.0] * 3, abs=0.4)
    assert history.parts["critic_loss"][0] == pytest.approx(2.0)  # half of two squared, from a head of zeros
    assert history.parts["critic_loss"][-1] < 0.1
    assert both(torch.tensor([[1, 2]])).logits.shape == (1, 2, 10)


class Plain(nn.Module):
    """A model without the face of transformers."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def forward(self, tokens):
        return self.inner(tokens).logits


def test_values_depend_on_earlier_tokens_only():
    both = WithCritic(llama())
    with torch.no_grad():
        both.head.weight.fill_(1.0)
    first = both.logits_and_values(torch.tensor([[1, 2, 3, 4]]))[1]
    second = both.logits_and_values(torch.tensor([[1, 2, 3, 8]]))[1]
    third = both.logits_and_values(torch.tensor([[1, 2, 8, 8]]))[1]
    assert torch.equal(first, second)
    assert not torch.allclose(first[0, 3], third[0, 3])
    assert torch.allclose(first[0, :3], third[0, :3])


@pytest.mark.parametrize("make", [llama, gpt2])
def test_samples_with_and_without_a_cache_are_the_same(make):
    model = make().double()
    plain = Plain(model)
    draw = random.Random(0)
    prompts = [[draw.randrange(10) for _ in range(draw.randint(1, 6))] for _ in range(5)]
    both = [
        sample_answers(
            each, prompts, 3, torch.Generator().manual_seed(1), max_tokens=7, temperature=0.8, ends={9, 4}
        )
        for each in (model, plain)
    ]
    assert both[0] == both[1]
    flat = [answer for group in both[0] for answer in group]
    assert [len(group) for group in both[0]] == [3] * 5
    assert {len(answer) for answer in flat} > {7}
    for answer in flat:
        assert 1 <= len(answer) <= 7
        assert not {9, 4} & set(answer[:-1])
        assert len(answer) == 7 or answer[-1] in (9, 4)


def test_samples_follow_the_distribution():
    table = Table(4)
    with torch.no_grad():
        table.table[0] = torch.tensor([0.0, 1.0, -1.0, 2.0])
    (answers,) = sample_answers(
        table, [[0]], 20_000, torch.Generator().manual_seed(0), max_tokens=1, temperature=2.0
    )
    counts = torch.bincount(torch.tensor(answers).flatten(), minlength=4) / 20_000
    expected = (table.table[0].detach() / 2).softmax(-1)
    assert (counts - expected).abs().max() < 4 * math.sqrt(0.25 / 20_000)


BAD = {
    "method": ({"method": "reinforce"}, ConfigError, "method of train_policy must be .* got 'reinforce'"),
    "rounds": ({"rounds": 0}, ConfigError, "rounds of train_policy must be at least 1, got 0"),
    "samples": ({"samples": 1}, ConfigError, "at least 2 for rloo, which compares answers, got 1"),
    "beta": ({"beta": -1.0}, ConfigError, r"beta of train_policy must be at least 0, got -1\.0"),
    "batches": ({"updates": 3}, ConfigError, "the 16 answers of a round must go into 3 equal batches"),
    "prompts": ({"prompts_a_round": 6}, DataError, "draws 6 prompts a round from at least as many, got 5"),
    "empty prompt": ({"prompts": ["1", ""], "prompts_a_round": 2}, DataError, "got none for prompt 1"),
    "temperature": ({"temperature": 0.0}, ConfigError, "temperature of train_policy must be greater than 0"),
    "sample": (
        {"sample": lambda m, rows, k, g: [[[1]]] * len(rows)},
        DataError,
        "4 answers to each of 4 prompts, got 4 prompts with 1 answers",
    ),
    "empty": (
        {"sample": lambda m, rows, k, g: [[[]] * k] * len(rows)},
        DataError,
        "at least one token, .* got an empty one",
    ),
    "reward": ({"reward": lambda p, a: [1.0]}, DataError, r"one number an answer, 16, got shape \(1,\)"),
    "critic": (
        {"method": "ppo", "model": nn.utils.skip_init(nn.Linear, 2, 2)},
        ModelError,
        "whose configuration has a hidden_size, got a Linear",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    options, error, message = BAD[name]
    given = {"model": llama(), "prompts": PROMPTS, "reward": sevens, "rounds": 2, **SMALL, **options}
    with pytest.raises(error, match=message):
        train_policy(tokenizer=Digits(), **given)
