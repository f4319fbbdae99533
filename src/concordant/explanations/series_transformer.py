r"""The classifier of series that TimeX was made to explain: one small transformer, and how it is trained.

A sine and cosine code of the time stands beside the raw channels, blocks normalise after each part and have no skip
around the attention, and the latent is the sum of the hidden states over time. Without that skip a step whose
attention is masked away leaves nothing of its value behind, but for its share in the softmax of the others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize, relu

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.best_weights import BestWeights
from concordant.learn.batches import Batches
from concordant.learn.loop import train
from concordant.learn.networks.dropout import Dropout
from concordant.learn.networks.mlp import MLP, checked_widths
from concordant.learn.networks.transformer import Block
from concordant.learn.randomness import Seed, child_seeds, generator_of

if TYPE_CHECKING:
    from torch import Tensor

    from concordant.learn.history import History

CODE_WIDTH = 16


def time_code(time: int, width: int, longest: int) -> Tensor:
    r"""Return sines and cosines of the steps 1 to `time`, over scales from 1 to `longest`, shape ``(time, width)``.

    .. math:: \sin(t / s_k), \cos(t / s_k), \qquad s_k = L^{k / (w/2 - 1)},\; k = 0, \dots, w/2 - 1

    Parameters
    ----------
    time
        Number of steps.
    width
        An even number w of columns, at least 4: first the sines, then the cosines.
    longest
        The largest scale L, in steps.

    Examples
    --------
    >>> time_code(2, 4, 9).shape
    torch.Size([2, 4])
    """
    scales = float(longest) ** torch.linspace(0, 1, width // 2)
    angles = torch.arange(1, time + 1)[:, None] / scales
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SeriesEncoder(nn.Module):
    """Blocks of attention over a series with a time code beside its channels.

    Parameters
    ----------
    n_channels
        Width of the input.
    length
        Steps of the series it is made for: the largest scale of the time code.
    layers, heads, feedforward, dropout
        Number of blocks, of attention heads, width between the two maps of a block, and share of numbers set to 0
        while training.
    seed
        A number or a generator for the initial weights.
    """

    def __init__(
        self,
        n_channels: int,
        length: int,
        *,
        layers: int = 1,
        heads: int = 1,
        feedforward: int = 16,
        dropout: float = 0.1,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        checked_widths("SeriesEncoder", n_channels, length, layers, heads, feedforward)
        self.n_channels, self.length, self.width = n_channels, length, n_channels + CODE_WIDTH
        if self.width % heads:
            message = f"heads must divide the width of {n_channels} channels and {CODE_WIDTH} of the time code, got {heads}"
            raise ConfigError(message)
        generator = generator_of(seed)
        self.blocks = nn.ModuleList(
            Block(
                self.width,
                heads,
                feedforward,
                dropout,
                causal=False,
                generator=generator,
                norm_first=False,
                skip_attention=False,
            )
            for _ in range(layers)
        )
        for block in self.blocks:
            block.dropout = Dropout(dropout)
        self.register_buffer("code", time_code(length, CODE_WIDTH, length), persistent=False)

    def with_time(self, x: Tensor) -> Tensor:
        """Return the series with the time code beside it, shape ``(batch, time, width)``."""
        time, known = x.shape[1], self.get_buffer("code")
        code = (known[:time] if time <= self.length else time_code(time, CODE_WIDTH, self.length)).to(x)
        return torch.cat([code.expand(len(x), -1, -1), x], dim=-1)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Map ``(batch, time, channel)`` to hidden states ``(batch, time, width)``; `keep` as in the classifier."""
        return self.attended(self.with_time(x), keep)

    def attended(self, hidden: Tensor, keep: Tensor | None = None) -> Tensor:
        """Map what :meth:`with_time` returns to hidden states of the same shape."""
        for block in self.blocks:
            hidden = block(hidden, None, keep)
        return hidden


class Pool(nn.Module):
    """The sum of the hidden states over time, divided by the number of steps and one more; of length 1 if asked."""

    def __init__(self, *, unit: bool = False) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, hidden: Tensor) -> Tensor:
        """Map ``(batch, time, width)`` to ``(batch, width)``."""
        pooled = hidden.sum(1) / (hidden.shape[1] + 1)
        return normalize(pooled, dim=-1) if self.unit else pooled


