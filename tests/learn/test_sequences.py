"""Batches of tokens, the rows behind them, and fine-tuning on them, against transformers and by hand."""

from __future__ import annotations

import random
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError
from concordant.learn import TokenBatches, answer_nll, answer_rows, sft, train
from concordant.learn.loop import own_generator
from concordant.learn.sequences import prompt_rows
from concordant.models.tokens import Tokens
from concordant.pocket.tokenizer import pocket_tokenizer

CPU = torch.device("cpu")
MAKE = {
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
        )
    ),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=30,
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=64,
            bos_token_id=0,
            eos_token_id=0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    ),
}


def model(kind="llama"):
    with own_generator(CPU, 0):
        return MAKE[kind]()


def rows(n=20, seed=0, longest=17):
    draw = random.Random(seed)
    made = []
    for _ in range(n):
        length = draw.randint(2, longest)
        made.append(([draw.randrange(30) for _ in range(length)], draw.randint(1, length - 1)))
    return made


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 12)), min_size=1
    ).map(lambda drawn: [(ids, min(prompt, len(ids))) for ids, prompt in drawn]),
    st.integers(12, 60),
    st.integers(1, 8),
    st.booleans(),
)
def test_an_epoch_has_every_row_once_as_it_was(given_rows, budget, group, shuffle):
    batches = TokenBatches(given_rows, budget, group=group, pad=0, shuffle=shuffle)
    epoch = list(batches(torch.Generator().manual_seed(0)))
    assert len(epoch) == len(batches)
    assert sorted(torch.cat([batch["rows"] for batch in epoch]).tolist()) == list(range(len(given_rows)))
    for batch in epoch:
        assert batch["tokens"].numel() <= budget
        assert batch["tokens"].shape == batch["mask"].shape == batch["real"].shape
        assert batch["real"].any(0).all()  # no wider than the longest row
        for index, row in enumerate(batch["rows"].tolist()):
            ids, prompt = given_rows[row]
            assert batch["tokens"][index].tolist() == ids + [0] * (batch["tokens"].shape[1] - len(ids))
            assert batch["mask"][index].nonzero().flatten().tolist() == list(range(prompt, len(ids)))
            assert batch["real"][index].sum() == len(ids)


def test_orders_are_from_the_generator_and_mix_rows_of_like_length():
    batches = TokenBatches([([1] * (5 + i % 4), 1) for i in range(40)], 64, group=4)

    def parts(seed):
        return [batch["rows"].tolist() for batch in batches(torch.Generator().manual_seed(seed))]

    assert parts(0) == parts(0) != parts(1)
    assert {frozenset(part) for part in parts(0)}.isdisjoint({frozenset(part) for part in parts(1)})
    still = TokenBatches([([1] * n, 1) for n in (3, 9, 6)], 9, shuffle=False)
    assert [batch["rows"].tolist() for batch in still(torch.Generator())] == [[1], [2], [0]]


def test_hardly_anything_is_padding():
    batches = TokenBatches(rows(2000, longest=60), 1024)
    epoch = list(batches(torch.Generator().manual_seed(0)))
    real = sum(int(batch["real"].sum()) for batch in epoch)
    assert real / sum(batch["tokens"].numel() for batch in epoch) > 0.93
    assert len(batches) < 1.15 * real / 1024


@pytest.mark.parametrize("kind", MAKE)
def test_the_loss_is_that_of_transformers_row_by_row(kind):
    net, data = model(kind).double(), rows()
    by_hand, count = 0.0, 0
    for ids, prompt in data:
        labels = torch.tensor([[-100] * prompt + ids[prompt:]])
        n = len(ids) - prompt
        by_hand += float(net(torch.tensor([ids]), labels=labels).loss.detach()) * n
        count += n
    (batch,) = TokenBatches(data, 10_000)(torch.Generator())
    assert sft(net, batch).item() == pytest.approx(
        by_hand / count, rel=1e-6
    )  # transformers sums in single precision
    for budget in (17, 60, 10_000):
        held_out = TokenBatches(data, budget)
        assert answer_nll(net, held_out) == pytest.approx(by_hand / count, rel=1e-6)


