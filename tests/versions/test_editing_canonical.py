"""Canonical examples: losses by hand, the bound on the drift, senses of a Backpack, the ensemble, near texts, files."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn.loop import own_generator
from concordant.learn.networks import Backpack
from concordant.learn.sequences import TokenBatches, answer_nll
from concordant.versions.editing import (
    CanonicalExample,
    LogRatioEnsemble,
    Tuning,
    bound_weight,
    bounded_epochs,
    canonical_edits,
    canonical_loss,
    failures,
    hard_negatives,
    last_within,
    read_examples,
    select_senses,
    suffix_losses,
)
from concordant.versions.editing.examples import DELTA
from concordant.versions.editing.senses import example_weights, usual_weights
from tiny_models import tokenizer

torch.set_num_threads(1)

WORDS = 12
GENERAL = [([1, 2 + i % 5, 2 + (i + 1) % 5, 2 + (i + 2) % 5], 1) for i in range(10)]
EXAMPLES = [CanonicalExample(([1, 8, 9], 2)), CanonicalExample(([1, 9, 10], 2))]


class Table(nn.Module):
    """A language model whose next token depends on the last alone."""

    def __init__(self, chances):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(chances).log())

    def forward(self, tokens):
        return self.logits[tokens]


def backpack(seed=0):
    return Backpack(WORDS, senses=2, width=8, layers=1, heads=2, longest=16, seed=seed).eval()


def llama(seed=0):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    with own_generator(torch.device("cpu"), seed):
        return LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, initializer_range=0.3, **sizes)).eval()


# -- examples -----------------------------------------------------------------------------------------------


def test_losses_and_failures_by_hand():
    model = Table([[0.5, 0.5], [0.9, 0.1]])
    rows = [([0, 1, 0], 1), ([0, 1, 1], 2), ([1, 1], 1)]
    summed = suffix_losses(model, rows)
    assert summed.tolist() == pytest.approx([-math.log(0.45), -math.log(0.1), -math.log(0.1)], rel=1e-5)
    assert suffix_losses(model, rows, mean=True).tolist() == pytest.approx(
        [-math.log(0.45) / 2, -math.log(0.1), -math.log(0.1)], rel=1e-5
    )
    assert failures(model, rows).tolist() == [False, True, True]
    assert failures(model, rows, delta=2.4).tolist() == [False, False, False]
    assert pytest.approx(-math.log(0.2)) == DELTA
    with pytest.raises(ConfigError, match="must be above 0"):
        failures(model, rows, delta=0.0)


def test_the_four_losses():
    good, bad = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
    values = {
        kind: canonical_loss(good, bad, kind).item() for kind in ("good", "bad", "good-v-bad", "balance")
    }
    assert values == {"good": 1.5, "bad": -2.0, "good-v-bad": -0.5, "balance": 1.5}
    with pytest.raises(ConfigError, match="did you mean good-v-bad"):
        canonical_loss(good, bad, "good-vs-bad")
    with pytest.raises(ConfigError, match="needs examples with a bad suffix"):
        canonical_loss(good, None, "balance")


def test_reading_examples(tmp_path):
    file = tmp_path / "facts.jsonl"
    file.write_text('{"prefix": "ab", "good": "cd", "bad": "e"}\n\n{"prefix": "b", "good": "a"}\n')
    made = tokenizer()
    ids = {letter: made(letter)["input_ids"][-1] for letter in "abcde"}
    first, second = read_examples(file, made)
    assert first.good == ([1, ids["a"], ids["b"], ids["c"], ids["d"]], 3)
    assert first.bad == ([1, ids["a"], ids["b"], ids["e"]], 3)
    assert (second.good, second.bad) == (([1, ids["b"], ids["a"]], 2), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no examples"),
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: an example needs prefix and good"),
        ('{"prefix": "a", "good": "b"}\n{"prefix": "a"}', "line 2: an example needs"),
        ('{"prefix": "a", "good": "b", "bed": "c"}', "has no 'bed'; did you mean bad"),
        ('{"prefix": "a", "good": " "}', "adds no token"),
    ],
)
def test_files_that_are_no_examples(tmp_path, text, message):
    (tmp_path / "facts.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        read_examples(tmp_path / "facts.jsonl", tokenizer())
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl", tokenizer())


# -- the bound ----------------------------------------------------------------------------------------------


def test_the_last_epoch_within_the_bound_not_the_best():
    assert last_within([1.0, 1.009, 1.2, 1.01, 1.5], 1.0, 0.01) == 4
    assert last_within([], 1.0, 0.0) == 0
    with pytest.raises(ConfigError, match="at least 0, got -1"):
        last_within([1.0], 1.0, -1.0)
    with pytest.raises(DataError, match="above 0 before the training"):
        last_within([1.0], 0.0, 1.0)


def test_one_run_serves_several_bounds():
    model = nn.Linear(1, 1, bias=False)
    path = [1.0, 1.05, 1.2, 1.04]

    def epoch(done):
        with torch.no_grad():
            model.weight.fill_(path[done])

    with torch.no_grad():
        model.weight.fill_(1.0)
    kept = bounded_epochs(model, epoch, lambda m: m.weight.item(), epochs=4, bounds=[0.0, 0.045, 0.1])
    assert {bound: (k.epoch, round(k.weights["weight"].item(), 2)) for bound, k in kept.items()} == {
        0.0: (1, 1.0),
        0.045: (4, 1.04),
        0.1: (4, 1.04),
    }


def test_no_epoch_within_the_bound_is_the_model_as_it_was():
    edits = canonical_edits(llama(), EXAMPLES, GENERAL, Tuning(way="full", rate=1.0, epochs=1), bounds=[0.0])
    assert (edits[0.0].epoch, edits[0.0].drift, edits[0.0].edit.changes) == (0, 0.0, {})


@pytest.mark.parametrize(
    ("way", "make"),
    [("full", llama), ("lora", llama), ("full", backpack), ("lora", backpack), ("senses", backpack)],
)
def test_every_way_learns_and_keeps_the_bound(way, make):
    model = make()
    rate = {"full": 1e-3, "lora": 1e-2, "senses": 3e-2}[way]
    tuning = Tuning(way=way, rate=rate, epochs=4, per_example=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    edits = canonical_edits(model, EXAMPLES, GENERAL, tuning, bounds=[0.02, 10.0], seed=5)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    rows = [one.good for one in EXAMPLES]
    fixed = TokenBatches(GENERAL, 1000, shuffle=False)
    loss, start = suffix_losses(model, rows).sum().item(), answer_nll(model, fixed)
    for bound, found in edits.items():
        found.edit.apply(model)
        assert answer_nll(model, fixed) <= start * (1 + bound) + 1e-9
        assert found.drift == pytest.approx(answer_nll(model, fixed) / start - 1, abs=1e-6)
        if bound == 10.0:
            assert found.epoch == 4
            assert suffix_losses(model, rows).sum().item() < loss
        found.edit.undo(model)
    again = canonical_edits(model, EXAMPLES, GENERAL, tuning, bounds=[10.0], seed=5)
    assert again[10.0].edit.after == edits[10.0].edit.after


def test_what_does_not_suit():
    with pytest.raises(ConfigError, match="no way of editing 'loro'; did you mean lora"):
        Tuning(way="loro")
    with pytest.raises(ConfigError, match="rate of a tuning must be above 0, got -1"):
        Tuning(rate=-1)
    with pytest.raises(ConfigError, match="no examples to learn"):
        canonical_edits(llama(), [], GENERAL, Tuning())
    with pytest.raises(ModelError, match="only a Backpack has senses"):
        canonical_edits(llama(), EXAMPLES, GENERAL, Tuning(way="senses"))
    with pytest.raises(ModelError, match="no feed-forward maps that are known"):
        canonical_edits(Table([[0.5, 0.5]] * 12), EXAMPLES, GENERAL, Tuning(way="lora"))


# -- senses -------------------------------------------------------------------------------------------------


def test_a_backpack_is_a_weighted_sum_of_its_senses():
    model, tokens = backpack(), torch.tensor([[1, 4, 4, 7]])
    weights, vectors = model.sense_weights(tokens)[0], model.sense_vectors(tokens)[0]
    assert torch.allclose(weights.sum(-1), torch.ones(2, 4))
    assert torch.all(weights.triu(1) == 0)
    by_hand = torch.zeros(4, WORDS)
    for i in range(4):
        for j in range(i + 1):
            for sense in range(2):
                by_hand[i] += model.embedding @ (weights[sense, i, j] * vectors[j, sense])
    assert torch.allclose(model(tokens)[0], by_hand, atol=1e-5)


def test_words_to_come_change_nothing_before_and_a_changed_sense_only_where_its_word_is():
    model = backpack()
    first, second = model(torch.tensor([[1, 4, 5, 6]])), model(torch.tensor([[1, 4, 5, 9]]))
    assert torch.allclose(first[:, :3], second[:, :3], atol=1e-6)
    with torch.no_grad():
        model.sense_changes[5 * 2 + 1] = 1.0
    changed = model(torch.tensor([[1, 4, 5, 6]]))
    assert torch.allclose(changed[:, :2], first[:, :2], atol=1e-6)
    weight = model.sense_weights(torch.tensor([[1, 4, 5, 6]]))[0, 1, 2, 2]
    assert torch.allclose(changed[0, 2] - first[0, 2], weight * model.embedding.sum(1), atol=1e-5)
    with pytest.raises(DataError, match="up to 16 tokens, got 17"):
        model(torch.zeros(1, 17, dtype=torch.long))


def test_senses_are_weighed_by_hand():
    model, row = backpack(), ([1, 4, 4, 7, 3], 3)
    weights = model.sense_weights(torch.tensor([row[0]]))[0]
    found = example_weights(model, row)
    for sense in range(2):  # the places before 7 and before 3 predict the suffix
        assert found[4 * 2 + sense].item() == pytest.approx(
            weights[sense, 2:4, 1:3].sum().item() / 2, rel=1e-5
        )
    assert found.sum().item() == pytest.approx(2, rel=1e-5)  # the weights of each sense add up to 1
    assert usual_weights(model, TokenBatches(GENERAL)).sum().item() == pytest.approx(2, rel=1e-5)


def test_a_penalty_leaves_out_senses_that_are_everywhere():
    model = backpack()
    general = TokenBatches(GENERAL)
    chosen = [
        select_senses(model, EXAMPLES, general, per_example=2, penalty=penalty) for penalty in (0.0, 100.0)
    ]
    words = [set((rows // 2).tolist()) for rows in chosen]
    assert words[1] == {8, 9}  # 1 begins all texts
    assert len(chosen[0]) <= 4
    with pytest.raises(ConfigError, match="per_example >= 1"):
        select_senses(model, EXAMPLES, general, per_example=0)


def test_only_chosen_senses_change():
    model, general = backpack(), TokenBatches(GENERAL, 1024)
    tuning = Tuning(way="senses", rate=0.1, per_example=2)
    edit = canonical_edits(model, EXAMPLES, GENERAL, tuning, bounds=[10.0])[10.0].edit
    assert list(edit.changes) == ["sense_changes"]
    rows = set((edit.changes["sense_changes"].index).tolist())
    assert rows <= set(select_senses(model, EXAMPLES, general, per_example=2, penalty=100.0).tolist())


# -- the ensemble -------------------------------------------------------------------------------------------


def test_the_ensemble_adds_what_the_edit_changed():
    large, small, edited = llama(1), backpack(0), backpack(2)
    tokens = torch.tensor([[1, 5, 6]])
    alone = large(tokens).logits.log_softmax(-1)
    assert torch.allclose(LogRatioEnsemble(large, edited, small, 0.0)(tokens), alone, atol=1e-5)
    assert torch.allclose(LogRatioEnsemble(large, small, small, 1.0)(tokens), alone, atol=1e-5)
    ratio = edited(tokens).log_softmax(-1) - small(tokens).log_softmax(-1)
    mixed = (alone + 0.5 * ratio).log_softmax(-1)
    assert torch.allclose(LogRatioEnsemble(large, edited, small, 0.5)(tokens), mixed, atol=1e-5)
    with pytest.raises(ModelError, match="one vocabulary, got 12, 7, 12 words"):
        LogRatioEnsemble(large, Backpack(7, width=8, heads=2), small)(tokens)


def test_the_weight_steps_down_to_the_bound():
    ensemble = LogRatioEnsemble(Table([[0.5, 0.5]]), Table([[0.5, 0.5]]), Table([[0.5, 0.5]]))

    def loss(model):
        return 2.0 + getattr(model, "weight", 0.0)

    assert bound_weight(ensemble, loss, 0.31) == pytest.approx(0.6)
    assert bound_weight(ensemble, loss, 0.5) == 1.0
    assert bound_weight(ensemble, loss, 0.0) == 0.0
    assert ensemble.weight == 0.0
    with pytest.raises(ConfigError, match="step in"):
        bound_weight(ensemble, loss, 0.1, step=0.0)


# -- near texts ---------------------------------------------------------------------------------------------


def test_near_texts_share_rare_words_and_not_the_suffix():
    example = CanonicalExample(([1, 2, 8, 9], 3))
    texts = [[1, 2, 3], [1, 8, 4], [1, 2, 8, 9], [1, 3, 4], [1, 2, 8, 5]]
    assert hard_negatives([example], texts, 3) == [4, 0, 1]
    with pytest.raises(DataError, match="5 hard negatives are asked for, and there are 4"):
        hard_negatives([example], texts, 5)
