"""How far two behaviours agree: functions of two columns, by name.

An agreement is a function ``(a, b, **options)`` of two columns of n values that gives n floats in [0, 1]: 1
where they agree, 0 where they do not, something between where there are degrees, and NaN where it cannot be
judged (a value is null). All of them are symmetric, and what is the same on both sides agrees entirely.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.agreement.embeddings import embedding
from concordant.core.agreement.pairs import check_pair, where_judged
from concordant.core.agreement.values import choice, exact, json, label, normalized, number
from concordant.core.agreement.vectors import jensen_shannon, rank, total_variation
from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["AGREEMENTS", "Agreement", "agreement"]

Agreement = Callable[..., "NDArray[np.float64]"]
"""A function of two columns (and options) that says, for each row, how far they agree."""

AGREEMENTS: dict[str, Agreement] = {
    "exact": exact,
    "normalized": normalized,
    "choice": choice,
    "number": number,
    "json": json,
    "label": label,
    "total_variation": total_variation,
    "jensen_shannon": jensen_shannon,
    "rank": rank,
    "embedding": embedding,
}
"""The agreements by name."""


def agreement(spec: str | Callable[..., Any], **options: Any) -> Agreement:
    """Find an agreement by name, or make one of a function of two values.

    Parameters
    ----------
    spec
        A name in `AGREEMENTS`, one of those functions, or a function of one value of each column that gives
        true, false, a number in [0, 1], or None where it cannot tell. It is not called where either value is
        null.
    options
        Options of the agreement, such as ``tolerance=0.01`` of ``number``.

    Returns
    -------
    Agreement
        A function of two columns of n values that gives n floats in [0, 1], NaN where it cannot be judged.

    Raises
    ------
    ConfigError
        If the name or an option is not known, or an option is missing.

    Examples
    --------
    >>> import polars as pl
    >>> a, b = pl.Series(["42", "about 10", None]), pl.Series(["42.0", "10.4", "1"])
    >>> agreement("number", tolerance=0.05)(a, b).tolist()
    [1.0, 1.0, nan]
    >>> agreement(lambda x, y: x[0] == y[0])(a, b).tolist()
    [1.0, 0.0, nan]
    """
    if isinstance(spec, str):
        if spec not in AGREEMENTS:
            message = f"there is no agreement {spec!r}; {nearest(spec, AGREEMENTS)}"
            raise ConfigError(message)
        spec = AGREEMENTS[spec]
    if spec not in AGREEMENTS.values():
        return partial(_pair_by_pair, partial(spec, **options) if options else spec)
    _check_options(spec, options)
    return partial(spec, **options) if options else spec


def _check_options(function: Agreement, options: dict[str, Any]) -> None:
    known = {name: p for name, p in inspect.signature(function).parameters.items() if name not in ("a", "b")}
    for option in options:
        if option not in known:
            message = f"agreement {function.__name__!r} has no option {option!r}; {nearest(option, known)}"
            raise ConfigError(message)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            message = f"agreement {function.__name__!r} needs the option {name!r}"
            raise ConfigError(message)


def _pair_by_pair(function: Callable[[Any, Any], Any], a: pl.Series, b: pl.Series) -> NDArray[np.float64]:
    check_pair(a, b)
    both = (a.is_not_null() & b.is_not_null()).arg_true()
    values = np.full(len(a), np.nan)
    for row, x, y in zip(both.to_list(), a[both].to_list(), b[both].to_list(), strict=True):
        value = function(x, y)
        values[row] = np.nan if value is None else float(value)
    outside = np.flatnonzero((values < 0) | (values > 1))
    if len(outside):
        message = (
            f"an agreement must be in [0, 1]; in row {outside[0] + 1} the function gave {values[outside[0]]}"
        )
        raise DataError(message)
    return where_judged(a, b, values)
