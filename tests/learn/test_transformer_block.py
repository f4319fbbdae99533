from __future__ import annotations

import torch
from torch import nn

from concordant.learn.networks.transformer import Block


def block(**options):
    generator = torch.Generator().manual_seed(0)
    return Block(16, 4, 32, 0.0, causal=False, generator=generator, **options).double()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_normalising_last_is_the_layer_of_torch():
    ours = block(norm_first=False)
    with torch.random.fork_rng():
        theirs = nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True).double().eval()
    with torch.no_grad():
        for mine, other in (
            (ours.queries_keys_values, (theirs.self_attn.in_proj_weight, theirs.self_attn.in_proj_bias)),
            (ours.merge, (theirs.self_attn.out_proj.weight, theirs.self_attn.out_proj.bias)),
            (ours.widen, (theirs.linear1.weight, theirs.linear1.bias)),
            (ours.narrow, (theirs.linear2.weight, theirs.linear2.bias)),
        ):
            other[0].copy_(mine.weight)
            other[1].copy_(mine.bias)
    x = draw(2, 6, 16)
    assert torch.allclose(ours(x, None, None), theirs(x))


def test_without_a_skip_a_masked_step_leaves_nothing():
    x, keep = draw(2, 6, 16), torch.tensor([[1.0, 0, 1, 1, 0, 1]]).double().expand(2, 6)
    changed = torch.where(keep[..., None] > 0, x, draw(2, 6, 16, seed=1))
    for norm_first in (True, False):
        without = block(norm_first=norm_first, skip_attention=False)
        first, second = without(x, None, keep), without(changed, None, keep)
        hidden = keep == 0
        assert torch.allclose(first[hidden], second[hidden])
        # At the other steps it still counts in the softmax, which is not brought back to sum 1.
        assert not torch.allclose(first, second)
        with_skip = block(norm_first=norm_first)
        assert not torch.allclose(with_skip(x, None, keep)[hidden], with_skip(changed, None, keep)[hidden])
