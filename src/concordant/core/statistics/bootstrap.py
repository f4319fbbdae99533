"""Bootstrap intervals: of a mean, without resampling where that can be done, and of any statistic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.core.statistics.bootstrap_law import (
    BootstrapLaw,
    acceleration_of,
    bootstrap_interval,
    interval_reader,
    law_of_mean,
    law_of_replicates,
)
from concordant.core.statistics.clusters import ClusterPartition, partition_of
from concordant.core.statistics.estimate import Estimate
from concordant.core.statistics.resampling import (
    Evaluator,
    blocks_of,
    clustered_replicates,
    jackknife,
    jackknife_groups,
    members_of,
)
from concordant.core.statistics.validation import Floats, check_choice, check_level, finite_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

BootstrapMethod = Literal["bca", "percentile"]
Seed = int | np.random.Generator

_DEFAULT_REPLICATES = 10_000


def bootstrap_mean(
    values: ArrayLike,
    *,
    clusters: ArrayLike | ClusterPartition | None = None,
    level: float = 0.95,
    method: BootstrapMethod = "bca",
    n_replicates: int | None = None,
    seed: Seed = 0,
) -> Estimate:
    """Bootstrap interval of a mean.

    By default it is the *ideal* bootstrap: the interval that infinitely many resamples would give, from the
    exact law of the resampled mean (`law_of_mean`), faster than resampling and without its noise. Asked for a
    number of replicates it draws them: multinomial counts of the unique values when these are few, which has
    the same distribution as drawing rows, and rows otherwise. Clusters are resampled as a whole; when their
    sizes differ the mean of a resample is a ratio, which is always simulated.

    Parameters
    ----------
    values
        Shape (n,): numbers, none missing.
    clusters
        Shape (n,): labels of rows that are drawn together, or a `ClusterPartition`; default: every row for
        itself.
    level
        Confidence level, in (0, 1); default 0.95.
    method
        "bca" (default): bias-corrected and accelerated, the acceleration from the jackknife; or "percentile".
    n_replicates
        Resamples to draw; default None: infinitely many, or 10,000 for clusters of different sizes.
    seed
        Seed or generator of the draws; the ideal bootstrap makes none.

    Raises
    ------
    DataError
        If values are missing, or there are none.

    References
    ----------
    B. Efron (1987), Better bootstrap confidence intervals, JASA 82.
    T. J. DiCiccio, B. Efron (1996), Bootstrap confidence intervals, Statistical Science 11.

    Examples
    --------
    >>> print(bootstrap_mean([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]))
    10.5 (95% interval 4.167 to 22.83, n=6)
    """
    check_choice(method, "method", ("bca", "percentile"))
    check_level(level)
    _check_replicates(n_replicates)
    array = finite_values(values)
    n = array.size
    parts = partition_of(clusters, n)
    mean = float(array.mean())
    if parts is None:
        sums, sizes, influences = array, None, array - mean
    else:
        sums, sizes = parts.sums(array), parts.sizes
        influences = _cluster_influences(sums, sizes)
        if (sizes == sizes[0]).all():  # the mean of a resample is then a plain mean of the clusters' means
            sums, sizes = sums / sizes[0], None
    if sizes is None and n_replicates is None:
        law = law_of_mean(sums)
    else:
        rng = np.random.default_rng(seed)
        count = _DEFAULT_REPLICATES if n_replicates is None else n_replicates
        replicates = _mean_replicates(sums, count, rng) if sizes is None else _ratios(sums, sizes, count, rng)
        law = law_of_replicates(replicates, mean)
    acceleration = acceleration_of(influences) if method == "bca" else None
    n_clusters = None if parts is None else parts.n_clusters
    if (1 if n < 2 else n_clusters) == 1:  # nothing to resample: the spread is unknown
        return _unknown(mean, level, n, n_clusters, method)
    return _estimate(mean, law, acceleration, level, n, n_clusters, method)


def bootstrap(
    statistic: Callable[..., Any],
    *arrays: ArrayLike,
    paired: bool = True,
    clusters: ArrayLike | ClusterPartition | None = None,
    level: float = 0.95,
    method: BootstrapMethod = "bca",
    n_replicates: int = _DEFAULT_REPLICATES,
    seed: Seed = 0,
) -> Estimate:
    """Bootstrap interval of any statistic.

    Parameters
    ----------
    statistic
        Called with as many arrays as are given, returns a number. If it takes an argument `axis`, it is
        called with ``axis=-1`` on arrays of many resamples, shape (resamples, n), which is much faster.
    *arrays
        One or more arrays whose first axis is the rows; further axes are kept (not with `axis`).
    paired
        True (default): rows of the arrays belong together and are drawn together. False: independent samples.
    clusters
        Labels of rows that are drawn together; only with `paired`. Default: every row for itself.
    level
        Confidence level, in (0, 1); default 0.95.
    method
        "bca" (default): bias-corrected and accelerated, with a jackknife that leaves out one row (cluster)
        at a time, or one of 256 random groups of rows when there are more; or "percentile".
    n_replicates
        Resamples, at least 1; default 10,000.
    seed
        Seed or generator of the draws; default 0.

    Raises
    ------
    DataError
        If arrays are empty, paired arrays differ in length, or the statistic is not a number on some
        resample.

    References
    ----------
    B. Efron (1987), Better bootstrap confidence intervals, JASA 82.

    Examples
    --------
    >>> x, y = np.arange(20.0), np.arange(20.0) ** 2
    >>> estimate = bootstrap(lambda a, b: np.corrcoef(a, b)[0, 1], x, y, n_replicates=500)
    >>> round(estimate.value, 3), estimate.low < estimate.value < estimate.high
    (0.965, True)
    """
    check_choice(method, "method", ("bca", "percentile"))
    check_level(level)
    _check_replicates(n_replicates)
    samples = [np.asarray(array) for array in arrays]
    if not samples or any(sample.ndim == 0 or len(sample) == 0 for sample in samples):
        message = "bootstrap needs one or more arrays with at least one row each"
        raise DataError(message)
    if paired and len({len(sample) for sample in samples}) > 1:
        message = f"paired arrays must have equally many rows, got {', '.join(str(len(s)) for s in samples)}"
        raise DataError(message)
    if clusters is not None and not paired:
        message = "clusters need paired arrays"
        raise ConfigError(message)
    n = len(samples[0]) if paired else sum(len(sample) for sample in samples)
    parts = partition_of(clusters, n)
    rng = np.random.default_rng(seed)
    evaluate = Evaluator(statistic)
    value = evaluate.once(samples)
    if parts is not None:
        members = members_of(parts)
        replicates = clustered_replicates(evaluate, samples, members, n_replicates, rng)
        units = [members]
    elif paired:
        replicates = evaluate.resampled(samples, [len(samples[0])], n_replicates, rng)
        units = [jackknife_groups(len(samples[0]), rng)]
    else:
        replicates = evaluate.resampled(samples, [len(sample) for sample in samples], n_replicates, rng)
        units = [jackknife_groups(len(sample), rng) for sample in samples]
    bad = int(replicates.size - np.isfinite(replicates).sum())
    if bad or not math.isfinite(value):
        message = (
            f"the statistic must be a finite number, but is {value:g} on the data, and not on {bad} resamples"
        )
        raise DataError(message)
    if all(len(unit) < 2 for unit in units):
        return _unknown(value, level, n, None if parts is None else parts.n_clusters, method)
    acceleration = None
    if method == "bca":
        acceleration = acceleration_of(jackknife(evaluate, samples, units, paired=paired))
    n_clusters = None if parts is None else parts.n_clusters
    return _estimate(value, law_of_replicates(replicates, value), acceleration, level, n, n_clusters, method)


def _mean_replicates(values: Floats, n_replicates: int, rng: np.random.Generator) -> Floats:
    """Draw the means of `n_replicates` resamples of `values`, shape (n,)."""
    n = values.size
    unique, counts = np.unique(values, return_counts=True)
    if 16 * unique.size <= n or unique.size <= 2:
        blocks = [
            rng.multinomial(n, counts / n, size) @ unique for size in blocks_of(n_replicates, unique.size)
        ]
    else:
        blocks = [
            values.take(rng.integers(0, n, (size, n))).sum(axis=1) for size in blocks_of(n_replicates, n)
        ]
    means: Floats = np.concatenate(blocks) / n
    return means


def _ratios(sums: Floats, sizes: NDArray[np.intp], n_replicates: int, rng: np.random.Generator) -> Floats:
    """Draw the means of `n_replicates` resamples of clusters, given each cluster's sum and size."""
    groups = sums.size
    # One gather fetches both: the sum as the real part, the size as the imaginary.
    packed = sums + 1j * sizes
    replicates = []
    for count in blocks_of(n_replicates, groups):
        drawn = packed.take(rng.integers(0, groups, (count, groups))).sum(axis=1)
        replicates.append(drawn.real / drawn.imag)
    return np.concatenate(replicates)


