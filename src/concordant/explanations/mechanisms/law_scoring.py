"""How well a law predicts accuracies that it was not fitted on: by cell, by bin, by answer, and against another law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.statistics import Estimate, bootstrap, expected_calibration_error, spearman_rho
from concordant.explanations.mechanisms.cells import counts_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

Correlation = Literal["spearman", "pearson"]
ROUNDING = 1e-12


@dataclass(frozen=True)
class LawScores:
    """How well predicted accuracies agree with those that were measured.

    Parameters
    ----------
    spearman, pearson
        Correlations over cells, with intervals of the bootstrap over cells or clusters, in [-1, 1]. Where one side is
        constant there is nothing to rank, and they are 0.
    binned_spearman
        The same as `spearman` over bins of cells with like predictions. Bins average the noise away, and so it is higher
        than what can be said of one cell.
    auroc
        How often a right answer had the higher prediction than a wrong one, in [0, 1]; what a law says of one answer.
        NaN where all answers are right, or none.
    calibration_error
        The gap between predicted and measured accuracy over ten bins of answers, in [0, 1].
    n_cells
        How many cells.
    """

    spearman: Estimate
    pearson: Estimate
    binned_spearman: float
    auroc: float
    calibration_error: float
    n_cells: int

    def table(self) -> pl.DataFrame:
        """Return one row a score: ``score``, ``value``, and ``low`` and ``high`` where there is an interval."""
        estimates = {"spearman": self.spearman, "pearson": self.pearson}
        points = ("binned_spearman", "auroc", "calibration_error")
        rows: list[tuple[str, float, float | None, float | None]] = [
            (name, each.value, each.low, each.high) for name, each in estimates.items()
        ]
        rows += [(name, getattr(self, name), None, None) for name in points]
        return pl.DataFrame(rows, schema=["score", "value", "low", "high"], orient="row")


def law_scores(
    cells: pl.DataFrame,
    predicted: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_bins: int = 10,
    n_replicates: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> LawScores:
    """Score predictions for cells that were held out.

    Parameters
    ----------
    cells
        With ``n`` and ``n_right``.
    predicted
        Accuracies, shape ``(n_cells,)``, in [0, 1].
    clusters
        Labels of cells that are drawn together, such as tasks; by default each cell by itself.
    n_bins
        Of `LawScores.binned_spearman`, at least 2; default 10.
    n_replicates, level, seed
        Of the bootstrap.

    Raises
    ------
    DataError
        If cells or predictions are not as they should be.

    Examples
    --------
    >>> cells = pl.DataFrame({"n": 10, "n_right": [1, 4, 6, 9]})
    >>> found = law_scores(cells, [0.2, 0.3, 0.5, 0.9], n_bins=2, n_replicates=200)
    >>> found.spearman.value, found.binned_spearman, round(found.auroc, 3)
    (1.0, 1.0, 0.825)
    """
    n, right = counts_of(cells)
    p = _checked(predicted, len(n))
    options: dict[str, Any] = {
        "clusters": clusters,
        "n_replicates": n_replicates,
        "level": level,
        "seed": seed,
        "method": "percentile",
    }
    return LawScores(
        spearman=bootstrap(_spearman, p, right / n, **options),
        pearson=bootstrap(_pearson, p, right / n, **options),
        binned_spearman=_binned(p, n, right, n_bins),
        auroc=_auroc(p, n, right),
        calibration_error=_calibration(p, n, right),
        n_cells=len(n),
    )


def compare_laws(
    cells: pl.DataFrame,
    first: ArrayLike,
    second: ArrayLike,
    *,
    correlation: Correlation = "spearman",
    clusters: ArrayLike | None = None,
    n_replicates: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate by how much the first law's predictions correlate better than the second's, on the same cells.

    Parameters
    ----------
    cells
        With ``n`` and ``n_right``.
    first, second
        Predicted accuracies, shape ``(n_cells,)``.
    correlation
        "spearman" (default) or "pearson".
    clusters, n_replicates, level, seed
        As for `law_scores`; both laws are scored on the same resamples.

    Raises
    ------
    ConfigError
        If there is no such correlation.
    DataError
        If cells or predictions are not as they should be.

    Examples
    --------
    >>> cells = pl.DataFrame({"n": 10, "n_right": [1, 2, 4, 5, 6, 7, 8, 9]})
    >>> right_way = cells["n_right"] / 10
    >>> compare_laws(cells, right_way, 1 - right_way, n_replicates=200).value
    2.0
    """
    if correlation not in get_args(Correlation):
        allowed = get_args(Correlation)
        message = f"correlation must be {' or '.join(allowed)}, got {correlation!r}; {nearest(str(correlation), allowed)}"
        raise ConfigError(message)
    n, right = counts_of(cells)
    score = _spearman if correlation == "spearman" else _pearson

    def difference(a: Floats, b: Floats, y: Floats, axis: int = -1) -> Any:
        return score(a, y, axis=axis) - score(b, y, axis=axis)

    return bootstrap(
        difference,
        _checked(first, len(n)),
        _checked(second, len(n)),
        right / n,
        clusters=clusters,
        n_replicates=n_replicates,
        level=level,
        seed=seed,
        method="percentile",
    )


def _checked(predicted: ArrayLike, n_cells: int) -> Floats:
    p = np.asarray(predicted, float)
    if p.shape != (n_cells,) or not ((p >= 0) & (p <= 1)).all():
        message = f"predictions must be {n_cells} numbers from 0 to 1, one a cell, got shape {p.shape}"
        raise DataError(message)
    return p


def _spearman(a: Floats, b: Floats, axis: int = -1) -> Any:
    return np.nan_to_num(spearman_rho(a, b), nan=0.0)


def _pearson(a: Floats, b: Floats, axis: int = -1) -> Any:
    a, b = a - a.mean(axis, keepdims=True), b - b.mean(axis, keepdims=True)
    length = np.sqrt((a * a).sum(axis) * (b * b).sum(axis))
    return np.where(length > ROUNDING, (a * b).sum(axis) / np.where(length > ROUNDING, length, 1.0), 0.0)


def _binned(p: Floats, n: Floats, right: Floats, n_bins: int) -> float:
    """Return the rank correlation over bins of (nearly) equal numbers of cells."""
    _, level, counts = np.unique(p, return_inverse=True, return_counts=True)
    middle = (
        np.cumsum(counts) - counts / 2
    )  # cells of one prediction share the bin in which their middle falls
    bins = np.minimum((middle * n_bins / len(p)).astype(int), n_bins - 1)[level]
    weight, total, hits = (np.bincount(bins, weights=w) for w in (n, n * p, right))
    used = weight > 0
    return float(_spearman(total[used] / weight[used], hits[used] / weight[used]))


def _auroc(p: Floats, n: Floats, right: Floats) -> float:
    """Return the probability that a right answer has a higher prediction than a wrong one, ties counting a half."""
    levels, at = np.unique(p, return_inverse=True)
    hits, misses = np.bincount(at, weights=right), np.bincount(at, weights=n - right)
    if not hits.sum() or not misses.sum():
        return float("nan")
    below = np.cumsum(misses) - misses
    return float(hits @ (below + misses / 2) / (hits.sum() * misses.sum())) if len(levels) else float("nan")


def _calibration(p: Floats, n: Floats, right: Floats) -> float:
    hits, all_of = right.round().astype(int), n.round().astype(int)
    confidence = np.repeat(p, all_of)
    place = np.arange(len(confidence)) - np.repeat(np.cumsum(all_of) - all_of, all_of)
    return expected_calibration_error(confidence, (place < np.repeat(hits, all_of)).astype(float))
