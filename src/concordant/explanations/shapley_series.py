r"""Shapley values of the parts of a series: what each adds to the probability of the class, in whatever order they come.

The players are stretches of the steps of each channel, for a table its columns. A coalition is worth the mean probability
of the class when its numbers are those of the series and all others those of a background row, so that

.. math:: \sum_i \phi_i = p_c(x) - \mathrm{mean}_b\,p_c(b)

Up to 12 players the values are exact, beyond they are drawn in pairs of orders; the sum is exact either way. It asks for
probabilities alone, so it explains any classifier.

References
----------
Lundberg, Lee, "A Unified Approach to Interpreting Model Predictions", 2017, with the expectation over rows of a background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError
from concordant.explanations.classifiers import as_classifier, checked_series, chosen_classes
from concordant.explanations.replacing import BATCH, checked_training, replaced_probabilities
from concordant.explanations.shapley import shapley_plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PLAYERS = 8
"""Players that stretches are made for where nothing else is said: 256 coalitions a series."""

BACKGROUND = 8


class SeriesShapley:
    """Explain series or table rows of any classifier by the Shapley values of their parts.

    Parameters
    ----------
    classifier
        Whatever :func:`concordant.explanations.as_classifier` takes.
    training
        Series of which background rows are drawn, shape ``(n, time, channel)``.
    segments
        Stretches that the steps of each channel are cut into, from 1 to the number of steps; by default as many as make
        8 players of all channels, at least 2, and 1 for a table.
    background
        Rows that are drawn, at least 1; all where there are fewer.
    pairs
        Pairs of an order and its reverse to draw, at least 1; by default none up to 12 players, where all coalitions are
        taken, and 25 beyond.
    seed
        Decides rows and orders.
    progress
        Whether to draw a bar on a terminal.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    DataError
        If the training series cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> chance = lambda x: np.stack([x[:, 0, 0] * x[:, 0, 1], 1 - x[:, 0, 0] * x[:, 0, 1]], 1)
    >>> row, background = np.array([[[1.0, 1.0, 1.0]]]), np.array([[[0.0, 0.0, 0.0]]])
    >>> SeriesShapley(chance, background).explain(row).tolist()
    [[[0.5, 0.5, 0.0]]]
    """

    def __init__(
        self,
        classifier: Any,
        training: ArrayLike,
        *,
        segments: int | None = None,
        background: int = BACKGROUND,
        pairs: int | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.classifier = as_classifier(classifier)
        known = checked_series(training, "training")
        _, time, channels = known.shape
        if segments is None:
            segments = min(time, max(2, PLAYERS // channels))
        if not 1 <= segments <= time:
            message = f"segments of SeriesShapley must be from 1 to the {time} steps, got {segments}"
            raise ConfigError(message)
        if background < 1:
            message = f"background of SeriesShapley must be at least 1, got {background}"
            raise ConfigError(message)
        rows_seed, orders_seed = np.random.SeedSequence(seed).generate_state(2)
        chosen = np.random.default_rng(rows_seed).permutation(len(known))[:background]
        self.background = known[np.sort(chosen)]
        self.players = stretches(time, channels, segments)
        self.plan = shapley_plan(int(self.players.max()) + 1, pairs=pairs, seed=int(orders_seed))
        self.progress = progress

    def explain(
        self, x: ArrayLike, classes: ArrayLike | None = None, *, batch_size: int = BATCH
    ) -> NDArray[np.float32]:
        """Return Shapley values, each shared evenly by the numbers of its player.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``, of the steps and channels of `training`.
        classes
            Whose probability, shape ``(n,)``; by default the class that the classifier gives.
        batch_size
            Series a call of the classifier, over all coalitions and background rows.

        Returns
        -------
        array of the shape of `x`, which adds up to the probability less its mean over the background

        Raises
        ------
        DataError
            If the series cannot be used.
        """
        series = checked_series(x)
        before = self.classifier.probabilities(series)  # first of all: it knows axes the wrong way round
        checked_training(self.background, series)
        worth = replaced_probabilities(
            self.classifier,
            series,
            self.plan.coalitions[:, self.players],
            self.background,
            chosen_classes(before, classes),
            batch_size=batch_size,
            progress=self.progress,
        )
        shares = self.plan.shapley(worth) / np.bincount(self.players.ravel())
        return shares[:, self.players].astype(np.float32)


def stretches(time: int, channels: int, segments: int) -> NDArray[np.intp]:
    """Return the player of each number, shape ``(time, channel)``: stretches of nearly one length, channel by channel.

    Examples
    --------
    >>> stretches(5, 2, 2).tolist()
    [[0, 2], [0, 2], [0, 2], [1, 3], [1, 3]]
    """
    stretch = np.arange(time) * segments // time
    players = stretch[:, None] + segments * np.arange(channels)
    return players.astype(np.intp)
