import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordant.core.model import Completion
from concordant.models.completions import Failure, read_answer, shown
from concordant.models.retry import retry_after

WORDS = ["choices", "message", "content", "text", "logprobs", "logprob", "token_logprobs", "index", "usage"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"choices": ANYTHING, "usage": ANYTHING}) | ANYTHING, st.booleans())
def test_whatever_a_server_says_is_an_answer_or_a_failure(value, logprobs):
    answer = read_answer(json.dumps(value).encode(), logprobs=logprobs)
    if isinstance(answer, Failure):
        assert not answer.is_transient
        assert answer.reason
    else:
        assert answer
        assert all(type(c.text) is str and isinstance(c.tokens, int | None) for c in answer)


@given(st.binary(max_size=30))
def test_any_bytes(content):
    answer = read_answer(content, logprobs=True)
    assert isinstance(answer, Failure)


@given(st.text(max_size=20) | st.sampled_from(["Sun, 99 Nov 1994 08:49:37 GMT", "1e999", "Sun, 06 Nov 1994"]))
def test_any_retry_after(header):
    seconds = retry_after(header)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [({"completion_tokens": 4}, 4), ({"completion_tokens": "4"}, None), ({}, None), (None, None)],
)
def test_the_tokens_of_one_choice(usage, tokens):
    content = json.dumps({"choices": [{"text": "a"}], "usage": usage}).encode()
    assert read_answer(content, logprobs=False) == [Completion("a", tokens=tokens)]


def test_empty_log_probabilities_are_not_known():
    content = json.dumps({"choices": [{"text": "a", "logprobs": None}]}).encode()
    assert read_answer(content, logprobs=True)[0].logprob is None


def test_texts_are_shown_on_one_short_line_of_printable_characters():
    assert shown(b"a\n\x1b[31mb\x00\t c\xff") == "a [31mb c\ufffd"
    assert shown("x" * 301) == "x" * 299 + "…"
    assert shown("a\u202eb") == "a b"
