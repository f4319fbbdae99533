import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from concordant.models.causal import CausalLM
from concordant.models.prefix_trees import trees
from concordant.models.scoring import score_trees
from tiny_models import save_llama

WORDS = list("abcdefghij")


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Folder of a tiny Llama whose heads share keys and values in twos."""
    return save_llama(tmp_path_factory.mktemp("grouped"), num_key_value_heads=2)


@pytest.fixture(scope="module", params=["llama", "gpt2", "grouped"])
def lm(request):
    folder = request.getfixturevalue(request.param)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return CausalLM(model, AutoTokenizer.from_pretrained(folder), fingerprint="tiny")


def alone(model, row, start):
    with torch.inference_mode():
        logp = model(torch.tensor([row])).logits[0].double().log_softmax(-1)
    return [float(logp[i - 1, row[i]]) for i in range(start, len(row))]


def read_tokens(model, function):
    """Count the tokens that go through the embedding of a model while a function is called."""
    seen = []
    handle = model.get_input_embeddings().register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].numel())
    )
    try:
        function()
    finally:
        handle.remove()
    return sum(seen)


# -- trees


def test_a_tree_by_hand():
    rows = [[5, 6, 7, 8], [5, 6, 9, 3], [5, 6, 7, 1], [5, 6, 7, 8, 2]]
    (tree,) = trees(rows)
    # sorted: 5671, 5678, 56782, 5693; no row's last token is read, but for the 8 that 2 comes after
    assert tree.tokens == [5, 6, 7, 8, 9]
    assert tree.depths == [0, 1, 2, 3, 2]
    assert tree.paths == {2: [0, 1, 2], 0: [0, 1, 2], 3: [0, 1, 2, 3], 1: [0, 1, 4]}
    expected = ["10000", "11000", "11100", "11110", "11001"]
    assert ["".join(map(str, row)) for row in tree.ancestors().astype(int)] == expected


def test_rows_that_share_little_stand_alone():
    assert [sorted(tree.paths) for tree in trees([[1, 2, 3], [4, 5, 6], [1, 7, 8, 9, 1, 2]])] == [
        [0],
        [2],
        [1],
    ]


@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=8), min_size=1, max_size=12))
def test_every_path_spells_its_row_and_is_its_own_ancestry(rows):
    found = {}
    for tree in trees(rows):
        ancestors = tree.ancestors()
        for i, path in tree.paths.items():
            found[i] = [tree.tokens[node] for node in path]
            assert np.flatnonzero(ancestors[path[-1]]).tolist() == path
            assert [tree.depths[node] for node in path] == list(range(len(path)))
    assert found == {i: row[:-1] for i, row in enumerate(rows)}


# -- scores


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_scores_are_those_of_each_row_alone(lm, data):
    token = st.integers(4, 40)
    header = data.draw(st.lists(token, max_size=20))
    prompts = data.draw(st.lists(st.lists(token, min_size=1, max_size=6), min_size=1, max_size=3))
    ends = data.draw(st.lists(st.lists(token, max_size=3), min_size=1, max_size=3))
    rows = [header + prompt + end for prompt in prompts for end in ends]
    starts = [len(header) + len(prompt) for prompt in prompts for _ in ends]
    for row, start, found in zip(rows, starts, score_trees(lm.model, rows, starts, 2), strict=True):
        np.testing.assert_allclose(found, alone(lm.model, row, start), atol=1e-5)


def test_what_prompts_share_is_read_once(lm):
    prompt = " ".join(WORDS)  # 11 tokens with the one that begins a text
    options = ["k", "l", "m n", "o"]
    lm.score(["a"], ["b"])  # at first a model is tried, which reads tokens too
    n = read_tokens(lm.model, lambda: lm.score([prompt] * 4, options))
    assert n == 12  # of the options only the m, which the n comes after


def test_a_header_of_all_prompts_is_read_once(lm):
    header = "a b c d e f g h i j k l m n o p q r s t "
    prompts = [header + end for end in ("u v w x y z 1 2 3 4 5", "v w x y z 1 2 3 4 5 6", "w x")]
    lm.score(["a"], ["b"])
    n = read_tokens(lm.model, lambda: lm.score(prompts * 2, ["7"] * 3 + ["8"] * 3))
    assert n == 21 + 3 * 11  # the third prompt is padded


def test_scores_do_not_depend_on_what_else_is_scored(lm):
    prompts = [" ".join(WORDS[:k]) for k in range(1, 10)] * 2
    completions = [" x"] * 9 + [" y z"] * 9
    together = lm.score(prompts, completions)
    for prompt, completion, found in zip(prompts, completions, together, strict=True):
        np.testing.assert_allclose(lm.score([prompt], [completion])[0], found, atol=1e-5)


def test_a_model_that_takes_no_masks_is_scored_row_by_row(lm, monkeypatch):
    prompts, completions = ["a b c", "a b c", "d"], ["e", "f g", "h i"]
    expected = lm.score(prompts, completions)
    monkeypatch.setattr(lm, "_found", lambda _: None)
    for plain, shared in zip(lm.score(prompts, completions), expected, strict=True):
        np.testing.assert_allclose(plain, shared, atol=1e-5)
