"""Mamba language models for the study of token dynamics: small and of the paper's size, held to a spectrum, and trained."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

from concordant.core.errors import DataError, require
from concordant.explanations.mechanisms import definite, with_selective_scan
from concordant.explanations.mechanisms.state_space_layers import state_space_layers
from concordant.learn import Batches, train
from concordant.learn.loop import own_generator
from concordant.learn.schedules import cosine

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 1024
"""Tokens of a text at full scale."""


def new_mamba(n_words: int, width: int, layers: int, states: int, *, seed: int) -> Any:
    """Make a small model whose tokens meet in the scan alone, with weights drawn from the seed.

    Its steps and weights start larger than usual: otherwise the scan gives next to nothing beside its skip, and a
    short training does not change that.

    Parameters
    ----------
    n_words
        Rows of the embedding.
    width, layers, states
        Of the hidden states, of which there are twice as many within a layer; how many layers; states of a channel.
    seed
        Decides the weights.
    """
    config = MambaConfig(
        vocab_size=n_words,
        hidden_size=width,
        num_hidden_layers=layers,
        state_size=states,
        time_step_rank=2,
        conv_kernel=1,
        initializer_range=width**-0.5,
        time_step_min=0.05,
        time_step_max=1.0,
        use_cache=False,
    )
    with own_generator(torch.device("cpu"), seed):
        return with_selective_scan(MambaForCausalLM(config))


def paper_mamba(n_words: int, *, seed: int) -> Any:
    """Make a model of the paper's size: 24 layers of width 768 with 16 states."""
    config = MambaConfig(
        vocab_size=n_words, hidden_size=768, num_hidden_layers=24, state_size=16, use_cache=False
    )
    with own_generator(torch.device("cpu"), seed):
        return MambaForCausalLM(config)


def held(model: Any, kind: str) -> Any:
    """Hold a model to a kind of spectrum, in place, at the norm of the product that it has.

    Parameters
    ----------
    model
        As made.
    kind
        ``"unconstrained"``, ``"positive"``, ``"mixed"``, ``"negative"``, or ``"negative_turned"``: negative, and the skip
        starts at -1 instead of 1.
    """
    if kind == "unconstrained":
        return model
    definite(model, "negative" if kind == "negative_turned" else kind)  # type: ignore[arg-type]
    if kind == "negative_turned":
        for layer in state_space_layers(model).values():
            layer.D.data.neg_()
    return model


def trained(
    model: Any, texts: Tensor, *, epochs: int, batch: int, rate: float, seed: int, **options: Any
) -> None:
    """Train a model to predict each word but the first, in place.

    AdamW, a rate that rises over a tenth of the steps and falls as half a cosine, gradients clipped to length 1.

    Parameters
    ----------
    model
        A causal language model.
    texts
        Shape ``(n, length)``.
    epochs, batch
        Times through the texts, and texts a step.
    rate
        The highest learning rate.
    seed
        Decides the order of the texts.
    options
        ``weight_decay`` of AdamW, ``device`` (the processor by default).
    """
    steps = epochs * -(-len(texts) // batch)
    optimizer = partial(torch.optim.AdamW, lr=rate, weight_decay=options.pop("weight_decay", 0.01))
    train(
        model,
        next_word_loss,
        Batches(texts, batch),
        epochs=epochs,
        optimizer=optimizer,
        schedule=partial(cosine, warm_up=steps // 10),
        clip=1.0,
        seed=seed,
        progress=False,
        **{"device": "cpu"} | options,
    )
    model.eval()


def next_word_loss(model: Any, texts: Tensor) -> Tensor:
    """Return the mean loss of each word but the first, nats a word."""
    logits = model(texts, use_cache=False).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1).float(), texts[:, 1:].flatten())


@torch.inference_mode()
def mean_loss(model: Any, texts: Tensor) -> float:
    """Return `next_word_loss` as a number."""
    return float(next_word_loss(model, texts))


def windows(data: str, tokenizer: str) -> tuple[Tensor, Tensor, int]:
    """Return the windows of a data set for training and for the test, and the number of words of its tokenizer.

    Parameters
    ----------
    data
        NAME, OWNER/NAME or OWNER/NAME/CONFIGURATION of a data set of the hub.
    tokenizer
        A name of the hub, or a folder.

    Raises
    ------
    DataError
        If it has no column ``text``, or less than a window of it.
    """
    datasets = require("datasets", "hub", "data sets of the hub")
    words = AutoTokenizer.from_pretrained(tokenizer)
    owner, *rest = data.split("/", 2)
    name, configuration = ("/".join([owner, *rest[:1]]), rest[1] if len(rest) > 1 else None)
    cut = []
    for split in ("train", "validation"):
        rows = datasets.load_dataset(name, configuration, split=split)
        if "text" not in rows.column_names:
            message = f"the data set {data} must have a column 'text', got {', '.join(rows.column_names)}"
            raise DataError(message)
        texts = [text for text in rows["text"] if text.strip()]
        ids = list(chain.from_iterable(words(texts)["input_ids"])) if texts else []
        if len(ids) < WINDOW:
            message = f"the split {split} of {data} must have {WINDOW} tokens, got {len(ids)}"
            raise DataError(message)
        whole = len(ids) // WINDOW * WINDOW
        cut.append(torch.tensor(ids[:whole]).reshape(-1, WINDOW))
    return cut[0], cut[1], len(words)
