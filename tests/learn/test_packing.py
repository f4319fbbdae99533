"""Rows packed into windows: every row once, none seeing another, and the loss they have side by side."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, DataError
from concordant.learn.loop import own_generator
from concordant.learn.packing import PackedBatches, packed_sft
from concordant.learn.sequences import TokenBatches, sft


def rows_in(batches, seed=0):
    """Take the rows of an epoch out of their windows again."""
    found = []
    for batch in batches(torch.Generator().manual_seed(seed)):
        for tokens, mask, positions, segments in zip(*batch.values(), strict=True):
            for k in range(1, int(segments.max()) + 1):
                places = segments == k
                assert positions[places].tolist() == list(range(int(places.sum())))
                found.append((tuple(tokens[places].tolist()), tuple(mask[places].tolist())))
    return found


rows = st.lists(
    st.lists(st.integers(1, 9), min_size=1, max_size=7).flatmap(
        lambda ids: st.tuples(st.just(ids), st.integers(0, len(ids)))
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=50, deadline=None)
@given(rows, st.integers(7, 20), st.integers(1, 3), st.integers(0, 5))
def test_every_row_is_there_once_and_whole(rows, window, size, seed):
    expected = [(tuple(ids), tuple(i >= max(prompt, 1) for i in range(len(ids)))) for ids, prompt in rows]
    assert sorted(rows_in(PackedBatches(rows, window, size), seed)) == sorted(expected)


def test_little_is_padding():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(5, 100, (2000,), generator=generator).tolist()
    batches = PackedBatches([([1] * n, 1) for n in lengths], 256, 4)
    real = [batch["segments"] > 0 for batch in batches(generator)]
    assert torch.cat(real).float().mean() > 0.97


def test_the_loss_is_that_of_rows_side_by_side():
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    with own_generator(torch.device("cpu"), 0):
        model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(0)
    rows = [
        (torch.randint(3, 20, (n,), generator=generator).tolist(), prompt)
        for n, prompt in [(9, 3), (4, 1), (12, 11), (2, 0)]
    ]
    packed = list(PackedBatches(rows, 16, 8)(generator))
    side_by_side = list(TokenBatches(rows, 64, group=64)(generator))
    assert len(packed) == len(side_by_side) == 1
    with torch.no_grad():
        assert torch.allclose(packed_sft(model, packed[0]), sft(model, side_by_side[0]), atol=1e-5)
        model.set_attn_implementation("eager")
        assert torch.allclose(packed_sft(model, packed[0]), sft(model, side_by_side[0]), atol=1e-5)


def test_the_order_is_the_generators():
    rows = [([i, i], 1) for i in range(1, 30)]
    batches = PackedBatches(rows, 8, 2)
    assert rows_in(batches, 1) == rows_in(batches, 1) != rows_in(batches, 2)


@pytest.mark.parametrize(
    ("rows", "options", "error", "said"),
    [
        ([], {}, DataError, "at least one row"),
        ([([1, 2, 3], 1)], {"window": 2}, DataError, "1 to 2 tokens"),
        ([([1], 1), ([], 0)], {}, DataError, "in row 1"),
        ([([1], 2)], {}, DataError, "a prompt of 2 in row 0"),
        ([([1], 1)], {"window": 0}, ConfigError, "window of PackedBatches must be at least 1"),
        ([([1], 1)], {"size": 0}, ConfigError, "size of PackedBatches must be at least 1"),
    ],
)
def test_what_cannot_be_packed(rows, options, error, said):
    with pytest.raises(error, match=said):
        PackedBatches(rows, **{"window": 8, "size": 1, **options})
