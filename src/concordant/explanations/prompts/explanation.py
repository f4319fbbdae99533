"""What an explanation says: how far each field moves the choice, what share noise has, how far templates agree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import DataError
from concordant.core.statistics import Estimate, estimate_mean, spearman_rho
from concordant.core.statistics.estimate import t_estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.explanations.prompts.choices import Value
    from concordant.explanations.prompts.template import Absent, PromptTemplate


@dataclass(frozen=True, eq=False)
class PromptExplanation:
    r"""What the fields of a template bring to the choice of one option.

    Parameters
    ----------
    template
        The template.
    target
        The option.
    absent, value
        How fields were taken away, and what is shared out: a probability, or log-odds in nats.
    phi
        Shapley values, shape ``(n_rows, n_fields)``.
    standard_errors
        Of `phi`: of orders that were drawn, and of choices that were counted; zero where neither was needed.
    mean_standard_errors
        Of the means of `phi` over rows, shape ``(n_fields,)``.
    with_all, with_none
        The value with all fields and with none, shape ``(n_rows,)``; ``phi.sum(1)`` is their difference.
    is_exact
        Whether all sets of fields were asked.
    n_questions
        How many different questions were asked.
    unread_rate
        The share of sampled answers that named no option.
    """

    template: PromptTemplate
    target: str
    absent: Absent
    value: Value
    phi: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    mean_standard_errors: NDArray[np.float64]
    with_all: NDArray[np.float64]
    with_none: NDArray[np.float64]
    is_exact: bool
    n_questions: int
    unread_rate: float

    @property
    def shares(self) -> NDArray[np.float64]:
        r"""Share of each field in what is moved: :math:`\sum_r |\phi_{ri}| / \sum_{rj} |\phi_{rj}|`; NaN if nothing is."""
        moved = np.abs(self.phi).sum(0)
        total = moved.sum()
        return moved / total if total > 0 else np.full(len(moved), np.nan)

    @property
    def noise_share(self) -> Estimate:
        """Share of the fields that should not decide, with its interval over rows; NaN if nothing moves the choice."""
        moved = np.abs(self.phi)
        is_noise = np.array([role == "noise" for role in self.template.roles])
        noise, total = moved[:, is_noise].sum(1), moved.sum(1)
        n = len(total)
        if total.sum() == 0:
            return t_estimate(np.nan, np.inf, 0, n=n, bounds=(0.0, 1.0))
        share = float(noise.sum() / total.sum())
        influence = (noise - share * total) / total.mean()
        stderr = float(np.sqrt((influence**2).sum() / (n * (n - 1)))) if n > 1 else np.inf
        return t_estimate(share, stderr, n - 1, n=n, bounds=(0.0, 1.0))

    def table(self) -> pl.DataFrame:
        """Return one row a field, in the order of the template.

        Returns
        -------
        pl.DataFrame
            ``field``, ``role``, ``phi`` (mean over rows), ``standard_error`` (null where nothing was sampled), ``share``.
        """
        errors = self.mean_standard_errors
        is_sampled = not self.is_exact or bool(errors.any())
        return pl.DataFrame(
            {
                "field": self.template.names,
                "role": self.template.roles,
                "phi": self.phi.mean(0),
                "standard_error": errors if is_sampled else [None] * len(errors),
                "share": self.shares,
            },
            schema_overrides={"standard_error": pl.Float64},
        )


def template_stability(explanations: Sequence[PromptExplanation]) -> Estimate:
    r"""Estimate how far templates that say the same agree on their fields: mean Spearman correlation of `phi` over pairs.

    Parameters
    ----------
    explanations
        At least two, over the same fields and rows.

    Returns
    -------
    Estimate
        In [-1, 1], the mean over rows, each over all pairs; a pair of which one is constant is left out. NaN where all are.

    Raises
    ------
    DataError
        If there is one only, or fields or rows differ.
    """
    shapes = {(e.template.names, e.phi.shape) for e in explanations}
    if len(explanations) < 2 or len(shapes) != 1:
        message = "stability needs at least two explanations of the same fields and rows, got " + "; ".join(
            f"{', '.join(names)} ({shape[0]} rows)" for names, shape in shapes
        )
        raise DataError(message)
    rho = np.array([spearman_rho(a.phi, b.phi) for a, b in combinations(explanations, 2)])
    known = ~np.isnan(rho)
    rows = known.any(0)
    if not rows.any():
        return t_estimate(np.nan, np.inf, 0, n=0, bounds=(-1.0, 1.0))
    per_row = np.where(known, rho, 0.0).sum(0)[rows] / known.sum(0)[rows]
    return estimate_mean(per_row, method="t", bounds=(-1.0, 1.0))
