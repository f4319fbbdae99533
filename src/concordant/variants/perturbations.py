"""The perturbations by name: what each does to items, and the strengths it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.columns import array_series
from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.relation import Variant
from concordant.core.rewrites import rewritten
from concordant.variants import edits
from concordant.variants.draws import item_keys, normals, uniforms
from concordant.variants.wording import is_worded, reword, wording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.core.items import Items

Features = Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way to disturb items.

    Parameters
    ----------
    default
        Its strength when nothing is said.
    allowed
        The strengths it takes, in words.
    is_allowed
        Whether it takes a strength.
    apply
        Called with items, strength, seed and features; makes the variant, or None where it changes no item.
    """

    default: Any
    allowed: str
    is_allowed: Callable[[Any], bool]
    apply: Callable[[Items, Any, int, Features], Variant | None]


def suiting(items: Items) -> list[str]:
    """Return the perturbations of the inputs that are made when none are named."""
    return ["typos", "case", "whitespace", "punctuation"] if is_worded(items) else ["noise"]


# -- texts ----------------------------------------------------------------------------------------------


def _edit(
    name: str, change: Callable[[pl.Series, pl.Series, Any, int], pl.Series]
) -> Callable[..., Variant | None]:
    def apply(items: Items, strength: Any, seed: int, features: Features) -> Variant | None:
        del features
        old = wording(items, f"variants.perturbed: {name}")
        new = change(old, items.ids, strength, seed)
        same = (new == old).fill_null(value=True)
        return None if same.all() else rewritten(name, items, reword(items, new.set(same, None)))

    return apply


# -- numbers --------------------------------------------------------------------------------------------


def _noise(items: Items, share: float, seed: int, features: Features) -> Variant | None:
    """Add normal noise whose standard deviation is a share of each feature's own."""
    keys = item_keys(items.ids, "noise", seed)
    if isinstance(items.inputs.dtype, pl.Struct):
        table = items.inputs.struct.unnest()
        fields = [f for f in _fields(table, features) if table[f].dtype.is_numeric()]
        spreads = table.select(pl.col(fields).cast(pl.Float64).fill_nan(None).std(ddof=0).fill_null(0.0))
        shift = share * spreads.to_numpy() * normals(keys, len(fields))
        new = (pl.col(f) + array_series(f, shift[:, j]) for j, f in enumerate(fields) if shift[:, j].any())
        return _changed("noise", items, table, table.with_columns(new))
    x = _array(items, features)
    values = x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)
    flat = values.reshape(len(values), -1)
    known = ~np.isnan(flat)
    n_known = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, flat - np.where(known, flat, 0.0).sum(axis=0) / n_known, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / n_known)
    new_flat = flat + (share * spread * normals(keys, flat.shape[1])).astype(values.dtype)
    return _changed_rows("noise", items, flat, new_flat, x.shape)


def _missing(items: Items, share: float, seed: int, features: Features) -> Variant | None:
    """Take away a share of the entries: null in a table, NaN in an array."""
    keys = item_keys(items.ids, "missing", seed)
    if isinstance(items.inputs.dtype, pl.Struct):
        table = items.inputs.struct.unnest()
        fields = _fields(table, features)
        gone = uniforms(keys, len(fields)).reshape(len(items), len(fields)) < share
        new = (table[f].set(pl.Series(gone[:, j]), None) for j, f in enumerate(fields))
        return _changed("missing", items, table, table.with_columns(new))
    x = _array(items, features)
    flat = (x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)).reshape(len(x), -1)
    gone = uniforms(keys, flat.shape[1]).reshape(flat.shape) < share
    return _changed_rows("missing", items, flat, np.where(gone, np.nan, flat), x.shape)


def _fields(table: pl.DataFrame, features: Features) -> list[str]:
    for name in features or ():
        if name not in table.columns:
            message = (
                f"variants.perturbed: the inputs have no feature {name!r}; {nearest(name, table.columns)}"
            )
            raise DataError(message)
    return list(features or table.columns)


def _array(items: Items, features: Features) -> NDArray[Any]:
    if features is not None:
        message = f"variants.perturbed: only tables have features, and the inputs are {items.inputs.dtype}"
        raise ConfigError(message)
    try:
        return items.array
    except DataError as error:
        message = f"variants.perturbed: noise and missing values need numbers: {error}"
        raise DataError(message) from None


def _changed(name: str, items: Items, old: pl.DataFrame, new: pl.DataFrame) -> Variant | None:
    same = pl.select(pl.all_horizontal(old[f].eq_missing(new[f]) for f in old.columns)).to_series()
    if same.all():
        return None
    return rewritten(name, items, new.to_struct("input").set(same, None))


def _changed_rows(
    name: str, items: Items, old: NDArray[Any], new: NDArray[Any], shape: tuple[int, ...]
) -> Variant | None:
    differs = ~((old == new) | (np.isnan(old) & np.isnan(new))).all(axis=1)
    if not differs.any():
        return None
    inputs = array_series("input", new.reshape(shape)[differs])
    return Variant(name, items.rows(differs).replace(input=inputs))


# -- how they are asked ---------------------------------------------------------------------------------


def _order(items: Items, strength: int, seed: int, features: Features) -> Variant:
    del seed, features
    return Variant("order", items, ask={"order_seed": strength})


def _batch_size(items: Items, strength: int, seed: int, features: Features) -> Variant:
    del seed, features
    return Variant("batch_size", items, ask={"batch_size": strength})


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < np.inf


def _is_count(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


_SHARE = "a share above 0 and at most 1"
_HOW = "one of {}".format

PERTURBATIONS = {
    "typos": Perturbation(0.05, _SHARE, _is_share, _edit("typos", edits.typos)),
    "case": Perturbation(
        "upper",
        _HOW(", ".join(edits.CASES)),
        edits.CASES.__contains__,
        _edit("case", lambda t, _i, how, _s: edits.recased(t, how)),
    ),
    "whitespace": Perturbation(0.5, _SHARE, _is_share, _edit("whitespace", edits.wider_gaps)),
    "punctuation": Perturbation(
        "drop",
        _HOW(", ".join(edits.PUNCTUATION)),
        tuple(edits.PUNCTUATION).__contains__,
        _edit("punctuation", lambda t, _i, how, _s: edits.repunctuated(t, how)),
    ),
    "noise": Perturbation(0.01, "a number above 0", _is_positive, _noise),
    "missing": Perturbation(0.1, _SHARE, _is_share, _missing),
    "order": Perturbation(1, "a seed, an integer from 0 on", _is_count(0), _order),
    "batch_size": Perturbation(1, "a number of rows, at least 1", _is_count(1), _batch_size),
}
