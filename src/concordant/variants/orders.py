"""Orders of options: the permutations in which each item lists its choices, the order as given first."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from concordant.core.errors import DataError
from concordant.variants.draws import item_keys, uniforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.core.items import Items

    Which = Literal["cyclic", "all"] | int

MOST_OPTIONS_FOR_ALL = 5
DRAWN_FOR_ONE = 4  # orders drawn for each that is wanted, so that enough of them differ
_BLOCK = 2**24  # pairs of orders that are compared at a time


def orders_of(items: Items, which: Which, seed: int) -> list[pl.Series]:
    """Return the permutations of the choices of each item.

    Parameters
    ----------
    items
        Items with choices; those with fewer than two have the order as given only.
    which
        ``"cyclic"``: every rotation; ``"all"``: every permutation; or how many to draw, without repetition, the
        order as given among them.
    seed
        Seed of what is drawn.

    Returns
    -------
    list of pl.Series
        One an order but the first: for each item a list of the positions its choices come from, or null
        where the item has no such order.

    Raises
    ------
    DataError
        If all orders of more than 5 options are asked for.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> choices = [["x", "y", "z"], ["x", "y"]]
    >>> items = Items.from_records([{"input": "?", "choices": options} for options in choices])
    >>> [order.to_list() for order in orders_of(items, "cyclic", 0)]
    [[[1, 2, 0], [1, 0]], [[2, 0, 1], None]]
    """
    assert items.choices is not None
    sizes = items.choices.list.len().fill_null(0).to_numpy()
    parts: list[list[pl.DataFrame]] = []
    for m in np.unique(sizes[sizes > 1]).tolist():
        rows = np.flatnonzero(sizes == m)
        tables = _permutations(items.ids.gather(rows), m, which, seed)
        parts += [[] for _ in range(tables.shape[1] - 1 - len(parts))]
        for part, table in zip(parts, np.moveaxis(tables, 1, 0)[1:], strict=False):
            made = table[:, 0] >= 0
            orders = pl.Series("order", np.ascontiguousarray(table[made]), pl.Array(pl.Int64, m))
            part.append(pl.DataFrame([pl.Series("row", rows[made]), orders.arr.to_list()]))
    every = pl.DataFrame({"row": np.arange(len(items))})
    return [
        every.join(pl.concat(part), on="row", how="left", maintain_order="left")["order"] for part in parts
    ]


def _permutations(ids: pl.Series, m: int, which: Which, seed: int) -> NDArray[np.int64]:
    """Return the orders of items of m options, -1 where an order repeats: ``(len(ids), n_orders, m)``."""
    if which == "cyclic":
        orders = (np.arange(m) + np.arange(m)[:, None]) % m
    elif which == "all" or math.factorial(m) <= int(which):
        if which == "all" and m > MOST_OPTIONS_FOR_ALL:
            message = (
                f"item {ids[0]!r} has {m} options and so {math.factorial(m):,} orders; all of them are for at"
                f" most {MOST_OPTIONS_FOR_ALL} options, say how many to draw"
            )
            raise DataError(message)
        orders = np.array(list(permutations(range(m))))
    else:
        block = max(1, _BLOCK // (DRAWN_FOR_ONE * int(which)) ** 2)
        return np.concatenate(
            [_drawn(part, m, int(which), seed) for part in ids.to_frame().iter_slices(block)]
        )
    return np.broadcast_to(orders, (len(ids), *orders.shape))


def _drawn(part: pl.DataFrame, m: int, count: int, seed: int) -> NDArray[np.int64]:
    """Draw more orders than are wanted, and keep the first that differ."""
    ids = part.to_series()
    n_drawn = DRAWN_FOR_ONE * count
    numbers = uniforms(item_keys(ids, "orders", seed), n_drawn * m).reshape(len(ids), n_drawn, m)
    orders = np.argsort(numbers, axis=2)
    orders[:, 0] = np.arange(m)
    weights = np.array([pow(31, 13 * place, 2**64) for place in range(m)], dtype=np.uint64)
    codes = orders.astype(np.uint64) @ weights  # one number an order
    again = np.tril(codes[:, :, None] == codes[:, None], -1).any(axis=2)
    kept = np.argsort(again, axis=1, kind="stable")[:, :count]
    chosen = np.take_along_axis(orders, kept[..., None], axis=1)
    return np.where(np.take_along_axis(again, kept, axis=1)[..., None], -1, chosen)
