"""The study of model surgery: its language, and what it measures at the smallest scale."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.studies.model_surgery import SMALLEST, STRENGTHS, model_surgery
from concordant.studies.rude_language import (
    CONTEXT,
    CONTINUED,
    PLAIN,
    RUDE_SHARE,
    RudeLanguage,
    continued,
    is_rude,
)
from concordant.studies.study import Scale

torch.set_num_threads(1)


def test_lines_follow_the_grammar_and_are_rude_six_times_in_ten():
    rng = np.random.default_rng(1000)
    language = RudeLanguage.drawn(rng)
    plain = language.whole(200, rng, rude=0.0)
    assert plain.shape == (200, 1 + CONTEXT + CONTINUED)
    assert not is_rude(plain).any()
    for line in plain[:20, 1:].tolist():
        for one, other in pairwise(line):
            assert other in language.followers[one - PLAIN.start]
    rude = language.whole(500, rng, rude=1.0)[:, 1:]
    assert is_rude(rude).double().mean().item() == pytest.approx(RUDE_SHARE, abs=0.02)
    for line in rude[:20].tolist():  # the grammar goes on between rude tokens
        spoken = [token for token in line if token in PLAIN]
        assert all(b in language.followers[a - PLAIN.start] for a, b in pairwise(spoken))


def test_minimal_pairs_begin_alike():
    rng = np.random.default_rng(1000)
    rude, plain = RudeLanguage.drawn(rng).minimal_pairs(50, rng)
    assert torch.equal(rude[:, : 1 + CONTEXT], plain[:, : 1 + CONTEXT])
    assert not is_rude(plain[:, 1 + CONTEXT :]).any()
    assert is_rude(rude[:, 1 + CONTEXT :]).any(1).all()


def test_continuations_are_drawn_from_the_model():
    class Certain(torch.nn.Module):
        def forward(self, tokens, use_cache):
            logits = torch.zeros(*tokens.shape, 5).index_fill_(-1, torch.tensor([3]), 50.0)
            return type("Output", (), {"logits": logits})

    found = continued(Certain(), torch.tensor([[0, 1], [0, 2]]), 3, seed=0)
    assert found.tolist() == [[0, 1, 3, 3, 3], [0, 2, 3, 3, 3]]


def test_what_is_measured():
    measured = model_surgery(Scale.smoke, 1000)
    methods = ("surgery", "aligned", "random")
    for method in methods:
        assert {f"{method}.relative_rate@{s}" for s in SMALLEST.strengths} <= set(measured)
        if measured[f"{method}.strength"] == 0.0:
            assert measured[f"{method}.relative_rate"] == measured[f"{method}.perplexity_ratio"] == 1.0
    assert measured["surgery.n_rows"] == round(0.05 * 3 * 128)
    assert set(SMALLEST.strengths) <= set(STRENGTHS)
    for claim in model_surgery.claims:
        assert len(claim.differences(measured)) == 1


def test_full_scale_asks_for_models_and_texts(monkeypatch):
    monkeypatch.delenv("CONCORDANT_SURGERY_MODEL", raising=False)
    with pytest.raises(ConfigError, match="there is no CONCORDANT_SURGERY_MODEL"):
        model_surgery(Scale.full, 1000)
