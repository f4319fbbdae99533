"""Compatible adapters of causal language models: what is shared, what is trained, what they learn from the old model."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn import TokenBatches, masked_kl, sft, train
from concordant.learn.loop import own_generator
from concordant.learn.lora import add_lora, lora_weights
from concordant.models.causal import CausalLM
from concordant.versions import compatible_adapter
from tiny_models import tokenizer

torch.set_num_threads(1)

N_TOKENS, PROMPT = 12, 2
ROWS = [([1, i, (i + 3) % 6 + 6], PROMPT) for i in range(6)]  # after i comes one of six other tokens
ADAM = partial(torch.optim.AdamW, lr=1e-2)
OPTIONS = {"optimizer": ADAM, "progress": False, "device": "cpu"}


def llama(seed: int, n_tokens: int = N_TOKENS) -> LlamaForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    with own_generator(torch.device("cpu"), seed):
        return LlamaForCausalLM(LlamaConfig(vocab_size=n_tokens, initializer_range=0.3, **sizes))


def with_adapter(seed: int) -> LlamaForCausalLM:
    model = llama(seed)
    add_lora(model, rank=2, seed=seed)
    train(model, sft, TokenBatches(ROWS[:3]), steps=3, seed=seed, **OPTIONS)
    return model


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def answers(model: nn.Module) -> torch.Tensor:
    prompts = torch.tensor([row[:PROMPT] for row, _ in ROWS])
    return model(prompts).logits[:, -1].argmax(-1)


RIGHT = torch.tensor([row[-1] for row, _ in ROWS])


@pytest.fixture(scope="module")
def skilled() -> LlamaForCausalLM:
    """An old model that has the task by heart."""
    model = llama(7)
    train(model, sft, TokenBatches(ROWS), steps=60, **OPTIONS)
    assert torch.equal(answers(model), RIGHT)
    return model


def test_the_adapter_is_copied_and_the_base_is_shared() -> None:
    old, new = llama(1), with_adapter(2)
    before, was = weights_of(new), weights_of(old)
    update = compatible_adapter(old, new, TokenBatches(ROWS), steps=4, **OPTIONS)
    assert same(before, weights_of(new))
    assert same(was, weights_of(old))
    theirs, ours = dict(new.named_parameters()), dict(update.model.named_parameters())
    for name, weight in ours.items():
        is_adapter = ".lora_" in name
        assert (weight is theirs[name]) is not is_adapter, name
        assert weight.requires_grad is is_adapter, name
        assert torch.equal(weight, theirs[name]) is not is_adapter, name
    assert len(lora_weights(update.model)) > 0


def test_it_starts_as_the_new_model() -> None:
    old, new = llama(1), with_adapter(2)

    def from_new(current: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(current))

    still = compatible_adapter(old, new, TokenBatches(ROWS), rule=from_new, steps=2, **OPTIONS)
    assert still.history.parts["distillation"][0] == pytest.approx(0, abs=1e-6)
    fresh = compatible_adapter(old, llama(3), TokenBatches(ROWS), rank=2, rule=from_new, steps=1, **OPTIONS)
    assert fresh.history.parts["distillation"] == pytest.approx([0], abs=1e-6)


def test_the_first_step_is_the_divergence_at_the_answers() -> None:
    old, new = llama(1), with_adapter(2)
    rows = [([1, 2, 3, 4, 5], 3), ([1, 2], 1)]  # padded, and answers of two and of one token
    update = compatible_adapter(old, new, TokenBatches(rows), rule="all", steps=1, **OPTIONS)
    parts = []
    for ids, n_prompt in rows:  # one row at a time, one token at a time
        for place in range(n_prompt, len(ids)):
            before = torch.tensor([ids[:place]])
            with torch.no_grad():
                parts.append(masked_kl(old(before).logits[0, -1], new(before).logits[0, -1]).item())
    assert update.history.parts["tokens"] == [3]
    assert update.history.parts["masked"] == [3]
    assert update.history.loss[0] == pytest.approx(sum(parts) / 3, rel=1e-4)


def test_it_learns_from_the_old_model_where_it_is_wrong(skilled: LlamaForCausalLM) -> None:
    new = with_adapter(2)
    wrong = int((answers(new) != RIGHT).sum())
    assert wrong > 0
    update = compatible_adapter(skilled, new, TokenBatches(ROWS), steps=60, **OPTIONS)
    assert update.masked_rates[0] == pytest.approx(wrong / len(ROWS))
    # A token that has become right is held to the new model again, so that some stay on the edge.
    assert int((answers(update.model) != RIGHT).sum()) <= wrong // 2
    assert sum(update.masked_rates[-10:]) < sum(update.masked_rates[:10])


def test_a_seed_decides_all() -> None:
    old, new = llama(1), llama(3)
    run = partial(compatible_adapter, old, new, TokenBatches(ROWS, tokens=6), rank=2, steps=3, **OPTIONS)
    first, again, other = run(seed=1), run(seed=1), run(seed=2)
    assert same(weights_of(first.model), weights_of(again.model))
    assert not same(weights_of(first.model), weights_of(other.model))


def test_loaded_models_have_their_tokenizers_compared() -> None:
    made = tokenizer()
    other = copy.deepcopy(made)
    other.add_tokens(["more"])
    n = len(made)
    old, new = CausalLM(llama(1, n), made), CausalLM(llama(3, n), made)
    batches = TokenBatches(ROWS)
    assert compatible_adapter(old, new, batches, rank=1, steps=1, **OPTIONS).history.steps == 1
    with pytest.raises(ConfigError, match="the tokenizers differ: one has"):
        compatible_adapter(CausalLM(llama(1, n), other), new, batches, rank=1, steps=1, **OPTIONS)


def test_what_is_refused() -> None:
    batches = TokenBatches(ROWS)
    with pytest.raises(ConfigError, match="the new model has no adapter: give the rank of a fresh one"):
        compatible_adapter(llama(1), llama(2), batches, steps=1)
    with pytest.raises(ConfigError, match=r"rank is that of the adapter of the new model, .* got 4"):
        compatible_adapter(llama(1), with_adapter(2), batches, rank=4, steps=1)
    with pytest.raises(ModelError, match="needs causal language models of torch, got a str"):
        compatible_adapter("old", llama(2), batches, rank=2, steps=1)
    with pytest.raises(DataError, match=r"one vocabulary, .* got logits old \(6, 13\) and new \(6, 12\)"):
        compatible_adapter(llama(1, 13), llama(2), batches, rank=2, steps=1, **OPTIONS)


def test_each_row_is_taught_by_the_version_it_is_from() -> None:
    old, new, batches = llama(1), llama(2), TokenBatches(ROWS)
    options = {"rank": 2, "steps": 3, **OPTIONS}
    by_rows = compatible_adapter(old, new, batches, from_old=[True] * len(ROWS), **options)
    by_rule = compatible_adapter(old, new, batches, rule="all", **options)
    assert by_rows.history.loss == pytest.approx(by_rule.history.loss)
    assert by_rows.masked_rates == by_rule.masked_rates == (1.0, 1.0, 1.0)
    options["steps"] = 1  # Adam makes steps of full size even from a gradient that is nothing but rounding
    stays = compatible_adapter(old, new, batches, from_old=[False] * len(ROWS), **options)
    assert stays.history.loss == pytest.approx([0.0], abs=1e-6)
    half = compatible_adapter(old, new, batches, from_old=[True, False] * 3, **options)
    assert half.masked_rates[0] == 0.5
    assert half.history.loss[0] == pytest.approx(_mean_kl(old, new, ROWS[::2]) / 2, rel=1e-4)


def _mean_kl(old: LlamaForCausalLM, new: LlamaForCausalLM, rows: list) -> float:
    tokens = torch.tensor([ids for ids, _ in rows])
    with torch.no_grad():
        said = [model(tokens).logits[:, PROMPT - 1] for model in (old, new)]
    return float(masked_kl(*said))
