"""Training a pocket model by its recipe, and writing it as a folder in the usual files."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError, StoreError
from concordant.learn.loop import own_generator, train
from concordant.learn.packing import PackedBatches, packed_sft
from concordant.learn.schedules import cosine
from concordant.pocket.recipes import (
    BATCH_WINDOWS,
    CLIP,
    VOCABULARY_SIZE,
    WARM_UP,
    WEIGHT_DECAY,
    WINDOW,
    Recipe,
    Size,
)
from concordant.pocket.texts import token_rows
from concordant.pocket.tokenizer import pocket_tokenizer
from concordant.pocket.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from concordant.learn.history import History

N_MEASURED = 2000
"""Examples whose mean length says how many make up the tokens of a recipe."""

INITIAL_SCALE = 0.6
"""Standard deviation of the first weights times the root of the width: the usual 0.02 learns slowly at these widths."""

CHECKPOINT = "checkpoint"


def new_model(size: Size, *, seed: int) -> LlamaForCausalLM:
    """Make a model with weights drawn from the seed.

    Examples
    --------
    >>> from concordant.pocket.recipes import SIZES
    >>> new_model(SIZES["250k"], seed=0).num_parameters()
    277040
    """
    config = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=WINDOW,
        initializer_range=INITIAL_SCALE / math.sqrt(size.width),
        tie_word_embeddings=True,
        **{f"{name}_token_id": VOCABULARY[f"<{name}>"] for name in ("pad", "bos", "eos")},
    )
    with own_generator(torch.device("cpu"), seed):
        return LlamaForCausalLM(config)


def train_recipe(
    recipe: Recipe,
    folder: str | Path,
    *,
    start: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
) -> History:
    """Train a model by its recipe and write it.

    Parameters
    ----------
    recipe
        What to make.
    folder
        Where the model is written: configuration, weights in half precision, tokenizer, chat template. While it is
        trained, the folder holds a checkpoint.
    start
        The folder of the model to start from, for recipes that name one.
    resume
        Whether to go on from a checkpoint that is there.
    progress
        Whether to draw a bar.

    Returns
    -------
    History
        Of the training.

    Raises
    ------
    ConfigError
        If the recipe starts from another model and `start` is None.
    StoreError
        If the folder holds a finished model.
    """
    folder = Path(folder)
    if (folder / "config.json").exists():
        message = f"{folder} holds a model already: remove it, or train into another folder"
        raise StoreError(message)
    if recipe.start is None:
        model: Any = new_model(recipe.size, seed=recipe.seed)
    elif start is None:
        message = f"the recipe {recipe.name} starts from {recipe.start}, whose folder must be given"
        raise ConfigError(message)
    else:
        model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    rows = recipe_rows(recipe)
    steps = math.ceil(sum(len(ids) for ids, _ in rows) / (WINDOW * BATCH_WINDOWS))
    history = train(
        model,
        packed_sft,
        PackedBatches(rows, WINDOW, BATCH_WINDOWS, pad=VOCABULARY["<pad>"]),
        steps=steps,
        optimizer=partial(
            torch.optim.AdamW,
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=WEIGHT_DECAY,
            fused=True,
        ),
        schedule=partial(cosine, warm_up=round(WARM_UP * steps)),
        clip=CLIP,
        checkpoint=folder / CHECKPOINT,
        checkpoint_every=max(1, steps // 50),
        resume=resume,
        device="cpu",
        seed=recipe.seed,
        progress=progress,
    )
    save_model(model, folder, chat=recipe.mix.chat)
    return history


def recipe_rows(recipe: Recipe) -> list[tuple[list[int], int]]:
    """Draw the training rows of a recipe: about as many tokens as it says, from train prompts only."""
    mix, chat = recipe.mix, recipe.mix.chat
    measured = token_rows(mix.draw(min(N_MEASURED, recipe.tokens), seed=recipe.seed), chat=chat)
    mean_length = sum(len(ids) for ids, _ in measured) / len(measured)
    n = max(1, round(recipe.tokens / mean_length))
    return token_rows(mix.draw(n, seed=recipe.seed), chat=chat)


def save_model(model: LlamaForCausalLM, folder: str | Path, *, chat: bool) -> None:
    """Write a pocket model with its tokenizer: weights in half precision, which loads as single precision.

    Only chat models have a chat template; by that `load_pocket` knows them. The configuration is written last, so
    that a folder with one is a whole model.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    weights.pop("lm_head.weight")  # tied to the embedding
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = pocket_tokenizer()
    if not chat:
        tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    ids = {f"{name}_token_id": VOCABULARY[f"<{name}>"] for name in ("pad", "bos", "eos")}
    GenerationConfig(**ids).save_pretrained(folder)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.float32
    model.config.save_pretrained(folder)
