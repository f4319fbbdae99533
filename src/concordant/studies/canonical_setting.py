"""What a study of canonical examples needs: a Backpack and a larger transformer of one language, examples, and tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from concordant.core.errors import ConfigError
from concordant.learn import train
from concordant.learn.loop import own_generator
from concordant.learn.networks.backpack import Backpack
from concordant.learn.randomness import child_seeds
from concordant.learn.schedules import cosine
from concordant.learn.sequences import TokenBatches, sft
from concordant.studies import attribute_world as attributes
from concordant.versions.editing.examples import CanonicalExample, read_examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from concordant.learn.sequences import Row
    from concordant.studies.canonical_examples import Sizes

MODEL, DATA = "CONCORDANT_CANONICAL_MODEL", "CONCORDANT_CANONICAL_DATA"
"""Environment variables: the larger model (a folder or a name of the hub), and a folder with the texts ``train.jsonl`` (of
the Backpack), ``general.jsonl`` and ``held_out.jsonl``, and the examples ``PART.jsonl``, ``PART_test.jsonl`` and
``PART_near.jsonl`` (texts that must not change) for the parts "validation" and "test", as lines of prefix, good and bad."""

PARTS = ("validation", "test")


@dataclass(frozen=True)
class Facts:
    """One set of examples, and what they are judged by.

    Parameters
    ----------
    examples
        What is learnt.
    contexts
        The same behaviour in other contexts.
    near
        Near misses, which must not change.
    """

    examples: Sequence[CanonicalExample]
    contexts: Sequence[Row]
    near: Sequence[Row]


@dataclass(frozen=True)
class CanonicalSetting:
    """Two models of one language, and facts to teach them.

    Parameters
    ----------
    small, large
        A Backpack, and a transformer.
    facts
        By part: "validation", to choose settings by, and "test".
    general, held_out
        General texts: to stay near to in training, and to measure the drift by.
    """

    small: Backpack
    large: nn.Module
    facts: dict[str, Facts]
    general: Sequence[Row]
    held_out: Sequence[Row]


def attribute_setting(n: Sizes, *, seed: int) -> CanonicalSetting:
    """Make the setting of `concordant.studies.attribute_world`: homes of ten entities each are told otherwise.

    Parameters
    ----------
    n
        How much is drawn, and how long is taught.
    seed
        Decides everything.
    """
    drawn, small_seed, large_seed, order_seed = child_seeds(seed, 4)
    rng = np.random.default_rng(drawn)
    world = attributes.AttributeWorld.drawn(rng)
    lessons = TokenBatches(world.texts(n.texts, rng), n.tokens, pad=attributes.PAD)
    small = Backpack(attributes.VOCABULARY, senses=4, width=n.width, layers=2, longest=32, seed=small_seed)
    config = LlamaConfig(
        vocab_size=attributes.VOCABULARY,
        hidden_size=n.large_width,
        intermediate_size=3 * n.large_width,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=32,
        initializer_range=0.6 / n.large_width**0.5,
        tie_word_embeddings=True,
    )
    with own_generator(torch.device("cpu"), large_seed):
        large = LlamaForCausalLM(config)
    _teach(small, lessons, n.steps, order_seed)
    _teach(large, lessons, n.steps, order_seed)

    told = world.other_homes(rng)
    order = rng.permutation(attributes.N_ENTITIES)
    edited, others = order[: 2 * n.facts], order[2 * n.facts :]

    def facts(entities: Sequence[int]) -> Facts:
        row = partial(world.home_row, rng=rng)
        near = [world.colour_row(entity, rng) for entity in entities]
        near += [row(entity, attributes.CANONICAL, world.homes[entity]) for entity in others[: len(entities)]]
        return Facts(
            [CanonicalExample(row(entity, attributes.CANONICAL, told[entity])) for entity in entities],
            [row(entity, template, told[entity]) for entity in entities for template in attributes.TESTED],
            near,
        )

    parts = dict(
        zip(PARTS, (facts(half.tolist()) for half in (edited[: n.facts], edited[n.facts :])), strict=True)
    )
    general, held_out = (world.texts(size, rng, without=edited.tolist()) for size in (n.general, n.held_out))
    return CanonicalSetting(small, large, parts, general, held_out)


def named_setting(n: Sizes, *, seed: int) -> CanonicalSetting:
    """Make the setting of the model and the folder that environment variables name; the Backpack is trained here.

    Parameters
    ----------
    n
        How long the Backpack is taught.
    seed
        Of the Backpack.

    Raises
    ------
    ConfigError
        If a variable is missing or names something else.
    """
    name, folder = os.environ.get(MODEL), os.environ.get(DATA)
    if not name or not folder or not Path(folder).is_dir():
        message = (
            f"the study canonical-examples at full scale needs a model that {MODEL} names and a folder of texts that "
            f"{DATA} names, got {name or 'none'} and {folder or 'none'}"
        )
        raise ConfigError(message)
    from concordant.core.items import Items
    from concordant.models.causal import CausalLM
    from concordant.models.load import load

    large: Any = getattr(load(f"hf:{name}"), "language_model", None)
    if not isinstance(large, CausalLM):
        message = f"{MODEL} must name a causal language model, got {name!r}"
        raise ConfigError(message)

    def texts(part: str) -> list[Row]:
        told = [str(text) for text in Items.read(Path(folder) / f"{part}.jsonl").inputs]
        return [(ids[:longest], 1) for ids in large.tokens.encode(told)]

    def examples(part: str) -> list[CanonicalExample]:
        return read_examples(Path(folder) / f"{part}.jsonl", large.tokens.tokenizer)

    longest = 512
    small_seed, order_seed = child_seeds(seed, 2)
    vocabulary = large.model.get_output_embeddings().weight.shape[0]
    small = Backpack(vocabulary, senses=16, width=768, layers=12, heads=12, longest=longest, seed=small_seed)
    _teach(small, TokenBatches(texts("train"), n.tokens), n.steps, order_seed)
    parts = {
        part: Facts(
            examples(part), *([one.good for one in examples(f"{part}_{kind}")] for kind in ("test", "near"))
        )
        for part in PARTS
    }
    return CanonicalSetting(small, large.model, parts, texts("general"), texts("held_out"))


def _teach(model: nn.Module, lessons: TokenBatches, steps: int, seed: int) -> None:
    """Train a language model from nothing; changes of senses stay zero, for the edits to come."""
    if isinstance(model, Backpack):
        model.sense_changes.requires_grad_(False)
    train(
        model,
        sft,
        lessons,
        steps=steps,
        optimizer=partial(torch.optim.AdamW, lr=4e-3 if steps < 10_000 else 6e-4),
        schedule=partial(cosine, warm_up=steps // 10),
        clip=1.0,
        seed=seed,
        progress=False,
    )
    model.requires_grad_(True).eval()
