"""Behaviours with their answers and outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from concordant.core.grading.graders import Grader
    from concordant.core.items import Items

OUTCOMES = ("right", "wrong", "ungraded", "error")
"""What can become of a behaviour; the codes of the column `outcome` are their positions."""

OUTCOME = pl.Enum(OUTCOMES)
"""Type of the column `outcome`."""


def grade(behaviours: pl.DataFrame, items: Items, grader: Grader) -> pl.DataFrame:
    """Find the answer and the outcome of each behaviour.

    Parameters
    ----------
    behaviours
        n rows with `output` and, where known, `correct` (a recorded verdict, which wins over the grader) and
        `error` (a text where the behaviour failed).
    items
        The items asked, one for each row of `behaviours`, in the same order (see `Items.repeat` for samples).
    grader
        How answers are read and held against references.

    Returns
    -------
    pl.DataFrame
        The behaviours with the columns `answer` (what is compared; null where none was found), `outcome` (of
        type `OUTCOME`), `error` ("no output" where there is neither output nor error nor recorded verdict),
        `unparsed` (true where an output is wrong because no answer was found in it), and `score` if the
        grader gives scores.

    Raises
    ------
    DataError
        If the rows are not as many as the items, or a column is missing or of a wrong type.

    Examples
    --------
    >>> from concordant.core.grading import grader
    >>> from concordant.core.items import Items
    >>> items = Items.from_records([{"input": q, "reference": 4} for q in ("2+2", "1+3", "8/2", "4*1")])
    >>> behaviours = pl.DataFrame({"output": ["It is 4.", "5", "no idea", None]})
    >>> grade(behaviours, items, grader("number")).select("answer", "outcome", "unparsed").rows()
    [(4.0, 'right', False), (5.0, 'wrong', False), (None, 'wrong', True), (None, 'error', False)]
    """
    if "output" not in behaviours.columns:
        message = f"behaviours need a column 'output'; there are {', '.join(behaviours.columns)}"
        raise DataError(message)
    if len(behaviours) != len(items):
        message = f"there are {len(behaviours)} behaviours for {len(items)} items; each needs its item"
        raise DataError(message)
    output = behaviours["output"]
    answer = grader.answers(output, items).alias("answer")
    recorded, error = _recorded(behaviours), _errors(behaviours)
    error = error.set(output.is_null() & recorded.is_null() & error.is_null(), "no output")
    if recorded.null_count() == 0:
        graded, score = recorded, None
    else:
        graded = grader.correct(answer, items)
        score = graded.cast(pl.Float64).alias("score") if graded.dtype.is_float() else None
        graded = graded if score is None else score >= 0.5
    columns = {"recorded": recorded, "graded": graded, "error": error, "answer": answer, "output": output}
    right = pl.coalesce("recorded", "graded")
    outcome = (
        pl.when(pl.col("error").is_not_null())
        .then(_outcome("error"))
        .when(right)
        .then(_outcome("right"))
        .when(~right)
        .then(_outcome("wrong"))
        .otherwise(_outcome("ungraded"))
    )
    sought = pl.col("recorded").is_null() & pl.col("error").is_null() & pl.col("output").is_not_null()
    unparsed = sought & pl.col("answer").is_null() & (pl.col("graded") == False)  # noqa: E712
    found = pl.DataFrame(columns).select(outcome=outcome, unparsed=unparsed.fill_null(False))
    return behaviours.with_columns(answer, error, *found.get_columns(), *([] if score is None else [score]))


def _outcome(name: str) -> pl.Expr:
    return pl.lit(name, dtype=OUTCOME)


def _recorded(behaviours: pl.DataFrame) -> pl.Series:
    if "correct" not in behaviours.columns:
        return pl.repeat(None, len(behaviours), dtype=pl.Boolean, eager=True)
    correct = behaviours["correct"]
    if correct.dtype not in (pl.Boolean, pl.Null) and not correct.dtype.is_integer():
        message = f"the column 'correct' must hold true and false, got {correct.dtype}"
        raise DataError(message)
    return correct.cast(pl.Boolean)


def _errors(behaviours: pl.DataFrame) -> pl.Series:
    if "error" not in behaviours.columns:
        return pl.repeat(None, len(behaviours), dtype=pl.String, eager=True).alias("error")
    return behaviours["error"].cast(pl.String)
