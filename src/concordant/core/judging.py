"""Judging: from the behaviours of a relation to its verdicts, findings and slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, nearest
from concordant.core.relation import Relation, Verdicts
from concordant.core.results import Result
from concordant.core.slices import slice_findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items


def judge(
    relation: Relation, items: Items, answers: Mapping[str, Behaviours], *, level: float = 0.95, seed: int = 0
) -> Verdicts:
    """Judge the behaviours of all variants of a relation.

    Raises
    ------
    ConfigError
        If the relation returns anything but one row an item with a column `agreement`.
    """
    frame: Any = relation.judge(items, answers)
    wanted = f"relation {relation.name} must judge {len(items)} items"
    if not isinstance(frame, pl.DataFrame):
        message = f"{wanted} by a polars data frame with a column agreement, got {type(frame).__name__}"
        raise ConfigError(message)
    if len(frame) != len(items) or "agreement" not in frame.columns:
        got = f"{len(frame)} rows with columns {', '.join(frame.columns)}"
        message = f"{wanted} with a column agreement, got {got}"
        raise ConfigError(message)
    if not (frame["agreement"].dtype.is_numeric() or frame["agreement"].dtype in (pl.Boolean, pl.Null)):
        message = f"{wanted} by an agreement in [0, 1], got {frame['agreement'].dtype}"
        raise ConfigError(message)
    if type(relation).summarize is Relation.summarize:
        for measure in relation.measures:
            if measure.column not in frame.columns:
                there = nearest(measure.column, frame.columns)
                message = (
                    f"relation {relation.name}: {measure.name} needs the column {measure.column!r}; {there}"
                )
                raise ConfigError(message)
    failed = np.zeros(len(items), dtype=bool)
    for behaviours in answers.values():
        failed |= behaviours.failed.any(axis=1)
    return Verdicts(relation.name, items, frame.fill_nan(None), failed, level, seed)


def conclude(
    relation: Relation, answers: Mapping[str, Behaviours], verdicts: Verdicts, slices: Sequence[str] = ()
) -> Result:
    """Turn verdicts into findings, over all items and on slices."""
    findings = relation.summarize(verdicts)
    sliced = slice_findings(relation, verdicts, findings, slices)
    return Result(relation, verdicts.items, answers, verdicts.frame, {f.measure: f for f in findings}, sliced)
