"""Which entries of a delta survive: the largest, or a band of ranks below the very largest.

Entries are ranked by absolute value, the largest first, and equal ones by their place, the first first. Of n entries,
shares of n are rounded down; at least one survives. A share is of each row (the last axis, a vector as a whole) or of
the whole tensor; `concordant.versions.merging.sparse` ranks layers and whole models too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from concordant.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import Tensor

Scope = Literal["row", "tensor", "layer", "global"]


def top_mask(values: Tensor, *, keep: float, scope: Scope = "tensor") -> Tensor:
    """Return true at the largest entries by absolute value.

    Parameters
    ----------
    values
        A delta, of any shape. A scalar (no axes) is kept.
    keep
        The share that survives, in (0, 1]; at least one entry does.
    scope
        ``"tensor"`` (default), or ``"row"`` for the share of each row.

    Returns
    -------
    Tensor
        Boolean, of the shape of the values.

    Raises
    ------
    ConfigError
        If the share or the scope is not allowed.

    Examples
    --------
    >>> top_mask(torch.tensor([0.1, -3.0, 2.0, 0.0]), keep=0.5).tolist()
    [False, True, True, False]
    """
    return band_mask(values, keep=keep, remove=0.0, scope=scope)


def band_mask(values: Tensor, *, keep: float, remove: float = 0.0, scope: Scope = "row") -> Tensor:
    """Return true at the ranks from `remove` to `remove + keep` by absolute value: neither the largest nor the small.

    Parameters
    ----------
    values
        A delta, of any shape. A scalar (no axes) is kept.
    keep
        The share that survives, in (0, 1]; at least one entry does.
    remove
        The share of the largest entries that do not, in [0, 1); together with `keep` at most 1.
    scope
        ``"row"`` (default) for shares of each row, or ``"tensor"``.

    Returns
    -------
    Tensor
        Boolean, of the shape of the values.

    Raises
    ------
    ConfigError
        If a share or the scope is not allowed.

    Examples
    --------
    >>> band_mask(torch.tensor([4.0, -3.0, 2.0, 1.0]), keep=0.5, remove=0.25).tolist()
    [False, True, True, False]
    """
    check_shares(keep, remove)
    check_scope(scope, ("row", "tensor"))
    if values.ndim == 0 or values.numel() == 0:
        return torch.ones_like(values, dtype=torch.bool)
    precise = torch.promote_types(values.dtype, torch.float32)
    rows = (
        values.detach().to(precise).abs().reshape(-1, values.shape[-1] if scope == "row" else values.numel())
    )
    first, end = ranks(rows.shape[1], keep, remove)
    smallest, removed = _thresholds(rows, first, end)
    mask = _at_least(rows, smallest, end)
    if removed is not None:
        mask &= ~_at_least(rows, removed, first)
    return mask.reshape(values.shape)


def ranks(n: int, keep: float, remove: float = 0.0) -> tuple[int, int]:
    """Return the ranks, from and to (without), of those of n entries that survive.

    Examples
    --------
    >>> ranks(10, 0.2, 0.1), ranks(3, 0.2, 0.1)  # of a few entries one survives
    ((1, 3), (0, 1))
    """
    n_kept = max(1, _share_of(n, keep))
    first = min(_share_of(n, remove), n - n_kept)
    return first, first + n_kept


def check_shares(keep: float, remove: float = 0.0) -> None:
    """Refuse shares that name no band of ranks."""
    if not 0.0 < keep <= 1.0:
        message = f"keep, the share of entries that survive, must be above 0 and at most 1, got {keep}"
        raise ConfigError(message)
    if not 0.0 <= remove < 1.0:
        message = f"remove, the share of largest entries that do not survive, must be in [0, 1), got {remove}"
        raise ConfigError(message)
    if keep + remove > 1.0 + 1e-9:
        message = (
            f"keep and remove are shares of the same entries, at most 1 together, got {keep} and {remove}"
        )
        raise ConfigError(message)


def check_scope(scope: str, allowed: tuple[str, ...] = get_args(Scope)) -> None:
    """Refuse a scope that is not one of those allowed."""
    if scope not in allowed:
        message = f"there is no scope {scope!r} of ranks here: {nearest(scope, allowed)}"
        raise ConfigError(message)


def _share_of(n: int, share: float) -> int:
    return math.floor(share * n + 1e-6)  # 0.29 * 100 is 28.999...


def _thresholds(rows: Tensor, first: int, end: int) -> tuple[Tensor | None, Tensor | None]:
    """Return the absolute values at ranks `end` and `first` of each row, the largest first; None for no rank."""
    n = rows.shape[1]
    tail = rows.cpu().numpy()
    smallest = removed = None
    if end < n:
        tail = np.partition(tail, n - end, axis=1)[:, n - end :]
        smallest = torch.from_numpy(tail[:, 0].copy()).to(rows.device)
    if first:
        removed = torch.from_numpy(np.partition(tail, end - first, axis=1)[:, end - first].copy())
        removed = removed.to(rows.device)
    return smallest, removed


def _at_least(rows: Tensor, threshold: Tensor | None, k: int) -> Tensor:
    """Return true at the k largest of each row, of which the threshold is the smallest; of equal ones at the first."""
    if threshold is None:
        return torch.ones_like(rows, dtype=torch.bool)
    mask = rows >= threshold[:, None]
    excess = mask.sum(1) - k
    tied = excess.nonzero()[:, 0]
    if len(tied):  # the last of those that equal the threshold are too many
        row, column = (rows[tied] == threshold[tied, None]).nonzero(as_tuple=True)
        n_equal = torch.bincount(row, minlength=len(tied))
        place = torch.arange(len(row), device=row.device) - (n_equal.cumsum(0) - n_equal)[row]
        extra = place >= (n_equal - excess[tied])[row]
        mask[tied[row[extra]], column[extra]] = False
    return mask
