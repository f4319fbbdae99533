r"""A log-ratio ensemble: what an edit changed in a small model is added to what a larger one says.

.. math:: \log p = \log p_{large} + w\,(\log p_{edited} - \log p_{before}) + c

so that the larger model takes over the edit and nothing else of the small one. The weight starts at 1 and steps down
until the loss on general text is within the bound.

References
----------
Hewitt et al., "Model Editing with Canonical Examples", 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from concordant.core.errors import ConfigError, ModelError
from concordant.learn.sequences import logits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class LogRatioEnsemble(nn.Module):
    """A larger model with the edit of a smaller one of the same vocabulary.

    Parameters
    ----------
    large
        What is to take over the edit.
    edited, before
        The small model with and without it.
    weight
        :math:`w`.
    """

    def __init__(self, large: nn.Module, edited: nn.Module, before: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.large, self.edited, self.before, self.weight = large, edited, before, weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return log-probabilities ``(batch, time, vocabulary)`` of tokens ``(batch, time)``.

        Raises
        ------
        ModelError
            If the models differ in their vocabularies.
        """
        large, edited, before = (
            logits_of(model, tokens).log_softmax(-1) for model in (self.large, self.edited, self.before)
        )
        if large.shape != edited.shape or edited.shape != before.shape:
            sizes = ", ".join(str(one.shape[-1]) for one in (large, edited, before))
            message = f"the models of an ensemble need one vocabulary, got {sizes} words"
            raise ModelError(message)
        mixed: Tensor = (large + self.weight * (edited - before)).log_softmax(-1)
        return mixed


def bound_weight(
    ensemble: LogRatioEnsemble, general_loss: Callable[[nn.Module], float], bound: float, *, step: float = 0.1
) -> float:
    r"""Lower the weight from 1 until the ensemble is within the bound, in place, and return it.

    Parameters
    ----------
    ensemble
        Whose weight is set.
    general_loss
        Loss of a model on general text, nats a token.
    bound
        :math:`\varepsilon`: share by which the loss of the larger model may rise.
    step
        By which the weight goes down, in (0, 1]. At 0 the ensemble is the larger model.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    """
    if not bound >= 0 or not 0 < step <= 1:
        message = f"bound_weight needs bound >= 0 and step in (0, 1], got {bound} and {step}"
        raise ConfigError(message)
    most = general_loss(ensemble.large) * (1 + bound)
    for down in range(int(1 / step) + 1):
        ensemble.weight = max(0.0, round(1 - down * step, 10))
        if ensemble.weight == 0 or general_loss(ensemble) <= most:
            return ensemble.weight
    ensemble.weight = 0.0
    return 0.0
