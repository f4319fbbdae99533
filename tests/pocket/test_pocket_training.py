"""Mixes, rows and recipes of the pocket models, and training them on next to nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from concordant.core.errors import ConfigError, StoreError
from concordant.learn.loop import own_generator
from concordant.learn.sequences import answer_rows
from concordant.pocket import SKILLS, examples, pocket_tokenizer, split_of
from concordant.pocket.mixes import MIXES, Mix
from concordant.pocket.recipes import RECIPES, SIZES, WINDOW, recipe
from concordant.pocket.texts import token_rows
from concordant.pocket.training import new_model, recipe_rows, save_model, train_recipe
from concordant.pocket.vocabulary import VOCABULARY

TINY = replace(recipe("250k-base"), tokens=6_000)


@pytest.mark.parametrize("worked", [False, True])
def test_rows_are_what_the_tokenizer_gives(worked):
    drawn = examples(list(SKILLS), 6, seed=3)
    tokenizer = pocket_tokenizer()
    asked, replies = [e.asked() for e in drawn], [e.reply(worked=worked) for e in drawn]
    pairs = [(e, worked) for e in drawn]
    chats = [[{"role": "user", "content": text}] for text in asked]
    assert token_rows(pairs, chat=True) == answer_rows(tokenizer, chats, replies)
    lines = answer_rows(tokenizer, asked, [f" {reply}" for reply in replies])
    assert [ids for ids, _ in token_rows(pairs, chat=False)] == [ids for ids, _ in lines]


def test_a_mix_keeps_its_shares_and_steps():
    mix = Mix("two skills", {"siblings": 3.0, "facts": 1.0}, {"siblings": 0.5})
    drawn = mix.draw(2000, seed=1)
    of_siblings = [worked for example, worked in drawn if example.skill == "siblings"]
    assert len(of_siblings) == 1500
    assert 0.45 < np.mean(of_siblings) < 0.55
    assert not any(worked for example, worked in drawn if example.skill == "facts")
    assert [e.prompt for e, _ in drawn] == [e.prompt for e, _ in mix.draw(2000, seed=1)]
    assert [e.prompt for e, _ in drawn] != [e.prompt for e, _ in mix.draw(2000, seed=2)]


@pytest.mark.parametrize("name", MIXES)
def test_mixes_hold_no_test_prompt_and_fit_the_window(name):
    drawn = MIXES[name].draw(600, seed=5)
    assert {split_of(example.prompt) for example, _ in drawn} == {"train"}
    assert max(len(ids) for ids, _ in token_rows(drawn, chat=True)) <= WINDOW


@pytest.mark.parametrize(
    ("shares", "worked", "said"),
    [
        ({"sums": 1.0}, {}, "got sums"),
        ({"facts": 1.0}, {"riddles": 1.0}, "got riddles"),
        ({"facts": -1.0}, {}, "must not be negative"),
        ({"facts": 0.0}, {}, "nor all 0"),
        ({"facts": 1.0}, {"facts": 1.5}, r"must lie in \[0, 1\]"),
    ],
)
def test_mixes_that_cannot_be(shares, worked, said):
    with pytest.raises(ConfigError, match=said):
        Mix("", shares, worked)


def test_recipes_name_what_they_start_from():
    assert recipe("3m-chat-v2").start == "3m-base"
    assert all(r.start is None or r.start in RECIPES for r in RECIPES.values())
    with pytest.raises(ConfigError, match="did you mean 1m-base"):
        recipe("1m-bas")


@pytest.mark.parametrize(("size", "least", "most"), [("250k", 0.2, 0.3), ("1m", 0.9, 1.1), ("3m", 2.7, 3.1)])
def test_sizes_are_what_their_names_say(size, least, most):
    assert least <= new_model(SIZES[size], seed=0).num_parameters() / 1e6 <= most


def test_rows_of_a_recipe_have_about_its_tokens():
    assert sum(len(ids) for ids, _ in recipe_rows(TINY)) == pytest.approx(TINY.tokens, rel=0.1)


def test_training_writes_a_model_that_loads_without_us(tmp_path):
    torch.set_num_threads(1)
    history = train_recipe(TINY, tmp_path / "base", progress=False)
    assert history.steps >= 5
    assert history.loss[-1] < history.loss[0]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert model.dtype == torch.float32
    assert tokenizer("What is 3+4?").input_ids[0] == VOCABULARY["<bos>"] == model.config.bos_token_id
    stored = load_file(tmp_path / "base" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}

    chat = replace(recipe("250k-chat-v2"), tokens=3_000)
    with pytest.raises(ConfigError, match="starts from 250k-base"):
        train_recipe(chat, tmp_path / "chat", progress=False)
    train_recipe(chat, tmp_path / "chat", start=tmp_path / "base", progress=False)
    assert load_file(tmp_path / "chat" / "model.safetensors").keys() == stored.keys()
    tokenizers = [AutoTokenizer.from_pretrained(tmp_path / name) for name in ("base", "chat")]
    assert [tokenizer.chat_template is None for tokenizer in tokenizers] == [True, False]
    with pytest.raises(StoreError, match="holds a model already"):
        train_recipe(TINY, tmp_path / "base", progress=False)


def test_the_same_recipe_gives_the_same_files_also_after_a_stop(tmp_path, monkeypatch):
    train_recipe(TINY, tmp_path / "whole", progress=False)
    stops = iter(range(10**6))

    def stopping(*args):
        if next(stops) == 3:
            raise KeyboardInterrupt
        return loss(*args)

    from concordant.pocket import training

    loss = training.packed_sft
    monkeypatch.setattr(training, "packed_sft", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(TINY, tmp_path / "stopped", progress=False)
    assert not (tmp_path / "stopped" / "config.json").exists()
    train_recipe(TINY, tmp_path / "stopped", progress=False)
    files = [tmp_path / name / "model.safetensors" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_half_precision_hardly_moves_the_logits(tmp_path):
    model = new_model(SIZES["250k"], seed=1)
    save_model(model, tmp_path, chat=False)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    with own_generator(torch.device("cpu"), 0), torch.no_grad():
        tokens = torch.randint(7, 700, (2, 30))
        assert torch.allclose(model(tokens).logits, again(tokens).logits, atol=0.05)
