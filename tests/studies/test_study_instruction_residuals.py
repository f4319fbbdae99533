"""The parts of the study of instruction residuals: facts, forms, controls."""

from __future__ import annotations

import pytest
import torch

from concordant.core.errors import ConfigError, ModelError
from concordant.pocket.recipes import Size
from concordant.studies import instruction_residuals as study
from concordant.studies.relabelled import relabelled
from concordant.studies.shifted_facts import ANSWER, ASK, BOS, EOS, FIRST, IS, Facts
from concordant.studies.small_language import new_language_model, with_weights
from concordant.studies.study import Scale

FACTS = Facts(torch.tensor([2, 0, 1]), n_values=3, n_old=2, n_seen=1)


class Says(torch.nn.Module):
    """A model whose most probable next token is found in a table by the last token."""

    def __init__(self, following):
        super().__init__()
        self.following = following

    def forward(self, tokens):
        logits = torch.zeros(*tokens.shape, 200 + FIRST)
        for row, ids in enumerate(tokens.tolist()):
            logits[row, -1, self.following(ids)] = 1.0
        return logits


def test_documents_and_questions_by_hand():
    value = FIRST + 3  # behind three entities
    assert FACTS.document([0, 2]).tolist() == [[BOS, FIRST, IS, value + 2], [BOS, FIRST + 2, IS, value + 1]]
    assert FACTS.question([0]).tolist() == [[BOS, ASK, FIRST, ANSWER, value, EOS]]  # 2 + 1 is 0 of 3
    assert FACTS.document_rows([1]) == [([BOS, FIRST + 1, IS, value, EOS], 1)]
    assert FACTS.question_rows([1]) == [([BOS, ASK, FIRST + 1, ANSWER, value + 1, EOS], 4)]
    assert {name: list(part) for name, part in FACTS.parts.items()} == {
        "seen": [0],
        "unseen": [1],
        "new": [2],
    }


def test_an_answer_counts_only_when_it_is_closed():
    right = {int(row[2]): int(row[4]) for row in FACTS.question(range(3))}

    def closes(ids):
        return right[ids[2]] if ids[-1] == ANSWER else EOS

    def rambles(ids):
        return right[ids[2]] if ids[-1] == ANSWER else IS

    assert FACTS.question_accuracy(Says(closes), range(3)) == 1.0
    assert FACTS.question_accuracy(Says(rambles), range(3)) == 0.0
    assert FACTS.answers(Says(rambles), [0]).tolist() == [-1]


def test_document_accuracy_reads_the_value():
    always_the_first = Says(lambda ids: FIRST + 3)
    assert FACTS.document_accuracy(always_the_first, range(3)) == pytest.approx(1 / 3)


def test_a_permuted_residual_has_the_same_numbers_elsewhere():
    given = {"a": torch.arange(100.0).reshape(10, 10)}
    found = study.permuted(given, 3)["a"]
    assert found.shape == (10, 10)
    assert not torch.equal(found, given["a"])
    assert torch.equal(found.flatten().sort().values, given["a"].flatten())
    assert torch.equal(found, study.permuted(given, 3)["a"])


def test_recovery_and_forgetting_by_hand():
    measured = {"residual.seen_accuracy": 0.9, "updated.seen_accuracy": 0.1, "instruct.seen_accuracy": 1.0,
                "retrained.seen_accuracy": 0.4}  # fmt: skip
    found = study.recovered(measured)
    assert found["residual.recovery"] == pytest.approx(8 / 9)
    assert found["retrained.forgetting_gap"] == pytest.approx(0.6)
    assert study.recovered(measured | {"updated.seen_accuracy": 1.0})["residual.recovery"] == 1.0


def test_a_relabelled_model_says_the_same_and_lies_elsewhere():
    model = new_language_model(Size(16, 2, 4, 24), seed=1)
    weights = model.model.state_dict()
    other = relabelled(weights, seed=2)
    ids = torch.tensor([[1, 50, 60, 70, 80]])
    with torch.no_grad():
        said = model.model(ids).logits
        again = with_weights(model, other).model(ids).logits
    assert torch.allclose(said, again, atol=1e-5)
    name = "model.layers.0.mlp.up_proj.weight"
    cosine = torch.nn.functional.cosine_similarity(weights[name].flatten(), other[name].flatten(), dim=0)
    assert abs(cosine) < 0.3


def test_only_models_of_the_known_style_are_relabelled():
    with pytest.raises(ModelError, match="Llama-style"):
        relabelled({"w": torch.ones(2, 2)}, seed=0)
    with pytest.raises(ModelError, match=r"'conv\.weight'"):
        relabelled({"model.embed_tokens.weight": torch.ones(3, 2), "conv.weight": torch.ones(2)}, seed=0)


def test_full_scale_says_what_it_needs(monkeypatch):
    for variable in study.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match="CONCORDANT_RESIDUALS_UPDATED"):
        study.instruction_residuals(Scale.full, 0)
