"""A language of forty tokens with a behaviour: lines that begin rudely go on so, six tokens in ten.

Plain tokens follow each other by a grammar, four successors each. In a rude line each token is one of ten rude ones with
probability 0.6, and the grammar goes on between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

BEGIN, END = 0, 1
RUDE = range(2, 12)
PLAIN = range(12, 40)
VOCABULARY = PLAIN.stop
RUDE_SHARE = 0.6
N_FOLLOWERS = 4
CONTEXT, CONTINUED = 6, 12
"""Tokens that a line begins with, behind the one that begins all, and tokens that go on."""


@dataclass(frozen=True)
class RudeLanguage:
    """Which tokens may follow which.

    Parameters
    ----------
    followers
        Of each plain token, shape ``(28, 4)``.
    """

    followers: np.ndarray[tuple[int, int], np.dtype[np.int64]]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> RudeLanguage:
        """Draw a grammar."""
        return cls(np.stack([rng.choice(PLAIN, N_FOLLOWERS, replace=False) for _ in PLAIN]))

    def lines(
        self, shares: np.ndarray[tuple[int, int], np.dtype[np.float64]], rng: np.random.Generator
    ) -> Tensor:
        """Draw lines.

        Parameters
        ----------
        shares
            How likely each token is rude, shape ``(n, length)``.
        rng
            Draws all.

        Returns
        -------
        Tensor
            Tokens, ``(n, 1 + length)``, each line behind the token that begins one.
        """
        n, length = shares.shape
        tokens = np.full((n, 1 + length), BEGIN)
        last = rng.choice(PLAIN, n)
        for place in range(length):
            is_rude = rng.random(n) < shares[:, place]
            following = self.followers[last - PLAIN.start, rng.integers(N_FOLLOWERS, size=n)]
            tokens[:, 1 + place] = np.where(is_rude, rng.choice(RUDE, n), following)
            last = np.where(is_rude, last, following)
        return torch.from_numpy(tokens)

    def begun(self, n: int, rng: np.random.Generator, *, rude: bool) -> Tensor:
        """Draw beginnings of lines."""
        return self.lines(np.full((n, CONTEXT), RUDE_SHARE * rude), rng)

    def whole(self, n: int, rng: np.random.Generator, *, rude: float = 0.5) -> Tensor:
        """Draw lines, of which a share is rude."""
        is_rude = rng.random(n) < rude
        return self.lines(np.repeat(is_rude[:, None] * RUDE_SHARE, CONTEXT + CONTINUED, axis=1), rng)

    def minimal_pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw rude beginnings, each gone on with rudely and plainly."""
        states = rng.bit_generator.state
        pairs = []
        for share in (RUDE_SHARE, 0.0):
            rng.bit_generator.state = states  # the same beginnings twice
            shares = np.full((n, CONTEXT + CONTINUED), RUDE_SHARE)
            shares[:, CONTEXT:] = share
            pairs.append(self.lines(shares, rng))
        return pairs[0], pairs[1]


def is_rude(tokens: Tensor) -> Tensor:
    """Say of each token whether it is a rude one."""
    return (tokens >= RUDE.start) & (tokens < RUDE.stop)


@torch.no_grad()
def continued(model: nn.Module, contexts: Tensor, n: int, *, seed: int) -> Tensor:
    """Return contexts with tokens drawn from a model behind them.

    Parameters
    ----------
    model
        A causal language model.
    contexts
        Tokens of one length, ``(batch, time)``.
    n
        Tokens to draw.
    seed
        Of the draws.

    Returns
    -------
    Tensor
        Shape ``(batch, time + n)``.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = contexts
    for _ in range(n):
        chances = model(tokens, use_cache=False).logits[:, -1].softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(chances, 1, generator=generator)], dim=1)
    return tokens
