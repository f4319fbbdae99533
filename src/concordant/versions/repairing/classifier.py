"""A classifier of torch: a module whose logits are the probabilities of named classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import DataError, nearest
from concordant.models.classes import most_probable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray
    from torch import Tensor, nn


class TorchClassifier:
    """A module as a `concordant.models.base.Predictor`: what a check asks, and a repair trains.

    Parameters
    ----------
    module
        Maps inputs ``(n, ...)``, as tensors of its precision, to logits ``(n, classes)``.
    classes
        The labels of the columns; 0, 1, ... by default.

    Examples
    --------
    >>> from concordant.learn import MLP
    >>> model = TorchClassifier(MLP(2, 3, hidden=()), ["low", "middle", "high"])
    >>> model.probabilities(np.zeros((4, 2))).shape
    (4, 3)
    """

    def __init__(self, module: nn.Module, classes: Sequence[Any] | None = None) -> None:
        self.module = module
        if classes is not None:
            self.classes_ = list(classes)

    def logits(self, x: Any) -> Tensor:
        """Return the logits of rows, shape ``(n, classes)``, without gradient."""
        was_training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad():
                found: Tensor = self.module(self.tensor(x))
        finally:
            self.module.train(was_training)
        return found

    def tensor(self, x: Any) -> Tensor:
        """Return rows as a tensor of the module's precision and device."""
        weight = next(self.module.parameters())
        return torch.tensor(np.asarray(x)).to(device=weight.device, dtype=weight.dtype)

    def probabilities(self, x: Any) -> NDArray[np.float64]:
        """Return the probabilities of the classes, shape ``(n, classes)``."""
        found: NDArray[np.float64] = self.logits(x).double().softmax(-1).cpu().numpy()
        return found

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the label of the most probable class of each row."""
        return most_probable(self.probabilities(x), getattr(self, "classes_", None))

    def places(self, references: pl.Series) -> Tensor:
        """Return the position of the class that each reference names, integers of shape ``(n,)``.

        Raises
        ------
        DataError
            If one names none.
        """
        if not hasattr(self, "classes_"):
            return torch.tensor(references.cast(int).to_list())
        known = {str(label): place for place, label in enumerate(self.classes_)}
        wrong = next((label for label in references if str(label) not in known), None)
        if wrong is not None:
            message = f"the reference {wrong!r} names no class; {nearest(str(wrong), known)}"
            raise DataError(message)
        return torch.tensor([known[str(label)] for label in references])


class MeanClassifier:
    """Two classifiers of the same classes as one: the mean of their probabilities.

    Parameters
    ----------
    old, new
        The two.
    share
        How much of it is the new one, in [0, 1].
    """

    def __init__(self, old: TorchClassifier, new: TorchClassifier, *, share: float) -> None:
        self.old, self.new, self.share = old, new, share
        if hasattr(new, "classes_"):
            self.classes_ = new.classes_

    def probabilities(self, x: Any) -> NDArray[np.float64]:
        """Return the probabilities of the classes, shape ``(n, classes)``."""
        return (1 - self.share) * self.old.probabilities(x) + self.share * self.new.probabilities(x)

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the label of the most probable class of each row."""
        return most_probable(self.probabilities(x), getattr(self, "classes_", None))
