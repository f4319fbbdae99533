"""The grouped sequence encoder: one sequence network over the row of each group, then attention among groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from concordant.learn.networks.mlp import MLP
from concordant.learn.networks.transformer import Block
from concordant.learn.randomness import Seed, generator_of, linear, uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Rows(NamedTuple):
    """Folded events of some units.

    Attributes
    ----------
    codes
        Categories, shape ``(units, rows, length, fields)``.
    numbers
        Amounts, shape ``(units, rows, length, amounts)``.
    time
        0 to 1 over the training range, shape ``(units, rows, length)``.
    mask
        True at events, from the left, shape ``(units, rows, length)``.
    groups
        Which group, 0 for one that training had not or the others, shape ``(units, rows)``.
    counts
        Events of the group, shape ``(units, rows)``.
    """

    codes: Tensor
    numbers: Tensor
    time: Tensor
    mask: Tensor
    groups: Tensor
    counts: Tensor


class EventEncoder(nn.Module):
    """Several fields of an event as one vector: embeddings, numbers, and time, through one linear map.

    Numbers come twice: as they are, and relative to their mean over the row, brought to a spread of 1 by the rows that
    :meth:`scale` saw. Time comes as its place in the whole and as
    the gap to the event before in the row, on a log scale.

    Parameters
    ----------
    sizes
        Categories of each field.
    n_numbers
        Amounts an event.
    width
        Of the vector.
    relative
        Whether numbers come relative to their row as well.
    seed
        A number or a generator for the initial weights.
    """

    def __init__(
        self, sizes: Sequence[int], n_numbers: int, *, width: int = 24, relative: bool = True, seed: Seed = 0
    ) -> None:
        super().__init__()
        generator = generator_of(seed)
        self.relative = relative
        self.spread: Tensor
        self.register_buffer("spread", torch.ones(n_numbers))
        each = max(2, width // 4)
        self.tables = nn.ParameterList(_small(size, each, generator) for size in sizes)
        n_inputs = each * len(sizes) + n_numbers * (1 + relative) + 2
        self.fuse = linear(n_inputs, width, generator)

    def scale(self, rows: Rows) -> None:
        """Learn how far numbers lie from the mean of their row."""
        spread = self._from_mean(rows)[rows.mask].square().mean(0).sqrt()
        self.spread = torch.where(spread > 0, spread, 1.0)

    def _from_mean(self, rows: Rows) -> Tensor:
        mask = rows.mask[..., None]
        mean = (rows.numbers * mask).sum(2, keepdim=True) / mask.sum(2, keepdim=True).clamp(min=1)
        return rows.numbers - mean

    def forward(self, rows: Rows) -> Tensor:
        """Return vectors of shape ``(units, rows, length, width)``; those of padding mean nothing."""
        parts = [table[rows.codes[..., field]] for field, table in enumerate(self.tables)]
        parts.append(rows.numbers)
        if self.relative:
            parts.append(self._from_mean(rows) / self.spread)
        gap = torch.diff(rows.time, dim=2, prepend=rows.time[:, :, :1]).clamp(min=0)
        parts += [2 * rows.time[..., None] - 1, torch.log1p(100 * gap)[..., None]]
        result: Tensor = self.fuse(torch.cat(parts, -1))
        return result


class GroupedEncoder(nn.Module):
    """A logit a unit from its folded events.

    A recurrent network, the same for all, reads each row; its states are averaged, and the group and its number of events
    are added. Groups attend to each other; attention pools them into one vector a unit, and a small network reads that.

    Parameters
    ----------
    sizes, n_numbers, relative
        As for :class:`EventEncoder`.
    n_groups
        Groups that training had, and one more for others.
    width, heads, layers
        Of all hidden states, of the attention among groups, and how many blocks of it; without any, groups are only pooled.
    dropout
        Share of numbers set to 0 while training, in the blocks.
    seed
        A number or a generator for the initial weights.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        n_numbers: int,
        n_groups: int,
        *,
        width: int = 24,
        heads: int = 2,
        layers: int = 1,
        dropout: float = 0.0,
        relative: bool = True,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        generator = generator_of(seed)
        self.events = EventEncoder(sizes, n_numbers, width=width, relative=relative, seed=generator)
        self.sequence = nn.GRU(width, width, batch_first=True, device="meta").to_empty(device="cpu")
        for name, weight in list(self.sequence.named_parameters()):
            setattr(self.sequence, name, uniform(tuple(weight.shape), width, generator))
        self.groups = _small(n_groups, width, generator)
        self.count = linear(1, width, generator)
        self.blocks = nn.ModuleList(
            Block(width, heads, 2 * width, dropout, causal=False, generator=generator) for _ in range(layers)
        )
        self.attend = linear(width, 1, generator)
        self.head = MLP(width, 1, hidden=(width,), seed=generator)

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, shape ``(units,)``."""
        used = rows.mask.any(-1)
        hidden = self._sequences(rows) + self.groups[rows.groups]
        hidden = hidden + self.count(torch.log1p(rows.counts.to(hidden))[..., None])
        for block in self.blocks:
            hidden = block(hidden, used, None)
        scores = self.attend(hidden).squeeze(-1).masked_fill(~used, torch.finfo(hidden.dtype).min)
        pooled = (scores.softmax(-1)[..., None] * hidden).sum(1)
        logits: Tensor = self.head(pooled).squeeze(-1)
        return logits

    def _sequences(self, rows: Rows) -> Tensor:
        """Return the mean state of each row that has events, and 0 of others, shape ``(units, rows, width)``.

        Rows are read in groups of about one length, so that short ones do not wait for the longest.
        """
        events, mask = self.events(rows).flatten(0, 1), rows.mask.flatten(0, 1)
        lengths = mask.sum(-1)
        out = events.new_zeros(len(events), events.shape[-1])
        octaves = lengths.double().log2().ceil()  # minus infinity without events
        for octave in torch.unique(octaves[lengths > 0]).tolist():
            chosen = (octaves == octave).nonzero()[:, 0]
            longest = int(lengths[chosen].max())
            states, _ = self.sequence(events[chosen, :longest])
            there = mask[chosen, :longest, None]
            out = out.index_put((chosen,), (states * there).sum(1) / lengths[chosen, None])
        units, count = rows.groups.shape
        read: Tensor = out.view(units, count, out.shape[-1])
        return read


def _small(size: int, width: int, generator: torch.Generator) -> nn.Parameter:
    """Return embeddings that begin near 0, so that what is measured is heard first."""
    return nn.Parameter(0.02 * torch.randn(size, width, generator=generator))