def _cluster_influences(sums: Floats, sizes: NDArray[np.intp]) -> Floats:
    if sums.size < 2:
        return np.zeros(1)
    left_out: Floats = (sums.sum() - sums) / (sizes.sum() - sizes)
    influences: Floats = left_out.mean() - left_out
    return influences


def _check_replicates(n_replicates: int | None) -> None:
    if n_replicates is not None and n_replicates < 1:
        message = f"n_replicates must be at least 1, got {n_replicates}"
        raise ConfigError(message)


def _estimate(
    value: float,
    law: BootstrapLaw,
    acceleration: float | None,
    level: float,
    n: int,
    n_clusters: int | None,
    method: BootstrapMethod,
) -> Estimate:
    low, high = bootstrap_interval(law, acceleration, level)
    name = method if n_clusters is None else f"cluster-{method}"
    return Estimate(
        value, low, high, level, n, n_clusters, law.stderr(), name, interval_reader(law, acceleration)
    )


def _unknown(value: float, level: float, n: int, n_clusters: int | None, method: BootstrapMethod) -> Estimate:
    name = method if n_clusters is None else f"cluster-{method}"
    return Estimate(
        value, -math.inf, math.inf, level, n, n_clusters, math.inf, name, _everything, _always_one
    )


def _everything(level: float) -> tuple[float, float]:
    check_level(level)
    return -math.inf, math.inf


def _always_one(_bound: float) -> float:
    return 1.0
