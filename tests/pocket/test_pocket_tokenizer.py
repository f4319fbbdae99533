"""The vocabulary and the tokenizer: round trips, saving and loading, the chat template."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.pocket import SKILLS, VOCABULARY, examples, pocket_tokenizer, spaced
from concordant.pocket.vocabulary import SPECIAL, WORDS, words

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer():
    return pocket_tokenizer()


def test_the_vocabulary_is_small_closed_and_stays_as_it_is():
    assert len(VOCABULARY) == len(SPECIAL) + len(WORDS) <= 1000
    assert [VOCABULARY[name] for name in SPECIAL] == list(range(7))
    assert all(words(word) == [word] for word in VOCABULARY)
    # hashlib.blake2b(" ".join(VOCABULARY).encode(), digest_size=8).hexdigest()
    assert hashlib.blake2b(" ".join(VOCABULARY).encode(), digest_size=8).hexdigest() == GOLDEN


GOLDEN = "1bbc6d984c2bbb41"


def test_every_example_comes_back_as_it_was(tokenizer):
    for example in examples(list(SKILLS), 12):
        for text in (example.asked(), example.reply(worked=True)):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert ids == [VOCABULARY[word] for word in words(text)]
            assert tokenizer.decode(ids) == text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*WORDS, "Mira", "What", "zebra", "777", "é", "\n", "  ", "A.", "3+4?", "DAB"]))
)
def test_it_cuts_as_words_does(tokenizer, parts):
    text = " ".join(parts)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert ids == [VOCABULARY.get(word, VOCABULARY["<unk>"]) for word in words(text)]


def test_a_text_alone_begins_with_bos(tokenizer):
    assert tokenizer("yes no").input_ids == [1, VOCABULARY["yes"], VOCABULARY["no"]]
    assert tokenizer.decode(tokenizer("Yes, no!").input_ids, skip_special_tokens=True) == "yes , no !"


def test_the_chat_template(tokenizer):
    turns = [{"role": "system", "content": "be brief ."}, {"role": "user", "content": "What is 3+4?"}]
    ask = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert spaced(ask) == "<bos> <system> be brief . <user> what is 3 + 4 ? <assistant>"
    done = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": "7"}], return_dict=False)
    assert tokenizer.decode(done) == spaced(ask) + " 7 <eos>"
    assert done[:-2] == tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)


def test_saved_and_loaded_without_our_code(tokenizer, tmp_path):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokenizer.save_pretrained(tmp_path)
    example = examples(["choice"], 1)[0]
    for loaded in (
        PreTrainedTokenizerFast.from_pretrained(tmp_path),
        AutoTokenizer.from_pretrained(tmp_path),
    ):
        assert loaded(example.asked()).input_ids == tokenizer(example.asked()).input_ids
        assert loaded.decode(loaded(example.asked()).input_ids, skip_special_tokens=True) == example.asked()
        assert loaded.chat_template == tokenizer.chat_template
        assert (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token_id) == (
            0,
            1,
            2,
            6,
        )
        batch = loaded(["yes", "what is it ?"], padding=True)
        assert batch["input_ids"][0][:3] == [0, 0, 0]  # on the left, as generation wants it


def test_tokens_are_imported_only_when_needed():
    import subprocess
    import sys

    code = "import sys, concordant.pocket; print([m for m in ('tokenizers', 'transformers', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
