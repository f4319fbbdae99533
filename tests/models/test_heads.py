import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from concordant.core.errors import ModelError
from concordant.models.causal import CausalLM
from concordant.models.heads import output_projections, recorded_heads
from tiny_models import save_llama


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("grouped"), num_key_value_heads=2)


@pytest.fixture(scope="module", params=["llama", "gpt2", "grouped"])
def lm(request):
    folder = request.getfixturevalue(request.param)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return CausalLM(model, AutoTokenizer.from_pretrained(folder), fingerprint="tiny")


def attention_output(model, layer, ids):
    """What the attention of a layer adds, seen from outside."""
    blocks = model.transformer.h if hasattr(model, "transformer") else model.model.layers
    attention = blocks[layer].attn if hasattr(blocks[layer], "attn") else blocks[layer].self_attn
    seen = []
    handle = attention.register_forward_hook(lambda _, __, output: seen.append(output[0]))
    with torch.inference_mode():
        model(torch.tensor([ids]))
    handle.remove()
    return seen[0][0]


def test_the_heads_through_the_projection_sum_to_what_the_attention_writes(lm):
    prompts = ["a b c d e", "f g"]
    for layer in (0, -1):
        found = lm.heads(prompts, [layer])
        projection = output_projections(lm.model)[layer]
        weight = projection.weight if hasattr(projection, "nf") else projection.weight.T  # (in, out)
        by_head = weight.detach().unflatten(0, (4, 8))
        for prompt, heads in zip(prompts, found, strict=True):
            ids = lm.tokens.encode([prompt])[0]
            assert heads.shape == (1, 4, len(ids), 8)
            written = torch.einsum("htd,hdo->to", torch.from_numpy(heads[0]), by_head)
            if projection.bias is not None:
                written = written + projection.bias.detach()
            np.testing.assert_allclose(written, attention_output(lm.model, layer, ids), atol=1e-4)


def test_hooks_are_removed_also_when_something_fails(lm):
    with pytest.raises(ZeroDivisionError), recorded_heads(lm.model, [0, 1]):
        raise ZeroDivisionError
    assert not any(projection._forward_pre_hooks for projection in output_projections(lm.model))


def test_layers_that_are_not_there(lm):
    with pytest.raises(ModelError, match="has layers 0 to 1, got 2"):
        lm.heads(["a"], [2])


def test_models_without_attention():
    from transformers import MambaConfig, MambaForCausalLM

    with torch.random.fork_rng():
        model = MambaForCausalLM(MambaConfig(hidden_size=16, num_hidden_layers=2, vocab_size=9, state_size=4))
    with pytest.raises(
        ModelError, match="the heads of a MambaForCausalLM cannot be reached: 0 of its 2 layers"
    ):
        output_projections(model)
