"""The sign-flip permutation test of paired differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError
from concordant.core.statistics.clusters import ClusterPartition, partition
from concordant.core.statistics.validation import (
    Alternative,
    Floats,
    check_alternative,
    finite_values,
    same_length,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from concordant.core.statistics.bootstrap import Seed

_EXACT_UP_TO = 18  # signs: 2^18 sums are made in a few milliseconds
_BLOCK = 2**21


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """The outcome of a permutation test.

    Parameters
    ----------
    difference
        The observed mean difference.
    p_value
        Probability of a difference at least as extreme if the signs were random.
    n_permutations
        Sign patterns that were looked at.
    is_exact
        Whether these were all there are.
    """

    difference: float
    p_value: float
    n_permutations: int
    is_exact: bool


def paired_permutation(
    a: ArrayLike,
    b: ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: Seed = 0,
    clusters: ArrayLike | ClusterPartition | None = None,
    alternative: Alternative = "two-sided",
) -> PermutationTest:
    """Test whether the mean of a - b is 0, by flipping the signs of the differences.

    If both models behave alike, every difference is as likely to have the opposite sign. Up to 18 differences
    other than 0 are enumerated; otherwise random signs are drawn and the observed pattern counts as one of
    them, (1 + hits) / (1 + draws), which keeps the test valid. Differences of equal size are drawn by their
    number of plus signs, a binomial, which is the same distribution.

    Parameters
    ----------
    a, b
        Shape (n,): the values of both models on the same items, in the same order, none missing.
    n_permutations
        Random sign patterns when there are too many to enumerate; at least 1, default 10,000.
    seed
        Seed or generator of the signs; default 0.
    clusters
        Labels of items whose signs are flipped together; default: every item for itself.
    alternative
        "two-sided" (default); "greater": a is above b; "less": a is below b.

    Raises
    ------
    DataError
        If the arrays differ in length, or values are missing.

    References
    ----------
    B. Phipson, G. K. Smyth (2010), Permutation p-values should never be zero, Statistical Applications in
    Genetics and Molecular Biology 9.

    Examples
    --------
    >>> paired_permutation([3, 4, 6, 5, 7], [2, 3, 4, 4, 5]).p_value  # 2 of the 32 sign patterns
    0.0625
    """
    check_alternative(alternative)
    if n_permutations < 1:
        message = f"n_permutations must be at least 1, got {n_permutations}"
        raise ConfigError(message)
    first, second = finite_values(a, name="a"), finite_values(b, name="b")
    same_length(first, second)
    differences = first - second
    n = differences.size
    sums = differences if clusters is None else partition(clusters, n).sums(differences)
    sizes = np.abs(sums[sums != 0.0])
    observed = float(sums.sum())
    is_exact = sizes.size <= _EXACT_UP_TO
    totals = (
        _all_totals(sizes) if is_exact else _random_totals(sizes, n_permutations, np.random.default_rng(seed))
    )
    # Sums of the same numbers in another order differ by rounding, and must still count as ties.
    tolerance = 1e-12 * float(sizes.sum())
    if alternative == "two-sided":
        hits = int((np.abs(totals) >= abs(observed) - tolerance).sum())
    elif alternative == "greater":
        hits = int((totals >= observed - tolerance).sum())
    else:
        hits = int((totals <= observed + tolerance).sum())
    p_value = hits / totals.size if is_exact else (1 + hits) / (1 + totals.size)
    return PermutationTest(observed / n, p_value, int(totals.size), is_exact)


def _all_totals(sizes: Floats) -> Floats:
    """Return the sum of `sizes` under all 2^m patterns of signs."""
    totals = np.zeros(1)
    for size in sizes:
        totals = np.concatenate([totals - size, totals + size])
    return totals


def _random_totals(sizes: Floats, n_permutations: int, rng: np.random.Generator) -> Floats:
    """Return the sum of `sizes` under random signs: twice that of those with a plus, less that of all."""
    unique, counts = np.unique(sizes, return_counts=True)
    if 8 * unique.size <= sizes.size:
        plus = np.zeros(n_permutations)
        for size, count in zip(unique, counts, strict=True):
            plus += size * rng.binomial(count, 0.5, n_permutations)
        return 2.0 * plus - float(sizes.sum())
    width = (sizes.size + 7) // 8
    block = max(1, _BLOCK // sizes.size)
    totals = []
    for start in range(0, n_permutations, block):
        rows = min(block, n_permutations - start)
        bits = rng.integers(0, 256, (rows, width), dtype=np.uint8)
        signs = np.unpackbits(bits, axis=1, count=sizes.size)
        totals.append(2.0 * (signs.astype(np.float64) @ sizes) - sizes.sum())
    return np.concatenate(totals)
