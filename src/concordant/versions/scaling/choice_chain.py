r"""From the log-probabilities of options to accuracy, one step at a time.

With :math:`p_V(k)` the probability of option k over the whole vocabulary and y the right one:

1. ``log_p``: :math:`\log p_V(y)`;
2. ``p``: :math:`p_V(y)`;
3. ``p_choice``: :math:`p_C(y) = p_V(y) / \sum_k p_V(k)`, over the options;
4. ``brier_score``: :math:`-\sum_k (1[k=y] - p_C(k))^2`, the sign such that more is better;
5. ``accuracy``: whether y has the highest probability of all options.

References
----------
R. Schaeffer et al. (2025), Why has predicting downstream capabilities of frontier AI models with scale remained elusive?,
ICML, arXiv:2406.04391.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from concordant.core.statistics.validation import Floats

OPTION_METRICS = ("log_p", "p", "p_choice", "brier_score", "accuracy")
"""The five scores, in the order in which each is made from the one before."""


def option_metrics(logprobs: ArrayLike, right: ArrayLike) -> dict[str, Floats]:
    """Return the five scores of every sample.

    Parameters
    ----------
    logprobs
        Shape (..., samples, options): log-probabilities of the options in nats, summed over their tokens; minus infinity
        where a sample has fewer options than others.
    right
        Shape (samples,): position of the right option.

    Returns
    -------
    dict
        Arrays of shape (..., samples) by the names in `OPTION_METRICS`; more is better in each.

    Raises
    ------
    DataError
        If shapes do not fit, a log-probability is NaN, or the right option of a sample has none.

    Examples
    --------
    >>> import numpy as np
    >>> found = option_metrics(np.log([[0.2, 0.1, 0.1], [0.1, 0.2, 0.1]]), [0, 0])
    >>> {name: values.round(3).tolist() for name, values in found.items() if name != "log_p"}
    {'p': [0.2, 0.1], 'p_choice': [0.5, 0.25], 'brier_score': [-0.375, -0.875], 'accuracy': [1.0, 0.0]}
    """
    table, positions = np.asarray(logprobs, np.float64), np.asarray(right)
    if table.ndim < 2 or positions.shape != table.shape[-2:-1]:
        shapes = f"{table.shape} and {positions.shape}"
        message = f"logprobs must have shape (..., samples, options) and right (samples,), got {shapes}"
        raise DataError(message)
    if positions.size and not (positions.min() >= 0 and positions.max() < table.shape[-1]):
        message = (
            f"right must lie between 0 and {table.shape[-1] - 1}, got {positions.min()} to {positions.max()}"
        )
        raise DataError(message)
    if np.isnan(table).any():
        message = f"logprobs must be numbers, and {int(np.isnan(table).sum())} are NaN"
        raise DataError(message)
    log_p = _of_right(table, positions)
    if not np.isfinite(log_p).all():
        message = f"the right option must have a finite log-probability, and {int((~np.isfinite(log_p)).sum())} have not"
        raise DataError(message)
    best = table.max(axis=-1, keepdims=True)
    odds = np.exp(table - best)
    p_options = odds / odds.sum(axis=-1, keepdims=True)
    p_choice = _of_right(p_options, positions)
    others = (p_options**2).sum(axis=-1) - p_choice**2
    accuracy = (table.argmax(axis=-1) == positions).astype(np.float64)
    return {
        "log_p": log_p,
        "p": np.exp(log_p),
        "p_choice": p_choice,
        "brier_score": -((1.0 - p_choice) ** 2 + others),
        "accuracy": accuracy,
    }


def _of_right(table: Floats, positions: NDArray[np.intp]) -> Floats:
    index = np.broadcast_to(positions, table.shape[:-1])[..., None]
    return np.take_along_axis(table, index, axis=-1)[..., 0]
