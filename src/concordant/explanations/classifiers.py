"""What explainers ask of a classifier of series or of table rows: probabilities, and a latent where it has one.

A row of a table is a series of one step, whose channels are the columns, so that everything here has the shape
``(n, time, channel)``. Torch modules are seen through :class:`concordant.explanations.SeriesModel`, which has slopes and
latents; everything else through `BlackBox`, which has probabilities and nothing more.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np

from concordant.core.errors import ConfigError, DataError, ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

Layout: TypeAlias = Literal["time-channel", "channel-time", "flat"]
"""Of what a classifier takes: ``(n, time, channel)``, ``(n, channel, time)``, or ``(n, time * channel)``."""


@runtime_checkable
class Classifier(Protocol):
    """Says how probable each class is.

    Attributes
    ----------
    name
        What reports call it.
    """

    name: str

    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Map series of shape ``(n, time, channel)`` to probabilities of shape ``(n, classes)``."""
        ...

    def latents(self, x: NDArray[Any]) -> NDArray[np.float64] | None:
        """Map series to latents of shape ``(n, d)``, or to None where there are none."""
        ...


class BlackBox:
    """A classifier that is known by its probabilities alone.

    Parameters
    ----------
    function
        Maps an array to probabilities of shape ``(n, classes)``.
    name
        What reports call it; by default the name of the function.
    layout
        What the function takes: ``"time-channel"`` is ``(n, time, channel)``, ``"channel-time"`` is
        ``(n, channel, time)``, ``"flat"`` is ``(n, time * channel)``, for tables ``(n, columns)``.
    batch_size
        Rows a call.

    Raises
    ------
    ConfigError
        If the layout is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> rises = BlackBox(lambda x: np.stack([x[:, -1] < x[:, 0], x[:, -1] >= x[:, 0]], 1), layout="flat")
    >>> rises.probabilities(np.arange(3.0).reshape(1, 3, 1)).tolist()
    [[0.0, 1.0]]
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        name: str | None = None,
        layout: Layout = "time-channel",
        batch_size: int = 8192,
    ) -> None:
        if layout not in get_args(Layout):
            message = f"layout of a BlackBox must be one of {', '.join(get_args(Layout))}, got {layout!r}"
            raise ConfigError(message)
        self.function, self.layout, self.batch_size = function, layout, batch_size
        self.name = name or str(getattr(function, "__name__", type(function).__name__))

    def probabilities(self, x: ArrayLike) -> NDArray[np.float64]:
        """Map series of shape ``(n, time, channel)`` to probabilities of shape ``(n, classes)``.

        Raises
        ------
        DataError
            If the series cannot be used, or have their axes the wrong way round for the classifier.
        ModelError
            If the classifier cannot take them, or gives no row of probabilities a series.
        """
        series = checked_series(x)
        starts = range(0, len(series), self.batch_size)
        try:
            parts = [self._call(series[start : start + self.batch_size]) for start in starts]
        except Exception as error:
            raise self._complaint(series, error) from error
        found = np.concatenate(parts).astype(np.float64)
        if found.ndim != 2 or len(found) != len(series) or not np.isfinite(found).all():
            message = (
                f"{self.name} must give finite probabilities of shape (n, classes), got shape {found.shape} "
                f"for {len(series)} series"
            )
            raise ModelError(message)
        return found

    def latents(self, x: ArrayLike) -> None:
        """Return None: nothing is known but what it says."""

    def _call(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.layout == "flat":
            return np.asarray(self.function(x.reshape(len(x), -1)))
        return np.asarray(self.function(x.swapaxes(1, 2) if self.layout == "channel-time" else x))

    def _complaint(self, x: NDArray[Any], error: Exception) -> Exception:
        try:
            if self.layout == "flat":
                raise error
            self._call(x[:1].swapaxes(1, 2))
        except Exception:
            message = (
                f"{self.name} cannot take series of shape {x.shape[1:]} (time, channel): {first_line(error)}"
            )
            return ModelError(message)
        message = (
            f"X has its axes the wrong way round for {self.name}, got (n, {x.shape[1]}, {x.shape[2]}): "
            "(n, time, channel) is expected, so give X.swapaxes(1, 2), or another layout (--channels-first) if it is "
            "the classifier that wants them so"
        )
        return DataError(message)


def as_classifier(model: Any, **options: Any) -> Classifier:
    """Return a classifier of series from whatever is one.

    Parameters
    ----------
    model
        A torch module, a fitted estimator with ``predict_proba``, a function from arrays to probabilities, or what is
        a `Classifier` already. An estimator that knows how many columns it was fitted on is given flat rows, any other
        ``(n, channel, time)``, as classifiers of series that keep to the habits of scikit-learn take them.
    options
        Of :class:`concordant.explanations.SeriesModel` for a torch module, else of `BlackBox`.

    Raises
    ------
    ConfigError
        If it is none of these, or options do not fit.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> estimator = LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    >>> as_classifier(estimator).probabilities([[[1.0], [1.0]]]).argmax(1).tolist()
    [1]
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from concordant.explanations.series_model import as_series_model

        return as_series_model(model, **options)
    if isinstance(model, Classifier):
        if options:
            message = f"{model.name} has its own {' and '.join(sorted(options))}, which cannot be given again"
            raise ConfigError(message)
        return model
    if hasattr(model, "predict_proba"):
        layout = "flat" if hasattr(model, "n_features_in_") else "channel-time"
        return BlackBox(model.predict_proba, **{"name": type(model).__name__, "layout": layout, **options})
    if callable(model):
        return BlackBox(model, **options)
    message = (
        "the classifier must be a torch module, an estimator with predict_proba, or a function to probabilities, "
        f"got a {type(model).__name__}"
    )
    raise ConfigError(message)


