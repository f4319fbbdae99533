"""Preference pairs, their batches and their loss: the quick forward pass against the plain one, and by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

import tiny_models
from concordant.core.errors import ConfigError, DataError
from concordant.learn import answer_mask, dpo, ipo, orpo, sequence_log_probability, train
from concordant.learn.answers import answer_batch, answer_log_probabilities, takes_shared_prompts
from concordant.learn.preferences import PreferencePairs, preference_loss

PROMPTS = [[1, 5, 6], [1, 7], [1, 9, 10, 11, 12], [1, 4, 4]]
CHOSEN = [[13, 14, 2], [15, 2], [16, 17, 18, 2], [19]]
REJECTED = [[14, 2], [20, 21, 22, 23, 2], [24, 2], [25, 2]]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models")
    llama = tiny_models.save_llama(folder / "llama", num_key_value_heads=2)
    gpt2 = tiny_models.save_gpt2(folder / "gpt2")
    load = AutoModelForCausalLM.from_pretrained
    return {
        "llama": load(llama),
        "llama eager": load(llama, attn_implementation="eager"),
        "gpt2": load(gpt2),
        "other llama": load(tiny_models.save_llama(folder / "other", num_key_value_heads=2, seed=1)),
    }


def pairs(**numbers):
    return PreferencePairs(PROMPTS, CHOSEN, REJECTED, **numbers)


def plain(model, prompts, answers, *, mean=False):
    """The log-probabilities by one ordinary forward pass with a mask, over padded rows."""
    rows = [[*p, *a] for p, a in zip(prompts, answers, strict=True)]
    time = max(map(len, rows))
    tokens = torch.tensor([[*row, *[0] * (time - len(row))] for row in rows])
    lengths, starts = (torch.tensor([len(r) for r in part]) for part in (rows, prompts))
    places = torch.arange(time) < lengths[:, None]
    logits = model(input_ids=tokens, attention_mask=places.long()).logits
    return sequence_log_probability(logits, tokens, answer_mask(starts, lengths, time), mean=mean)


def gradients(model, value):
    model.zero_grad()
    value.backward()
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("name", ["llama", "llama eager", "gpt2"])
@pytest.mark.parametrize("shared", [False, True])
def test_quick_forward_equals_plain_one(models, name, shared):
    model = models[name].eval()
    batches = pairs().batches(4, model=model if shared else None, shuffle=False)
    assert batches.shared == shared
    (batch,) = batches(torch.Generator())
    assert batch["tokens"].shape == ((4, 11) if shared else (8, 9))
    values = answer_log_probabilities(model, batch)
    chosen, rejected = plain(model, PROMPTS, CHOSEN), plain(model, PROMPTS, REJECTED)
    expected = torch.stack([chosen, rejected], dim=1).flatten() if shared else torch.cat([chosen, rejected])
    assert torch.allclose(values, expected, rtol=1e-5)
    weights = torch.linspace(-1, 1, 8)
    for mine, theirs in zip(
        gradients(model, values @ weights), gradients(model, expected @ weights), strict=True
    ):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_head_sees_only_the_answers_and_keeps_no_hook(models):
    model = models["llama"]
    widths = []
    handle = model.lm_head.register_forward_hook(lambda _, inputs, output: widths.append(output.shape[:2]))
    (batch,) = pairs().batches(4, shuffle=False)(torch.Generator())
    answer_log_probabilities(model, batch)
    handle.remove()
    assert widths == [(1, sum(map(len, CHOSEN + REJECTED)))]
    assert not model.lm_head._forward_pre_hooks
    assert model(torch.tensor([[1, 2, 3]])).logits.shape[:2] == (1, 3)


def test_what_follows_the_head_is_kept():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma2Config(
        vocab_size=40, **sizes, num_key_value_heads=1, head_dim=8, final_logit_softcapping=0.5
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Gemma2ForCausalLM(config).eval()
    torch.nn.init.normal_(
        model.get_output_embeddings().weight, generator=torch.Generator().manual_seed(0)
    )  # so that the cap tells
    (batch,) = pairs().batches(4, shuffle=False)(torch.Generator())
    assert torch.allclose(
        answer_log_probabilities(model, batch)[:4], plain(model, PROMPTS, CHOSEN), rtol=1e-5
    )


def test_without_a_known_head_all_logits_are_made(models):
    model = models["llama"]

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.within = model

        def forward(self, **inputs):
            return self.within(**inputs)

    (batch,) = pairs().batches(4, shuffle=False)(torch.Generator())
    assert torch.allclose(
        answer_log_probabilities(Wrapped(), batch), answer_log_probabilities(model, batch), rtol=1e-5
    )


@pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
)  # peft asks for it
def test_lora_is_read_as_the_merged_model_is(models):
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        tuned = get_peft_model(
            deepcopy(models["llama"]),
            LoraConfig(target_modules=["q_proj", "lm_head"], r=2, init_lora_weights=False),
        )
    batches = pairs().batches(4, model=tuned, shuffle=False)
    assert batches.shared
    (batch,) = batches(torch.Generator())
    values = answer_log_probabilities(tuned.eval(), batch)
    merged = tuned.merge_and_unload()
    assert torch.allclose(values[::2], plain(merged, PROMPTS, CHOSEN), rtol=1e-4)


def test_a_recurrent_model_reads_prompts_twice():
    from transformers import MambaConfig, MambaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MambaForCausalLM(MambaConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, state_size=4))
    assert not takes_shared_prompts(model, (PROMPTS[0], [CHOSEN[0], REJECTED[0]]))
    with_reference = pairs().with_reference(model)
    assert torch.allclose(
        with_reference.reference_chosen, plain(model.eval(), PROMPTS, CHOSEN).detach(), rtol=1e-4
    )


def test_a_short_window_reads_prompts_twice():
    """Attention to a window would not follow the mask of a shared prompt longer than the window."""
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    for window, takes in ((4, False), (64, True)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = MistralConfig(vocab_size=40, **sizes, num_key_value_heads=1, sliding_window=window)
            model = MistralForCausalLM(config)
        assert takes_shared_prompts(model, (PROMPTS[2] * 4, [CHOSEN[2], REJECTED[2]])) == takes


def test_reference_is_computed_once_and_carried(models):
    model = models["llama"].train()
    made = pairs(label=[1.0, 0.9, 0.8, 0.7]).with_reference(model, batch_size=2)
    assert model.training
    assert torch.allclose(made.reference_chosen, plain(model, PROMPTS, CHOSEN).detach(), rtol=1e-5)
    assert torch.allclose(made.reference_rejected, plain(model, PROMPTS, REJECTED).detach(), rtol=1e-5)
    assert made.label.tolist() == pytest.approx([1.0, 0.9, 0.8, 0.7])
    assert pairs().reference_chosen is None


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("mean", [None, True])
def test_dpo_with_the_numbers_of_each_pair(models, shared, mean):
    model, reference = models["llama"].eval(), models["other llama"].eval()
    numbers = {
        "label": [1.0, 0.9, 0.0, 0.5],
        "weights": [1.0, 2.0, 0.0, 0.5],
        "margin": [0.0, 0.1, -1.0, 2.0],
    }
    made = pairs(**numbers).with_reference(reference)
    (batch,) = made.batches(4, model=model if shared else None, shuffle=False)(torch.Generator())
    got = preference_loss("dpo", beta=0.3, mean=mean)(model, batch)
    sides = [
        plain(m, PROMPTS, answers, mean=bool(mean))
        for m in (model, reference)
        for answers in (CHOSEN, REJECTED)
    ]
    tensors = {name: torch.tensor(values) for name, values in numbers.items()}
    assert got["loss"].item() == pytest.approx(dpo(*sides, beta=0.3, **tensors).item(), rel=1e-5)
    implied = 0.3 * ((sides[0] - sides[1]) - (sides[2] - sides[3]))
    assert got["reward_margin"].item() == pytest.approx(implied.mean().item(), rel=1e-4)
    assert got["accuracy"].item() == (implied > 0).float().mean().item()


def test_ipo_orpo_and_reference_free(models):
    model, reference = models["llama"].eval(), models["other llama"].eval()
    (batch,) = pairs().with_reference(reference).batches(4, shuffle=False)(torch.Generator())
    means = [
        plain(m, PROMPTS, answers, mean=True) for m in (model, reference) for answers in (CHOSEN, REJECTED)
    ]
    assert preference_loss("ipo", beta=0.2)(model, batch)["loss"].item() == pytest.approx(
        ipo(*means, beta=0.2).item(), rel=1e-5
    )
    assert preference_loss("orpo", beta=0.2)(model, batch)["loss"].item() == pytest.approx(
        orpo(*means[:2], beta=0.2).item(), rel=1e-5
    )
    free = preference_loss("dpo", beta=0.2, reference_free=True)(model, batch)["loss"].item()
    assert free == pytest.approx(
        dpo(plain(model, PROMPTS, CHOSEN), plain(model, PROMPTS, REJECTED), beta=0.2).item(), rel=1e-5
    )


def test_training_reaches_the_soft_label(models):
    """CREAM's fixed point: with a label of C the implied reward margin settles at log(C / (1 - C))."""
    from copy import deepcopy

    model = deepcopy(models["llama"])
    made = PreferencePairs(PROMPTS[:1], CHOSEN[:1], REJECTED[:1], label=0.8).with_reference(model)
    history = train(
        model,
        preference_loss("dpo", beta=0.5),
        made.batches(1, model=model),
        steps=60,
        optimizer=partial(torch.optim.Adam, lr=1e-2),
    )
    assert history.loss[0] == pytest.approx(math.log(2), abs=1e-4)
    assert history.parts["reward_margin"][-1] == pytest.approx(math.log(4), abs=0.05)


