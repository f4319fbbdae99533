"""From numbers of single series to tables: means with intervals, differences in pairs, and who beats whom."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.statistics import Estimate, estimate_mean, holm, paired_difference
from concordant.explanations.judging.candidates import RANDOM
from concordant.explanations.judging.judgement import finite
from concordant.explanations.judging.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from concordant.explanations.judging.faithfulness import Faithfulness

Values = dict[str, dict[str, "NDArray[np.float64]"]]

ALPHA = 0.05

_ESTIMATE = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64}
_MEASURES = {
    "explainer": pl.String,
    "measure": pl.String,
    "direction": pl.String,
    **_ESTIMATE,
    "over_random": pl.Float64,
    "over_random_low": pl.Float64,
    "over_random_high": pl.Float64,
    "p_adjusted": pl.Float64,
}
_CURVES = {"explainer": pl.String, "curve": pl.String, "share": pl.Float64, **_ESTIMATE}
_PAIRS = {
    "first": pl.String,
    "second": pl.String,
    "measure": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
}
_RANKING = {
    "explainer": pl.String,
    "rank": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "beats": pl.List(pl.String),
}


def measures_table(values: Values) -> pl.DataFrame:
    """Return `Judgement.measures` of numbers by explainer and measure; those that no series has are left out."""
    rows, p = [], []
    for explainer, measured in values.items():
        for name in MEASURES:
            if name not in measured or np.isnan(measured[name]).all():
                continue
            measure, numbers = MEASURES[name], measured[name]
            row: dict[str, Any] = {
                "explainer": explainer,
                "measure": name,
                "direction": measure.direction,
                **_estimated(numbers, measure.bounds),
            }
            over = None if explainer == RANDOM else _paired(numbers, values[RANDOM].get(name), measure.sign)
            if over is not None:
                row |= {
                    "over_random": over.value,
                    "over_random_low": finite(over.low),
                    "over_random_high": finite(over.high),
                }
            p.append(np.nan if over is None else over.p_value(0.0))
            rows.append(row)
    adjusted = [finite(value) for value in holm(p).tolist()]
    return _table(
        [{**row, "p_adjusted": value} for row, value in zip(rows, adjusted, strict=True)], _MEASURES
    )


def curves_table(found: Mapping[str, Faithfulness], shares: Sequence[float]) -> pl.DataFrame:
    """Return `Judgement.curves`."""
    rows = [
        {"explainer": explainer, "curve": curve, "share": share, **_estimated(numbers, (-1, 1))}
        for explainer, lost in found.items()
        for curve in ("sufficiency", "comprehensiveness")
        for share, numbers in zip(shares, getattr(lost, curve), strict=True)
    ]
    return _table(rows, _CURVES)


def pairs_table(values: Values, main: str) -> pl.DataFrame:
    """Return `Judgement.pairs`, of all explainers that have the main measure."""
    rows: list[dict[str, Any]] = []
    for first, second in combinations([name for name in values if main in values[name]], 2):
        found = _paired(values[first][main], values[second][main], 1)
        if found is not None:
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "measure": main,
                    "difference": found.value,
                    "low": finite(found.low),
                    "high": finite(found.high),
                    "p": found.p_value(0.0),
                }
            )
    adjusted = holm([row["p"] for row in rows])
    return _table([{**row, "p_adjusted": float(p)} for row, p in zip(rows, adjusted, strict=True)], _PAIRS)


def ranking_table(measures: pl.DataFrame, pairs: pl.DataFrame, main: str) -> pl.DataFrame:
    """Return `Judgement.ranking`: explainers by the main measure, and whom each beats by corrected tests."""
    sign = MEASURES[main].sign
    rows = measures.filter(pl.col("measure") == main).to_dicts()
    rows.sort(key=lambda row: -sign * row["value"])
    won: dict[str, set[str]] = {row["explainer"]: set() for row in rows}
    for pair in pairs.filter(pl.col("p_adjusted") < ALPHA).iter_rows(named=True):
        better, worse = pair["first"], pair["second"]
        if sign * pair["difference"] < 0:
            better, worse = worse, better
        won[better].add(worse)
    order = [row["explainer"] for row in rows]
    return _table(
        [
            {
                **{name: row[name] for name in ("explainer", "value", "low", "high")},
                "rank": 1 + sum(sign * other["value"] > sign * row["value"] for other in rows),
                "beats": [name for name in order if name in won[row["explainer"]]],
            }
            for row in rows
        ],
        _RANKING,
    )


def _estimated(numbers: NDArray[np.float64], bounds: tuple[float, float]) -> dict[str, Any]:
    known = np.clip(numbers[~np.isnan(numbers)], *bounds)  # rounding
    estimate = estimate_mean(known, bounds=bounds)
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": len(known)}


def _paired(first: NDArray[np.float64], second: NDArray[np.float64] | None, sign: int) -> Estimate | None:
    if second is None:
        return None
    both = ~(np.isnan(first) | np.isnan(second))
    if not both.any():
        return None
    a, b = (first, second) if sign > 0 else (second, first)
    return paired_difference(a[both], b[both])


def _table(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema)
