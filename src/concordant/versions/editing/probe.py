"""A linear probe: the direction in the last hidden states of a frozen language model that tells two kinds of texts apart.

A text is the mean of its states; a logistic regression on those means gives the direction. Held-out accuracy says that
the two kinds can be told apart, and minimal pairs say that it is the behaviour that tells them apart and not the topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics import estimate_mean
from concordant.learn.randomness import generator_of
from concordant.learn.sequences import TokenBatches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from concordant.core.statistics import Estimate

LEAST = 8
"""Texts of a kind that a probe needs at least."""


@dataclass(frozen=True)
class LinearProbe:
    """A direction and what is known of it.

    Parameters
    ----------
    direction
        Points at the unwanted kind, shape ``(d,)``; its length is that of the regression.
    bias
        Texts with ``states @ direction + bias`` above 0 are taken for unwanted.
    accuracy
        Share of held-out texts told rightly.
    """

    direction: Tensor
    bias: float
    accuracy: Estimate

    def scores(self, states: Tensor) -> Tensor:
        """Return the log-odds that texts are of the unwanted kind, from their mean states ``(n, d)``."""
        return states.to(self.direction) @ self.direction + self.bias

    def pair_accuracy(self, unwanted: Tensor, wanted: Tensor) -> Estimate:
        """Estimate the share of minimal pairs whose unwanted member has the higher score.

        Parameters
        ----------
        unwanted, wanted
            Mean states of both members, row by row, shape ``(n, d)``.

        Raises
        ------
        DataError
            If there are not as many of one as of the other.
        """
        if unwanted.shape != wanted.shape:
            message = (
                f"minimal pairs need as many unwanted as wanted texts, got {len(unwanted)} and {len(wanted)}"
            )
            raise DataError(message)
        return estimate_mean((self.scores(unwanted) > self.scores(wanted)).numpy())


@torch.no_grad()
def pooled_states(model: Any, rows: Sequence[Sequence[int]], *, tokens: int = 16_384) -> Tensor:
    """Return the mean over its tokens of the last hidden states of each text.

    Parameters
    ----------
    model
        A causal language model of transformers.
    rows
        Token ids, at least one a row.
    tokens
        In one forward pass, about.

    Returns
    -------
    Tensor
        Shape ``(n, d)``, float32 on the processor.
    """
    batches = TokenBatches([(row, 0) for row in rows], max(tokens, *map(len, rows)), shuffle=False)
    device = next(model.parameters()).device
    means: Tensor | None = None
    for batch in batches(torch.Generator()):
        states = model.base_model(batch["tokens"].to(device), use_cache=False).last_hidden_state.float()
        real = batch["real"].to(states)[..., None]
        pooled = ((states * real).sum(1) / real.sum(1)).cpu()
        if means is None:
            means = pooled.new_zeros(len(rows), pooled.shape[1])
        means[batch["rows"]] = pooled
    assert means is not None  # TokenBatches refuses no rows
    return means


def fit_probe(
    unwanted: Tensor, wanted: Tensor, *, held_out: float = 0.3, penalty: float = 1.0, seed: int = 0
) -> LinearProbe:
    r"""Fit a probe by logistic regression on a part of the texts, and say how it tells the others.

    .. math:: \min_{v, b}\ \sum_i \log\left(1 + e^{-y_i (v \cdot h_i / s + b)}\right) + \tfrac{c}{2} |v|^2

    with :math:`s` the root mean square of the states, so that the penalty :math:`c` has no unit. Both kinds count as
    much, however many texts there are of each.

    Parameters
    ----------
    unwanted, wanted
        Mean states of the two kinds of texts, shape ``(n, d)``.
    held_out
        Share of each kind that is not fitted, in (0, 1).
    penalty
        :math:`c`, greater than 0.
    seed
        Decides which texts are held out.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    DataError
        If there are too few texts of a kind.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> noise = torch.randn(2, 100, 3, generator=generator)
    >>> probe = fit_probe(noise[0] + torch.tensor([4.0, 0.0, 0.0]), noise[1])
    >>> probe.accuracy.value > 0.9, int(probe.direction.argmax())
    (True, 0)
    """
    from sklearn.linear_model import LogisticRegression

    if not 0 < held_out < 1 or penalty <= 0:
        message = f"fit_probe needs held_out in (0, 1) and penalty > 0, got {held_out} and {penalty}"
        raise ConfigError(message)
    for name, states in (("unwanted", unwanted), ("wanted", wanted)):
        if len(states) < LEAST:
            message = f"a probe needs at least {LEAST} {name} texts, got {len(states)}"
            raise DataError(message)
    generator = generator_of(seed)
    fitted, held, kinds, held_kinds = [], [], [], []
    for kind, states in ((1, unwanted), (0, wanted)):
        order = torch.randperm(len(states), generator=generator)
        n_held = max(1, round(held_out * len(states)))
        held.append(states[order[:n_held]])
        fitted.append(states[order[n_held:]])
        held_kinds += [kind] * n_held
        kinds += [kind] * (len(states) - n_held)
    x = torch.cat(fitted).double()
    scale = float(x.square().mean().sqrt()) or 1.0
    regression = LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=1000)
    regression.fit((x / scale).numpy(), kinds)
    direction = torch.from_numpy(regression.coef_[0] / scale).float()
    bias = float(regression.intercept_[0])
    said = torch.cat(held).float() @ direction + bias > 0
    return LinearProbe(direction, bias, estimate_mean((said == torch.tensor(held_kinds).bool()).numpy()))
