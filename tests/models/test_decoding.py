import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from concordant.models import fallback
from concordant.models.decoding import FEW, decode
from concordant.models.llama import LlamaReader, is_llama
from concordant.models.reading import ForwardReader, keeps_all, reader_of, reads_masks
from concordant.models.sampling import StopTexts, uniforms
from concordant.models.tokens import padded
from tiny_models import save_llama, tokenizer

ROWS = [[1, 5], [1, 6, 7, 8, 9, 10, 11, 12], [1, 13, 14], [1, 15, 16, 17, 18], [20], [1, 21, 22, 23, 5]]


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Folder of a tiny Llama of which four heads share two groups of keys and values, with biases."""
    folder = tmp_path_factory.mktemp("grouped")
    return save_llama(folder, num_key_value_heads=2, attention_bias=True, seed=3)


@pytest.fixture(scope="module", params=["llama", "gpt2", "grouped"])
def model(request):
    folder = request.getfixturevalue(request.param)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def readers(model):
    return [LlamaReader, ForwardReader] if is_llama(model) else [ForwardReader]


def by_transformers(model, rows, steps, **options):
    """Ask transformers.generate for a left-padded batch, and cut what it fills up after an end."""
    inputs = padded(rows, 0, "cpu")
    with torch.inference_mode():
        made = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=steps,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
    return made[:, inputs["input_ids"].shape[1] :].tolist()


def cut(row, ends):
    return row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))]


# -- greedy


def test_the_tokens_are_those_of_transformers(model):
    expected = by_transformers(model, ROWS, 14, eos_token_id=None)
    for reader in readers(model):
        made, logprobs = decode(reader(model), ROWS, steps=14)
        assert made == expected
        for row, new, found in zip(ROWS, made, logprobs, strict=True):
            with torch.inference_mode():
                logp = model(torch.tensor([row + new])).logits[0].log_softmax(-1)[len(row) - 1 : -1]
            np.testing.assert_allclose(found, logp.gather(-1, torch.tensor(new)[:, None])[:, 0], atol=1e-4)


def test_texts_end_where_those_of_transformers_end_and_the_others_go_on(model):
    free = by_transformers(model, ROWS, 14, eos_token_id=None)
    ends = [free[0][2], free[1][5], free[3][0]]
    expected = [cut(row, ends) for row in by_transformers(model, ROWS, 14, eos_token_id=ends)]
    assert len({len(row) for row in expected}) > 2
    for reader in readers(model):
        made, logprobs = decode(reader(model), ROWS, steps=14, ends=ends)
        assert made == expected
        assert [len(found) for found in logprobs] == [len(row) for row in made]


def test_ended_samples_are_left_out_of_the_batch(model):
    free = by_transformers(model, ROWS, 10, eos_token_id=None)
    ends = [row[1] for row in free[:-1] if row[1] != free[-1][1]]
    sizes = []
    handle = model.lm_head.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    try:
        made, _ = decode(readers(model)[0](model), ROWS, steps=10, ends=ends)
    finally:
        handle.remove()
    assert sizes[0] == len(ROWS)
    assert sizes[-1] < FEW * len(ROWS)
    assert made == [cut(row, ends) for row in free]


# -- sampling


def test_samples_are_the_same_by_every_way_of_reading(model):
    draws = uniforms(ROWS, 3, 9, seed=4)
    options = {"samples": 3, "steps": 9, "temperature": 1.0, "draws": draws, "ends": [7, 9, 30]}
    made, logprobs = fallback.generate(model, ROWS, **options)
    assert len({tuple(row) for row in made}) > len(ROWS)
    for reader in readers(model):
        again, found = decode(reader(model), ROWS, **options)
        assert again == made
        for ours, theirs in zip(found, logprobs, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_samples_of_a_prompt_read_it_once(model):
    read = []
    handle = model.get_input_embeddings().register_forward_hook(
        lambda _, inputs, __: read.append(inputs[0].numel())
    )
    try:
        draws = uniforms(ROWS[:1], 8, 4, seed=0)
        decode(readers(model)[0](model), ROWS[:1], samples=8, steps=4, temperature=1.0, draws=draws)
    finally:
        handle.remove()
    assert read == [2, 8, 8, 8]


# -- stop texts


def test_only_tokens_that_may_end_a_stop_text_are_looked_at():
    words = tokenizer()
    vocabulary = words.get_vocab()
    stops = StopTexts(words, ["ab", "?"])
    assert [stops.may_end(vocabulary[word]) for word in ("a", "b", "?", "z")] == [False, True, True, False]
    assert stops.may_end(vocabulary["<s>"])  # a token without text: nothing is known of it
    assert stops([vocabulary[word] for word in "zab"])
    assert not stops([vocabulary[word] for word in "zba"])
    assert StopTexts(words, ["a "]).may_end(vocabulary["z"])  # white space may come from between tokens


# -- which models


def test_each_model_has_the_reader_that_suits_it(model):
    assert type(reader_of(model)()) is readers(model)[0]


def test_a_model_that_somebody_listens_to_reads_through_its_own_forward_pass(llama):
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    heard = []
    handle = model.model.layers[1].register_forward_hook(lambda *_: heard.append(1))
    assert type(reader_of(model)()) is ForwardReader
    heard.clear()
    decode(reader_of(model)(), ROWS, steps=3)
    handle.remove()
    assert heard
    assert type(reader_of(model)()) is LlamaReader


def test_changed_weights_count_at_once(llama):
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    make = reader_of(model)
    before, _ = decode(make(), ROWS, steps=8)
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight.mul_(-1.0)
    after, _ = decode(make(), ROWS, steps=8)
    assert after == by_transformers(model, ROWS, 8, eos_token_id=None) != before


SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50}
HEADS = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}


def made(make, config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(config).eval()


def test_windows_and_states_are_left_to_transformers():
    window = made(MistralForCausalLM, MistralConfig(**SIZE, **HEADS, sliding_window=4))
    state = made(MambaForCausalLM, MambaConfig(**SIZE, state_size=4))
    for model in (window, state):
        assert not keeps_all(model)
        assert reader_of(model) is None
        assert not reads_masks(model)


def test_a_mistral_without_a_window_is_a_llama():
    model = made(MistralForCausalLM, MistralConfig(**SIZE, **HEADS, sliding_window=None))
    assert type(reader_of(model)()) is LlamaReader
    assert decode(LlamaReader(model), ROWS, steps=6)[0] == by_transformers(model, ROWS, 6, eos_token_id=None)


def test_a_model_that_does_otherwise_than_its_name_says_is_found_out(llama):
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    plain = model.lm_head.forward
    model.lm_head.forward = lambda x: plain(x) * (x.shape[-2] if x.ndim == 3 else 0.5)
    assert reader_of(model) is None


def test_eager_attention(llama):
    model = AutoModelForCausalLM.from_pretrained(
        llama, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    assert decode(ForwardReader(model), ROWS, steps=6)[0] == by_transformers(
        model, ROWS, 6, eos_token_id=None
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_reads_through_the_forward_pass(llama, dtype):
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=dtype).eval()
    assert type(reader_of(model)()) is ForwardReader