def checked_series(x: ArrayLike, name: str = "X") -> NDArray[Any]:
    """Return series as an array, or refuse them.

    Parameters
    ----------
    x
        Shape ``(n, time, channel)``, finite numbers.
    name
        What it is called in errors.

    Raises
    ------
    DataError
        If the series have several lengths, another number of axes, no row, or a number that is not finite.

    Examples
    --------
    >>> checked_series([[[1.0], [2.0]], [[3.0]]])
    Traceback (most recent call last):
    ...
    concordant.core.errors.DataError: X must have series of one length, got 1 and 2 steps: pad or cut them first
    """
    try:
        series = np.asarray(x)
    except ValueError:
        lengths = sorted({len(row) for row in x})  # type: ignore[union-attr,arg-type]
        shown = " and ".join(map(str, lengths[:2])) + (", and more," if len(lengths) > 2 else "")
        message = f"{name} must have series of one length, got {shown} steps: pad or cut them first"
        raise DataError(message) from None
    if series.dtype.kind not in "fiub":
        message = f"{name} must hold numbers, got an array of {series.dtype}"
        raise DataError(message)
    if series.ndim != 3 or 0 in series.shape:
        message = f"{name} must have shape (n, time, channel) with at least one of each, got {series.shape}"
        raise DataError(message)
    if not np.isfinite(series).all():
        wrong = np.argwhere(~np.isfinite(series))
        row, step, channel = wrong[0].tolist()
        message = (
            f"{name} must be finite, got {series[row, step, channel].item()} in row {row}, step {step}, channel "
            f"{channel} ({len(wrong)} such numbers in all)"
        )
        raise DataError(message)
    return series


def chosen_classes(outputs: ArrayLike, classes: ArrayLike | None) -> NDArray[np.int64]:
    """Return the class that is explained of each series: the one asked for, or else the one that the classifier gives.

    Parameters
    ----------
    outputs
        Probabilities or logits, shape ``(n, classes)``.
    classes
        Shape ``(n,)``, or None.

    Raises
    ------
    DataError
        If they are not one class a series.

    Examples
    --------
    >>> chosen_classes([[0.2, 0.8], [0.6, 0.4]], None).tolist()
    [1, 0]
    """
    known = np.asarray(outputs)
    if classes is None:
        return np.asarray(known.argmax(-1), np.int64)
    chosen = np.asarray(classes)
    n, n_classes = known.shape
    if chosen.shape != (n,) or chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= n_classes:
        message = f"classes must be {n} integers from 0 to {n_classes - 1}, got {chosen!r:.60}"
        raise DataError(message)
    return chosen.astype(np.int64)
