r"""The figures of a model on probes, each with its interval: what a claim of the same name is held against.

Means over classes (recall, precision, F1) and the calibration error are no means over probes; their intervals are
percentiles of a bootstrap, which for those over classes draws the table of confusions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.statistics import (
    Estimate,
    bootstrap,
    estimate_mean,
    expected_calibration_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours
    from concordant.core.statistics.validation import Floats

REPLICATES = 2000
CALIBRATION_REPLICATES = 200

LEAST_PROBABILITY = 1e-12
"""What a probability counts as at least, in a logarithm."""

LOWER_IS_BETTER = ("error_rate", "log_loss", "brier_loss", "calibration_error")


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What became of each probe.

    Parameters
    ----------
    graded
        Shape (probes,): which can be said to be right or wrong.
    right
        Shape (probes,): which are right.
    labels
        Names of the classes that occur as references or answers.
    said, truth
        Shape (probes,): numbers of the classes answered and right, -1 where there is none.
    p_truth
        Shape (probes,): probability of the right class; NaN where unknown.
    brier
        Shape (probes,): sum over classes of the squared error of the probabilities; NaN where unknown.
    confidence
        Shape (probes,): the highest probability; NaN where unknown.
    margin
        Shape (probes,): the highest minus the second highest probability; NaN where unknown.
    """

    graded: NDArray[np.bool_]
    right: NDArray[np.bool_]
    labels: tuple[str, ...]
    said: NDArray[np.int64]
    truth: NDArray[np.int64]
    p_truth: Floats
    brier: Floats
    confidence: Floats
    margin: Floats


def outcomes(found: Behaviours, classes: tuple[str, ...] = ()) -> Outcomes:
    """Read the first sample of each probe.

    Parameters
    ----------
    found
        Graded behaviours.
    classes
        What the entries of the probabilities stand for, where the behaviours do not say.
    """
    graded, right = found.graded[:, 0], found.right[:, 0]
    answer, reference = _texts(found["answer"]), _texts(found.items.reference)
    n = len(graded)
    if answer is None or reference is None:
        labels: tuple[str, ...] = ()
        said = truth = np.full(n, -1)
    else:
        # A right answer may be written otherwise than its reference: it is then of the reference's class.
        answer = pl.select(pl.when(pl.Series(right)).then(reference).otherwise(answer)).to_series()
        names = pl.concat([answer, reference]).drop_nulls().unique().sort()
        labels = tuple(names.to_list())
        place = {name: i for i, name in enumerate(labels)}
        said, truth = (
            np.array([place.get(name, -1) for name in column.to_list()]) for column in (answer, reference)
        )
    known = _probabilities(found, n)
    if known is None:
        nothing = np.full(n, np.nan)
        return Outcomes(graded, right, labels, said, truth, nothing, nothing, nothing, nothing)
    names_of_columns = [str(name) for name in found.classes or classes]
    column = np.full(n, -1) if reference is None else _columns(reference, names_of_columns, known.shape[1])
    has = column >= 0
    p_truth = np.where(has, known[np.arange(n), np.maximum(column, 0)], np.nan)
    brier = np.where(has, (known**2).sum(axis=1) - 2 * p_truth + 1, np.nan)
    ordered = np.sort(known, axis=1)
    second = ordered[:, -2] if known.shape[1] > 1 else 0.0
    return Outcomes(
        graded, right, labels, said, truth, p_truth, brier, ordered[:, -1], ordered[:, -1] - second
    )


def probabilities_of(found: Behaviours) -> Floats | None:
    """Return the probabilities of the first samples, shape (probes, classes), or None where they are not known."""
    return _probabilities(found, len(found))


def estimate(metric: str, found: Outcomes) -> Estimate | None:
    """Return the figure of a metric with its interval; None where it cannot be measured on these probes."""
    return MEASURES[metric](found) if metric in MEASURES else None


def log_losses(found: Outcomes) -> Floats:
    """Return the log loss of each probe, nats; NaN where unknown."""
    return -np.log(np.maximum(found.p_truth, LEAST_PROBABILITY))


def calibration_error(found: Outcomes) -> float:
    """Return the expected calibration error of the confidence; NaN where it is not known."""
    known = found.graded & ~np.isnan(found.confidence)
    if not known.any():
        return float("nan")
    return expected_calibration_error(np.clip(found.confidence[known], 0, 1), found.right[known])


def _accuracy(found: Outcomes) -> Estimate | None:
    return estimate_mean(found.right[found.graded]) if found.graded.any() else None


