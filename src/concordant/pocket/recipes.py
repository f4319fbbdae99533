"""How the released models are made: their sizes, mixes, tokens and seeds."""

from __future__ import annotations

from dataclasses import dataclass

from concordant.core.errors import ConfigError, nearest
from concordant.pocket.mixes import MIXES, Mix

WINDOW = 256
"""Positions of the models; every prompt with its reply fits."""

VOCABULARY_SIZE = 768
"""Rows of the embedding: the words there are, and room for some to come."""


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a Llama-style model with tied embeddings.

    Parameters
    ----------
    width
        Of the hidden states.
    layers, heads
        Numbers of layers, and of attention heads in each.
    inner
        Width of the feed-forward part.
    """

    width: int
    layers: int
    heads: int
    inner: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made.

    Parameters
    ----------
    name
        ``SIZE-STAGE``, such as "1m-chat-v2".
    size
        Its shape.
    mix
        What it is trained on.
    start
        The recipe whose model it starts from; None for weights drawn from the seed.
    tokens
        On how many tokens it is trained.
    learning_rate
        The highest; it rises over `WARM_UP` of the steps and falls to nothing as half a cosine.
    seed
        Decides weights, examples and order.
    """

    name: str
    size: Size
    mix: Mix
    start: str | None
    tokens: int
    learning_rate: float
    seed: int = 0


SIZES = {"250k": Size(80, 3, 4, 192), "1m": Size(128, 5, 4, 320), "3m": Size(208, 5, 4, 624)}
"""About 0.28, 1.04 and 2.98 million parameters."""

TOKENS = {
    "250k": {"base": 6.0, "chat-v1": 1.5, "chat-v2": 2.5},
    "1m": {"base": 12.0, "chat-v1": 3.0, "chat-v2": 5.0},
    "3m": {"base": 4.5, "chat-v1": 1.5, "chat-v2": 2.0},
}
"""Millions of tokens of each stage; the chat models start from the base."""

RATES = {"250k": (4e-3, 2e-3), "1m": (3e-3, 1.5e-3), "3m": (2e-3, 1e-3)}
"""Highest learning rates, of the base and of the chat models."""

BATCH_WINDOWS = 4
WARM_UP = 0.03
WEIGHT_DECAY = 0.05
CLIP = 1.0


def _recipe(size: str, stage: str) -> Recipe:
    of_chat = stage != "base"
    return Recipe(
        f"{size}-{stage}",
        SIZES[size],
        MIXES[stage],
        f"{size}-base" if of_chat else None,
        round(TOKENS[size][stage] * 1e6),
        RATES[size][of_chat],
        seed=list(MIXES).index(stage),
    )


RECIPES = {f"{size}-{stage}": _recipe(size, stage) for size in SIZES for stage in MIXES}
"""Every recipe by name; which of the models ship is `concordant.pocket.released.released()`."""


def recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    ConfigError
        If there is none of that name.

    Examples
    --------
    >>> recipe("1m-chat-v2").start
    '1m-base'
    """
    if name not in RECIPES:
        message = f"there is no recipe {name!r}; {nearest(name, RECIPES)}"
        raise ConfigError(message)
    return RECIPES[name]
