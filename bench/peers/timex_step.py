"""A training step of TimeX as its published code computes it, said again in other words: what ours is timed against.

Time comes first, the attention of encoders gives its weights back, the classifier reads each batch anew in training
mode, heads and maps whose results are dropped are computed too, and the optimiser goes through the parameters one by
one. One channel, masks on the attention alone.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from concordant.explanations.series_transformer import SeriesTransformer

CODE, LANDMARKS, KEEP_RATE, MASK_WEIGHT, CONNECTION_WEIGHT = 16, 50, 0.5, 2.0, 2.0


class WeighedAttention(nn.Module):
    """Attention whose weights are multiplied after the softmax, dropped in part, and given back."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.project, self.merge, self.dropout = nn.Linear(width, 3 * width), nn.Linear(width, width), dropout

    def forward(self, x: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map ``(time, batch, width)``, and ``(batch, time, time)`` that is kept, to the mixture and the weights."""
        queries, keys, values = (part.contiguous().transpose(0, 1) for part in self.project(x).chunk(3, -1))
        weights = torch.bmm(queries / math.sqrt(x.shape[-1]), keys.transpose(1, 2)).softmax(-1)
        if keep is not None:
            weights = keep * weights
        dropped = functional.dropout(weights, self.dropout, self.training)
        mixed = torch.bmm(dropped, values).transpose(0, 1).contiguous()
        return self.merge(mixed), weights[:, None].sum(1)


class Encoder(nn.Module):
    """The classifier: a time code beside the series, blocks without a skip around the attention, a head."""

    def __init__(self, length: int, feedforward: int, dropout: float, layers: int) -> None:
        super().__init__()
        width = CODE + 1
        self.length, self.layers = length, layers
        self.attention = nn.ModuleList(WeighedAttention(width, dropout) for _ in range(layers))
        self.widen = nn.ModuleList(nn.Linear(width, feedforward) for _ in range(layers))
        self.narrow = nn.ModuleList(nn.Linear(feedforward, width) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.drop = nn.Dropout(dropout)
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))

    def hidden(self, x: Tensor, times: Tensor, keep: Tensor | None = None) -> Tensor:
        """Map ``(time, batch, 1)`` to hidden states ``(time, batch, width)``."""
        hidden = torch.cat([time_code(times, self.length), x], dim=2)
        for i in range(self.layers):
            mixed, _ = self.attention[i](hidden, keep)
            hidden = self.norms[2 * i](self.drop(mixed))
            wide = self.drop(self.widen[i](hidden).relu())
            hidden = self.norms[2 * i + 1](hidden + self.drop(self.narrow[i](wide)))
        return hidden

    def forward(self, x: Tensor, times: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits and the latent."""
        latent = self.hidden(x, times, keep).sum(0) / ((times > 0).sum(0)[:, None] + 1)
        return self.head(latent), latent


def time_code(times: Tensor, length: int) -> Tensor:
    """Return sines and cosines of the times ``(time, batch)``."""
    scaled = times[..., None] / length ** torch.linspace(0, 1, CODE // 2)
    return torch.cat([scaled.sin(), scaled.cos()], dim=-1)


class Explainer(nn.Module):
    """All that the published code holds in one module."""

    def __init__(self, length: int, feedforward: int, dropout: float, layers: int) -> None:
        super().__init__()
        self.length = length
        self.classifier, self.memory, self.copy = (
            Encoder(length, feedforward, dropout, layers) for _ in range(3)
        )
        self.classifier.requires_grad_(requires_grad=False)
        layer = nn.TransformerDecoderLayer(CODE + 1, 1, dim_feedforward=32)
        self.decoder, self.odds = nn.TransformerDecoder(layer, 2), nn.Linear(CODE + 1, 2)
        self.unused = nn.Sequential(nn.Linear(CODE + 1, 32), nn.PReLU(), nn.Linear(32, 32), nn.PReLU())
        self.head = nn.Sequential(nn.Linear(CODE + 1, CODE + 1), nn.ReLU(), nn.Linear(CODE + 1, 4))
        self.landmarks = nn.Parameter(torch.randn(LANDMARKS, CODE + 1))


def published_steps(
    model: SeriesTransformer, x: Tensor, labels: Tensor, *, batch_size: int, seed: int
) -> Callable[[int], None]:
    """Return a function that takes a number of steps on series ``(n, time, 1)``."""
    block = model.encoder.blocks[0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Explainer(
            x.shape[1], block.widen.out_features, block.dropout.p, len(model.encoder.blocks)
        ).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(seed)
    times = torch.arange(1, x.shape[1] + 1)[:, None].expand(-1, batch_size).float()
    pairs = torch.tensor(list(combinations(range(batch_size), 2)))

    def take(steps: int) -> None:
        for _ in range(steps):
            rows = torch.randperm(len(x), generator=generator)[:batch_size]
            optimizer.zero_grad()
            loss, said = _loss(net, x[rows].transpose(0, 1), times, labels[rows], pairs)
            loss.backward()
            optimizer.step()
            [part.item() for part in said]

    return take


def _loss(
    net: Explainer, x: Tensor, times: Tensor, labels: Tensor, pairs: Tensor
) -> tuple[Tensor, list[Tensor]]:
    logits, latent = net.classifier(x, times)
    memory = net.memory.hidden(x, times)
    decoded = net.decoder(torch.cat([x, time_code(times, net.length)], dim=-1), memory)
    net.unused(decoded)
    odds = net.odds(decoded).transpose(0, 1)
    mask = functional.gumbel_softmax((odds.softmax(-1) + 1e-9).log(), tau=1.0, hard=True)[..., 1]
    p = odds.softmax(-1)[..., 1:]
    square = mask[..., None].repeat(1, 1, mask.shape[1])
    _, masked = net.copy(x, times, square * square.transpose(1, 2))
    guessed = net.head(masked)
    near = functional.normalize(masked.detach(), dim=-1) @ functional.normalize(net.landmarks, dim=-1).T
    landmark = functional.gumbel_softmax(near.log_softmax(-1), tau=0.1, hard=True) @ net.landmarks

    chosen = (functional.one_hot(labels, 4) * logits.softmax(-1)).sum(-1)
    classified = (functional.cross_entropy(logits, labels, reduction="none") + 1 - chosen).mean()
    behaviour = _gram(latent, masked) + _gram(latent, landmark)
    label = (_divergence(guessed, pairs) - _divergence(logits, pairs)).pow(2).mean()
    size = p * (p / KEEP_RATE + 1e-6).log() + (1 - p) * ((1 - p) / (1 - KEEP_RATE) + 1e-6).log()
    jumps = (p[:, 1:] - p[:, :-1]).norm(p=2) / p[:, 1:].numel()
    explained = MASK_WEIGHT * (size.mean() + CONNECTION_WEIGHT * jumps)
    similar = behaviour + label
    said = [label, behaviour, mask.mean(), classified, explained, similar]
    return classified + explained + similar, [part.detach() for part in said]


def _gram(first: Tensor, second: Tensor) -> Tensor:
    first, second = (functional.normalize(part, dim=-1) for part in (first, second))
    return (first @ first.T - second @ second.T).pow(2).mean()


def _divergence(logits: Tensor, pairs: Tensor) -> Tensor:
    log_p = logits.log_softmax(-1)
    left, right = log_p[pairs[:, 0]], log_p[pairs[:, 1]]
    middle = 0.5 * (left.exp() + right.exp())
    return 0.5 * (functional.kl_div(left, middle) + functional.kl_div(right, middle))
