"""A small decoder with learnt positions, for studies whose texts have few words: made, trained by one recipe, and asked.

Positions that are learnt let a model of a few seconds find what stands where; with rotary ones that takes far longer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from concordant.learn import train
from concordant.learn.loop import own_generator
from concordant.learn.schedules import cosine
from concordant.learn.sequences import TokenBatches, sft
from concordant.models.decoding import decode
from concordant.models.reading import ForwardReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.learn.sequences import Row

INITIAL_SCALE = 0.6
"""Standard deviation of the first weights times the root of the width, as for the pocket models."""


def new_decoder(n_words: int, *, width: int, layers: int, heads: int = 4, positions: int, seed: int) -> Any:
    """Make a decoder with weights drawn from the seed.

    Parameters
    ----------
    n_words
        Rows of the embedding.
    width, layers, heads
        Of the hidden states, how many layers, and how many heads each has; four by default.
    positions
        Tokens of the longest text.
    seed
        Decides the weights.
    """
    config = GPT2Config(
        vocab_size=n_words,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        n_inner=2 * width,
        n_positions=positions,
        initializer_range=INITIAL_SCALE / width**0.5,
        bos_token_id=1,
        eos_token_id=2,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    )
    with own_generator(torch.device("cpu"), seed):
        return GPT2LMHeadModel(config)


def trained(model: Any, rows: Sequence[Row], *, rate: float, tokens: int, seed: int) -> None:
    """Train a decoder on rows of tokens, in place, once through.

    AdamW, a rate that rises over a tenth of the steps and falls as half a cosine, gradients clipped to length 1.

    Parameters
    ----------
    model
        Of :func:`new_decoder`.
    rows
        Pairs of token ids and how many of them, from the left, are not learnt.
    rate
        The highest learning rate.
    tokens
        In a batch. Small batches learn more from as many tokens here.
    seed
        Decides the order of the rows.
    """
    batches = TokenBatches(rows, max(tokens, *(len(ids) for ids, _ in rows)))
    train(
        model,
        sft,
        batches,
        epochs=1,
        optimizer=partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.98)),
        schedule=partial(cosine, warm_up=len(batches) // 10),
        clip=1.0,
        device="cpu",
        seed=seed,
        progress=False,
    )


def greedy_rows(model: Any, prompts: Sequence[Sequence[int]], longest: int, *, end: int) -> list[list[int]]:
    """Return the most probable continuation of prompts of one length.

    Parameters
    ----------
    model
        Of :func:`new_decoder`.
    prompts
        Token ids, n rows of one length.
    longest
        Tokens of prompt and continuation at most.
    end
        The token that ends a text; it is part of what is returned.
    """
    steps = longest - len(prompts[0])
    return decode(ForwardReader(model.eval()), prompts, steps=steps, ends=[end])[0]
