r"""Merges that add deltas of several parents to one base: task arithmetic, breadcrumbs, TIES, DARE.

With deltas :math:`\delta_i = \theta_i - \theta_0` and a mask :math:`m_i` for each,

.. math:: \theta = \theta_0 + \sum_i \alpha_i\,m_i \odot \delta_i

Task arithmetic has no mask; breadcrumbs leaves out the largest and the small entries; DARE drops at random and makes up
for it; TIES keeps the largest, elects a sign for each entry and takes the mean of those that have it.

References
----------
M. Davari and E. Belilovsky (2024), Model breadcrumbs, ECCV. G. Ilharco et al. (2023), Editing models with task
arithmetic, ICLR. P. Yadav et al. (2023), TIES-merging, NeurIPS. L. Yu et al. (2024), Language models are super Mario
(DARE), ICML.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from concordant.core.errors import ConfigError
from concordant.versions.merging.masks import Scope, band_mask, check_scope, check_shares
from concordant.versions.merging.spherical import layer_of
from concordant.versions.merging.weights import (
    BUFFERS,
    Weights,
    add_deltas,
    deltas,
    normal_shares,
    scales_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


def task_arithmetic(
    base: Weights,
    parents: Sequence[Weights],
    *,
    scale: float | Sequence[float] = 1.0,
    buffers: Sequence[str] = BUFFERS,
) -> dict[str, Tensor]:
    r"""Return the base with the scaled deltas of all parents on it, :math:`\theta_0 + \sum_i \alpha_i \delta_i`.

    Parameters
    ----------
    base
        State dictionary that all parents come from. It decides the precision, and gives what is no weight.
    parents
        State dictionaries with the same names and shapes.
    scale
        :math:`\alpha`, one number or one a parent; default 1.
    buffers
        As for `concordant.versions.merging.deltas`.

    Raises
    ------
    ConfigError
        If there are not as many scales as parents.
    DataError
        If names or shapes differ.

    Examples
    --------
    >>> task_arithmetic({"w": torch.tensor([1.0])}, [{"w": torch.tensor([2.0])}, {"w": torch.tensor([5.0])}], scale=0.5)
    {'w': tensor([3.5000])}
    """
    return add_deltas(base, [deltas(parent, base, buffers=buffers) for parent in parents], scale=scale)


def breadcrumbs(
    base: Weights,
    parents: Sequence[Weights],
    *,
    keep: float,
    remove: float,
    scale: float | Sequence[float] = 1.0,
    scope: Scope = "row",
    buffers: Sequence[str] = BUFFERS,
) -> dict[str, Tensor]:
    """Return the base with a band of each delta on it: the ranks from `remove` to `remove + keep`.

    Parameters
    ----------
    base, parents, scale, buffers
        As for :func:`task_arithmetic`.
    keep
        The share of entries that survives, in (0, 1].
    remove
        The share of largest entries that does not, in [0, 1); together with `keep` at most 1.
    scope
        What the shares are of: ``"row"`` (default, the code of the paper), ``"tensor"``, ``"layer"`` (the tensors of
        one layer together, the text of the paper; the layer is the first number in a name, and a tensor without one
        is alone) or ``"global"`` (the whole model).

    Raises
    ------
    ConfigError
        If a share, the scope or the number of scales is not allowed.
    DataError
        If names or shapes differ.

    Examples
    --------
    >>> base, parent = {"w": torch.zeros(4)}, {"w": torch.tensor([4.0, -3.0, 2.0, 1.0])}
    >>> breadcrumbs(base, [parent], keep=0.5, remove=0.25)
    {'w': tensor([ 0., -3.,  2.,  0.])}
    """
    check_shares(keep, remove)
    masked = [_banded(deltas(one, base, buffers=buffers), keep, remove, scope) for one in parents]
    return add_deltas(base, masked, scale=scale)


def ties(
    base: Weights,
    parents: Sequence[Weights],
    *,
    keep: float = 0.2,
    scale: float = 1.0,
    scope: Scope = "tensor",
    shares: Sequence[float] | None = None,
    buffers: Sequence[str] = BUFFERS,
) -> dict[str, Tensor]:
    r"""Return the base with the mean of those trimmed deltas whose sign was elected, entry by entry.

    The largest entries of each delta are kept; the elected sign of an entry is that of their sum; the mean is over the
    parents that have this sign there. Where the sum is exactly 0 no sign is elected and nothing is added.

    Parameters
    ----------
    base, parents, buffers
        As for :func:`task_arithmetic`.
    keep
        The share of entries that survives the trimming, in (0, 1]; default 0.2.
    scale
        :math:`\lambda`, of the merged delta; default 1.
    scope
        What the share is of, as for :func:`breadcrumbs`; default ``"tensor"``.
    shares
        How much each parent counts in the vote and in the mean; default equally.

    Raises
    ------
    ConfigError
        If a share or the scope is not allowed.
    DataError
        If names or shapes differ.

    Examples
    --------
    >>> base = {"w": torch.zeros(3)}
    >>> first, second = {"w": torch.tensor([4.0, 1.0, -2.0])}, {"w": torch.tensor([-1.0, 3.0, -6.0])}
    >>> ties(base, [first, second], keep=1.0)
    {'w': tensor([ 4.,  2., -4.])}
    """
    given = [1.0] * len(parents) if shares is None else [float(share) for share in shares]
    normal_shares(given, len(parents))  # only to be checked: a third of each would not cancel out exactly
    trimmed = [_banded(deltas(one, base, buffers=buffers), keep, 0.0, scope) for one in parents]
    merged = {name: elected([one[name] for one in trimmed], given) for name in trimmed[0]} if trimmed else {}
    return add_deltas(base, merged, scale=scale)


def dare(
    base: Weights,
    parents: Sequence[Weights],
    *,
    drop: float,
    seed: int,
    scale: float | Sequence[float] = 1.0,
    elect: bool = False,
    buffers: Sequence[str] = BUFFERS,
) -> dict[str, Tensor]:
    r"""Return the base with deltas of which a random part was dropped and the rest made larger by :math:`1/(1-p)`.

    Parameters
    ----------
    base, parents, scale, buffers
        As for :func:`task_arithmetic`.
    drop
        :math:`p`, the chance of each entry to be dropped, in [0, 1).
    seed
        Decides what is dropped: for each parent and name by itself, in whatever order.
    elect
        Whether, as in TIES, only entries with the elected sign are added (their sum, not their mean).

    Raises
    ------
    ConfigError
        If the chance or the number of scales is not allowed.
    DataError
        If names or shapes differ.

    Examples
    --------
    >>> base, parent = {"w": torch.zeros(1000)}, {"w": torch.ones(1000)}
    >>> dare(base, [parent], drop=0.75, seed=0)["w"].unique()
    tensor([0., 4.])
    """
    check_drop(drop)
    scales = scales_of(scale, len(parents))
    dropped = [
        {
            name: dropped_out(delta, drop, name_seed(seed, place, name))
            for name, delta in deltas(parent, base, buffers=buffers).items()
        }
        for place, parent in enumerate(parents)
    ]
    if not elect:
        return add_deltas(base, dropped, scale=scales)
    names = dropped[0] if dropped else {}
    merged = {name: elected([one[name] for one in dropped], scales, mean=False) for name in names}
    return add_deltas(base, merged)


def elected(
    parts: Sequence[Tensor], shares: Sequence[float], *, mean: bool = True, no_vote_is_positive: bool = False
) -> Tensor:
    """Return the weighted mean, or sum, of the entries that have the sign of the weighted sum.

    Parameters
    ----------
    parts
        Deltas of one weight, one a parent, of the same shape.
    shares
        How much each counts, one a parent.
    mean
        Whether the sum is divided by the shares of those that have the sign (default).
    no_vote_is_positive
        Whether a sum of exactly 0 elects the positive sign, or none (default).
    """
    vote = sum((part * share for part, share in zip(parts, shares, strict=True)), torch.zeros(()))
    if no_vote_is_positive:
        vote[vote == 0] = 1.0
    total, weight = torch.zeros_like(vote), torch.zeros_like(vote)
    for part, share in zip(parts, shares, strict=True):
        agrees = part * vote > 0
        total.add_(part * agrees, alpha=share)
        weight.add_(agrees, alpha=share)
    return total.div_(weight.masked_fill_(weight == 0, 1.0)) if mean else total


def dropped_out(delta: Tensor, drop: float, seed: int) -> Tensor:
    """Return a delta with entries dropped at random, and the others divided by the share that is left."""
    return delta * stays(delta, drop, torch.Generator().manual_seed(seed))


def stays(delta: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    """Return what the next entries of a delta are multiplied by: 0, or 1 divided by the share that is left."""
    drawn = torch.rand(delta.shape, generator=generator).to(delta.device)
    return (drawn >= drop).to(delta.dtype).mul_(1.0 / (1.0 - drop))


def name_seed(seed: int, parent: int, name: str) -> int:
    """Return the seed of one weight of one parent, the same in whatever order weights are read."""
    words = np.random.SeedSequence([seed, parent, zlib.crc32(name.encode())]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def check_drop(drop: float) -> None:
    """Refuse what is no chance of being dropped."""
    if not 0.0 <= drop < 1.0:
        message = f"drop, the chance of an entry to be dropped, must be in [0, 1), got {drop}"
        raise ConfigError(message)


def groups(names: Sequence[str], scope: Scope) -> dict[str, list[str]]:
    """Return which weights are ranked together in a scope wider than a tensor, each group by name.

    Examples
    --------
    >>> groups(["layers.0.b", "layers.0.a", "head"], "layer")
    {'layers.0': ['layers.0.a', 'layers.0.b'], 'head': ['head']}
    """
    key: Callable[[str], str] = (lambda _: "") if scope == "global" else (lambda name: layer_of(name) or name)
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(key(name), []).append(name)
    return {group: sorted(members) for group, members in grouped.items()}


def _banded(delta: dict[str, Tensor], keep: float, remove: float, scope: Scope) -> dict[str, Tensor]:
    check_scope(scope)
    if scope in ("row", "tensor"):
        return {
            name: one * band_mask(one, keep=keep, remove=remove, scope=scope) for name, one in delta.items()
        }
    result: dict[str, Tensor] = {}
    for members in groups(list(delta), scope).values():
        together = torch.cat([delta[name].reshape(-1) for name in members])
        together *= band_mask(together, keep=keep, remove=remove, scope="tensor")
        parts = torch.split(together, [delta[name].numel() for name in members])
        result |= {name: part.reshape(delta[name].shape) for name, part in zip(members, parts, strict=True)}
    return {name: result[name] for name in delta}