def test_an_epoch_has_every_pair_once_and_little_padding():
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 30, (101, 3), generator=generator).tolist()
    made = PreferencePairs(*([[i + 1] * row[k] for i, row in enumerate(lengths)] for k in range(3)))

    def padding(batches):
        epoch = list(batches(torch.Generator().manual_seed(0)))
        assert len(epoch) == len(batches) == 13
        firsts = sorted(int(i) for batch in epoch for i in batch["tokens"][: len(batch["tokens"]) // 2, 0])
        assert firsts == list(range(1, 102))
        width = max(batch["tokens"].shape[1] for batch in epoch)
        assert width == max(p + max(c, r) for p, c, r in lengths)
        return sum(int((batch["tokens"] == 0).sum()) for batch in epoch)

    assert padding(made.batches(8)) < 0.6 * padding(made.batches(8, pool=1))
    again = [made.batches(8)(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    first, same, other = ([batch["tokens"].tolist() for batch in epoch] for epoch in again)
    assert first == same != other


def test_without_shuffling_the_order_is_that_of_the_pairs():
    first, second = pairs().batches(2, shuffle=False)(torch.Generator())
    assert first["tokens"][:2, 1].tolist() == [5, 7]
    assert second["tokens"][:2, 1].tolist() == [9, 4]


def test_texts_become_answers_that_end():
    tokenizer = tiny_models.tokenizer()
    made = PreferencePairs.of_texts(tokenizer, ["a b", "c"], ["d", "e f"], ["g h", "i"], label=0.9)
    a, b, c, d, e, f, g, h, i = tokenizer.convert_tokens_to_ids(list("abcdefghi"))
    assert made.prompts == [[1, a, b], [1, c]]
    assert made.chosen == [[d, 2], [e, f, 2]]
    assert made.rejected == [[g, h, 2], [i, 2]]
    chat = PreferencePairs.of_texts(
        tiny_models.tokenizer(chat=True), [[{"role": "user", "content": "a"}]], ["d"], ["g h"]
    )
    assert chat.prompts == [tokenizer("user:a</s><s>assistant:").input_ids]
    assert (chat.chosen, chat.rejected) == ([[d, 2]], [[g, h, 2]])


def test_a_joint_token_at_the_seam_belongs_to_both_answers():
    class Joining:
        """Joins "a" and "b" to one token."""

        bos_token_id = bos_token = None
        eos_token = "."

        def __call__(self, texts, **_):
            ids = {"ab": 3, "a": 1, "b": 2, "c": 4, ".": 0}
            cut = lambda t: [t[:2], *t[2:]] if t[:2] == "ab" else [*t]  # noqa: E731
            return {"input_ids": [[9, *(ids[part] for part in cut(text))] for text in texts]}

    made = PreferencePairs.of_texts(Joining(), ["a"], ["b"], ["c"])
    assert (made.prompts, made.chosen, made.rejected) == ([[9]], [[3, 0]], [[1, 4, 0]])


def test_an_answer_of_several_in_a_row_counts_its_own_tokens():
    batch = answer_batch([([1, 5], [[7, 8], [9], [3, 4, 6]]), ([1], [[2], [2], [2]])])
    assert batch["counts"].tolist() == [2, 1, 3, 1, 1, 1]
    assert batch["segments"].tolist() == [[0, 0, 1, 1, 2, 3, 3, 3], [0, 1, 2, 3, 0, 0, 0, 0]]
    # The first token of every answer is predicted behind the prompt.
    assert batch["places"].tolist() == [1, 2, 1, 1, 5, 6, 8, 8, 8]


def test_bad_pairs():
    with pytest.raises(
        DataError, match=r"as many prompts as chosen and rejected answers and at least one, got 1, 2 and 1"
    ):
        PreferencePairs([[1]], [[2], [3]], [[4]])
    with pytest.raises(DataError, match="at least one, got 0, 0 and 0"):
        PreferencePairs([], [], [])
    with pytest.raises(DataError, match=r"got none in rejected\[1\]"):
        PreferencePairs([[1], [1]], [[2], [2]], [[3], []])
    with pytest.raises(
        DataError, match=r"label of preference pairs must be from 0 to 1, got 1\.5 for pair 2"
    ):
        pairs(label=[1, 0, 1.5, 1])
    with pytest.raises(
        DataError, match="weights of preference pairs must be finite and at least 0, got -1 for pair 0"
    ):
        pairs(weights=[-1, 0, 1, 1])
    with pytest.raises(DataError, match="margin of preference pairs must be finite, got nan for pair 3"):
        pairs(margin=[1, 0, 1, math.nan])
    with pytest.raises(DataError, match=r"one number or one a pair \(4\), got shape \(3,\)"):
        pairs(label=[1, 0, 1])
    with pytest.raises(DataError, match="both sides of the reference or neither"):
        pairs(reference_chosen=[0.0] * 4)


def test_bad_options(models):
    model = models["llama"]
    with pytest.raises(ConfigError, match="size of preference batches must be at least 1, got 0"):
        pairs().batches(0)
    with pytest.raises(ConfigError, match="pool of preference batches must be at least 1, got -1"):
        pairs().batches(1, pool=-1)
    with pytest.raises(ConfigError, match="must be 'dpo', 'ipo' or 'orpo', got 'kto'"):
        preference_loss("kto")
    with pytest.raises(ConfigError, match="beta of preference_loss must be greater than 0, got 0"):
        preference_loss(beta=0)
    with pytest.raises(ConfigError, match="must not be false for 'orpo'"):
        preference_loss("orpo", mean=False)
    (batch,) = pairs(label=0.9).batches(4)(torch.Generator())
    with pytest.raises(ConfigError, match=r"make it before training by pairs\.with_reference\(model\)"):
        preference_loss()(model, batch)
    with pytest.raises(ConfigError, match="kind 'ipo' takes no label, which these pairs carry"):
        preference_loss("ipo")(model, batch)
