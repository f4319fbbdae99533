"""Adapters against the weights they stand for, against peft's own reading of our files, and as MUSCLE copies them."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from functools import partial

import pytest
import torch
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, ModelError, StoreError
from concordant.learn import (
    MLP,
    TokenBatches,
    add_lora,
    count_trained,
    lora_weights,
    merge_lora,
    save_lora,
    sft,
    train,
)
from concordant.learn.loop import own_generator

TOKENS = torch.arange(12).reshape(2, 6)
ROWS = TokenBatches([([1, i, i + 1, i + 2], 2) for i in range(20)], 40)
ADAM = partial(torch.optim.AdamW, lr=1e-2)
WIDTH, INNER, LAYERS, RANK = 16, 32, 2, 4
MAKE = {
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30,
            hidden_size=WIDTH,
            intermediate_size=INNER,
            num_hidden_layers=LAYERS,
            num_attention_heads=2,
        )
    ),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=30,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=2,
            n_positions=8,
            bos_token_id=0,
            eos_token_id=0,
        )
    ),
}


def model(kind="llama", seed=0):
    with own_generator(torch.device("cpu"), seed):
        return MAKE[kind]().eval()


def logits(net):
    with torch.no_grad():
        return net(TOKENS).logits


@pytest.mark.parametrize("kind", MAKE)
def test_adapters_start_as_nothing_train_alone_and_merge_to_the_same_function(kind):
    net, base = model(kind), model(kind)
    add_lora(net, RANK, seed=0)
    assert torch.equal(logits(net), logits(base))
    history = train(net, sft, ROWS, steps=15, optimizer=ADAM)
    assert history.loss[-1] < history.loss[0]
    adapted = logits(net)
    assert not torch.allclose(adapted, logits(base), atol=1e-3)
    frozen = {
        name.replace(".base_layer", ""): t for name, t in net.state_dict().items() if ".lora_" not in name
    }
    for name, tensor in base.state_dict().items():
        assert torch.equal(frozen[name], tensor), name  # bit for bit
    merge_lora(net)
    assert list(net.state_dict()) == list(base.state_dict())
    assert torch.allclose(logits(net), adapted, atol=1e-5)
    assert count_trained(net)[0] == count_trained(net)[1] == count_trained(base)[1]


def test_what_is_trained_is_counted():
    net = model()
    total = count_trained(net)[1]
    add_lora(net, RANK)
    # four square layers of attention, three between width and inner width
    adapters = LAYERS * RANK * (4 * (WIDTH + WIDTH) + 3 * (WIDTH + INNER))
    assert count_trained(net) == (adapters, total + adapters)
    net = model()
    add_lora(net, 2, targets=["q_proj", "v_proj"])
    assert count_trained(net)[0] == LAYERS * 2 * 2 * (WIDTH + WIDTH)
    assert all(".q_proj." in name or ".v_proj." in name for name in lora_weights(net))


def test_first_weights_are_from_the_seed():
    drawn = []
    for seed in (0, 0, 1):
        net = model()
        add_lora(net, RANK, seed=seed)
        drawn.append(torch.cat([t.flatten() for t in lora_weights(net).values()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_copy_starts_from_the_adapters_of_another_and_leaves_them_alone():
    net, student = model(), model()
    add_lora(net, RANK, alpha=6)
    train(net, sft, ROWS, steps=5, optimizer=ADAM)
    before = {name: t.clone() for name, t in lora_weights(net).items()}
    add_lora(student, start=net)
    assert torch.equal(logits(student), logits(net))
    train(student, sft, ROWS, steps=5, optimizer=ADAM)
    assert not torch.equal(logits(student), logits(net))
    for name, tensor in lora_weights(net).items():
        assert torch.equal(tensor, before[name])
    other = model(seed=5)  # adapters of one base on another
    add_lora(other, start=net)
    assert all(torch.equal(t, before[name]) for name, t in lora_weights(other).items())


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing:FutureWarning"
)  # peft asks transformers for it
@pytest.mark.parametrize("kind", MAKE)
def test_files_are_read_by_peft_and_those_of_peft_by_us(kind, tmp_path):
    net, again = model(kind), model(kind)
    add_lora(net, RANK, alpha=6)
    train(net, sft, ROWS, steps=5, optimizer=ADAM)
    save_lora(tmp_path / "ours", net)
    assert json.loads((tmp_path / "ours" / "adapter_config.json").read_text())["lora_alpha"] == 6
    with own_generator(torch.device("cpu"), 0):
        theirs = PeftModel.from_pretrained(model(kind), tmp_path / "ours").eval()
    assert torch.equal(logits(theirs), logits(net))
    theirs.save_pretrained(tmp_path / "theirs")
    add_lora(again, start=tmp_path / "theirs")
    assert torch.equal(logits(again), logits(net))
    assert count_trained(again) == count_trained(net)


def test_a_run_with_adapters_goes_on_bit_for_bit(tmp_path):
    whole, net = model(), model()
    for each in (whole, net):
        add_lora(each, RANK)
    copy = deepcopy(net)
    options = {"optimizer": ADAM, "checkpoint": tmp_path, "resume": True}
    train(whole, sft, ROWS, steps=8, optimizer=ADAM)
    train(net, sft, ROWS, steps=4, **options)
    train(copy, sft, ROWS, steps=8, **options)
    assert all(torch.equal(t, lora_weights(whole)[name]) for name, t in lora_weights(copy).items())


def test_bad_input(tmp_path):
    net = MLP(3, 2, hidden=(8,))
    for wrong, message in (
        ({"rank": 0}, "rank of add_lora must be at least 1, got 0"),
        ({"alpha": 0.0}, r"alpha of add_lora must be greater than 0, got 0\.0"),
        ({"dropout": 1.0}, r"dropout of add_lora must be from 0 to below 1, got 1\.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            add_lora(net, **wrong)
    with pytest.raises(ModelError, match=r"the MLP takes no adapters: .*nothing"):
        add_lora(net, targets=["nothing"])
    for needs_adapters in (merge_lora, lora_weights, partial(save_lora, tmp_path)):
        with pytest.raises(ModelError, match="the Linear has no adapters"):
            needs_adapters(torch.nn.utils.skip_init(torch.nn.Linear, 2, 2))
    with pytest.raises(StoreError, match=r"no adapters in .*: adapter_config\.json is not there"):
        add_lora(MLP(3, 2), start=tmp_path / "none")
    net = MLP(3, 2, hidden=(8,))
    add_lora(net, 2)
    with pytest.raises(ModelError, match="has adapters already"):
        add_lora(net)
    with pytest.raises(ConfigError, match="from start where one is given"):
        add_lora(MLP(3, 2, hidden=(8,)), 2, start=net)
    with pytest.raises(
        ModelError, match=r"for another model: layers\.0\.lora_B.weight is \(8, 2\) there and \(9, 2\)"
    ):
        add_lora(MLP(3, 2, hidden=(9,)), start=net)
    with torch.no_grad():
        lora_weights(net)["layers.0.lora_A.weight"].fill_(math.inf)
    with pytest.raises(ModelError, match=r"the adapter of layers\.0 cannot be merged"):
        merge_lora(net)
