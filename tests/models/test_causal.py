import random

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from concordant.core.errors import ModelError
from concordant.core.model import assistant, user
from concordant.models.base import LanguageModel
from concordant.models.causal import CausalLM
from tiny_models import save_gpt2, save_llama

PROMPTS = [
    "a",
    "b c d e f g h",
    "why ?",
    "1 + 2 3 4 5 6 7 8 9",
    "x y z",
    "z",
    "q w e r t y u i o p a s",
    "k l",
]


def load(folder, **options):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return CausalLM(model, AutoTokenizer.from_pretrained(folder), fingerprint="tiny", **options)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def lm(folder):
    return load(folder, batch_size=8)


def texts(completions):
    return [[completion.text for completion in samples] for samples in completions]


def logprobs(completions):
    return np.array([[completion.logprob for completion in samples] for samples in completions])


# -- greedy


def test_greedy_is_what_transformers_generates_alone(lm):
    made = lm.generate(PROMPTS, max_tokens=12)
    for prompt, (completion,) in zip(PROMPTS, made, strict=True):
        ids = torch.tensor([lm.tokens.encode([prompt])[0]])
        options = {"do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(ids)}
        alone = lm.model.generate(ids, max_new_tokens=12, **options)
        assert completion.text == lm.tokens.decode(alone[0, ids.shape[1] :].tolist())
    assert isinstance(lm, LanguageModel)


def test_a_row_does_not_depend_on_its_batch(folder, lm):
    alone = load(folder, batch_size=1)
    for options in ({"temperature": 0.0}, {"temperature": 1.0, "seed": 5}):
        together, single = (m.generate(PROMPTS, max_tokens=12, **options) for m in (lm, alone))
        assert texts(together) == texts(single)
        np.testing.assert_allclose(logprobs(together), logprobs(single), atol=1e-4)
        reverse = lm.generate(PROMPTS[::-1], max_tokens=12, **options)
        assert texts(reverse) == texts(together)[::-1]


def test_several_greedy_samples_are_one(lm):
    (samples,) = lm.generate(["a b"], n=3, max_tokens=5)
    assert samples == lm.generate(["a b"], max_tokens=5)[0] * 3


# -- scores


def test_the_log_probability_of_what_was_generated_is_its_score(lm):
    for temperature in (0.0, 0.7):
        made = lm.generate(PROMPTS, temperature=temperature, max_tokens=10)
        kept = [(p, c) for p, (c,) in zip(PROMPTS, made, strict=True) if c.tokens == len(c.text)]
        assert kept
        scores = lm.score([p for p, _ in kept], [c.text for _, c in kept])
        assert [len(s) for s in scores] == [c.tokens for _, c in kept]
        assert [s.sum() for s in scores] == pytest.approx([c.logprob for _, c in kept], abs=1e-3)


def test_scores_are_the_log_softmax_of_the_logits_of_each_row_alone(lm):
    completions = ["b", "c d e", "", "7", "a a a a a", "?", "x", "l m n"]
    scores = lm.score(PROMPTS, completions)
    for prompt, completion, score in zip(PROMPTS, completions, scores, strict=True):
        start = len(lm.tokens.encode([prompt])[0])
        ids = torch.tensor(lm.tokens.encode([prompt + completion]))
        with torch.inference_mode():
            logp = lm.model(ids).logits.log_softmax(-1)[0]
        expected = [float(logp[i - 1, ids[0, i]]) for i in range(start, ids.shape[1])]
        assert score == pytest.approx(expected, abs=1e-4)


def test_the_probabilities_of_all_next_tokens_sum_to_one(lm):
    words = [word for word, i in lm.tokens.tokenizer.get_vocab().items() if i > 3 and word != "\n"]
    total = np.exp(np.concatenate(lm.score(["a b"] * len(words), words))).sum()
    with torch.inference_mode():
        p = lm.model(torch.tensor(lm.tokens.encode(["a b"]))).logits[0, -1].softmax(-1)
    rest = p[:4].sum() + p[lm.tokens.tokenizer.get_vocab()["\n"]]
    assert total + float(rest) == pytest.approx(1.0, abs=1e-5)


def test_hidden_states_are_those_of_each_prompt_alone(lm):
    states = lm.hidden(PROMPTS, [0, -1])
    for prompt, found in zip(PROMPTS, states, strict=True):
        ids = torch.tensor(lm.tokens.encode([prompt]))
        with torch.inference_mode():
            alone = lm.model(ids, output_hidden_states=True).hidden_states
        assert found.shape == (2, ids.shape[1], 32)
        np.testing.assert_allclose(found, torch.stack([alone[0][0], alone[-1][0]]).numpy(), atol=1e-4)


# -- sampling


def test_sampling_follows_the_distribution_at_the_temperature(lm):
    temperature, n = 0.5, 4000
    with torch.inference_mode():
        logits = lm.model(torch.tensor(lm.tokens.encode(["a b"]))).logits[0, -1].double()
    p = (logits / temperature).softmax(-1).numpy()
    lm.batch_size, before = n, lm.batch_size
    (samples,) = lm.generate(["a b"], n=n, temperature=temperature, max_tokens=1, seed=1)
    lm.batch_size = before
    drawn = np.array([lm.tokens.tokenizer.get_vocab().get(s.text, -1) for s in samples])
    for token in np.argsort(p)[-4:]:
        if token > 3:  # the special tokens have no text
            assert (drawn == token).mean() == pytest.approx(p[token], abs=4 * np.sqrt(p[token] / n))
    plain = logits.log_softmax(-1).numpy()
    seen = [(s.logprob, plain[t]) for s, t in zip(samples, drawn, strict=True) if t > 3]
    np.testing.assert_allclose(*zip(*seen, strict=True), atol=1e-4)


def test_a_sample_is_the_same_however_many_are_asked_for(lm):
    one = lm.generate(PROMPTS, n=1, temperature=1.0, max_tokens=8)
    four = lm.generate(
        PROMPTS, n=4, temperature=1.0, max_tokens=8
    )  # with one reading of the prompt for all four
    assert [samples[:1] for samples in texts(four)] == texts(one)
    np.testing.assert_allclose(logprobs(four)[:, :1], logprobs(one), atol=1e-4)
    assert all(len(set(samples)) > 1 for samples in texts(four))


def test_seeds_and_prompts_have_streams_of_their_own(lm):
    first, second = (lm.generate(PROMPTS, temperature=1.0, max_tokens=12, seed=seed) for seed in (1, 2))
    assert texts(first) == texts(lm.generate(PROMPTS, temperature=1.0, max_tokens=12, seed=1))
    assert texts(first) != texts(second)
    twice = lm.generate(["a"] * 2, temperature=1.0, max_tokens=12, seed=-1)
    assert texts(twice) == texts(lm.generate(["a"], temperature=1.0, max_tokens=12, seed=-1)) * 2
    free = [texts(lm.generate(["a b"], n=8, temperature=1.0, max_tokens=12, seed=None)) for _ in range(2)]
    assert free[0] != free[1]


def test_global_generators_are_neither_used_nor_changed(lm):
    def state():
        legacy = np.random.get_state()  # noqa: NPY002
        return torch.random.get_rng_state().tolist(), str(legacy), random.getstate()

    before = state()
    lm.generate(["a b", "c"], n=2, temperature=1.0, max_tokens=5, seed=3)
    lm.generate(["a b", "c"], n=2, temperature=1.0, max_tokens=5, seed=None)
    assert state() == before


# -- where a text ends


def test_stop_texts_end_an_answer_and_are_not_part_of_it(lm):
    whole = lm.generate(PROMPTS, max_tokens=16)
    stop = whole[1][0].text[3:5]
    cut = lm.generate(PROMPTS, max_tokens=16, stop=[stop, "never"])
    assert stop
    for (long,), (short,) in zip(whole, cut, strict=True):
        before, found, _ = long.text.partition(stop)
        assert short.text == before
        assert short.finish_reason == ("stop" if found else long.finish_reason)
        assert short.tokens == (len(before) if found else long.tokens)
        if not found:
            assert short.logprob == pytest.approx(long.logprob, abs=1e-4)


def test_the_end_token_ends_an_answer_and_is_not_counted(folder):
    lm = load(folder)
    (whole,) = lm.generate(["b c d e"], max_tokens=8)[0]
    ids = lm.tokens.tokenizer(whole.text, add_special_tokens=False)["input_ids"]
    end = ids[2]
    lm.model.generation_config.eos_token_id = [end, 2]
    ended = CausalLM(lm.model, lm.tokens.tokenizer, fingerprint="ends")
    (cut,) = ended.generate(["b c d e"], max_tokens=8)[0]
    assert whole.finish_reason == "length"
    assert (cut.finish_reason, cut.tokens) == ("stop", ids.index(end))
    assert cut.text == whole.text[: ids.index(end)]


def test_prompts_that_are_too_long_have_an_error_and_those_that_nearly_are_a_shorter_answer(folder, lm):
    longest = lm.model.config.max_position_embeddings
    prompts = ["a", "a " * (longest - 4), "a " * longest]
    (fine,), (short,), (lost,) = lm.generate(prompts, max_tokens=10)
    assert fine.error is None
    assert short.tokens <= 3
    assert lost.error == f"the prompt has {longest + 1} tokens, and the model takes {longest} with the answer"
    with pytest.raises(ModelError, match=f"the prompt has {longest + 2} tokens"):
        lm.score(["a", prompts[2]], ["b", "b"])


def test_defaults_of_generation_are_set_aside_and_kept(folder):
    lm = load(folder)
    before = texts(lm.generate(PROMPTS, max_tokens=12))
    settings = lm.model.generation_config
    settings.repetition_penalty, settings.top_k, settings.temperature, settings.do_sample = 5.0, 1, 0.1, True
    assert texts(lm.generate(PROMPTS, max_tokens=12)) == before
    assert lm.model.generation_config is settings
    sampled = load(folder).generate(PROMPTS, temperature=1.0, max_tokens=12)
    assert texts(lm.generate(PROMPTS, temperature=1.0, max_tokens=12)) == texts(sampled)


# -- prompts


def test_an_empty_prompt(lm):
    (completion,) = lm.generate([""], max_tokens=3)[0]
    assert completion.tokens is not None
    assert len(lm.score([""], ["a b"])[0]) == 2


def test_as_many_completions_as_prompts(lm):
    with pytest.raises(ModelError, match="1 completions for 2 prompts"):
        lm.score(["a", "b"], ["c"])


def test_conversations_go_through_the_template(llama):
    lm, chatting = load(llama), load(llama, chat=True)
    turns = [user("a b"), assistant("c"), user("d")]
    rendered = "<s> user : a b </s> <s> assistant : c </s> <s> user : d </s> <s> assistant :"
    expected = lm.tokens.tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert lm.tokens.encode([turns]) == [expected]
    assert texts(lm.generate([[user("a b")]], max_tokens=6)) == texts(
        chatting.generate(["a b"], max_tokens=6)
    )
    assert lm.tokens.encode(["a b"]) == [[1, 4, 5]]
    begun = lm.tokens.encode([[user("a"), assistant("b")]])[0]
    assert begun[-1] == lm.tokens.tokenizer.get_vocab()["b"]


def test_conversations_without_a_template_are_lines(gpt2):
    lm = load(gpt2)
    turns = [user("a"), assistant("b"), user("c")]
    assert lm.tokens._render(turns) == ("user: a\nassistant: b\nuser: c\nassistant:", True)
    assert lm.tokens._render([user("a"), assistant("b")]) == ("user: a\nassistant: b", True)


def test_fingerprints_of_weights_in_memory(tmp_path):
    folders = [save_llama(tmp_path / "a"), save_llama(tmp_path / "b", seed=1), save_llama(tmp_path / "c")]
    made = []
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        made.append(CausalLM(model, AutoTokenizer.from_pretrained(folder)).fingerprint)
    assert made[0] == made[2] != made[1]


def test_a_model_with_a_sliding_window(tmp_path):
    from transformers import MistralConfig, MistralForCausalLM

    made = load(save_gpt2(tmp_path / "tokenizer", pad=True))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = MistralConfig(**size, num_key_value_heads=2, vocab_size=50, sliding_window=4, head_dim=8)
        model = MistralForCausalLM(config)
    one, many = (CausalLM(model, made.tokens.tokenizer, fingerprint="m", batch_size=size) for size in (1, 8))
    for options in ({}, {"n": 3, "temperature": 1.0}):
        alone, together = (lm.generate(PROMPTS, max_tokens=9, **options) for lm in (one, many))
        assert texts(alone) == texts(together)
