"""A small transformer encoder for series ``(batch, time, channel)``.

Blocks normalise before attention and before the feed-forward part; positions are sines and cosines, so any
length will do. A `keep` mask takes time steps out of the attention in degrees, which lets a gradient choose them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from concordant.core.errors import ConfigError, DataError
from concordant.learn.networks.mlp import checked_widths
from concordant.learn.randomness import Seed, generator_of, linear

if TYPE_CHECKING:
    from torch import Tensor


class TransformerEncoder(nn.Module):
    """A stack of self-attention blocks over time.

    Parameters
    ----------
    n_channels
        Width of the input.
    width
        Width of the hidden states, a multiple of `heads` and even.
    heads, layers
        How many attention heads a block, and how many blocks.
    feedforward
        Width between the two maps of the feed-forward part; four times the width by default.
    dropout
        Share of numbers set to 0 while training, on the output of both parts of a block, in [0, 1). It is drawn
        from the global generator, as PyTorch does; :func:`concordant.learn.train` keeps that one apart.
    causal
        Whether a step sees only itself and what came before.
    seed
        A number or a generator for the initial weights.

    Raises
    ------
    ConfigError
        If the width does not fit the heads, or the dropout is outside [0, 1).

    References
    ----------
    Vaswani et al., "Attention Is All You Need", 2017; normalisation first: Xiong et al., 2020.

    Examples
    --------
    >>> import torch
    >>> encoder = TransformerEncoder(3, width=16, heads=2, layers=1, seed=0)
    >>> encoder(torch.zeros(4, 50, 3)).shape
    torch.Size([4, 50, 16])
    """

    def __init__(
        self,
        n_channels: int,
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        feedforward: int | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        checked_widths("TransformerEncoder", n_channels, width, heads, layers)
        if width % heads or width % 2:
            message = f"width must be even and a multiple of the {heads} heads, got {width}"
            raise ConfigError(message)
        if not 0 <= dropout < 1:
            message = f"dropout must be from 0 to below 1, got {dropout}"
            raise ConfigError(message)
        generator = generator_of(seed)
        self.inputs = linear(n_channels, width, generator)
        self.blocks = nn.ModuleList(
            Block(width, heads, feedforward or 4 * width, dropout, causal=causal, generator=generator)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, *, padding: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Return the hidden states.

        Parameters
        ----------
        x
            Shape ``(batch, time, channel)``.
        padding
            True at real steps, shape ``(batch, time)``; all by default. Steps that are not real are never attended to,
            and their hidden states mean nothing.
        keep
            Weight in [0, 1] a step, shape ``(batch, time)``: the attention of step i to step j, after its softmax,
            is multiplied by ``keep_i * keep_j``.

        Returns
        -------
        Tensor
            Shape ``(batch, time, width)``.

        Raises
        ------
        DataError
            If a shape does not fit.
        """
        if x.ndim != 3 or x.shape[-1] != self.inputs.in_features:
            message = (
                f"the encoder needs shape (batch, time, {self.inputs.in_features}), got {tuple(x.shape)}"
            )
            raise DataError(message)
        for name, given in (("padding", padding), ("keep", keep)):
            if given is not None and given.shape != x.shape[:2]:
                message = (
                    f"{name} must have shape (batch, time) {tuple(x.shape[:2])}, got {tuple(given.shape)}"
                )
                raise DataError(message)
        hidden = self.inputs(x)
        hidden = hidden + sinusoids(x.shape[1], hidden.shape[-1]).to(hidden)
        for block in self.blocks:
            hidden = block(hidden, padding, keep)
        result: Tensor = self.norm(hidden)
        return result


class Block(nn.Module):
    """Self-attention and a feed-forward part, each normalised and added to what came in.

    Parameters
    ----------
    width, heads, feedforward, dropout, causal
        As for :class:`TransformerEncoder`.
    generator
        Source of the initial weights.
    norm_first
        Whether each part normalises what it reads, or what it and its sum leave behind, as in 2017.
    skip_attention
        Whether what came in is added to the attention. Without it nothing of the value of a step that `keep` masks
        away is left; it still counts in the softmax of the others.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float,
        *,
        causal: bool,
        generator: torch.Generator,
        norm_first: bool = True,
        skip_attention: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm_first, self.skip_attention = norm_first, skip_attention
        self.norm_attention, self.norm_feedforward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = linear(width, 3 * width, generator)
        self.merge = linear(width, width, generator)
        self.widen, self.narrow = linear(width, feedforward, generator), linear(feedforward, width, generator)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor | None, keep: Tensor | None) -> Tensor:
        """Map ``(batch, time, width)`` to the same shape."""
        before = x if self.skip_attention else 0
        if self.norm_first:
            x = before + self.dropout(self._attention(self.norm_attention(x), padding, keep))
            added: Tensor = x + self.dropout(self._feedforward(self.norm_feedforward(x)))
            return added
        x = self.norm_attention(before + self.dropout(self._attention(x, padding, keep)))
        result: Tensor = self.norm_feedforward(x + self.dropout(self._feedforward(x)))
        return result

    def _feedforward(self, x: Tensor) -> Tensor:
        result: Tensor = self.narrow(gelu(self.widen(x)))
        return result

    def _attention(self, x: Tensor, padding: Tensor | None, keep: Tensor | None) -> Tensor:
        batch, time, width = x.shape
        projected = self.queries_keys_values(x).view(batch, time, 3, self.heads, width // self.heads)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)  # each (batch, head, time, width of a head)
        weight = None if keep is None else keep[:, None, :, None].to(x)
        if weight is not None:
            values = values * weight  # keep_j, inside the sum over j
        allowed = None if padding is None else padding[:, None, None, :].bool().expand(-1, -1, time, -1)
        if allowed is not None and self.causal:
            allowed = allowed & torch.ones(time, time, dtype=torch.bool, device=x.device).tril()
        if allowed is not None:  # a step with nothing to look at looks at itself, so that nothing becomes NaN
            allowed = allowed | torch.eye(time, dtype=torch.bool, device=x.device)
        mixed = scaled_dot_product_attention(
            queries, keys, values, attn_mask=allowed, is_causal=self.causal and allowed is None
        )
        if weight is not None:
            mixed = mixed * weight  # keep_i, outside of it
        result: Tensor = self.merge(mixed.transpose(1, 2).reshape(batch, time, width))
        return result


def sinusoids(time: int, width: int) -> Tensor:
    """Return sines and cosines of the positions, wavelengths from 2 pi to 20,000 pi steps, shape ``(time, width)``.

    Examples
    --------
    >>> sinusoids(1, 4)
    tensor([[0., 0., 1., 1.]])
    """
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
    angles = torch.arange(time)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
