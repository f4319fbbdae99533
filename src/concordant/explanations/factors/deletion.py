"""Whether the factors that are called primary are: what a model loses when they are shuffled among the rows."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from concordant.explanations.factors.shares import Importance

MOST_SETS = 30
"""Sets of k factors whose mean is what any k factors are worth; drawn where there are more."""


def deletion_check(
    loss: Callable[[NDArray[np.float64]], float],
    x: ArrayLike,
    known: Importance,
    *,
    k: int = 3,
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Measure how much a loss grows when k factors are shuffled together: the primary ones, the last ones, any k.

    Parameters
    ----------
    loss
        Of the model on rows of the shape of `x`, such as its mean squared error.
    x
        Rows, shape ``(n, n_factors)``.
    known
        What says which factors are primary.
    k
        How many, below the number of factors.
    repeats
        Shuffles of which the mean is taken.
    seed
        Of the shuffles, the same for all sets of factors.

    Returns
    -------
    dict
        ``primary_gap``, ``secondary_gap`` and ``any_gap``: growth of the loss. An explanation that says what the model
        goes by has the first well above the last.

    Raises
    ------
    ConfigError
        If k is not between 1 and the number of factors.

    Examples
    --------
    >>> from concordant.explanations.factors import Importance
    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> known = Importance(("a", "b", "c"), [0.9, 0.1, 0.0], [0, 0, 0])
    >>> found = deletion_check(lambda rows: float(((rows[:, 0] - x[:, 0]) ** 2).mean()), x, known, k=1)
    >>> found["primary_gap"] > 1.5, found["secondary_gap"]
    (True, 0.0)
    """
    rows = np.asarray(x, np.float64)
    n_factors = len(known.names)
    if not 1 <= k < n_factors:
        message = f"k of deletion_check must be from 1 to {n_factors - 1}, got {k}"
        raise ConfigError(message)
    order = np.argsort(-known.shares, kind="stable")
    rng = np.random.default_rng(seed)
    shuffles = [rng.permutation(len(rows)) for _ in range(repeats)]
    whole = loss(rows)

    def gap(factors: Any) -> float:
        chosen = list(factors)
        grown = []
        for shuffle in shuffles:
            shuffled = rows.copy()
            shuffled[:, chosen] = rows[shuffle][:, chosen]
            grown.append(loss(shuffled) - whole)
        return float(np.mean(grown))

    sets = list(combinations(range(n_factors), k))
    if len(sets) > MOST_SETS:
        sets = [sets[i] for i in rng.choice(len(sets), MOST_SETS, replace=False)]
    return {
        "primary_gap": gap(order[:k]),
        "secondary_gap": gap(order[-k:]),
        "any_gap": float(np.mean([gap(one) for one in sets])),
    }
