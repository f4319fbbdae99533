"""The statistics: a bootstrap interval of a mean beside scipy's, and the estimates made for every slice.

On its own: ``OMP_NUM_THREADS=1 python -m bench.statistics``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from bench.timing import Figure, timed
from concordant.core.statistics import (
    bootstrap_mean,
    confidence_sequence,
    estimate_mean,
    kendall_tau_b,
    paired_permutation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

N = 10_000
REPLICATES = 100_000


def main() -> list[Figure]:
    """Measure intervals from 100,000 replicates, the cost of an estimate, and the slower statistics."""
    return [*intervals(), *estimates(), *others()]


def intervals() -> list[Figure]:
    """Time the 95% BCa interval of a mean: the ideal bootstrap, drawn replicates, and scipy's."""
    rng = np.random.default_rng(0)
    kinds = {"0/1": (rng.random(N) < 0.8).astype(float), "real": rng.lognormal(size=N)}
    figures = []
    for name, scores in kinds.items():
        ideal = timed(lambda scores=scores: bootstrap_mean(scores))[0]
        drawn = timed(lambda scores=scores: bootstrap_mean(scores, n_replicates=REPLICATES), runs=1)[0]
        scipy = scipy_seconds(scores)
        what = f"BCa interval of the mean of {N:,} {name} scores"
        peer = f"`scipy.stats.bootstrap`, {REPLICATES:,} replicates, scaled from fewer: {scipy:.2f} s"
        aim = "0.05 s" if name == "0/1" else "a tenth of scipy's time"
        limit = 0.05 if name == "0/1" else scipy / 10
        figures += [
            Figure(f"{what}, as from infinitely many replicates", f"{ideal:.4f} s", aim, peer, ideal < limit),
            Figure(f"{what}, {REPLICATES:,} replicates drawn", f"{drawn:.4f} s", "", peer),
        ]
    return figures


def scipy_seconds(scores: np.ndarray) -> float:
    """Scale scipy's time from two smaller numbers of replicates: a fixed part, and one for each of them."""
    from scipy.stats import bootstrap

    def seconds(n_resamples: int) -> float:
        start = time.perf_counter()
        bootstrap((scores,), np.mean, n_resamples=n_resamples, batch=100, vectorized=True, rng=1)
        return time.perf_counter() - start

    seconds(100)
    few, many = REPLICATES // 100, REPLICATES // 10
    short, long = seconds(few), seconds(many)
    return short + (long - short) / (many - few) * (REPLICATES - few)


def estimates() -> list[Figure]:
    """Time the estimates that are made for every slice."""
    values, groups = np.random.default_rng(0).normal(size=100), np.arange(100) // 4
    right = (values > 0).astype(float)
    calls: dict[str, Callable[[], object]] = {
        "t": lambda: estimate_mean(values),
        "Wilson": lambda: estimate_mean(right),
        "t, 25 clusters": lambda: estimate_mean(values, clusters=groups),
        "Wilson, 25 clusters": lambda: estimate_mean(right, clusters=groups),
    }
    figures = []
    for name, call in calls.items():
        seconds = timed(lambda call=call: [call() for _ in range(200)])[0] / 200
        figures.append(
            Figure(
                f"`estimate_mean`, n = 100, {name}", f"{1e6 * seconds:.1f} µs", "50 µs", "", seconds < 50e-6
            )
        )
    return figures


def others() -> list[Figure]:
    """Time the statistics that cost more."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=100_000), rng.normal(size=100_000)
    rankings = rng.random((100_000, 5)), rng.random((100_000, 5))
    stream = (rng.random(N) < 0.3).astype(float)
    calls: dict[str, Callable[[], object]] = {
        "`kendall_tau_b`, one pair of 100,000": lambda: kendall_tau_b(a, b),
        "`kendall_tau_b`, 100,000 pairs of 5": lambda: kendall_tau_b(*rankings),
        "`paired_permutation`, n = 1,000, 10,000 draws": lambda: paired_permutation(a[:1000], b[:1000]),
        "`confidence_sequence` by betting, 10,000 values": lambda: confidence_sequence(stream),
        "`confidence_sequence`, empirical Bernstein, 10,000 values": lambda: confidence_sequence(
            stream, method="empirical-bernstein"
        ),
    }
    return [Figure(name, f"{1e3 * timed(call, runs=3)[0]:.1f} ms", "") for name, call in calls.items()]


if __name__ == "__main__":
    for figure in main():
        mark = {True: "(reached)", False: "(NOT REACHED)", None: ""}[figure.holds]
        print(f"{figure.what}: {figure.measured} {figure.reach} {mark} {figure.peer}")
