"""Items made from a template over fields: numbered variations of a problem, and control questions."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from concordant.core.columns import ROLES
from concordant.core.errors import ConfigError
from concordant.core.items import Items
from concordant.variants.wording import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Reference = Callable[..., Any] | str | None

MADE = ("problem", "variation", "control")


def grid_items(
    template: str,
    fields: Mapping[str, Sequence[Any]],
    reference: Reference = None,
    *,
    controls: Mapping[str, str | tuple[str, Reference]] | None = None,
    combine: Literal["product", "zip"] = "product",
    problem: str = "problem",
    group: str | None = None,
    answer: str = "",
) -> Items:
    """Make items from a template over fields.

    Parameters
    ----------
    template
        The question, with fields in braces: ``"Alice has {brothers} brothers and {sisters} sisters. ..."``.
    fields
        The values of each field.
    reference
        The right answer of a variation: a function called with the fields as keywords, the name of a field,
        a template over the fields, or None where it is not known.
    controls
        Further questions about every variation, by name: a template, or a template and its reference. They
        have the form and the words of the problem without its difficulty.
    combine
        ``"product"``: every combination of the values; ``"zip"``: the first values of all fields, then the
        second ones, ...
    problem
        Name of the problem; begins the ids.
    group
        A field whose equal values make items one cluster.
    answer
        How to answer, put behind every question: ``'Give the final answer in the form "### Answer: "'``.

    Returns
    -------
    Items
        For the problem and then for each control one item a variation, with the columns `problem`,
        `variation` (1, 2, ...), `control` (name of the control, null for the problem itself), and one
        column a field.

    Raises
    ------
    ConfigError
        If a field is unknown, empty, cannot be combined, or has the name of another column.

    Examples
    --------
    >>> items = grid_items(
    ...     "Alice has {brothers} brothers and {sisters} sisters. How many sisters does her brother have?",
    ...     {"brothers": [3, 4], "sisters": [6, 2]},
    ...     lambda brothers, sisters: sisters + 1,
    ...     controls={"siblings": ("Alice has {brothers} brothers and {sisters} sisters. How many are they?",
    ...                            lambda brothers, sisters: brothers + sisters)},
    ...     combine="zip", problem="AIW",
    ... )
    >>> items.ids.to_list(), items.reference.to_list()
    (['AIW/1', 'AIW/2', 'AIW/siblings/1', 'AIW/siblings/2'], ['7', '3', '9', '6'])
    """
    columns = _combined(fields, combine)
    if group is not None and group not in columns:
        message = f"grid_items: group is {group!r}; allowed are the fields {', '.join(columns)}"
        raise ConfigError(message)
    questions: dict[str | None, tuple[str, Reference]] = {None: (template, reference)}
    for name, given in (controls or {}).items():
        questions[name] = (given, None) if isinstance(given, str) else given
    parts = []
    for control, (text, right) in questions.items():
        what = "grid_items: the template" + ("" if control is None else f" of the control {control!r}")
        inputs = fill(text, columns, what)
        prefix = problem if control is None else f"{problem}/{control}"
        numbers = list(range(1, len(inputs) + 1))
        part = {
            "id": [f"{prefix}/{number}" for number in numbers],
            "input": [f"{line} {answer}".strip() for line in inputs],
            "reference": pl.Series(_references(right, columns, len(inputs), what), dtype=pl.String),
            **({} if group is None else {"group": [str(value) for value in columns[group]]}),
            "problem": [problem] * len(inputs),
            "variation": numbers,
            "control": pl.Series([control] * len(inputs), dtype=pl.String),
            **{name: pl.Series(name, values, strict=False) for name, values in columns.items()},
        }
        parts.append(pl.DataFrame(part))
    frame = pl.concat(parts)
    return Items(frame if reference is not None or controls else frame.drop("reference"))


def _combined(fields: Mapping[str, Sequence[Any]], combine: str) -> dict[str, list[Any]]:
    if combine not in ("product", "zip"):
        message = f"grid_items: combine is {combine!r}; allowed: product, zip"
        raise ConfigError(message)
    if not fields:
        message = "grid_items needs at least one field with values"
        raise ConfigError(message)
    for name, values in fields.items():
        if name in (*ROLES, *MADE):
            message = f"grid_items: a field cannot be called {name!r}; that is a column of the items"
            raise ConfigError(message)
        if isinstance(values, str) or not len(values):
            message = f"grid_items: the field {name!r} needs a list of values, got {values!r}"
            raise ConfigError(message)
    if combine == "zip" and len({len(values) for values in fields.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in fields.items())
        message = f"grid_items: fields that are zipped need equally many values, got {lengths}"
        raise ConfigError(message)
    rows = list(product(*fields.values()) if combine == "product" else zip(*fields.values(), strict=True))
    return dict(zip(fields, map(list, zip(*rows, strict=True)), strict=True))


def _references(
    reference: Reference, columns: Mapping[str, list[Any]], n: int, what: str
) -> list[str | None]:
    if reference is None:
        return [None] * n
    if isinstance(reference, str) and reference in columns:
        return [str(value) for value in columns[reference]]
    if isinstance(reference, str):
        return list(fill(reference, columns, what))
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [str(reference(**row)) for row in rows]
