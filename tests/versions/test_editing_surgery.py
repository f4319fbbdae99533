"""Model surgery: states, probe, gates and rows in closed form on small models."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn.loop import own_generator
from concordant.versions.editing import (
    fit_probe,
    gates_of,
    pooled_states,
    row_scores,
    select_rows,
    strength_sweep,
    strongest_within,
    surgery,
)
from concordant.versions.editing.gates import gain_of

torch.set_num_threads(1)


@pytest.fixture
def model():
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    with own_generator(torch.device("cpu"), 3):
        made = LlamaForCausalLM(LlamaConfig(vocab_size=20, initializer_range=0.4, **sizes)).eval()
        for layer in made.model.layers:
            torch.nn.init.uniform_(layer.post_attention_layernorm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(made.model.norm.weight, 0.5, 1.5)
    return made


def test_states_are_the_means_of_each_text_alone(model):
    rows = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [2, 2]]
    found = pooled_states(model, rows, tokens=8)
    for row, state in zip(rows, found, strict=True):
        with torch.no_grad():
            alone = model(torch.tensor([row]), output_hidden_states=True).hidden_states[-1][0].mean(0)
        assert torch.allclose(state, alone, atol=1e-5)


def test_the_probe_points_at_the_unwanted_kind():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 400, 4, generator=generator)
    apart = torch.tensor([0.0, 0.0, 3.0, 0.0])
    probe = fit_probe(noise[0] + apart, noise[1], seed=1)
    assert torch.cosine_similarity(probe.direction, apart, dim=0) > 0.97
    assert probe.accuracy.n == 240
    assert probe.accuracy.value > 0.88  # the best there is: Phi(1.5) = 0.933
    assert probe.pair_accuracy(noise[0] + apart, noise[0]).value == 1.0
    assert fit_probe(noise[0] + apart, noise[1], seed=1).direction.equal(probe.direction)


def test_the_probe_has_no_unit():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 100, 4, generator=generator)
    first, second = (fit_probe(scale * (noise[0] + 1), scale * noise[1]) for scale in (1.0, 1000.0))
    assert torch.allclose(first.direction, 1000 * second.direction, rtol=1e-3)


def test_too_few_texts_and_pairs_that_are_none():
    with pytest.raises(DataError, match="at least 8 wanted texts, got 3"):
        fit_probe(torch.randn(9, 2), torch.randn(3, 2))
    with pytest.raises(ConfigError, match="held_out in"):
        fit_probe(torch.randn(9, 2), torch.randn(9, 2), held_out=1.0)
    probe = fit_probe(torch.randn(9, 2) + 5, torch.randn(9, 2))
    with pytest.raises(DataError, match="as many unwanted as wanted"):
        probe.pair_accuracy(torch.zeros(2, 2), torch.zeros(3, 2))


def test_gates_and_their_gains(model):
    gates = gates_of(model)
    assert [gate.name for gate in gates] == [f"model.layers.{i}.mlp.gate_proj.weight" for i in range(2)]
    for gate, layer in zip(gates, model.model.layers, strict=True):
        assert gate.weight.equal(layer.mlp.gate_proj.weight)
        assert torch.allclose(gate.gain, layer.post_attention_layernorm.weight, rtol=1e-4)


def test_the_gain_of_norms_of_other_kinds():
    layer = torch.nn.LayerNorm(4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, -3.0, 0.5]))
        layer.bias.fill_(7.0)
    assert torch.allclose(gain_of(layer, torch.zeros(1, 4)), layer.weight, rtol=1e-4)


def test_models_without_gates_are_refused():
    config = GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)
    with own_generator(torch.device("cpu"), 0):
        gpt2 = GPT2LMHeadModel(config)
    with pytest.raises(ModelError, match="the GPT2LMHeadModel has none"):
        row_scores(gpt2, torch.ones(8))


def test_scores_by_hand(model):
    direction = torch.randn(8, generator=torch.Generator().manual_seed(0))
    raw, folded = (row_scores(model, direction, fold_gain=fold) for fold in (False, True))
    for layer, name in zip(model.model.layers, raw, strict=True):
        weight = layer.mlp.gate_proj.weight.detach()
        gain, last = layer.post_attention_layernorm.weight.detach(), model.model.norm.weight.detach()
        for row in (0, 7):
            plain = -(weight[row] @ direction) / (weight[row].norm() * direction.norm())
            seen, towards = weight[row] * gain, direction * last
            assert raw[name][row].item() == pytest.approx(plain.item(), abs=1e-5)
            assert folded[name][row].item() == pytest.approx(
                (-(seen @ towards) / (seen.norm() * towards.norm())).item(), abs=1e-4
            )
    with pytest.raises(ModelError, match=r"width of the model, 8, got \(5,\)"):
        row_scores(model, torch.ones(5))


def test_rows_are_chosen_over_all_layers_together():
    scores = {"a": torch.tensor([0.5, -0.9, 0.1]), "b": torch.tensor([0.6, 0.7])}
    chosen = {rule: select_rows(scores, 3, rule) for rule in ("opposed", "aligned")}
    assert {name: rows.tolist() for name, rows in chosen["opposed"].items()} == {"a": [0], "b": [0, 1]}
    assert {name: rows.tolist() for name, rows in chosen["aligned"].items()} == {"a": [0, 1, 2]}
    drawn = [select_rows(scores, 2, "random", seed=seed) for seed in range(20)]
    assert len({str(rows) for rows in drawn}) > 3
    assert all(sum(map(len, rows.values())) == 2 for rows in drawn)
    for n in (0, 6):
        with pytest.raises(ConfigError, match=f"from 1 to the 5 there are, got {n}"):
            select_rows(scores, n)
    with pytest.raises(ConfigError, match="opposed, aligned, random, got 'best'"):
        select_rows(scores, 1, "best")


def test_surgery_adds_the_direction_in_mean_lengths_of_a_row(model):
    direction = torch.randn(8, generator=torch.Generator().manual_seed(0))
    name = "model.layers.1.mlp.gate_proj.weight"
    edit = surgery(model, direction, {name: torch.tensor([2, 5])}, 0.5, seed=7)
    lengths = torch.cat([layer.mlp.gate_proj.weight.norm(dim=1) for layer in model.model.layers])
    change = edit.changes[name]
    step = direction / direction.norm() * 0.5 * lengths.mean()
    assert torch.allclose(change.new - change.old, step.expand(2, 8), atol=1e-5)
    assert edit.about["settings"]["length"] == pytest.approx(0.5 * lengths.mean().item(), rel=1e-5)
    assert (edit.about["method"], edit.about["seed"], edit.about["settings"]["rows"]) == ("surgery", 7, 2)
    assert list(edit.changes) == [name]
    longer = surgery(model, 100 * direction, {name: torch.tensor([2, 5])}, 0.5)
    assert torch.allclose(longer.changes[name].new, change.new, atol=1e-5)
    with pytest.raises(ModelError, match="finite length above 0"):
        surgery(model, torch.zeros(8), {name: torch.tensor([2])}, 1.0)


def test_a_sweep_measures_edited_models_and_gives_the_model_back(model):
    name = "model.layers.0.mlp.gate_proj.weight"
    before = model.get_parameter(name).detach().clone()

    def moved(edited):
        return float((edited.get_parameter(name).detach() - before).norm())

    points = strength_sweep(
        model,
        lambda strength: surgery(model, torch.ones(8), {name: torch.tensor([0])}, strength),
        [1.0, 2.0, 3.0],
        rate=lambda edited: 1 / moved(edited),
        cost=moved,
    )
    unit = points[0].cost
    assert [point.cost for point in points] == pytest.approx([unit, 2 * unit, 3 * unit], rel=1e-5)
    assert model.get_parameter(name).equal(before)
    assert strongest_within(points, 2.5 * unit) == points[1]
    assert strongest_within(points, 0.5 * unit) is None

    def fails(edited):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        strength_sweep(model, lambda s: points[0].edit, [1.0], rate=fails, cost=moved)
    assert model.get_parameter(name).equal(before)
    with pytest.raises(ConfigError, match="at least one strength"):
        strength_sweep(model, lambda s: points[0].edit, [], rate=moved, cost=moved)
