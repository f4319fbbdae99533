"""Which items a repair learns from and which ones judge it: equal inputs and the items of a group stay on one side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.content import content_ids
from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.items import Items

LEAST = 2
"""Items that each side of a split needs."""


def split(items: Items, shares: Sequence[float], *, seed: int) -> list[Items]:
    """Split items at random into parts that share neither an input nor a group.

    Parameters
    ----------
    items
        What is split. Texts are equal but for case and white space.
    shares
        How much of the items each part gets, above 0; they sum to 1. Where items hang together, a part may get a few
        items more or fewer.
    seed
        Decides which.

    Returns
    -------
    list of Items
        The parts, each in the order of `items`.

    Raises
    ------
    ConfigError
        If a share is not above 0, or they do not sum to 1.
    DataError
        If a part has fewer than two items.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> rows = [{"id": str(i), "input": f"question {i}", "group": i // 2} for i in range(8)]
    >>> learnt, held_out = split(Items.from_records(rows), [0.5, 0.5], seed=0)
    >>> len(learnt), len(held_out), set(learnt.frame["group"]) & set(held_out.frame["group"])
    (4, 4, set())
    """
    if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        message = f"the shares of a split must be above 0 and sum to 1, got {list(shares)}"
        raise ConfigError(message)
    clusters = _clusters([items])
    order = np.random.default_rng(seed).permutation(clusters.max() + 1)
    sizes = np.bincount(clusters)[order]
    # A cluster goes to the part in whose stretch of all items its middle lies.
    middles = (np.cumsum(sizes) - sizes / 2) / len(items)
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.searchsorted(np.cumsum(shares)[:-1], middles, side="right")
    parts = [items.rows(part_of[clusters] == part) for part in range(len(shares))]
    if min(map(len, parts)) < LEAST:
        sizes_of = " and ".join(str(len(part)) for part in parts)
        message = (
            f"{len(items)} items in {len(order)} clusters of equal inputs or groups cannot be split into "
            f"{len(shares)} parts of at least {LEAST} items, got {sizes_of}"
        )
        raise DataError(message)
    return parts


def without_shared(items: Items, others: Items) -> Items:
    """Leave out the items whose input or group is also among others.

    Parameters
    ----------
    items, others
        Texts of inputs are equal but for case and white space.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> lessons = Items.from_records([{"input": "2 + 2"}, {"input": "3 + 3"}])
    >>> without_shared(lessons, Items.from_records([{"input": "2  +  2"}])).inputs.to_list()
    ['3 + 3']
    """
    clusters = _clusters([items, others])
    mine, theirs = clusters[: len(items)], clusters[len(items) :]
    return items.rows(~np.isin(mine, theirs))


def _clusters(tables: Sequence[Items]) -> NDArray[np.int64]:
    """Return the cluster of each item of all tables: what is linked by equal inputs or groups, however far."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    inputs = np.concatenate([_keys(_text(items.inputs)) for items in tables])
    groups = np.concatenate([_groups(items) for items in tables])
    _, of_input = np.unique(inputs, return_inverse=True)
    named = np.flatnonzero(groups != "")
    _, of_group = np.unique(groups[named], return_inverse=True)
    n, n_inputs = len(inputs), of_input.max() + 1
    rows = np.concatenate([np.arange(n), named])
    columns = np.concatenate([of_input, n_inputs + of_group]) + n
    size = int(columns.max()) + 1
    linked = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    labels: NDArray[Any] = connected_components(linked, directed=False)[1][:n]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _text(inputs: pl.Series) -> pl.Series:
    if inputs.dtype != pl.String:
        return inputs
    return inputs.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def _keys(inputs: pl.Series) -> NDArray[np.str_]:
    """Return a text for each input, the same for equal ones."""
    return np.array([name.partition("-")[0] for name in content_ids(inputs)], dtype=np.str_)


def _groups(items: Items) -> NDArray[np.str_]:
    """Return the group of each item as a text, empty where it has none."""
    if "group" not in items.frame.columns:
        return np.full(len(items), "", dtype=np.str_)
    named = items.frame["group"].cast(pl.String).to_list()
    return np.array(["" if name is None else f"={name}" for name in named], dtype=np.str_)