def test_the_gradient_is_that_of_transformers_whatever_the_padding():
    net, other, data = model().double(), model().double(), rows(6)
    (batch,) = TokenBatches(data, 10_000, pad=29)(torch.Generator())
    sft(net, batch).backward()
    width = batch["tokens"].shape[1]
    tokens = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in data])[batch["rows"]]
    attention = batch["real"].long()
    other(tokens, attention_mask=attention, labels=tokens.masked_fill(~batch["mask"], -100)).loss.backward()
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_fine_tuning_learns_answers_and_goes_on_bit_for_bit(tmp_path):
    data = [([1, a, b, 2, (a + b) % 10 + 10, 3], 4) for a in range(10, 20) for b in range(10, 20)]
    batches, held_out = TokenBatches(data, 300), TokenBatches(data[::3], 300)
    options = {
        "optimizer": partial(torch.optim.AdamW, lr=1e-2),
        "validate": partial(answer_nll, batches=held_out),
        "checkpoint_every": 7,
    }
    whole, net = model(), model()
    expected = train(whole, sft, batches, steps=30, **options)
    assert expected.validation_losses[-1] < 0.6 * expected.validation_losses[0]

    class KilledError(Exception):
        pass

    calls = iter(range(30))

    def killed(net, batch):
        if next(calls) == 20:
            raise KilledError
        return sft(net, batch)

    with pytest.raises(KilledError):
        train(net, killed, batches, steps=30, checkpoint=tmp_path, **options)
    net = model()
    history = train(net, sft, batches, steps=30, checkpoint=tmp_path, resume=True, **options)
    assert history == expected
    for ours, theirs in zip(net.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


class Words:
    """A tokenizer of words with the face of transformers, for templates and ends of every kind."""

    def __init__(self, template=True, eos="</s>", begins=True):
        self.words, self.eos_token, self.begins = {}, eos, begins
        self.bos_token, self.bos_token_id = "<s>", self.id("<s>")
        self.chat_template = "..." if template else None

    def id(self, word):
        return self.words.setdefault(word, len(self.words))

    def __call__(self, texts, add_special_tokens=True):
        if isinstance(texts, str):
            begin = [self.bos_token_id] if add_special_tokens and self.begins else []
            spaced = texts.replace("</s>", " </s> ").replace("<s>", " <s> ")
            return {"input_ids": [*begin, *map(self.id, spaced.split())]}
        return {"input_ids": [self(text, add_special_tokens)["input_ids"] for text in texts]}

    def apply_chat_template(self, messages, tokenize, add_generation_prompt=False):
        assert not tokenize
        turns = [f"[{m['role']}] {m['content']} [end]" for m in messages]
        return " ".join([*turns, *(["[assistant]"] if add_generation_prompt else [])])


def decoded(tokenizer, ids):
    names = list(tokenizer.words)
    return " ".join(names[i] for i in ids)


def test_rows_of_texts_and_conversations():
    tokenizer = Words()
    chat = [{"role": "user", "content": "how many ?"}]
    (plain, n_plain), (turns, n_turns) = answer_rows(tokenizer, ["one and one", chat], [" is two", "two"])
    assert decoded(tokenizer, plain[:n_plain]) == "<s> one and one"
    assert decoded(tokenizer, plain[n_plain:]) == "is two </s>"
    assert decoded(tokenizer, turns[:n_turns]) == "[user] how many ? [end] [assistant]"
    assert decoded(tokenizer, turns[n_turns:]) == "two [end]"
    assert prompt_rows(tokenizer, ["one and one", chat]) == [plain[:n_plain], turns[:n_turns]]
    ((ids, n),) = answer_rows(Words(eos=None, begins=False), ["one"], [" two"])
    assert (ids, n) == ([2, 3], 1)  # after "<s>" and the "a" that beginnings are tried on
    ((joint, n),) = answer_rows(tokenizer, ["one an"], ["d two"])  # the answer begins within the last word
    assert (decoded(tokenizer, joint[:n]), decoded(tokenizer, joint[n:])) == ("<s> one", "and two </s>")
    assert answer_rows(tokenizer, [], []) == []


def test_rows_agree_with_how_answers_are_scored_and_templates_of_transformers():
    tokenizer = pocket_tokenizer()
    texts, answers = ["what is 3 + 4 ?", "name a color ."], [" 7", " red"]
    scored, starts = Tokens(tokenizer).encode_pairs(texts, answers)
    assert answer_rows(tokenizer, texts, answers) == [
        ([*ids, tokenizer.eos_token_id], start) for ids, start in zip(scored, starts, strict=True)
    ]
    chats = [[{"role": "user", "content": text}] for text in texts]
    assert prompt_rows(tokenizer, chats) == Tokens(tokenizer).encode(chats)
    ((ids, n), _) = answer_rows(tokenizer, chats, ["7", "red"])
    assert tokenizer.decode(ids[:n]) == "<bos> <user> what is 3 + 4 ? <assistant>"
    assert tokenizer.decode(ids[n:]) == "7 <eos>"


BAD = {
    "none": ([], {}, DataError, "at least one row, got none"),
    "empty": (
        [([1], 0), ([], 0)],
        {},
        DataError,
        "1 to 4096 tokens, .* got 0 tokens and a prompt of 0 in row 1",
    ),
    "long": ([([1] * 9, 2)], {"tokens": 8}, DataError, "1 to 8 tokens, .* got 9 tokens"),
    "prompt": ([([1, 2], 3)], {}, DataError, "got 2 tokens and a prompt of 3 in row 0"),
    "budget": ([([1], 0)], {"tokens": 0}, ConfigError, "tokens of TokenBatches must be at least 1, got 0"),
    "group": ([([1], 0)], {"group": 0}, ConfigError, "group of TokenBatches must be at least 1, got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows(name):
    bad, options, error, message = BAD[name]
    with pytest.raises(error, match=message):
        TokenBatches(bad, **options)


def test_bad_texts():
    with pytest.raises(DataError, match="one answer a prompt, got 2 prompts and 1 answers"):
        answer_rows(Words(), ["a", "b"], ["c"])
    with pytest.raises(DataError, match="needs a tokenizer with a chat template"):
        answer_rows(Words(template=False), [[{"role": "user", "content": "a"}]], ["b"])
