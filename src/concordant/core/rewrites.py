"""Relations made of rewritings: the item as it is, and other ways of putting it.

`Rewrites` is what a rewriting relation returns from its `expand` and what judges it; `relation` turns a user's
function into one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConcordantError, ConfigError, DataError, described
from concordant.core.finding import Measure
from concordant.core.items import array_series
from concordant.core.kinds import Equal, Kind
from concordant.core.relation import AGREEMENT, Relation, Variant
from concordant.core.shares import mean_of_known, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items

BASE = "as given"
"""The variant that asks the items as they are, where a relation has no better name for it."""

REWRITE_MEASURES = (
    AGREEMENT,
    Measure(
        "violation_rate", "violated", "lower", "items on which at least one rewriting breaks the relation"
    ),
    Measure("robust_accuracy", "always_right", "higher", "items answered rightly in every wording"),
    Measure("accuracy", "right", "higher", "items answered rightly as they are"),
    Measure(
        "rewritten_accuracy", "rewritten_right", "higher", "right answers over the rewritings of an item"
    ),
    Measure(
        "negative_flip_rate",
        "negative_flip",
        "lower",
        "rewritings answered wrongly of items answered rightly as they are",
    ),
)
"""What is measured of every relation that rewrites items."""


def judge_rewrites(answers: Mapping[str, Behaviours], kind: Kind) -> pl.DataFrame:
    """Judge each rewriting against the base, the first variant.

    Parameters
    ----------
    answers
        The behaviours of the base and of at least one rewriting.
    kind
        What must hold between the two.

    Returns
    -------
    pl.DataFrame
        One row an item with the columns of `REWRITE_MEASURES`; a rewriting that an item lacks, or on which a model failed,
        does not count.
    """
    base, *others = answers.values()
    agreements = [kind.judge(base, other) for other in others]
    agreement = mean_of_known(agreements)
    violated = np.where(np.isnan(agreement), np.nan, (np.column_stack(agreements) < 1.0).any(axis=1))

    right, graded = base.right[:, 0], base.graded[:, 0]
    other_right = np.column_stack([other.right[:, 0] for other in others])
    other_graded = np.column_stack([other.graded[:, 0] for other in others]) & graded[:, None]
    n_graded = other_graded.sum(axis=1)
    n_right = (other_right & other_graded).sum(axis=1)
    rewritten_right = share(n_right, n_graded)
    return pl.DataFrame(
        {
            "agreement": agreement,
            "violated": violated,
            "right": np.where(graded, right, np.nan),
            "rewritten_right": rewritten_right,
            "always_right": np.where(n_graded > 0, right & (n_right == n_graded), np.nan),
            "negative_flip": np.where(right, 1.0 - rewritten_right, rewritten_right * 0.0),
        }
    ).fill_nan(None)


class FunctionRelation(Relation):
    """A relation made from a function of one item; see `relation`."""

    measures = REWRITE_MEASURES

    def __init__(
        self, function: Callable[[Any], Iterable[Any]], variants: tuple[str, ...], kind: Kind, name: str
    ) -> None:
        self.name = name
        self.variants = variants
        self.kind = kind
        self._function = function
        self.__doc__ = function.__doc__

    def __call__(self, item: Any) -> Iterable[Any]:
        """Rewrite one item, as the function itself does."""
        return self._function(item)

    def expand(self, items: Items) -> list[Variant]:
        """Call the function for every item."""
        columns: list[list[Any]] = [[] for _ in self.variants]
        for item in items:
            try:
                inputs = list(self._function(item))
            except ConcordantError:
                raise
            except Exception as error:
                message = f"relation {self.name}: item {item.id!r} raised {described(error)}"
                raise DataError(message) from error
            if len(inputs) != len(self.variants):
                wanted = f"the {len(self.variants)} variants {', '.join(self.variants)}"
                message = f"relation {self.name}: item {item.id!r} got {len(inputs)} inputs for {wanted}"
                raise DataError(message)
            for column, value in zip(columns, inputs, strict=True):
                column.append(value)
        return [rewritten(name, items, column) for name, column in zip(self.variants, columns, strict=True)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge every rewriting against the first variant."""
        return judge_rewrites(answers, self.kind)


def relation(
    *, variants: Iterable[str], kind: Kind | None = None, name: str | None = None
) -> Callable[[Callable[[Any], Iterable[Any]]], FunctionRelation]:
    """Make a relation of a function that yields the inputs of one item's variants.

    Parameters
    ----------
    variants
        Names of the variants, at least two; the first is the base that the others are held against.
    kind
        What must hold between base and rewriting; `Equal` by default.
    name
        Name in reports; the function's own by default.

    Examples
    --------
    >>> @relation(variants=("plain", "shouted"))
    ... def case_insensitive(item):
    ...     yield item.input
    ...     yield item.input.upper()
    >>> case_insensitive.name, case_insensitive.variants
    ('case_insensitive', ('plain', 'shouted'))

    The function gets an object with one attribute a column of the items. It may yield None where an item has no such
    variant, and a dictionary to change more than the input: ``{"input": ..., "reference": ...}``.
    """
    names = tuple(variants)
    if len(names) < 2 or len(set(names)) < len(names):
        message = f"a relation needs at least two variants of different names, got {names}"
        raise ConfigError(message)

    def decorate(function: Callable[[Any], Iterable[Any]]) -> FunctionRelation:
        own_name = str(getattr(function, "__name__", "relation"))
        return FunctionRelation(function, names, kind or Equal(), name or own_name)

    return decorate


def rewritten(
    name: str, items: Items, inputs: Any, ask: Mapping[str, Any] | None = None, **columns: Any
) -> Variant:
    """Make a variant of rewritten inputs.

    Parameters
    ----------
    name
        Name of the variant.
    items
        The items it rewrites.
    inputs
        One new input an item: a column, an array of shape ``(n, ...)``, or a list in which None leaves an item out and a
        dictionary changes several columns.
    ask
        Changes to the request.
    columns
        Other columns that change (``choices=``, ``reference=``).
    """
    if isinstance(inputs, np.ndarray):
        return Variant(name, items.replace(input=array_series("input", inputs), **columns), ask=ask or {})
    values = inputs if isinstance(inputs, pl.Series) else _column(inputs, items)
    if isinstance(values, dict):
        columns, values = {**columns, **values}, values["input"]
        columns.pop("input")
    items = items.replace(input=values, **columns)
    kept = values.is_not_null().to_numpy()
    return Variant(name, items if kept.all() else items.rows(kept), ask=ask or {})


def _column(inputs: Iterable[Any], items: Items) -> pl.Series | dict[str, pl.Series]:
    values = list(inputs)
    if not any(isinstance(value, dict) and "input" in value for value in values):
        arrays = values and isinstance(values[0], np.ndarray)
        return array_series("input", np.stack(values)) if arrays else pl.Series("input", values, strict=False)
    changed = sorted({key for value in values if isinstance(value, dict) for key in value})
    columns = {}
    for key in changed:
        old = items.frame[key].to_list() if key in items.frame.columns else [None] * len(items)
        new = [
            v.get(key, o) if isinstance(v, dict) else (v if key == "input" else o)
            for v, o in zip(values, old, strict=True)
        ]
        columns[key] = pl.Series(key, new, strict=False)
    return columns
