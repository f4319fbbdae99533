r"""Occlusion: what the probability of a class loses when a window of a series is replaced.

It asks for probabilities alone, so it explains any classifier. A window covers some steps of one channel; what a number
is worth is the mean loss over the windows that cover it:

.. math:: a_{td} = \mathrm{mean}_{w \ni (t, d)}\left[p_c(x) - p_c(x \text{ without } w)\right]

References
----------
Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from concordant.core.errors import ConfigError
from concordant.explanations.classifiers import as_classifier, checked_series, chosen_classes
from concordant.explanations.replacing import BATCH, checked_training, replaced_probabilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

StandIn: TypeAlias = Literal["mean", "normal"]

WINDOW_SHARE = 0.1
"""Share of the steps that a window covers where nothing else is said."""

DRAWS = 8
"""Normal numbers that stand in, one after the other, for each window."""


class Occlusion:
    """Explain series of any classifier by the windows that it cannot do without.

    Parameters
    ----------
    classifier
        Whatever :func:`concordant.explanations.as_classifier` takes.
    training
        Series whose moments stand in, by step and channel, shape ``(n, time, channel)``.
    window
        Steps of a window, from 1 to all; by default a tenth of the steps.
    stride
        Steps from one window to the next, from 1 to `window`; by default half a window. The last ends with the series.
    stand_in
        ``"mean"`` of the training series, or ``"normal"`` for the mean loss over 8 draws of numbers with their moments.
    seed
        Decides the draws, the same for all series.
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
    >>> last = lambda x: np.stack([x[:, -1, 0], 1 - x[:, -1, 0]], 1)
    >>> x = np.array([[[0.3], [0.6], [0.9]], [[0.5], [0.0], [0.7]]])
    >>> Occlusion(last, x, window=1).explain(x)[0].ravel().round(2)
    array([0. , 0. , 0.1], dtype=float32)
    """

    def __init__(
        self,
        classifier: Any,
        training: ArrayLike,
        *,
        window: int | None = None,
        stride: int | None = None,
        stand_in: StandIn = "mean",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.classifier = as_classifier(classifier)
        known = checked_series(training, "training")
        time = known.shape[1]
        self.window = max(1, round(WINDOW_SHARE * time)) if window is None else window
        self.stride = max(1, self.window // 2) if stride is None else stride
        for name, value, most in (("window", self.window, time), ("stride", self.stride, self.window)):
            if not 1 <= value <= most:
                message = f"{name} of Occlusion must be from 1 to {most}, got {value}"
                raise ConfigError(message)
        if stand_in not in get_args(StandIn):
            message = (
                f"stand_in of Occlusion must be {' or '.join(map(repr, get_args(StandIn)))}, got {stand_in!r}"
            )
            raise ConfigError(message)
        self.progress = progress
        self._training = known
        mean, std = known.mean(0), known.std(0)
        draws = np.random.default_rng(seed).standard_normal((DRAWS, *mean.shape))
        self._stand_ins = mean[None] if stand_in == "mean" else mean + std * draws

    def explain(
        self, x: ArrayLike, classes: ArrayLike | None = None, *, batch_size: int = BATCH
    ) -> NDArray[np.float32]:
        """Return mean losses of the probability of the class.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``, of the steps and channels of `training`.
        classes
            Whose probability, shape ``(n,)``; by default the class that the classifier gives.
        batch_size
            Series a call of the classifier, over all windows.

        Returns
        -------
        array of the shape of `x`, in [-1, 1]; below 0 where the class is more probable without

        Raises
        ------
        DataError
            If the series cannot be used.
        """
        series = checked_series(x)
        before = self.classifier.probabilities(series)  # first of all: it knows axes the wrong way round
        checked_training(self._training, series)
        targets = chosen_classes(before, classes)
        _, time, channels = series.shape
        covered = windows(time, channels, self.window, self.stride)
        after = replaced_probabilities(
            self.classifier,
            series,
            ~covered,
            self._stand_ins,
            targets,
            batch_size=batch_size,
            progress=self.progress,
        )
        losses = before[np.arange(len(series)), targets, None] - after
        return np.asarray(np.einsum("nw,wtc->ntc", losses, covered / covered.sum(0)), np.float32)


def windows(time: int, channels: int, window: int, stride: int) -> NDArray[np.bool_]:
    """Return what each window covers, shape ``(windows, time, channel)``: every number is covered.

    Examples
    --------
    >>> windows(5, 1, window=2, stride=2)[..., 0].astype(int).tolist()
    [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    """
    starts = np.unique([*range(0, time - window + 1, stride), time - window])
    steps = np.arange(time)
    covers = (steps >= starts[:, None]) & (steps < starts[:, None] + window)
    channel = np.eye(channels, dtype=bool)
    covered: NDArray[np.bool_] = covers[:, None, :, None] & channel[None, :, None, :]
    return covered.reshape(-1, time, channels)
