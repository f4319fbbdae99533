"""Small draws from an explicit generator, as plain Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

T = TypeVar("T")


def number(rng: Generator, low: int, high: int) -> int:
    """Draw an integer from `low` to `high`, both included."""
    return int(rng.integers(low, high + 1))


def coin(rng: Generator) -> bool:
    """Draw true or false, evenly."""
    return bool(rng.integers(2))


def pick(rng: Generator, options: Sequence[T]) -> T:
    """Draw one of the options, evenly."""
    return options[int(rng.integers(len(options)))]


def several(rng: Generator, options: Sequence[T], n: int) -> list[T]:
    """Draw `n` different options, in random order."""
    return [options[int(i)] for i in rng.permutation(len(options))[:n]]


def zipf(rng: Generator, options: Sequence[T]) -> T:
    """Draw one of the options, the k-th with a probability proportional to 1 / k."""
    shares = np.cumsum(1 / np.arange(1, len(options) + 1))
    return options[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
