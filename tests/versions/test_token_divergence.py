"""Divergence of tokens: zero between equals, that of the definition between others, and close when stored."""

import copy

import numpy as np
import pytest
import torch

import concordant as cc
from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.core.model import Request
from concordant.models.causal import CausalLM
from concordant.versions.fingerprints import load_fingerprint, record, verify
from concordant.versions.token_divergence import (
    divergence_from,
    flip_auroc,
    record_tokens,
    token_divergence,
)
from tiny_models import save_gpt2, save_llama

PROMPTS = ["abc", "a", "the cat sat", "1 2 3"]
ANSWERS = ["def", "", "on a mat", "4"]


def noisy(model, scale=0.05):
    """Return a copy of a language model with noise on its weights."""
    module = copy.deepcopy(model.model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=scale)
    return CausalLM(module, model.tokens.tokenizer, name="noisy", chat=model.chat)


@pytest.fixture(scope="module", params=[save_llama, save_gpt2], ids=["llama", "gpt2"])
def pair(request, tmp_path_factory):
    folder = request.param(tmp_path_factory.mktemp("model"))
    model = cc.load(f"hf:{folder}", device="cpu").language_model
    return model, noisy(model)


def test_a_model_does_not_diverge_from_itself(pair):
    old, _ = pair
    found = token_divergence(old, old, PROMPTS, ANSWERS)
    np.testing.assert_allclose(found.forward, 0, atol=1e-9)
    assert np.isnan(found.of_rows()).tolist() == [False, True, False, False]  # an empty answer has no tokens
    assert set(found.summary()) == {
        f"{a}_{b}" for a in ("forward", "backward") for b in ("mean", "p95", "max")
    }


def test_it_is_the_divergence_of_the_definition(pair):
    old, new = pair
    found = token_divergence(old, new, PROMPTS, ANSWERS)
    rows, starts = old.tokens.encode_pairs(PROMPTS, ANSWERS)
    with torch.no_grad():
        p, q = (m.model(torch.tensor([rows[2]])).logits[0].double().log_softmax(-1) for m in (old, new))
    here = slice(starts[2] - 1, len(rows[2]) - 1)
    forward = (p.exp() * (p - q)).sum(-1)[here].numpy()
    backward = (q.exp() * (q - p)).sum(-1)[here].numpy()
    mine = found.row == 2
    np.testing.assert_allclose(found.forward[mine], forward, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.backward[mine], backward, rtol=1e-4, atol=1e-7)
    assert found.of_rows()[2] == pytest.approx(forward.mean(), rel=1e-4)
    assert found.of_rows(worst=True)[2] == pytest.approx(forward.max(), rel=1e-4)
    assert (found.forward > 0).all()


def test_rows_do_not_depend_on_the_batch(pair):
    old, new = pair
    one = token_divergence(old, new, PROMPTS[2:3], ANSWERS[2:3])
    all_rows = token_divergence(old, new, PROMPTS, ANSWERS)
    np.testing.assert_allclose(one.forward, all_rows.forward[all_rows.row == 2], rtol=1e-3, atol=1e-7)


def test_stored_divergences_are_close_and_never_larger(pair):
    old, new = pair
    exact = token_divergence(old, new, PROMPTS, ANSWERS)
    whole = divergence_from(record_tokens(old, PROMPTS, ANSWERS, top=10_000), new, PROMPTS, ANSWERS)
    np.testing.assert_allclose(whole.forward, exact.forward, rtol=2e-2, atol=1e-5)
    np.testing.assert_allclose(whole.backward, exact.backward, rtol=2e-2, atol=1e-5)
    few = divergence_from(record_tokens(old, PROMPTS, ANSWERS, top=4), new, PROMPTS, ANSWERS)
    assert (few.forward <= exact.forward * 1.02 + 1e-5).all()
    same = divergence_from(record_tokens(old, PROMPTS, ANSWERS, top=4), old, PROMPTS, ANSWERS)
    np.testing.assert_allclose(same.forward, 0, atol=1e-5)


def test_other_tokenizers_are_refused(pair):
    old, _ = pair
    recorded = record_tokens(old, PROMPTS, ANSWERS)
    with pytest.raises(DataError, match="other tokens than were recorded"):
        divergence_from(recorded, old, PROMPTS, ["dex", "", "on a mat", "4"])
    other = cc.load("pocket:250k-base").language_model
    with pytest.raises(ConfigError, match="tokenizers differ"):
        token_divergence(pair[0], other, PROMPTS, ANSWERS)


def test_models_that_are_asked_in_different_ways_are_refused():
    chat = cc.load("pocket:250k-chat-v1").language_model
    plain = CausalLM(chat.model, chat.tokens.tokenizer, name="plain")
    asked = ["what is 3 + 4 ?", "where does mira live ? tell me , please"]
    with pytest.raises(ModelError, match="ask both in the same way"):
        token_divergence(chat, plain, asked, ["7", "oslo"])


def test_the_area_under_the_curve_by_hand():
    kl = np.array([0.1, 0.4, 0.2, 0.3, np.nan])
    flipped = np.array([False, True, False, True, True])
    assert flip_auroc(kl, flipped) == 1.0
    assert flip_auroc(kl, ~flipped) == 0.0
    assert flip_auroc(np.array([0.1, 0.1]), np.array([True, False])) == 0.5
    assert np.isnan(flip_auroc(kl, np.zeros(5, bool)))


def test_a_fingerprint_of_a_language_model_holds_its_tokens(pair, tmp_path):
    old, new = pair
    probes = cc.Items.from_records([{"input": f"{a} {b}"} for a in "abcdef" for b in "123"])
    fingerprint = record(cc.load(old), probes, request=Request(max_tokens=4), top=8, progress=False)
    again = load_fingerprint(fingerprint.save(tmp_path / "lm.fingerprint"))
    assert again.tokens.top_logprobs.dtype == np.float16
    np.testing.assert_array_equal(again.tokens.token, fingerprint.tokens.token)
    assert verify(again, cc.load(old), progress=False).state == "pass"
    found = verify(again, cc.load(new), token_tolerance=1e-4, progress=False)
    assert found["token divergence (nats)"].state == "fail"
    assert found.tokens["forward_max"] >= found.tokens["forward_mean"] > 0
    assert {"token_kl", "worst_token_kl"} <= set(found.items.columns)
    plain = verify(again, str.upper, progress=False)
    assert "not measured" in plain["token divergence"].note
    none = record(cc.load(old), probes, request=Request(max_tokens=4), top=0, progress=False)
    assert none.tokens is None
