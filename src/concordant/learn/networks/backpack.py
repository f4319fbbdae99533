r"""A small Backpack language model: each word has a few sense vectors, and a text is a weighted sum of them.

.. math:: \mathrm{logits}_i = E \sum_{j \le i} \sum_{l=1}^{k} \alpha_{l,i,j}\, C(x_j)_l

The sense vectors :math:`C(x)_l` of a word do not depend on the text; a transformer reads the text and decides only the
weights :math:`\alpha`. So a change of one sense vector changes what the word adds to the logits, everywhere in the
same way: `sense_changes` is added to the senses, zero at first, and is what an edit of a few senses changes.

References
----------
Hewitt et al., "Backpack Language Models", 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import embedding, gelu

from concordant.core.errors import DataError
from concordant.learn.networks.mlp import checked_widths
from concordant.learn.networks.transformer import Block
from concordant.learn.randomness import Seed, generator_of, linear

if TYPE_CHECKING:
    from torch import Tensor


class Backpack(nn.Module):
    """A causal language model of sense vectors.

    Parameters
    ----------
    vocabulary
        Number of words.
    senses
        :math:`k`, sense vectors of a word.
    width
        Of the embedding and of a sense vector, a multiple of `heads` and even.
    layers, heads
        Of the transformer that decides the weights.
    longest
        Most tokens of a text.
    seed
        A number or a generator for the initial weights.

    Examples
    --------
    >>> import torch
    >>> model = Backpack(50, senses=3, width=16, layers=1, heads=2, seed=0)
    >>> model(torch.zeros(2, 7, dtype=torch.long)).shape
    torch.Size([2, 7, 50])
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        senses: int = 4,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        longest: int = 128,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        checked_widths("Backpack", vocabulary, senses, width, layers, heads, longest)
        generator = generator_of(seed)
        self.n_senses, self.width = senses, width
        self.embedding = nn.Parameter(torch.randn(vocabulary, width, generator=generator) * 0.6 / width**0.5)
        self.positions = nn.Parameter(torch.randn(longest, width, generator=generator) * 0.6 / width**0.5)
        self.blocks = nn.ModuleList(
            Block(width, heads, 4 * width, 0.0, causal=True, generator=generator) for _ in range(layers)
        )
        self.norm, self.norm_senses = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys = linear(width, 2 * senses * width, generator)
        self.widen = linear(width, 4 * width, generator)
        self.narrow = linear(4 * width, senses * width, generator)
        self.sense_changes = nn.Parameter(torch.zeros(vocabulary * senses, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits ``(batch, time, vocabulary)`` of tokens ``(batch, time)``."""
        weights = self.sense_weights(tokens)
        mixed = torch.einsum("blij,bjld->bid", weights, self.sense_vectors(tokens))
        logits: Tensor = mixed @ self.embedding.T
        return logits

    def sense_vectors(self, tokens: Tensor) -> Tensor:
        """Return the sense vectors of tokens ``(...)``, shape ``(..., k, width)``."""
        known = self.norm_senses(embedding(tokens, self.embedding))
        changes = embedding(tokens, self.sense_changes.view(-1, self.n_senses * self.width))
        vectors: Tensor = self.narrow(gelu(self.widen(known))) + changes
        return vectors.view(*tokens.shape, self.n_senses, self.width)

    def sense_weights(self, tokens: Tensor) -> Tensor:
        """Return the weight of each sense of each word for each place of the text.

        Parameters
        ----------
        tokens
            Shape ``(batch, time)``.

        Returns
        -------
        Tensor
            Shape ``(batch, k, time, time)``: over the last axis a sense's weights add up to 1, words to come have 0.

        Raises
        ------
        DataError
            If a text is too long.
        """
        batch, time = tokens.shape
        if time > len(self.positions):
            message = f"the Backpack reads texts of up to {len(self.positions)} tokens, got {time}"
            raise DataError(message)
        states = embedding(tokens, self.embedding) + self.positions[:time]
        for block in self.blocks:
            states = block(states, None, None)
        both = self.queries_keys(self.norm(states)).view(batch, time, 2, self.n_senses, self.width)
        queries, keys = both.permute(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(-1, -2) / self.width**0.5
        ahead = torch.ones(time, time, dtype=torch.bool, device=tokens.device).triu(1)
        weights: Tensor = scores.masked_fill(ahead, -torch.inf).softmax(-1)
        return weights
