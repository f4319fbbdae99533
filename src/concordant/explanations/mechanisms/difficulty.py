"""How hard a question of arithmetic is: from its gold solution, as the circuit was published, or from the question alone."""

from __future__ import annotations

import polars as pl

_CALCULATION = r"<<([^<>=]*)="
_OPERATION = r"[-+*/]"
_NUMBER = r"[0-9][0-9,]*(?:\.[0-9]+)?"
_PRODUCT = rf"{_NUMBER}\s*\*\s*{_NUMBER}"


def solution_difficulty(solutions: pl.Series) -> pl.DataFrame:
    """Read the difficulty from solutions whose calculations are marked as in GSM8K: ``<<48/2=24>>``.

    A question that has no solution yet cannot be predicted from it; see `question_difficulty`.

    Parameters
    ----------
    solutions
        Texts, n of them.

    Returns
    -------
    pl.DataFrame
        ``operations``, how many are in the calculations, and ``largest``, the largest product of two numbers in them, 0
        where there is none.

    Examples
    --------
    >>> solution_difficulty(pl.Series(["He has <<48/2=24>>24, so <<24*3+1=73>>73. #### 73"])).row(0)
    (3, 72.0)
    """
    calculations = solutions.str.extract_all(_CALCULATION).list.join(" ").str.replace_all("<<", "")
    operations = calculations.str.count_matches(_OPERATION).cast(pl.Int64)
    factors = (
        calculations.str.replace_all(",", "")
        .str.extract_all(_PRODUCT)
        .list.eval(pl.element().str.split("*").list.eval(pl.element().str.strip_chars().cast(pl.Float64)))
    )
    product = pl.element().list.first() * pl.element().list.last()
    largest = factors.list.eval(product).list.max().fill_null(0.0)
    return pl.DataFrame({"operations": operations, "largest": largest})


def question_difficulty(questions: pl.Series) -> pl.DataFrame:
    """Read what a question shows of its difficulty.

    Parameters
    ----------
    questions
        Texts, n of them.

    Returns
    -------
    pl.DataFrame
        ``numbers``, how many are in it; ``digits``, of the longest number; ``words``.

    Examples
    --------
    >>> question_difficulty(pl.Series(["Ann has 12 pens and buys 1,500. How many?"])).row(0)
    (2, 4, 9)
    """
    numbers = questions.str.extract_all(_NUMBER)
    digits = numbers.list.eval(pl.element().str.replace_all("[^0-9]", "").str.len_chars())
    return pl.DataFrame(
        {
            "numbers": numbers.list.len().cast(pl.Int64),
            "digits": digits.list.max().fill_null(0).cast(pl.Int64),
            "words": questions.str.extract_all(r"\S+").list.len().cast(pl.Int64),
        }
    )
