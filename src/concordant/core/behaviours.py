"""Behaviours: what a model did on the items of one variant.

Stored, they are a long table: one row a sample, the samples of an item together, in the order of the items.
`Behaviours` is that table beside the items, and gives its columns as arrays of shape ``(n_items, n_samples)``,
which is what judges compute with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.grading import OUTCOMES, Grader, grade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.items import Items

RIGHT, WRONG, UNGRADED, ERROR = range(len(OUTCOMES))
NOT_ASKED = -1


@dataclass(frozen=True, slots=True)
class Behaviours:
    """What a model did on one variant, aligned with the items of a relation.

    Parameters
    ----------
    items
        The items as this variant asked them: the rewritten inputs, with their own references and choices.
    frame
        One row a sample, ``len(ids) * n`` rows in the order of `ids`, with `output`, `answer` (what is compared),
        `outcome` (right, wrong, ungraded, error; null where the item was not asked) and whatever else is known:
        `score`, `logprob`, `probabilities`, `tokens`, `latency_s`, `error`, `turns`.
    n
        Samples for each item.
    model
        Name of the model that answered.
    classes
        What the entries of `probabilities` stand for, where the model has classes.
    grader
        How the outcomes were found; a judge that grades more than the outputs (earlier turns) does it alike.
    """

    items: Items
    frame: pl.DataFrame
    n: int
    model: str
    classes: tuple[str, ...] = ()
    grader: Grader | None = None

    @staticmethod
    def joined(parts: Sequence[Behaviours]) -> Behaviours:
        """Return the behaviours of several sets of items, one after the other."""
        items = parts[0].items
        for part in parts[1:]:
            items = items.followed_by(part.items)
        frame = pl.concat([part.frame for part in parts], how="diagonal_relaxed", rechunk=True)
        return replace(parts[0], items=items, frame=frame)

    def __len__(self) -> int:
        return len(self.frame) // self.n

    def __getitem__(self, column: str) -> pl.Series:
        """Return a column, one value a sample (null where unknown)."""
        if column in self.frame.columns:
            return self.frame[column]
        return pl.Series(column, [None] * len(self.frame))

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    def matrix(self, column: str) -> NDArray[Any]:
        """Return a column of numbers as an array of shape ``(n_items, n)``, NaN where null."""
        values = self[column].cast(pl.Float64).to_numpy()
        return values.reshape(len(self), self.n)

    @property
    def outcome(self) -> NDArray[np.int8]:
        """Codes of the outcomes, shape ``(n_items, n)``: `RIGHT`, `WRONG`, `UNGRADED`, `ERROR` or `NOT_ASKED`."""
        codes = self.frame["outcome"].to_physical().cast(pl.Int8).fill_null(NOT_ASKED).to_numpy()
        return codes.reshape(len(self), self.n)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where the behaviour is right, shape ``(n_items, n)``."""
        return np.equal(self.outcome, RIGHT)

    @property
    def graded(self) -> NDArray[np.bool_]:
        """Where the behaviour is right or wrong, shape ``(n_items, n)``."""
        return np.isin(self.outcome, (RIGHT, WRONG))

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Where there is a behaviour at all: asked, and not an error; shape ``(n_items, n)``."""
        return np.isin(self.outcome, (RIGHT, WRONG, UNGRADED))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Where a behaviour is an error, shape ``(n_items, n)``."""
        return np.equal(self.outcome, ERROR)

    @property
    def unparsed(self) -> NDArray[np.bool_]:
        """Where there is an output in which no answer was found, shape ``(n_items, n)``."""
        unread = (self["answer"].is_null() & self["output"].is_not_null()).to_numpy()
        found: NDArray[np.bool_] = self.answered & unread.reshape(len(self), self.n)
        return found

    def accuracy(self) -> float:
        """Return the share of right among graded behaviours; NaN where none is graded."""
        graded = self.graded
        return float(self.right[graded].mean()) if graded.any() else float("nan")

    def wide(self, prefix: str) -> pl.DataFrame:
        """Return one row an item, for people and for storage: the input asked, the outputs and the outcomes."""
        asked = self.items.frame.select(pl.col("input").alias(f"{prefix}.input"), pl.col("id").alias("_id"))
        columns = [c for c in ("output", "answer", "outcome", "error", "turns") if c in self.frame.columns]
        frame = self.frame.select("item", *columns).with_columns(pl.col("outcome").cast(pl.String))
        if self.n > 1:
            frame = frame.group_by("item", maintain_order=True).all()
        frame = frame.rename({c: f"{prefix}.{c}" for c in columns})
        return frame.join(asked, left_on="item", right_on="_id", how="left", maintain_order="left")


def align(
    recorded: pl.DataFrame,
    items: Items,
    asked: Items,
    n: int,
    grader: Grader,
    model: str,
    classes: tuple[str, ...] = (),
) -> Behaviours:
    """Grade recorded behaviours and put them beside the items of a relation.

    Parameters
    ----------
    recorded
        Rows with `item`, `sample` and `output`, in any order; items that `asked` lacks are left out.
    items
        The items of the relation, which give the order.
    asked
        The items as the variant asked them; they may lack some of `items`.
    n
        Samples for each item.
    grader
        How outcomes are found.
    model, classes
        Name of the model, and its classes where it has any.
    """
    if n != 1 or not recorded["item"].equals(asked.ids):
        recorded = _in_order(recorded, asked, n)
    frame = grade(recorded, asked if n == 1 else asked.repeat(n), grader)
    if len(asked) != len(items) or not asked.ids.equals(items.ids):
        frame = _in_order(frame, items, n)
    return Behaviours(asked, frame, n, model, classes, grader)


def _in_order(rows: pl.DataFrame, items: Items, n: int) -> pl.DataFrame:
    """Return the rows of `n` samples of each item in the order of the items, null where there is none."""
    samples = pl.DataFrame({"sample": np.arange(n, dtype=np.int64)})
    grid = items.frame.select(item="id").join(samples, how="cross", maintain_order="left_right")
    return grid.join(rows, on=["item", "sample"], how="left", maintain_order="left")
