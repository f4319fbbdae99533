"""What heads write, what logits are made of, and heads that are scaled: on tiny models of several builds."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
)

import concordant as cc
from concordant.core.errors import DataError, ModelError
from concordant.core.model import Request
from concordant.explanations.mechanisms import direct_logit_attribution, head_outputs, scaled_heads
from concordant.explanations.mechanisms.head_scaling import head_factors
from concordant.explanations.mechanisms.logit_attribution import folded_norm
from concordant.learn.loop import own_generator
from concordant.models.causal import CausalLM
from concordant.models.heads import output_projections
from tiny_models import tokenizer

IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 47}
SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4} | IDS
GROUPED = SIZE | {"num_key_value_heads": 2}
CONFIGS = {
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=32, **IDS),
    "llama": LlamaConfig(**GROUPED),
    "neox": GPTNeoXConfig(**SIZE),
    "neox-serial": GPTNeoXConfig(**SIZE, use_parallel_residual=False),
    "qwen2": Qwen2Config(**GROUPED),
    "qwen3": Qwen3Config(**GROUPED, head_dim=16),  # heads together are wider than the stream
    "gemma": GemmaConfig(**GROUPED, head_dim=8),  # a gain of 1 + weight
    "phi": PhiConfig(**SIZE),  # biases everywhere, and of the unembedding
}
ROWS = [[3, 4, 5, 6, 7], [8, 9, 10], [11, 12, 13, 14]]


def made(config):
    with own_generator(torch.device("cpu"), 0):
        model = AutoModelForCausalLM.from_config(config).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    return made(CONFIGS[request.param])


@pytest.fixture(scope="module")
def gpt2():
    return made(CONFIGS["gpt2"])


@pytest.fixture(scope="module")
def llama():
    return made(CONFIGS["llama"])


def projected(model, row):
    """What the output projection of each layer gives at each position, seen from outside."""
    seen = []
    handles = [p.register_forward_hook(lambda *a: seen.append(a[2][0])) for p in output_projections(model)]
    with torch.inference_mode():
        model(torch.tensor([row]), use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.stack(seen).numpy()


def logits_of(model, rows):
    with torch.inference_mode():
        return torch.stack([model(torch.tensor([row]), use_cache=False).logits[0, -1] for row in rows])


@pytest.mark.parametrize("position", [-1, -3])
def test_heads_and_bias_are_what_the_attention_writes(model, position) -> None:
    found = head_outputs(model, ROWS, position=position, batch_size=2)
    assert found.shape == (3, 2, 4, 32)
    for row, heads in zip(ROWS, found, strict=True):
        for layer, projection in enumerate(output_projections(model)):
            bias = 0 if projection.bias is None else projection.bias.detach().numpy()
            expected = projected(model, row)[layer, position]
            np.testing.assert_allclose(heads[layer].sum(0) + bias, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("against", [None, [5, 6, 40]])
def test_the_parts_add_up_to_the_logit(model, against) -> None:
    tokens = [3, 4, 30]
    found = direct_logit_attribution(model, ROWS, tokens, against=against, batch_size=2)
    logits = logits_of(model, ROWS).double().numpy()
    expected = logits[range(3), tokens] - (0 if against is None else logits[range(3), against])
    np.testing.assert_allclose(found.total, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.logits, expected, rtol=1e-4, atol=1e-4)
    assert found.heads.shape == (3, 2, 4)
    assert found.mlps.shape == (3, 2)


def test_an_attribution_is_the_write_times_the_slope_of_the_logit_with_the_scale_held(model) -> None:
    """By another route: heads are written out and pass the norm with its scale frozen."""
    found = direct_logit_attribution(model, ROWS[:1], 3)
    writes = torch.from_numpy(head_outputs(model, ROWS[:1])).double()[0]
    norm = next(
        getattr(model.base_model, name)
        for name in ("ln_f", "norm", "final_layer_norm", "final_layernorm")
        if hasattr(model.base_model, name)
    )
    seen = []
    handle = norm.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, -1].double()))
    logits_of(model, ROWS[:1])
    handle.remove()
    stream = seen[0]
    is_layer_norm = isinstance(norm, torch.nn.LayerNorm)
    gain = norm.weight.detach().double() + ("Gemma" in type(norm).__name__)
    epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    centred = stream - stream.mean() if is_layer_norm else stream
    scale = (centred.square().mean() + epsilon).sqrt()
    normed = (writes - writes.mean(-1, keepdim=True) if is_layer_norm else writes) / scale * gain
    expected = normed @ model.get_output_embeddings().weight[3].detach().double()
    np.testing.assert_allclose(found.heads[0], expected, rtol=1e-4, atol=1e-5)


def test_a_folded_norm_is_the_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    stream, direction = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64)
    layer, rms = torch.nn.LayerNorm(8).double(), torch.nn.RMSNorm(8, eps=1e-5).double()
    for norm in (layer, rms):
        torch.nn.init.uniform_(norm.weight, generator=generator)
        along, constant = folded_norm(norm, stream, direction)
        expected = (norm(stream) * direction).sum(-1).detach()
        np.testing.assert_allclose((stream * along).sum(-1) + constant, expected, rtol=1e-6)


def test_the_greatest_and_the_least_head() -> None:
    found = direct_logit_attribution(made(CONFIGS["gpt2"]), ROWS, 5)
    table = found.table()
    assert table.columns == ["layer", "head", "attribution", "low", "high"]
    assert table["attribution"].is_sorted(descending=True)
    assert found.most_for == table.row(0)[:2]
    assert found.most_against == table.row(-1)[:2]
    assert table["attribution"][0] == pytest.approx(found.heads.mean(0).max())


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (Gemma2Config(**GROUPED, head_dim=8), "the parts of a Gemma2ForCausalLM must add up to its logit"),
        (
            OPTConfig(hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, **IDS),
            "a feed-forward part of each block is needed, looked for as mlp, feed_forward",
        ),
    ],
    ids=["norms-what-is-written", "other-names"],
)
def test_models_of_another_build_are_an_error(config, match) -> None:
    with pytest.raises(ModelError, match=match):
        direct_logit_attribution(made(config), ROWS, 3)


def test_scaling_is_what_weights_of_the_head_times_the_scale_would_do(model) -> None:
    """By another route: the columns of the projection that read the head are scaled."""
    edited = copy.deepcopy(model)
    for layer, head, scale in ((0, 1, -1.0), (1, 3, 4.0)):
        projection = output_projections(edited)[layer]
        weight = projection.weight if hasattr(projection, "nf") else projection.weight.T
        size = len(weight) // 4
        with torch.no_grad():
            weight[head * size : (head + 1) * size] *= scale
    with scaled_heads(model, {(0, 1): -1.0, (1, 3): 4.0}):
        torch.testing.assert_close(logits_of(model, ROWS), logits_of(edited, ROWS), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(logits_of(model, ROWS), logits_of(edited, ROWS), atol=0.05)


def test_of_grouped_queries_one_head_is_scaled_and_not_those_that_share_its_values(llama) -> None:
    plain = head_outputs(llama, ROWS)
    with scaled_heads(llama, {(1, 0): 3.0}):  # heads 0 and 1 of a layer read the same values
        scaled = head_outputs(llama, ROWS)
    np.testing.assert_allclose(scaled[:, 0], plain[:, 0])
    np.testing.assert_allclose(scaled[:, 1, 1:], plain[:, 1, 1:])


def test_each_row_of_a_batch_may_have_scales_of_its_own(model) -> None:
    row = ROWS[0]
    factors = np.ones((4, 2, 4))
    factors[1, 0, 2], factors[2, 1, 1], factors[3, 1, 1] = 5.0, 0.0, -1.0
    with scaled_heads(model, factors), torch.inference_mode():
        together = model(torch.tensor([row] * 4), use_cache=False).logits[:, -1]
    alone = []
    for one in factors:
        with scaled_heads(model, one):
            alone.append(logits_of(model, [row])[0])
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[0], logits_of(model, [row])[0], rtol=1e-4, atol=1e-4)


def test_rows_keep_their_scales_while_they_are_generated(llama) -> None:
    factors = np.ones((2, 2, 4))
    factors[0, 1, 2], factors[1, 0, 0] = 6.0, -3.0
    ids = torch.tensor([ROWS[0], ROWS[0]])
    options = {"max_new_tokens": 5, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    with scaled_heads(llama, factors):
        together = llama.generate(ids, **options)
    for row, one in zip(together, factors, strict=True):
        with scaled_heads(llama, one):
            alone = llama.generate(ids[:1], **{**options, "attention_mask": torch.ones_like(ids[:1])})[0]
        n = min(len(row), len(alone))  # a row that ends early is padded beside one that does not
        assert row[:n].tolist() == alone[:n].tolist()


def test_training_models_are_read_as_they_answer_and_left_as_they_were(gpt2) -> None:
    trains = copy.deepcopy(gpt2).train()
    np.testing.assert_array_equal(head_outputs(trains, ROWS), head_outputs(gpt2, ROWS))
    assert trains.training
    assert trains.transformer.h[0].training


def test_half_precision_adds_up_within_its_rounding(llama) -> None:
    half = copy.deepcopy(llama).bfloat16()
    found = direct_logit_attribution(half, ROWS, 3, against=4)
    exact = direct_logit_attribution(llama, ROWS, 3, against=4)
    np.testing.assert_allclose(found.heads, exact.heads, atol=0.05 * np.abs(exact.heads).max())


def test_scales_for_rows_are_for_those_rows_only(gpt2) -> None:
    factors = np.full((2, 2, 4), 2.0)
    with scaled_heads(gpt2, factors), pytest.raises(ModelError, match="scales were given for 2 rows"):
        logits_of(gpt2, ROWS[:1])
    assert logits_of(gpt2, ROWS[:1]).isfinite().all()


def test_nothing_is_left_behind_also_when_something_fails(gpt2) -> None:
    before = logits_of(gpt2, ROWS)
    with pytest.raises(ZeroDivisionError), scaled_heads(gpt2, {(0, 0): 0.0}):
        raise ZeroDivisionError
    assert torch.equal(logits_of(gpt2, ROWS), before)
    assert not any(projection._forward_pre_hooks for projection in output_projections(gpt2))


def test_contexts_inside_each_other_multiply(gpt2) -> None:
    with scaled_heads(gpt2, {(0, 0): 2.0}), scaled_heads(gpt2, {(0, 0): 3.0}):
        twice = logits_of(gpt2, ROWS)
    with scaled_heads(gpt2, {(0, 0): 6.0}):
        torch.testing.assert_close(logits_of(gpt2, ROWS), twice)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_generation_and_checks_run_with_scaled_heads(name) -> None:
    with own_generator(torch.device("cpu"), 1):
        config = copy.deepcopy(CONFIGS[name])
        config.vocab_size = len(tokenizer())
        model = made(config)
    lm = CausalLM(model, tokenizer(), fingerprint="tiny")
    scales = {(0, head): 0.0 for head in range(4)} | {(1, 2): 6.0}
    edited = copy.deepcopy(model)
    for layer, head, scale in [(0, h, 0.0) for h in range(4)] + [(1, 2, 6.0)]:
        projection = output_projections(edited)[layer]
        weight = projection.weight if hasattr(projection, "nf") else projection.weight.T
        with torch.no_grad():
            weight[head * 8 : head * 8 + 8] *= scale
    other = CausalLM(edited, tokenizer(), fingerprint="edited")
    prompts = ["a b c", "d"]
    with scaled_heads(lm, scales):
        texts = [one[0].text for one in lm.generate(prompts, max_tokens=8)]
        scores = lm.score(prompts, [" a", " b c"])
        assert lm.fingerprint != "tiny"  # answers of the scaled model are kept apart from the model's own
    assert lm.fingerprint == "tiny"
    assert texts == [one[0].text for one in other.generate(prompts, max_tokens=8)]
    for mine, theirs in zip(scores, other.score(prompts, [" a", " b c"]), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)


def test_a_check_inside_sees_the_scaled_model() -> None:
    model = cc.load("pocket:250k-chat-v1")
    items = cc.Items.from_records(
        [{"input": "what is the job of sofia ?"}, {"input": "what is the job of emma ?"}]
    )
    silent = {(layer, head): 0.0 for layer in range(3) for head in range(4)}
    plain = model.respond(items, Request(max_tokens=8))["output"].to_list()
    fingerprint = model.fingerprint
    with scaled_heads(model, silent) as scaled:
        assert scaled is model
        assert model.fingerprint != fingerprint
        assert model.respond(items, Request(max_tokens=8))["output"].to_list() != plain
    assert model.fingerprint == fingerprint
    assert model.respond(items, Request(max_tokens=8))["output"].to_list() == plain


@pytest.mark.parametrize(
    ("scales", "match"),
    [
        ({(2, 0): 1.0}, r"layer 0 to 1 and head 0 to 3, got \(2, 0\)"),
        ({(0, -1): 1.0}, "head 0 to 3"),
        (np.ones((2, 3)), r"must end in \(layers, heads\) \(2, 4\), got shape \(2, 3\)"),
        ({(0, 0): float("nan")}, "must be finite numbers"),
    ],
)
def test_scales_that_cannot_be(gpt2, scales, match) -> None:
    with pytest.raises(DataError, match=match), scaled_heads(gpt2, scales):
        pass
    with pytest.raises(DataError, match=match):
        head_factors(scales, 2, 4)


@pytest.mark.parametrize(
    ("rows", "options", "match"),
    [
        ([], {}, "rows of tokens are needed"),
        ([[3]], {"position": -2}, "row 0 has 1 tokens, and position -2 needs 2"),
        ([[3]], {"position": 0}, "counted from the end"),
        ([[3, 47]], {}, "tokens must be 0 to 46, got 3 to 47 in row 0"),
    ],
)
def test_rows_that_cannot_be(gpt2, rows, options, match) -> None:
    with pytest.raises(DataError, match=match):
        head_outputs(gpt2, rows, **options)


@pytest.mark.parametrize(
    ("tokens", "match"), [([3, 4], "one token or 3 of them"), (47, "must be 0 to 46"), (1.0, "as integers")]
)
def test_tokens_that_cannot_be(gpt2, tokens, match) -> None:
    with pytest.raises(DataError, match=match):
        direct_logit_attribution(gpt2, ROWS, tokens)


def test_only_models_of_transformers_have_an_inside() -> None:
    with pytest.raises(ModelError, match="causal language model of transformers, got FunctionModel"):
        head_outputs(cc.load(str.upper), ROWS)


def test_adapters_must_be_merged(gpt2) -> None:
    wrapped = copy.deepcopy(gpt2)
    wrapped.transformer.h[0].attn.c_proj = torch.nn.Sequential(wrapped.transformer.h[0].attn.c_proj)
    with pytest.raises(ModelError, match="plain linear map to be split by head, got a Sequential"):
        head_outputs(wrapped, ROWS)
