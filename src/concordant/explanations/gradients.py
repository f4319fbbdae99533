r"""Explanations by the slope of the classifier: plain, or integrated along the way from a baseline.

They need no training, and one or many passes a series. Signs are kept unless asked otherwise: a number that speaks
against the class has a negative attribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from concordant.core.errors import ConfigError, DataError
from concordant.explanations.classifiers import chosen_classes
from concordant.explanations.series_model import Series, SeriesModel, as_series_model, evaluating

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Gradient:
    """The slope of the logit of a class with respect to every number of a series.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a `SeriesModel`.
    absolute
        Whether the sign is dropped, as in saliency maps.

    References
    ----------
    Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", 2013.

    Examples
    --------
    >>> import torch
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> Gradient(SeriesTransformer(1, 4, 50, seed=0)).explain(torch.zeros(3, 50, 1)).shape
    (3, 50, 1)
    """

    def __init__(self, classifier: nn.Module, *, absolute: bool = True) -> None:
        self.model, self.absolute = as_series_model(classifier), absolute

    def explain(
        self, x: Series, classes: Series | None = None, *, batch_size: int = 512
    ) -> NDArray[np.float32]:
        """Return slopes.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``.
        classes
            Whose logit, shape ``(n,)``; by default the class that the classifier gives.
        batch_size
            Series a pass.

        Returns
        -------
        array of the shape of `x`

        Raises
        ------
        DataError
            If the series cannot be used.
        """
        series = self.model.checked(x)
        targets = _targets(self.model, series, classes)
        with evaluating(self.model):
            slopes = torch.cat(
                [
                    _slopes(self.model, rows, target)
                    for rows, target in zip(
                        torch.split(series, batch_size), torch.split(targets, batch_size), strict=True
                    )
                ]
            )
        return (slopes.abs() if self.absolute else slopes).numpy(force=True)


class IntegratedGradients:
    r"""The slope of a logit, averaged along the straight way from a baseline, times the way.

    .. math:: a = (x - b) \odot \int_0^1 \nabla f_y(b + \alpha (x - b))\,d\alpha

    The integral is by Gauss-Legendre quadrature. Attributions add up to :math:`f_y(x) - f_y(b)` but for its error.

    Parameters
    ----------
    classifier
        A torch module that maps ``(batch, time, channel)`` to logits, or a `SeriesModel`.
    steps
        Points of the quadrature, at least 1.
    baseline
        A number, or an array of shape ``(time, channel)``.
    absolute
        Whether the sign is dropped.

    Raises
    ------
    ConfigError
        If there is no step.

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", 2017.

    Examples
    --------
    >>> import torch
    >>> from concordant.explanations.series_transformer import SeriesTransformer
    >>> model = SeriesTransformer(1, 4, 50, seed=0).eval()
    >>> x = torch.ones(1, 50, 1)
    >>> attribution = IntegratedGradients(model).explain(x, [2])
    >>> rise = (model(x) - model(0 * x))[0, 2].item()
    >>> bool(abs(attribution.sum() - rise) < 0.01)
    True
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        steps: int = 50,
        baseline: float | Series = 0.0,
        absolute: bool = False,
    ) -> None:
        if steps < 1:
            message = f"steps of IntegratedGradients must be at least 1, got {steps}"
            raise ConfigError(message)
        self.model, self.steps, self.absolute = as_series_model(classifier), steps, absolute
        self.baseline = baseline

    def explain(
        self, x: Series, classes: Series | None = None, *, batch_size: int = 512
    ) -> NDArray[np.float32]:
        """Return integrated slopes times the way.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``.
        classes
            Whose logit, shape ``(n,)``; by default the class that the classifier gives.
        batch_size
            Points on the way, of all series, a pass.

        Returns
        -------
        array of the shape of `x`

        Raises
        ------
        DataError
            If the series or the baseline cannot be used.
        """
        series = self.model.checked(x)
        targets = _targets(self.model, series, classes)
        start = torch.as_tensor(self.baseline).to(series)
        if start.ndim not in (0, 2) or (start.ndim == 2 and start.shape != series.shape[1:]):
            message = (
                f"the baseline must be a number or of shape (time, channel) {tuple(series.shape[1:])}, "
                f"got {tuple(start.shape)}"
            )
            raise DataError(message)
        way = series - start
        points, weights = (
            torch.as_tensor(part).to(series) for part in np.polynomial.legendre.leggauss(self.steps)
        )
        points, weights = (points + 1) / 2, weights / 2  # from [-1, 1] to [0, 1]
        rows_a_pass = max(1, batch_size // self.steps)
        averages = []
        with evaluating(self.model):
            for part, target in zip(
                torch.split(way, rows_a_pass), torch.split(targets, rows_a_pass), strict=True
            ):
                line = start + points[:, None, None, None] * part  # (points, rows, time, channel)
                slopes = _slopes(self.model, line.flatten(0, 1), target.repeat(self.steps))
                averages.append(torch.tensordot(weights, slopes.view_as(line), dims=1))
        attribution = way * torch.cat(averages)
        return (attribution.abs() if self.absolute else attribution).numpy(force=True)


def _slopes(model: SeriesModel, x: Tensor, targets: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        chosen = model(x)[0].gather(1, targets[:, None]).sum()
        slopes: Tensor = torch.autograd.grad(chosen, x)[0]
    return slopes


def _targets(model: SeriesModel, x: Tensor, classes: Series | None) -> Tensor:
    chosen = chosen_classes(model.behaviour(x)[0].numpy(force=True), classes)
    return torch.as_tensor(chosen, device=x.device)
