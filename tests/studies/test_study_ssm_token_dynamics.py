"""The study of token dynamics: its language, its models and its controls, at the smallest size."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.mechanisms import spectrum_report
from concordant.explanations.mechanisms.state_space_layers import state_space_layers
from concordant.studies import small_mamba
from concordant.studies.hidden_topics import Topics
from concordant.studies.small_mamba import held, mean_loss, new_mamba, next_word_loss, trained, windows
from concordant.studies.ssm_token_dynamics import (
    DATA,
    KINDS,
    TOKENIZER,
    many_channels,
    one_channel,
    ssm_token_dynamics,
)
from concordant.studies.study import Scale

TWO = Topics(np.array([[0.75, 0.25], [0.25, 0.75]]))


def test_the_least_loss_by_hand():
    # Behind word 0 the first topic has probability 3/4, so word 0 follows with 3/4 3/4 + 1/4 1/4 = 5/8.
    assert TWO.least_loss(np.array([[0, 0]])) == pytest.approx(-np.log(5 / 8))
    assert TWO.least_loss(np.array([[0, 0], [0, 1]])) == pytest.approx(-np.log(5 / 8 * 3 / 8) / 2)
    # The word after both words: topics are even again.
    assert TWO.least_loss(np.array([[0, 1, 1]])) == pytest.approx(-np.log(3 / 8 * 1 / 2) / 2)
    assert TWO.memoryless_loss(np.array([[0, 1, 1]])) == pytest.approx(np.log(2))


def test_texts_have_the_words_of_their_topics():
    texts = TWO.texts(4000, 6, seed=1)
    assert set(np.unique(texts)) == {0, 1}
    same = (texts[:, 0] == texts[:, 1]).mean()  # 3/4 3/4 + 1/4 1/4
    assert same == pytest.approx(5 / 8, abs=0.03)
    assert (texts == TWO.texts(4000, 6, seed=1)).all()
    language = Topics.drawn(3, 7, sharpness=0.5, seed=0)
    np.testing.assert_allclose(language.probabilities.sum(1), 1)
    assert language.probabilities.min() >= 0.5 / 7
    assert language.least_loss(texts % 7) < np.inf


def test_remembering_more_is_better():
    language = Topics.drawn(4, 12, sharpness=0.7, seed=3)
    texts = language.texts(500, 20, seed=4)
    assert language.least_loss(texts) < language.memoryless_loss(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_held_and_differ_in_nothing_else(kind):
    plain, model = new_mamba(6, 4, 2, 2, seed=1), held(new_mamba(6, 4, 2, 2, seed=1), kind)
    shares = spectrum_report(model).shares
    assert shares[{"unconstrained": "mixed", "negative_turned": "negative"}.get(kind, kind)] == 1
    for layer, other in zip(*(state_space_layers(one).values() for one in (plain, model)), strict=True):
        assert (layer.D.sign() == 1).all()
        turned = -layer.D if kind == "negative_turned" else layer.D
        assert torch.equal(other.D, turned)
        assert torch.equal(layer.in_proj.weight, other.in_proj.weight)
        assert torch.equal(layer.x_proj.weight[:2], other.x_proj.weight[:2])


def test_tokens_meet_in_the_scan_alone():
    model = new_mamba(6, 4, 1, 2, seed=1)
    texts = torch.tensor([[1, 2, 3, 4], [5, 2, 3, 4]])
    for layer in state_space_layers(model).values():
        layer.x_proj.weight.data[-2:] = 0  # nothing is read from the states
    with torch.inference_mode():
        first, second = model(texts, use_cache=False).logits
    assert torch.equal(first[1:], second[1:])


def test_the_loss_is_that_of_all_words_but_the_first():
    model = new_mamba(6, 4, 1, 2, seed=2)
    texts = torch.tensor([[1, 2, 3]])
    logp = model(texts, use_cache=False).logits.log_softmax(-1)
    expected = -(logp[0, 0, 2] + logp[0, 1, 3]) / 2
    torch.testing.assert_close(next_word_loss(model, texts), expected)
    before = mean_loss(model, texts)
    trained(model, texts.expand(8, -1), epochs=5, batch=4, rate=0.02, seed=0)
    assert mean_loss(model, texts) < before


def test_the_equation_holds_what_it_must_with_one_channel():
    found = one_channel(2, 1000)
    assert found["one_negative.shrunk_rate"] == 1
    assert found["one_positive.shrunk_rate"] == 0
    assert found["one_fast.blow_up_rate"] == 1
    assert found["one_slow.blow_up_rate"] == 0


def test_a_positive_spectrum_lets_no_first_token_shrink():
    found = many_channels(2, 1000)
    assert (
        found["many_positive.shrunk_rate"] < 1
    )  # the first token of each start grows, by the quadratic form
    assert found["many_negative.shrunk_rate"] > 0


def test_full_scale_needs_texts(monkeypatch):
    for name in (DATA, TOKENIZER):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=f"no {DATA} and no {TOKENIZER}"):
        ssm_token_dynamics(Scale.full, 0)


def test_windows_of_texts(monkeypatch):
    asked = []

    class Rows(dict):
        column_names = ("text",)

    def load_dataset(*given, split):
        asked.append((*given, split))
        return Rows(text=["a b c", " ", "d e"])

    fake = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setattr(small_mamba, "WINDOW", 2)

    class Tokenizer:
        def __call__(self, texts):
            return {"input_ids": [[ord(word) for word in text.split()] for text in texts]}

        def __len__(self):
            return 128

    monkeypatch.setattr(small_mamba.AutoTokenizer, "from_pretrained", lambda name: Tokenizer())
    train, test, n_words = windows("owner/name/part", "any")
    assert asked == [("owner/name", "part", "train"), ("owner/name", "part", "validation")]
    assert train.tolist() == test.tolist() == [[97, 98], [99, 100]]
    assert n_words == 128
    windows("owner/name", "any")
    assert asked[-1] == ("owner/name", None, "validation")
    windows("name", "any")
    assert asked[-1] == ("name", None, "validation")
    monkeypatch.setattr(small_mamba, "WINDOW", 6)
    with pytest.raises(DataError, match="must have 6 tokens, got 5"):
        windows("name", "any")
    Rows.column_names = ("line",)
    with pytest.raises(DataError, match="column 'text', got line"):
        windows("name", "any")