class SeriesTransformer(nn.Module):
    """A classifier of series ``(batch, time, channel)`` whose attention can be masked by degrees.

    Parameters
    ----------
    n_channels, n_classes
        Widths of the two ends.
    length
        Steps of the series it is made for.
    layers, heads, feedforward, dropout
        Of the blocks; the defaults are those of the paper for FreqShapes.
    unit_latent
        Whether the latent is brought to length 1.
    seed
        A number or a generator for the initial weights.

    Raises
    ------
    ConfigError
        If a width is below 1, or the heads do not divide the width.

    References
    ----------
    Queen et al., "Encoding Time-Series Explanations through Self-Supervised Model Behavior Consistency", 2023.

    Examples
    --------
    >>> import torch
    >>> SeriesTransformer(1, 4, 50, seed=0)(torch.zeros(8, 50, 1)).shape
    torch.Size([8, 4])
    """

    latent_module = "pool"
    """Name of the module whose output is the latent."""

    def __init__(
        self,
        n_channels: int,
        n_classes: int,
        length: int,
        *,
        layers: int = 1,
        heads: int = 1,
        feedforward: int = 16,
        dropout: float = 0.1,
        unit_latent: bool = False,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        generator = generator_of(seed)
        self.encoder = SeriesEncoder(
            n_channels,
            length,
            layers=layers,
            heads=heads,
            feedforward=feedforward,
            dropout=dropout,
            seed=generator,
        )
        self.pool = Pool(unit=unit_latent)
        self.head = MLP(
            self.encoder.width, n_classes, hidden=(self.encoder.width,), activation=relu, seed=generator
        )

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x
            Series, shape ``(batch, time, channel)``.
        keep
            Weight in [0, 1] a step, shape ``(batch, time)``: attention of step i to step j, after its softmax, is
            multiplied by ``keep_i * keep_j``.

        Raises
        ------
        DataError
            If the shape does not fit.
        """
        if x.ndim != 3 or x.shape[-1] != self.encoder.n_channels:
            message = (
                f"the classifier needs shape (batch, time, {self.encoder.n_channels}), got {tuple(x.shape)}"
            )
            raise DataError(message)
        logits: Tensor = self.head(self.pool(self.encoder(x, keep)))
        return logits


def poly_cross_entropy(logits: Tensor, labels: Tensor, *, epsilon: float = 1.0) -> Tensor:
    r"""Return the mean cross-entropy with one more term of its expansion, nats.

    .. math:: -\log p_y + \epsilon\,(1 - p_y)

    Parameters
    ----------
    logits
        Shape ``(n, classes)``.
    labels
        Shape ``(n,)``, integers.
    epsilon
        Weight of the further term; 0 for cross-entropy alone.

    References
    ----------
    Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", 2022.

    Examples
    --------
    >>> import torch
    >>> round(poly_cross_entropy(torch.zeros(1, 2), torch.tensor([0])).item(), 4)  # log 2 + 1/2
    1.1931
    """
    p = logits.softmax(-1).gather(-1, labels[:, None])[:, 0]
    return cross_entropy(logits, labels) + epsilon * (1 - p).mean()


def fit_classifier(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    *,
    validation: tuple[Tensor, Tensor],
    epochs: int = 100,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.1,
    schedule: str = "constant",
    seed: int = 0,
    progress: bool = False,
) -> History:
    """Train a classifier of series in place, and keep the weights of the epoch that validates best.

    Parameters
    ----------
    model
        Maps ``(batch, time, channel)`` to logits.
    x, labels
        Series, shape ``(n, time, channel)``, and integer classes, shape ``(n,)``.
    validation
        The same of rows that are not trained on.
    epochs, batch_size, learning_rate, weight_decay, schedule
        Of AdamW; the defaults are those of the paper for FreqShapes.
    seed
        Decides the order of the rows and the dropout.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    DataError
        If there is only one class to tell apart.
    """
    if labels.min() == labels.max():
        message = f"a classifier needs rows of at least two classes, got only class {int(labels[0])}"
        raise DataError(message)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return poly_cross_entropy(model(batch[0]), batch[1])

    best = BestWeights(lambda model: loss(model, validation))
    batches = Batches((x, labels), batch_size)
    (order,) = child_seeds(seed, 1)
    history = train(
        model,
        loss,
        batches,
        epochs=epochs,
        optimizer=partial(torch.optim.AdamW, lr=learning_rate, weight_decay=weight_decay, fused=True),
        schedule=schedule,
        validate=best,
        validate_every=len(batches),
        device=next(model.parameters()).device,
        seed=order,
        progress=progress,
    )
    best.restore(model)
    return history
