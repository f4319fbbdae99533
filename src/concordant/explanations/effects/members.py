"""Layers whose weights have a leading axis of members, so that an ensemble is trained and asked as one network.

Inputs and outputs begin with the axis of members, ``(members, rows, ...)``. The members share nothing: a loss that is a
sum over members gives each the gradient that it has alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

from concordant.learn.networks.ensemble import Ensemble

if TYPE_CHECKING:
    from torch import Tensor


class Doses(NamedTuple):
    """What was given to each row: `which` treatment, integers from 0, and its `dose`, 0 to 1 over the training range.

    Both have shape ``(members, rows)``.
    """

    which: Tensor
    dose: Tensor

    def inputs(self) -> Tensor:
        """Return doses as networks read them, shape ``(members, rows, 1)``: a uniform dose has mean 0 and spread 1.

        Covariates are given on such a scale too. On the scale from 0 to 1 a network would learn what depends on the
        dose later, and fit the noise before it.
        """
        return ((self.dose - 0.5) * 12**0.5)[..., None]


class OutcomeNetwork(nn.Module, ABC):
    """A network that says what comes of a treatment: the outcome of rows under doses.

    Parameters
    ----------
    members
        How many networks it is.
    """

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    @abstractmethod
    def forward(self, x: Tensor, doses: Doses) -> Tensor:
        """Map covariates ``(members, rows, columns)`` and doses to outcomes ``(members, rows)``."""

    def losses(self, x: Tensor, doses: Doses, y: Tensor) -> dict[str, Tensor]:
        """Return what is minimised, as ``"loss"``, and its parts: sums over members of means over rows."""
        return {"loss": squared_error(self(x, doses), y)}


def squared_error(predicted: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of each member, added up, from shapes ``(members, rows)``."""
    return (predicted - y).square().mean(-1).sum()


def member_linear(members: int, n_inputs: int, n_outputs: int, generator: torch.Generator) -> Ensemble:
    """Return one linear map a member."""
    return Ensemble(members, n_inputs, n_outputs, hidden=(), seed=generator)


def on_tokens(layer: nn.Module, tokens: Tensor) -> Tensor:
    """Apply a map of ``(members, rows, width)`` to tokens ``(members, rows, tokens, width)``."""
    mapped: Tensor = layer(tokens.flatten(1, 2))
    return mapped.view(*tokens.shape[:3], -1)


class MemberNorm(nn.Module):
    """Layer normalisation with a scale and a shift a member, of tokens ``(members, rows, tokens, width)``."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(members, 1, 1, width))
        self.shift = nn.Parameter(torch.zeros(members, 1, 1, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise over the width."""
        return layer_norm(tokens, tokens.shape[-1:]) * self.scale + self.shift


class AttentionBlock(nn.Module):
    """Tokens attend to tokens: attention and a feed-forward part, each added to what came in and then normalised.

    Parameters
    ----------
    members, width, heads, feedforward
        How many networks, width of the tokens, a multiple of the heads, and width between the two maps.
    dropout
        Share of numbers set to 0 while training, on the output of both parts.
    generator
        Source of the initial weights.
    """

    def __init__(
        self,
        members: int,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.queries = member_linear(members, width, width, generator)
        self.keys_values = member_linear(members, width, 2 * width, generator)
        self.merge = member_linear(members, width, width, generator)
        self.feedforward = Ensemble(
            members, width, width, hidden=(feedforward,), activation=gelu, seed=generator
        )
        self.norm_attention, self.norm_feedforward = MemberNorm(members, width), MemberNorm(members, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        """Map tokens that ask, ``(members, rows, tokens, width)``, and those they attend to, to the shape of the first."""
        queries = self._by_head(on_tokens(self.queries, asking))
        keys, values = (self._by_head(part) for part in on_tokens(self.keys_values, asked).chunk(2, -1))
        mixed = scaled_dot_product_attention(queries, keys, values).transpose(1, 2).reshape(asking.shape)
        told = self.norm_attention(asking + self.dropout(on_tokens(self.merge, mixed)))
        result: Tensor = self.norm_feedforward(told + self.dropout(on_tokens(self.feedforward, told)))
        return result

    def _by_head(self, tokens: Tensor) -> Tensor:
        """Map ``(members, rows, tokens, width)`` to ``(members * rows, heads, tokens, width of a head)``."""
        members, rows, count, width = tokens.shape
        return tokens.view(members * rows, count, self.heads, width // self.heads).transpose(1, 2)
