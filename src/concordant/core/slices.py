"""Findings on slices, and whether a slice differs from the rest by more than chance.

A finding that has a test of its own (the gain of `versions.flips`: McNemar) keeps it on the slice. Any other
mean is tested against the items outside the slice: by Fisher's exact test where a 0/1 value is too rare for the
normal approximation, else by the score test with the standard error of all items, which is cluster-robust where
they are clustered. The p values of one measure are adjusted over all slices looked at, by Benjamini and Hochberg.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.errors import DataError, nearest
from concordant.core.statistics import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.finding import Finding
    from concordant.core.items import Items
    from concordant.core.relation import Relation, Verdicts

MAX_VALUES = 30
MIN_ITEMS = 2
RARE = 10.0
"""Expected counts below this are tested exactly."""


def slice_columns(items: Items, columns: Sequence[str] | None) -> list[str]:
    """Return the columns to slice by: those named, or all further columns of at most 30 values that are not fractions.

    Raises
    ------
    DataError
        If a named column is not there.
    """
    if columns is None:
        frame = items.frame
        plain = [c for c in items.slices if not (frame[c].dtype.is_float() or frame[c].dtype.is_nested())]
        return [c for c in plain if 2 <= frame[c].n_unique() <= MAX_VALUES]
    columns = [columns] if isinstance(columns, str) else columns
    for column in columns:
        if column not in items.frame.columns:
            message = f"there is no column {column!r} to slice by; {nearest(column, items.frame.columns)}"
            raise DataError(message)
    return list(columns)


def slice_findings(
    relation: Relation, verdicts: Verdicts, overall: Sequence[Finding], columns: Sequence[str]
) -> list[Finding]:
    """Summarize a relation on each value of each column.

    Parameters
    ----------
    relation, verdicts
        The relation and its verdicts over all items.
    overall
        Its findings over all items.
    columns
        The columns to slice by.

    Returns
    -------
    list of Finding
        Most telling first: by adjusted p, findings without one last.
    """
    by_measure = {finding.measure: finding for finding in overall}
    findings: list[Finding] = []
    for column in columns:
        values = verdicts.items.frame[column].cast(pl.String)
        order = values.arg_sort(nulls_last=True).to_numpy()
        counts = values.drop_nulls().value_counts().sort(column)
        start = 0
        for value, n in counts.iter_rows():
            rows = order[start : start + n]
            start += n
            if not MIN_ITEMS <= n < len(verdicts):
                continue
            for finding in relation.summarize(verdicts.rows(rows)):
                found = replace(finding, slice=(column, value))
                whole = by_measure.get(finding.measure)
                findings.append(found if whole is None else _tested(found, whole))
    return _adjusted(findings)


def _tested(part: Finding, whole: Finding) -> Finding:
    if part.p_value is not None or whole.n <= part.n or not _are_means(part, whole):
        return part
    n, rest = part.n, whole.n - part.n
    if "wilson" in whole.estimate.method:
        hits, total = round(part.value * n), round(whole.value * whole.n)
        expected = whole.value * n
        if whole.estimate.n_clusters is None and min(expected, n - expected) < RARE:
            return part.with_p(_fisher(hits, n, total, whole.n), "Fisher's exact test against the rest")
    spread = whole.estimate.stderr * math.sqrt(whole.n)
    if not (spread > 0 and math.isfinite(spread)):
        return part
    difference = part.value - (whole.value * whole.n - part.value * n) / rest
    z = difference / (spread * math.sqrt(1 / n + 1 / rest))
    return part.with_p(math.erfc(abs(z) / math.sqrt(2)), "score test against the rest")


def _are_means(part: Finding, whole: Finding) -> bool:
    """Tell whether two figures are means over the same unit; a worst value or a ratio is no mean of its parts."""
    methods = {f.estimate.method.removeprefix("cluster-") for f in (part, whole)}
    return part.unit == whole.unit and methods <= {"wilson", "exact", "t", "bca"}


def _fisher(hits: int, n: int, total: int, size: int) -> float:
    from scipy.stats import hypergeom

    law = hypergeom(size, total, n)
    return float(min(1.0, 2 * min(law.cdf(hits), law.sf(hits - 1))))


def _adjusted(findings: list[Finding]) -> list[Finding]:
    by_measure: dict[str, list[int]] = {}
    for i, finding in enumerate(findings):
        if finding.p_value is not None:
            by_measure.setdefault(finding.measure, []).append(i)
    for index in by_measure.values():
        raw: NDArray[np.float64] = np.array([findings[i].p_value for i in index], dtype=np.float64)
        for i, p in zip(index, benjamini_hochberg(raw), strict=True):
            findings[i] = replace(
                findings[i], p_value=float(p), correction=f"Benjamini-Hochberg over {len(index)} slices"
            )

    def rank(finding: Finding) -> float:
        p = finding.p_value
        return math.inf if p is None or math.isnan(p) else p

    return sorted(findings, key=rank)
