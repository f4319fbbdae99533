"""The grader that suits items and outputs, when nobody named one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from concordant.core.answers.numbers import are_numbers
from concordant.core.answers.options import named_option
from concordant.core.grading.graders import Grader, grader

if TYPE_CHECKING:
    from concordant.core.items import Items


def default_grader(items: Items, outputs: pl.Series) -> Grader:
    """Choose the grader that suits the items and the outputs; its `reason` says why.

    Items with choices are graded by the option chosen; texts by number where every reference is a number, as
    JSON where every reference is a JSON object or array, and else as normalised texts; labels and whole
    numbers as labels. Real numbers are not graded, since how near is near enough is for the user to say.

    Parameters
    ----------
    items
        The items.
    outputs
        The outputs of a model on them.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> items = Items.from_records([{"input": "2+2", "reference": "4"}])
    >>> chosen = default_grader(items, pl.Series(["It is 4"]))
    >>> chosen.name, chosen.reason
    ('number', 'every reference is a number')
    """
    name, reason = _choose(items, outputs)
    return replace(grader(name), reason=reason)


def _choose(items: Items, outputs: pl.Series) -> tuple[str, str]:
    texts = outputs.dtype in (pl.String, pl.Null)
    choices = items.choices
    if (
        choices is not None
        and (texts or outputs.dtype.is_integer())
        and (choices.list.len() > 0).fill_null(False).all()
    ):
        return "choice", "the items have choices" + _unnamed(items)
    reference = pl.Series([], dtype=pl.Null) if items.reference is None else items.reference
    if isinstance(reference.dtype, pl.List) and not outputs.dtype.is_nested():  # several right answers
        reference = reference.explode()
    reference = reference.drop_nulls()
    if reference.is_empty():
        return "none", "the items have no reference"
    if outputs.dtype.is_nested():
        return "exact", f"outputs of the type {outputs.dtype} are compared as they are"
    if texts:
        if reference.dtype.is_numeric() or (reference.dtype == pl.String and are_numbers(reference).all()):
            return "number", "every reference is a number"
        documents = reference.dtype == pl.String and reference.str.contains(r"^\s*[\[{]").all()
        if documents or reference.dtype == pl.Struct:
            return "json", "every reference is a JSON document"
        return "normalized", "references and outputs are texts"
    if outputs.dtype.is_float() and not (_are_whole(outputs) and _are_whole(reference)):
        return "none", "real numbers are neither right nor wrong without a tolerance (grader number has one)"
    return "label", "outputs are labels"


def _are_whole(values: pl.Series) -> bool:
    if not values.dtype.is_float():
        return True
    known = values.drop_nulls().drop_nans()
    return bool((known % 1 == 0).all())


def _unnamed(items: Items) -> str:
    """Say how many references name none of the options, and so cannot be graded."""
    if items.reference is None or items.choices is None or items.reference.dtype.is_nested():
        return ""
    lost = items.reference.len() - items.reference.null_count()
    lost -= named_option(items.reference, items.choices).count()
    return f"; {lost} of {len(items)} references name none of them" if lost else ""
