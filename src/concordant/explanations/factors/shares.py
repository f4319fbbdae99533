r"""Importance distributions: what share of a model's decisions each factor has, and how far models agree on it.

From attributions :math:`\phi_j(x)` the importance of a factor is :math:`I_j = E_x |\phi_j(x)|`, its share
:math:`p_j = I_j / \sum_i I_i`. The factors with the largest shares are primary, the others secondary.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.statistics import kendall_tau_b

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

Floats = np.ndarray[Any, np.dtype[np.float64]]

LEAST = 1e-4
"""What a share of zero counts as in a divergence."""

MEASURES = ("kl_gap", "js_gap", "top_k_score", "tau_score", "order_score", "direction_score")


@dataclass(frozen=True, eq=False)
class Importance:
    """The importance distribution of a model.

    Parameters
    ----------
    names
        The factors.
    shares
        Not negative, with sum 1, shape ``(n_factors,)``.
    directions
        1 where a larger value of the factor raises what the model says, -1 where it lowers it, 0 where neither is known;
        shape ``(n_factors,)``.

    Raises
    ------
    DataError
        If the shares are no distribution over the factors.
    """

    names: tuple[str, ...]
    shares: Floats
    directions: Floats

    def __post_init__(self) -> None:
        shares, directions = np.asarray(self.shares, np.float64), np.asarray(self.directions, np.float64)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "directions", directions)
        if shares.shape != (len(self.names),) or directions.shape != shares.shape:
            message = f"there must be a share and a direction for each of {len(self.names)} factors, got {shares.shape}"
            raise DataError(message)
        if not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
            message = f"shares must be at least 0 with sum 1, got {shares.round(4).tolist()}"
            raise DataError(message)

    def primary(self, k: int = 3) -> tuple[str, ...]:
        """Return the k factors with the largest shares, the largest first; of equal ones the earlier."""
        return tuple(self.names[j] for j in np.argsort(-self.shares, kind="stable")[:k])


def importance(attribution: ArrayLike, names: Sequence[str], x: ArrayLike | None = None) -> Importance:
    """Return the importance distribution of attributions.

    Parameters
    ----------
    attribution
        Shape ``(n, n_factors)``.
    names
        The factors.
    x
        The rows that were explained, same shape, for directions: the sign of the covariance of factor and attribution.

    Raises
    ------
    DataError
        If the shapes differ, or no factor has any importance.

    Examples
    --------
    >>> found = importance([[1.0, -3.0], [-1.0, 3.0]], ["age", "children"], [[2.0, 1.0], [0.0, 0.0]])
    >>> found.shares.tolist(), found.directions.tolist(), found.primary(1)
    ([0.25, 0.75], [1.0, -1.0], ('children',))
    """
    phi = np.asarray(attribution, np.float64)
    if phi.ndim != 2 or phi.shape[1] != len(names) or not len(phi):
        message = f"attributions must have a column for each of {len(names)} factors, got shape {phi.shape}"
        raise DataError(message)
    total = np.abs(phi).mean(0)
    if not np.isfinite(total).all() or total.sum() == 0:
        message = (
            "no factor has a finite importance above zero: the attributions are all zero, or not all finite"
        )
        raise DataError(message)
    directions = np.zeros(len(names))
    if x is not None:
        rows = np.asarray(x, np.float64)
        if rows.shape != phi.shape:
            message = f"rows and attributions must have one shape, got {rows.shape} and {phi.shape}"
            raise DataError(message)
        directions = np.sign(((rows - rows.mean(0)) * phi).mean(0))
    return Importance(tuple(names), total / total.sum(), directions)


def agreed(pool: Iterable[Importance]) -> Importance:
    """Return the mean of importance distributions: what models agree on, as knowledge to train others with.

    Raises
    ------
    DataError
        If there are none, or they are over different factors.

    Examples
    --------
    >>> pool = [Importance(("a", "b"), [0.5, 0.5], [1, 1]), Importance(("a", "b"), [0.7, 0.3], [1, -1])]
    >>> agreed(pool).shares.tolist(), agreed(pool).directions.tolist()
    ([0.6, 0.4], [1.0, 0.0])
    """
    members = list(pool)
    _same_factors(members)
    shares = np.mean([member.shares for member in members], axis=0)
    return Importance(members[0].names, shares, np.sign(np.sum([m.directions for m in members], axis=0)))


def ranked_shares(order: Sequence[str]) -> Importance:
    r"""Return shares for an order that people give, the most important first: :math:`p_j \propto 1/\mathrm{rank}_j`.

    Examples
    --------
    >>> ranked_shares(["income", "health"]).shares.round(4).tolist()
    [0.6667, 0.3333]
    """
    if not order or len(set(order)) != len(order):
        message = f"an order must have factors, each once, got {', '.join(order) or 'none'}"
        raise DataError(message)
    shares = 1 / np.arange(1, len(order) + 1)
    return Importance(tuple(order), shares / shares.sum(), np.zeros(len(order)))


def uniform_shares(known: Importance) -> Importance:
    """Return equal shares over the same factors: a control that knows nothing."""
    n = len(known.names)
    return Importance(known.names, np.full(n, 1 / n), np.zeros(n))


def reversed_shares(known: Importance) -> Importance:
    """Return the same shares with the least important factor first: a control that knows the contrary.

    Examples
    --------
    >>> reversed_shares(Importance(("a", "b", "c"), [0.5, 0.3, 0.2], [0, 0, 0])).shares.tolist()
    [0.2, 0.3, 0.5]
    """
    order = np.argsort(known.shares, kind="stable")
    shares = np.empty(len(order))
    shares[order] = known.shares[order[::-1]]
    return Importance(known.names, shares, np.zeros(len(order)))


def compared(first: Importance, second: Importance, *, k: int = 3) -> dict[str, float]:
    r"""Compare two importance distributions.

    Parameters
    ----------
    first, second
        Over the same factors.
    k
        How many factors are primary.

    Returns
    -------
    dict
        - ``kl_gap``: :math:`\sum_j p_j \log(p_j/q_j)` in nats, p of the first; it punishes factors that only the first has.
        - ``js_gap``: the Jensen-Shannon divergence, the same both ways, at most log 2.
        - ``top_k_score``: primary factors in common, as a share of all that are primary for either.
        - ``tau_score``: Kendall's tau-b of the shares; NaN where one is constant.
        - ``order_score``: the share of pairs of factors of which both say the same one is more important.
        - ``direction_score``: the share of factors with the same direction, among those where both have one; NaN where none.

    Raises
    ------
    DataError
        If the factors differ.

    Examples
    --------
    >>> first = Importance(("a", "b", "c"), [0.5, 0.3, 0.2], [1, -1, 0])
    >>> second = Importance(("a", "b", "c"), [0.5, 0.2, 0.3], [1, 1, 1])
    >>> found = compared(first, second, k=2)
    >>> {name: round(value, 3) for name, value in found.items() if name.endswith("score")}
    {'top_k_score': 0.333, 'tau_score': 0.333, 'order_score': 0.667, 'direction_score': 0.5}
    >>> round(found["kl_gap"], 4)  # 0.3 log(3/2) - 0.2 log(3/2)
    0.0405
    """
    _same_factors([first, second])
    p, q = first.shares, second.shares
    middle = (p + q) / 2
    tops = [set(one.primary(k)) for one in (first, second)]
    left, right = np.triu_indices(len(p), 1)
    same = np.sign(p[left] - p[right]) == np.sign(q[left] - q[right])
    told = (first.directions != 0) & (second.directions != 0)
    agree = first.directions[told] == second.directions[told]
    return {
        "kl_gap": kl_divergence(p, q),
        "js_gap": (kl_divergence(p, middle) + kl_divergence(q, middle)) / 2,
        "top_k_score": len(tops[0] & tops[1]) / len(tops[0] | tops[1]),
        "tau_score": float(kendall_tau_b(p, q)),
        "order_score": float(same.mean()) if len(same) else 1.0,
        "direction_score": float(agree.mean()) if len(agree) else float("nan"),
    }


def agreement(pool: Mapping[str, Importance], *, k: int = 3) -> pl.DataFrame:
    """Compare each importance distribution with each other: of models, versions or seeds.

    Parameters
    ----------
    pool
        At least two, by name.
    k
        How many factors are primary.

    Returns
    -------
    pl.DataFrame
        ``first``, ``second`` and the measures of `compared`; both ways, because ``kl_gap`` differs.

    Raises
    ------
    DataError
        If there are fewer than two, or the factors differ.
    """
    if len(pool) < 2:
        message = f"agreement is between at least two models, got {', '.join(pool) or 'none'}"
        raise DataError(message)
    rows = [{"first": a, "second": b, **compared(pool[a], pool[b], k=k)} for a, b in permutations(pool, 2)]
    return pl.DataFrame(rows)


def agreement_matrix(pool: Mapping[str, Importance], measure: str = "kl_gap", *, k: int = 3) -> pl.DataFrame:
    """Return one measure of `compared` as a matrix: a row and a column for each model.

    Raises
    ------
    ConfigError
        If there is no such measure.

    Examples
    --------
    >>> pool = {"old": ranked_shares(["a", "b"]), "new": ranked_shares(["b", "a"])}
    >>> pool["new"] = Importance(("a", "b"), pool["new"].shares[::-1], [0, 0])
    >>> agreement_matrix(pool, "order_score").rows()
    [('old', 1.0, 0.0), ('new', 0.0, 1.0)]
    """
    if measure not in MEASURES:
        message = f"there is no measure {measure!r}; {nearest(measure, MEASURES)}"
        raise ConfigError(message)
    names = list(pool)
    cells = {a: [compared(pool[b], pool[a], k=k)[measure] for b in names] for a in names}
    return pl.DataFrame({"first": names, **cells})


def kl_divergence(p: ArrayLike, q: ArrayLike) -> float:
    r"""Return :math:`\sum_j p_j \log(p_j / q_j)` in nats; a share below 1e-4 counts as that, and both sum to 1 again."""
    first, second = (np.maximum(np.asarray(shares, np.float64), LEAST) for shares in (p, q))
    first, second = first / first.sum(), second / second.sum()
    return float((first * np.log(first / second)).sum())


def _same_factors(members: Sequence[Importance]) -> None:
    if len({member.names for member in members}) != 1:
        got = "; ".join(", ".join(names) for names in {member.names for member in members}) or "none"
        message = f"importance distributions must be over the same factors in the same order, got {got}"
        raise DataError(message)
