r"""Position bias: how far the positions that a model chooses are from even.

Over balanced orders, in which every option stands at every position equally often, a model that goes by the
options alone chooses every position equally often, whatever it prefers. With :math:`c_{ip}` the share of
item i's answers that are at position p of its m, and :math:`\bar c_p` its mean over items,

.. math:: \text{bias} = \tfrac12 \sum_p \lvert \bar c_p - 1/m \rvert ,

the total variation from uniform: 0 for none, 1 - 1/m when one position is always chosen. Items with
different m are measured among themselves, and averaged by their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.statistics import Estimate, estimate_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PositionBias:
    """What `position_bias` finds.

    Parameters
    ----------
    estimate
        Total variation between the chosen positions and even ones, with its bootstrap interval.
    p_value
        Of the test that positions are chosen evenly.
    n_options
        The most frequent number of options.
    preferred
        The position, from 0, that is chosen most often among items of that many options.
    chosen
        How often it is chosen there; even would be ``1 / n_options``.
    """

    estimate: Estimate
    p_value: float
    n_options: int
    preferred: int
    chosen: float


def position_bias(
    counts: NDArray[np.float64],
    n_options: NDArray[np.int64],
    *,
    clusters: NDArray[np.int64] | None = None,
    level: float = 0.95,
) -> PositionBias:
    r"""Measure position bias from how often each position was chosen.

    The bias is the mean over items of :math:`\sum_{p \in S} (c_{ip} - 1/m)`, with S the positions that are
    chosen more than evenly, and gets the bootstrap interval of that mean, clustered. The test asks whether
    positions matter at all: if they do not, an item's shares may be turned round by any number of
    positions. With :math:`F_{gf}` the f-th Fourier coefficient of the shares of cluster g, that makes each

    .. math:: \frac{\lvert \sum_g F_{gf} \rvert^2}{\sum_g \lvert F_{gf} \rvert^2}, \qquad f = 1, ..., m - 1

    of mean 1, and their sum nearly :math:`\chi^2_{m-1}` for many clusters. It is the chi-square test of
    even positions with one answer for each item where a model always chooses by position, and finds nothing
    where it never does.

    Parameters
    ----------
    counts
        Shape ``(n_items, positions)``: answers at each position over balanced orders, 0 behind the last
        option.
    n_options
        Shape ``(n_items,)``: options of each item, at least 2.
    clusters
        Shape ``(n_items,)``: items that belong together; by default each stands for itself.
    level
        Level of the interval.

    Examples
    --------
    Three items of two options, always answered by the first one:

    >>> found = position_bias(np.array([[2.0, 0.0]] * 3), np.array([2, 2, 2]))
    >>> found.estimate.value, found.preferred, round(found.p_value, 3)
    (0.5, 0, 0.083)
    """
    from scipy.special import chdtrc

    alone = np.arange(len(counts)) if clusters is None else clusters
    excess = np.empty(len(counts))
    statistic, df = 0.0, 0
    for m in np.unique(n_options).tolist():
        rows = n_options == m
        share = counts[rows, :m] / counts[rows].sum(axis=1, keepdims=True)
        more = np.sign(np.round(share.mean(axis=0) - 1 / m, 12))
        excess[rows] = 0.5 * (share - 1 / m) @ more
        _, codes = np.unique(alone[rows], return_inverse=True)
        sums = np.zeros((codes.max() + 1, m))
        np.add.at(sums, codes, share - 1 / m)
        waves = np.fft.fft(sums, axis=1)[:, 1:]
        power = (np.abs(waves) ** 2).sum(axis=0)
        felt = power > 1e-12
        statistic += float((np.abs(waves.sum(axis=0)[felt]) ** 2 / power[felt]).sum())
        df += int(felt.sum())
    estimate = _within(estimate_mean(excess, clusters=clusters, level=level, method="bca"))
    common = int(np.argmax(np.bincount(n_options)))
    rows = n_options == common
    even = (counts[rows, :common] / counts[rows].sum(axis=1, keepdims=True)).mean(axis=0)
    preferred = int(np.argmax(np.round(even, 12)))
    p_value = float(chdtrc(df, statistic)) if df else 1.0
    return PositionBias(estimate, p_value, common, preferred, float(even[preferred]))


def _within(estimate: Estimate) -> Estimate:
    """Keep the interval of a total variation in [0, 1], and around it where rounding would not."""
    value = max(0.0, estimate.value)

    def interval_at(level: float) -> tuple[float, float]:
        low, high = estimate.interval_at(level)
        return min(max(0.0, low), value), max(min(1.0, high), value)

    low, high = interval_at(estimate.level)
    return replace(estimate, value=value, low=low, high=high, interval_at=interval_at, p_at=None)
