"""Train a classifier on a labelled set of series, for who has series and no classifier yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.explanations.accuracy import accuracy
from concordant.explanations.series_files import with_classes
from concordant.explanations.series_networks import series_convolution, series_transformer
from concordant.explanations.series_transformer import fit_classifier
from concordant.learn.randomness import child_seeds
from concordant.models.torch_file import TorchClassifier, save_network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.core.statistics import Estimate
    from concordant.explanations.series_set import SeriesSet
    from concordant.learn.history import History

NETWORKS = ("convolution", "transformer")
VALIDATION_SHARE = 0.2
FEWEST_STEPS = 600
"""At least so many steps of the optimiser, where the number of epochs is left open."""


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """A classifier of series that was trained, and how good it is.

    Attributes
    ----------
    module
        Maps ``(batch, time, channel)`` to logits.
    network, options
        What it is, as :func:`concordant.models.torch_file.save_network` writes it.
    classes, channels
        Their names.
    validation, test
        Share of right classes with a 95 % interval; of rows that were not trained on but chose the epoch, and of those of
        a test set, or None without any.
    history
        The record of the training.
    """

    module: torch.nn.Module
    network: str
    options: dict[str, Any]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    validation: Estimate
    test: Estimate | None
    history: History

    def save(self, folder: Path) -> None:
        """Write a folder that ``torch:FOLDER`` loads; `StoreError` where it cannot be written."""
        save_network(
            folder,
            self.module,
            self.network,
            self.options,
            classes=list(self.classes),
            channels=list(self.channels),
            validation_accuracy=self.validation.value,
            test_accuracy=None if self.test is None else self.test.value,
        )


def fit_series(
    data: SeriesSet,
    *,
    test: SeriesSet | None = None,
    network: str = "convolution",
    epochs: int | None = None,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = False,
) -> FittedSeries:
    """Train a small classifier of series; a fifth of the rows of each class chooses the epoch that is kept.

    Parameters
    ----------
    data
        Labelled series of at least two classes, two rows of each.
    test
        Further ones, only to say how good it is.
    network
        ``"convolution"``, or ``"transformer"``, whose attention TimeX can mask.
    epochs
        Passes over the rows; by default 100, or more where that makes few steps.
    batch_size, learning_rate, weight_decay
        Of AdamW.
    seed
        Decides the rows for validation, the weights and the order.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    DataError
        If there are no labels, only one class, or too few rows of one; or the test set is of another shape.
    ConfigError
        If there is no such network.

    Examples
    --------
    >>> from concordant.explanations.series_data import freq_shapes
    >>> from concordant.explanations.series_set import SeriesSet
    >>> made = freq_shapes(40, seed=0)
    >>> data = SeriesSet("made", made.x, ("value",), made.labels, ("a", "b", "c", "d"))
    >>> fitted = fit_series(data, epochs=1)
    >>> fitted.validation.n, fitted.network
    (8, 'series-convolution')
    """
    if network not in NETWORKS:
        message = f"there is no network {network!r}; {nearest(network, NETWORKS)}"
        raise ConfigError(message)
    labels = _checked_labels(data)
    split_seed, weight_seed, order_seed = child_seeds(seed, 3)
    held_out = validation_rows(labels, VALIDATION_SHARE, split_seed)
    x, y = torch.as_tensor(data.x, dtype=torch.float32), torch.as_tensor(labels)
    options: dict[str, Any] = {"n_channels": x.shape[2], "n_classes": len(data.classes)}
    if network == "transformer":
        options |= {"length": x.shape[1], "feedforward": 64}
        module: Any = series_transformer(**options, seed=weight_seed)
    else:
        module = series_convolution(**options, seed=weight_seed)
    train = torch.as_tensor(~held_out)
    module.scale_to(x[train])
    steps = -(-int(train.sum()) // batch_size)
    history = fit_classifier(
        module,
        x[train],
        y[train],
        validation=(x[~train], y[~train]),
        epochs=epochs or max(100, -(-FEWEST_STEPS // steps)),
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=order_seed,
        progress=progress,
    )
    classifier = TorchClassifier(module)
    return FittedSeries(
        module,
        f"series-{network}",
        options,
        data.classes,
        data.channels,
        accuracy(classifier.probabilities(data.x[held_out]), labels[held_out]),
        None if test is None else _tested(classifier, test, data),
        history,
    )


def validation_rows(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows validate: of each class a share, at least one.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> chosen = validation_rows(labels, 0.25, seed=0)
    >>> labels[chosen].tolist()
    [0, 1]
    """
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for number in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == number))
        chosen[rows[: max(1, round(share * len(rows)))]] = True
    return chosen


def _tested(classifier: TorchClassifier, test: SeriesSet, data: SeriesSet) -> Estimate:
    if test.labels is None or test.x.shape[1:] != data.x.shape[1:]:
        message = (
            f"{test.name} must have labels, and series of the (time, channel) {data.x.shape[1:]} of {data.name}, "
            f"got {test.x.shape[1:]}{' without labels' if test.labels is None else ''}"
        )
        raise DataError(message)
    known = with_classes(test, data.classes, len(data.classes), data.name)
    assert known.labels is not None
    return accuracy(classifier.probabilities(known.x), known.labels)


def _checked_labels(data: SeriesSet) -> NDArray[np.int64]:
    if data.labels is None:
        message = (
            f"{data.name} has no labels, and a classifier learns from them: name their column with --labels"
        )
        raise DataError(message)
    counts = np.bincount(data.labels, minlength=len(data.classes))
    if (counts > 0).sum() < 2:
        message = (
            f"{data.name} has one class only, {data.classes[int(data.labels[0])]!r}: a classifier needs two"
        )
        raise DataError(message)
    if (counts[counts > 0] < 2).any():
        rare = data.classes[int(np.flatnonzero(counts == 1)[0])]
        message = (
            f"{data.name} has one row of class {rare!r}: two are needed, one to train and one to validate"
        )
        raise DataError(message)
    return np.asarray(data.labels, np.int64)
