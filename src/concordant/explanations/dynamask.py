r"""Dynamask: a mask for each series, learnt so that the classifier says of what is kept what it said of the whole.

Each series has a mask of its own, and all masks of a batch are learnt at once: no series has part in the loss of
another. What is not kept is blurred, faded to an average of its neighbourhood, or replaced; a mask m of wanted size a is
the one with the lowest

.. math:: \mathrm{CE}\left(f(x), f(\Pi_m(x))\right) + \lambda_k\,\mathrm{mean}\left(\mathrm{sort}(m) - r_a\right)^2
    + \lambda_c\,\mathrm{mean}_t\,|m_{t+1} - m_t|, \qquad \lambda_k = \lambda_0\,\delta^{k/K}

with :math:`r_a` a share 1 - a of zeros and then ones, and k the step of K. Of several sizes the smallest is taken whose
error is small enough: the extremal mask. Where this departs from the paper's code: ties in the order of a mask are
broken at random and not by place, steps are those of Adam, which do not shrink with the length of a series, and averages
are over the steps that there are.

References
----------
Crabbé, van der Schaar, "Explaining Time Series Predictions with Dynamic Masks", 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch.nn.functional import log_softmax, pad

from concordant.core.errors import ConfigError, DataError
from concordant.core.progress import progress_bars
from concordant.explanations.masking import Baseline
from concordant.explanations.series_model import Series, as_series_model, evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


Perturbation: TypeAlias = Literal["blur", "average", "past-average", "normal"]

REACH = 5
"""Widths of a blur after which it is cut: less than 4 in a million of its weight is farther."""


class Dynamask:
    r"""Explain each series by the smallest part of it under which the classifier says what it said.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a `SeriesModel`. It is not changed.
    size
        a in (0, 1), the share of a series that is kept, at least one number of it; or several, of which each series gets
        the extremal mask.
    perturbation
        What befalls numbers that are not kept: ``"blur"`` (normal weights, `width` steps wide where nothing is kept) as
        in the paper, ``"average"`` or ``"past-average"`` of the steps up to `width` away, or ``"normal"`` numbers with
        the moments of `training`, drawn anew each step. By default normal numbers where there is `training`, else blur,
        which leaves much of a narrow pattern as it is.
    width
        Of the blur or the average, steps.
    steps
        K >= 1, steps of the learning.
    size_weight, size_growth
        :math:`\lambda_0` > 0 and :math:`\delta` >= 1.
    time_weight
        :math:`\lambda_c` >= 0, against jumps of the mask.
    tolerance
        Of several sizes the smallest is taken whose mean cross-entropy exceeds the entropy of the classifier's own
        probabilities by no more than this, nats; where there is none, the one with the lowest.
    learning_rate
        Of Adam.
    training
        Series for the moments of normal numbers, shape ``(n, time, channel)``.
    seed
        Decides ties and draws, the same for all series.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    ConfigError
        If an option is outside its range, or normal numbers are asked for without `training`.

    Examples
    --------
    >>> import torch
    >>> class FirstHalf(torch.nn.Module):
    ...     def forward(self, x):
    ...         total = x[:, :4].sum((1, 2))
    ...         return torch.stack([total, -total], dim=1)
    >>> x = torch.randn((6, 8, 1), generator=torch.Generator().manual_seed(0))
    >>> masks = Dynamask(FirstHalf(), size=0.25, perturbation="normal", training=x).explain(x)
    >>> bool(masks[:, :4].mean() > masks[:, 4:].mean())
    True
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        size: float | Sequence[float] = 0.1,
        perturbation: Perturbation | None = None,
        width: int = 2,
        steps: int = 200,
        size_weight: float = 0.5,
        size_growth: float = 100.0,
        time_weight: float = 0.0,
        tolerance: float = 0.1,
        learning_rate: float = 0.03,
        training: Series | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.model = as_series_model(classifier)
        self.sizes = tuple(sorted([size] if isinstance(size, (int, float)) else size))
        for name, value, holds, allowed in (
            ("size", size, self.sizes and all(0 < share < 1 for share in self.sizes), "above 0 and below 1"),
            ("width", width, width >= 1, "at least 1"),
            ("steps", steps, steps >= 1, "at least 1"),
            ("size_weight", size_weight, size_weight > 0, "positive"),
            ("size_growth", size_growth, size_growth >= 1, "at least 1"),
            ("time_weight", time_weight, time_weight >= 0, "at least 0"),
            ("tolerance", tolerance, tolerance >= 0, "at least 0"),
            ("learning_rate", learning_rate, learning_rate > 0, "positive"),
        ):
            if not holds:
                message = f"{name} of Dynamask must be {allowed}, got {value}"
                raise ConfigError(message)
        if perturbation is not None and perturbation not in get_args(Perturbation):
            message = f"perturbation of Dynamask must be one of {', '.join(get_args(Perturbation))}, got {perturbation!r}"
            raise ConfigError(message)
        if perturbation == "normal" and training is None:
            message = "perturbation 'normal' of Dynamask needs the training series whose moments it has: give training"
            raise ConfigError(message)
        self.perturbation = perturbation or ("blur" if training is None else "normal")
        self.width, self.steps = width, steps
        self.size_weight, self.size_growth, self.time_weight = size_weight, size_growth, time_weight
        self.tolerance, self.learning_rate = tolerance, learning_rate
        self.seed, self.progress = seed, progress
        self._baseline = None if training is None else Baseline.of(self.model.checked(training, "training"))

    def explain(self, x: Series, *, batch_size: int = 512) -> NDArray[np.float32]:
        """Return masks: `steps` passes forwards and backwards a batch.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``.
        batch_size
            Masks, of all series and sizes, a pass.

        Returns
        -------
        array of the shape of `x`, in [0, 1]; more is more important

        Raises
        ------
        DataError
            If the series cannot be used, or have another shape than `training`.
        ConfigError
            If series have one step and are to be mixed with their neighbours.
        """
        series = self.model.checked(x)
        batches = torch.split(series, max(1, batch_size // len(self.sizes)))
        done, total = 0, len(batches) * self.steps
        found = []
        with progress_bars() as tell, evaluating(self.model):
            for rows in batches:

                def told(step: int, before: int = done) -> None:
                    if self.progress:
                        tell("learning masks", before + step, total)

                found.append(self._extremal(*self._learnt(rows, told)))
                done += self.steps
        return torch.cat(found).numpy(force=True)

    def _learnt(self, x: Tensor, tell: Callable[[int], None]) -> tuple[Tensor, Tensor]:
        """Return masks of all sizes, shape ``(sizes, n, time, channel)``, and their errors, ``(sizes, n)``."""
        n_sizes, numbers = len(self.sizes), x[0].numel()
        perturb = self._perturbing(x)
        with torch.no_grad():
            target = self.model(x)[0].softmax(-1)
        entropy = torch.special.entr(target).sum(-1)
        repeated = target.repeat(n_sizes, 1)
        kept = [max(1, round(size * numbers)) for size in self.sizes]  # of a short row, at least one number
        n_dropped = numbers - torch.tensor(kept, device=x.device)
        ties = torch.randperm(numbers, generator=torch.Generator().manual_seed(self.seed)).to(x.device)
        generator = torch.Generator().manual_seed(self.seed)
        masks = torch.full((n_sizes, *x.shape), 0.5, dtype=x.dtype, device=x.device, requires_grad=True)
        optimizer = torch.optim.Adam([masks], lr=self.learning_rate)

        def errors() -> Tensor:
            log_p = log_softmax(self.model(perturb(masks, generator).flatten(0, 1))[0], -1)
            crossed: Tensor = -(repeated * log_p).sum(-1)
            return crossed.view(n_sizes, -1)

        for step in range(self.steps):
            with torch.enable_grad():
                # At first all are equal, and every order is as good as any other: the mean of all.
                wanted = (
                    1 - n_dropped.view(-1, 1, 1, 1) / numbers if step == 0 else _sized(masks, n_dropped, ties)
                )
                size = (masks - wanted).square().flatten(2).mean(-1)
                jumps = masks.diff(dim=2).abs().flatten(2)
                weight = self.size_weight * self.size_growth ** (step / self.steps)
                loss = errors() + weight * size
                if self.time_weight and jumps.shape[-1]:
                    loss = loss + self.time_weight * jumps.mean(-1)
                masks.grad = torch.autograd.grad(loss.sum(), masks)[0]
            optimizer.step()
            with torch.no_grad():
                masks.clamp_(0, 1)
            tell(step + 1)
        with torch.no_grad():
            return masks.detach(), errors() - entropy

    def _extremal(self, masks: Tensor, errors: Tensor) -> Tensor:
        small_enough = errors <= self.tolerance
        chosen = torch.where(small_enough.any(0), small_enough.int().argmax(0), errors.argmin(0))
        return masks[chosen, torch.arange(masks.shape[1], device=masks.device)]

    def _perturbing(self, x: Tensor) -> Callable[[Tensor, torch.Generator], Tensor]:
        """Return what makes perturbed series of masks, both of shape ``(sizes, n, time, channel)``."""
        if self.perturbation != "normal" and x.shape[1] == 1:
            message = (
                f"perturbation {self.perturbation!r} of Dynamask takes the steps around, and series of one step have none: "
                "give training, for 'normal'"
            )
            raise ConfigError(message)
        if self._baseline is not None and self.perturbation == "normal":
            if self._baseline.mean.shape != x.shape[1:]:
                message = (
                    f"training must have the (time, channel) {tuple(x.shape[1:])} of the series, "
                    f"got {tuple(self._baseline.mean.shape)}"
                )
                raise DataError(message)
            baseline = self._baseline
            # One draw for all series: none hangs on which others there are.
            return lambda masks, generator: masks * x + (1 - masks) * baseline.draw(1, generator)
        if self.perturbation == "blur":
            return lambda masks, _: blurred(x, self.width * (1 - masks))
        average = averaged(x, self.width, past=self.perturbation == "past-average")
        return lambda masks, _: average + masks * (x - average)


def blurred(x: Tensor, width: Tensor) -> Tensor:
    r"""Return series of which each number is a mean of its channel with normal weights, as wide as wanted.

    .. math:: \tilde x_t = \frac{\sum_s g_{\sigma_t}(s - t)\,x_s}{\sum_s g_{\sigma_t}(s - t)}, \qquad
        g_\sigma(d) = e^{-d^2 / 2 \sigma^2}

    Parameters
    ----------
    x
        Shape ``(n, time, channel)``.
    width
        :math:`\sigma` by number, at least 0, steps, shape ``(..., n, time, channel)``; 0 leaves a number as it is.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[[0.0], [1.0], [0.0]]])
    >>> blurred(x, torch.tensor([[[0.0], [1e6], [0.0]]])).flatten().round(decimals=3)
    tensor([0.0000, 0.3330, 0.0000])
    """
    time = x.shape[1]
    reach = min(time - 1, max(1, int(REACH * float(width.detach().max()))))
    offsets = torch.arange(-reach, reach + 1, device=x.device)
    inside = (torch.arange(time, device=x.device)[:, None, None] + offsets).clamp(-1, time)
    inside = ((inside >= 0) & (inside < time)).to(x.dtype)  # (time, 1, window)
    windows = pad(x, (0, 0, reach, reach)).unfold(1, 2 * reach + 1, 1)  # (n, time, channel, window)
    floor = 0.02  # where exp(-1 / 2 floor^2) is exactly 0
    precision = 0.5 / (width + floor).square()
    weights = torch.exp(-(offsets.square()) * precision[..., None]) * inside
    result: Tensor = (weights * windows).sum(-1) / weights.sum(-1)
    return result


def averaged(x: Tensor, width: int, *, past: bool = False) -> Tensor:
    """Return series of which each number is the mean of its channel from `width` steps before to as many after.

    Parameters
    ----------
    x
        Shape ``(n, time, channel)``.
    width
        Steps, at least 0.
    past
        Whether steps after it are left out.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[[0.0], [2.0], [4.0]]])
    >>> averaged(x, 1).flatten().tolist(), averaged(x, 1, past=True).flatten().tolist()
    ([1.0, 2.0, 3.0], [0.0, 1.0, 3.0])
    """
    steps = torch.arange(x.shape[1], device=x.device)
    before = steps[:, None] - steps
    near = ((before <= width) & (before >= (0 if past else -width))).to(x.dtype)
    return torch.einsum("ts,nsc->ntc", near / near.sum(1, keepdim=True), x)


def _sized(masks: Tensor, n_dropped: Tensor, ties: Tensor) -> Tensor:
    """Return the nearest masks of zeros and ones of the wanted sizes: ones at the largest numbers."""
    flat = masks.detach().flatten(2)
    order = ties[flat[..., ties].argsort(dim=-1, stable=True)]
    kept = (torch.arange(flat.shape[-1], device=masks.device) >= n_dropped[:, None]).to(masks.dtype)
    return torch.empty_like(flat).scatter_(-1, order, kept[:, None].expand_as(flat)).view_as(masks)
