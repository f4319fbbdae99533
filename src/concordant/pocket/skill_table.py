"""What a pocket model can do: its share of right answers in every skill, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from concordant.core.model import Request
from concordant.core.statistics import wilson
from concordant.pocket.grading import verified
from concordant.pocket.sampling import items
from concordant.pocket.skill import MAX_ANSWER_WORDS
from concordant.pocket.skills import SKILLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.core.items import Items
    from concordant.core.model import BatchModel

N_ITEMS = 120
"""Items of each skill in the tables of the released models: the most that every skill has."""

REQUEST = Request(max_tokens=MAX_ANSWER_WORDS)
"""How they are asked: greedily, with room for all steps."""


def skill_items(n: int = N_ITEMS, *, skills: Sequence[str] | None = None, seed: int = 0) -> Items:
    """Draw the test items of a skill table: `n` of each skill, from all its difficulties.

    Parameters
    ----------
    n
        Items of each skill, at least 1.
    skills
        Names of skills; all by default.
    seed
        Which items.

    Raises
    ------
    ConfigError
        If a skill does not exist.
    DataError
        If a skill has too few different test items.
    """
    return items(list(skills or SKILLS), n, seed=seed)


def skill_table(
    model: BatchModel, asked: Items | None = None, *, by: str = "skill", level: float = 0.95
) -> pl.DataFrame:
    """Ask a model greedily, verify its answers and count.

    Parameters
    ----------
    model
        What `load_pocket` gives, or any model of the flow that answers texts.
    asked
        Items of the pocket world; by default those of `skill_items`.
    by
        The column to count by: "skill", "difficulty" or "form".
    level
        Of the Wilson intervals.

    Returns
    -------
    pl.DataFrame
        Columns `skill` (or whatever `by` says), `n`, `accuracy`, `low`, `high`; a last row "all" is over all items.

    Examples
    --------
    >>> from concordant.pocket import load_pocket
    >>> table = skill_table(load_pocket("1m-chat-v2"), skill_items(20, skills=["counting", "styles"]))
    >>> table["skill"].to_list(), table["n"].to_list()
    (['counting', 'styles', 'all'], [20, 20, 40])
    """
    asked = skill_items() if asked is None else asked
    outputs = model.respond(asked, REQUEST)["output"]
    right = [
        output is not None and verified(output, item) for output, item in zip(outputs, asked, strict=True)
    ]
    frame = asked.frame.select(pl.col(by).cast(pl.String)).with_columns(
        right=pl.Series(right, dtype=pl.Boolean)
    )
    counts = frame.group_by(by, maintain_order=True).agg(n=pl.len(), right=pl.col("right").sum())
    counts = pl.concat(
        [counts, counts.select(pl.lit("all").alias(by), pl.col("n").sum(), pl.col("right").sum())]
    )
    low, high = wilson(counts["right"].to_numpy(), counts["n"].to_numpy(), level)
    share = (pl.col("right") / pl.col("n")).alias("accuracy")
    return counts.with_columns(
        share, low=pl.Series(np.atleast_1d(low)), high=pl.Series(np.atleast_1d(high))
    ).drop("right")