def _error_rate(found: Outcomes) -> Estimate | None:
    return estimate_mean(~found.right[found.graded]) if found.graded.any() else None


def _mean_known(values: Callable[[Outcomes], Floats], found: Outcomes) -> Estimate | None:
    each = values(found)
    known = each[~np.isnan(each)]
    return estimate_mean(known) if known.size else None


def _calibration(found: Outcomes) -> Estimate | None:
    known = found.graded & ~np.isnan(found.confidence)
    if not known.any():
        return None
    return bootstrap(
        expected_calibration_error,
        np.clip(found.confidence[known], 0, 1),
        found.right[known].astype(float),
        n_replicates=CALIBRATION_REPLICATES,
        method="percentile",
    )


def _over_classes(of: Callable[[Floats], Floats], found: Outcomes) -> Estimate | None:
    """Return the mean over classes of a figure of the confusions, with a bootstrap of the cells."""
    usable = found.graded & (found.truth >= 0)
    if not usable.any():
        return None
    k = len(found.labels) + 1  # the last column is for answers of no class
    cells = found.truth[usable] * k + np.where(found.said[usable] < 0, k - 1, found.said[usable])
    counts = np.bincount(cells, minlength=k * k).astype(np.float64)
    n = int(usable.sum())
    rng = np.random.default_rng(0)
    filled = np.flatnonzero(counts)
    drawn = np.zeros((REPLICATES, k * k))
    drawn[:, filled] = rng.multinomial(n, counts[filled] / n, size=REPLICATES)
    value = float(of(counts.reshape(1, k, k))[0])
    replicates = of(drawn.reshape(-1, k, k))

    def interval_at(level: float) -> tuple[float, float]:
        low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    low, high = interval_at(0.95)
    return Estimate(value, low, high, 0.95, n, None, float(replicates.std()), "percentile", interval_at)


def _recall(table: Floats) -> Floats:
    return _mean_of_classes(_hits(table), table.sum(axis=2), table)


def _precision(table: Floats) -> Floats:
    return _mean_of_classes(_hits(table), table.sum(axis=1), table)


def _f1(table: Floats) -> Floats:
    return _mean_of_classes(2 * _hits(table), table.sum(axis=1) + table.sum(axis=2), table)


def _hits(table: Floats) -> Floats:
    return np.asarray(np.diagonal(table, axis1=1, axis2=2))


def _mean_of_classes(hits: Floats, total: Floats, table: Floats) -> Floats:
    """Return the mean of hits / total over the classes that a table has as the truth; 0 / 0 is 0."""
    there = table.sum(axis=2) > 0
    shares = np.divide(hits, total, out=np.zeros_like(hits, dtype=np.float64), where=total > 0)
    return np.asarray((shares * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1))


MEASURES: dict[str, Callable[[Outcomes], Estimate | None]] = {
    "accuracy": _accuracy,
    "error_rate": _error_rate,
    "recall": partial(_over_classes, _recall),
    "precision": partial(_over_classes, _precision),
    "f1": partial(_over_classes, _f1),
    "log_loss": partial(_mean_known, log_losses),
    "brier_loss": partial(_mean_known, lambda found: found.brier),
    "calibration_error": _calibration,
}
"""What measures each metric that can be claimed."""


def _texts(values: pl.Series | None) -> pl.Series | None:
    """Return labels as texts, whole numbers without a fraction; None for what is no label."""
    if values is None or values.dtype.is_nested():
        return None
    if values.dtype.is_float():
        whole = (values.drop_nulls() % 1 == 0).all()
        values = values.cast(pl.Int64, strict=False) if whole else values
    return values.cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()


def _probabilities(found: Behaviours, n: int) -> Floats | None:
    if "probabilities" not in found:
        return None
    values = found["probabilities"]
    if isinstance(values.dtype, pl.List):
        width = values.list.len().max()
        if not isinstance(width, int) or values.list.len().n_unique() > 1:
            return None
        values = values.list.to_array(width)
    if not isinstance(values.dtype, pl.Array) or values.null_count():
        return None
    table = values.to_numpy().astype(np.float64)
    return np.asarray(table.reshape(n, -1, table.shape[-1])[:, 0])


def _columns(reference: pl.Series, classes: list[str], n_columns: int) -> NDArray[np.int64]:
    """Return which column of the probabilities is the right one, -1 where none is."""
    if len(classes) < n_columns:
        return np.full(len(reference), -1)
    place = {name.strip().lower(): i for i, name in enumerate(classes[:n_columns])}
    return np.array([place.get(name, -1) for name in reference.to_list()])
