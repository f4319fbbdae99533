"""One weight of a merge, worked on in pieces that stay in the cache of the processor.

The same arithmetic as the functions over state dictionaries, in float32, with no copy of a whole delta: what is held
is the weight of every parent as it is stored, and the result.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from concordant.core.errors import DataError
from concordant.versions.merging.cuts import PIECE, Band, tensor_band
from concordant.versions.merging.masks import band_mask, ranks
from concordant.versions.merging.plan import Plan, setting
from concordant.versions.merging.sparse import elected, name_seed, stays
from concordant.versions.merging.spherical import slerp_tensor
from concordant.versions.merging.weights import normal_shares, wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from torch import Tensor

Piece = tuple[int, int]


def merged_weight(
    plan: Plan,
    name: str,
    weights: Sequence[Tensor],
    dtype: torch.dtype,
    *,
    workers: Executor,
    bands: Sequence[Band] | None = None,
) -> tuple[Tensor, float | None]:
    """Return one weight of the merged model.

    Parameters
    ----------
    plan
        The merge.
    name
        Of the weight.
    weights
        Of the models of the plan: of the base, if there is one, and of the parents.
    dtype
        Of the result.
    workers
        What helps with several parents at once.
    bands
        What survives of each delta, for scopes that are wider than a tensor.

    Returns
    -------
    Tensor
        The weight.
    float or None
        For slerp, the cosine between the two.

    Raises
    ------
    DataError
        If a weight is not finite; the message names it.
    """
    if plan.method == "slerp":
        first, second = (wide(weight) for weight in weights)
        for place, weight in enumerate((first, second)):
            check_finite(plan, name, place, weight.sum())
        mixed, cosine = slerp_tensor(first, second, setting(plan.t or 0.0, name))
        return mixed.to(dtype), cosine
    if plan.method == "linear":
        return _mean(plan, name, weights, dtype), None
    return _sum_of_deltas(plan, name, weights, dtype, bands, workers), None


def pieces(shape: Sequence[int], *, rows: bool) -> Iterator[Piece]:
    """Give the pieces of a flattened tensor, of whole rows where that is needed."""
    n, last = 1, shape[-1] if shape else 1
    for size in shape:
        n *= size
    step = max(1, PIECE // last) * last if rows and last else PIECE
    for start in range(0, n, step):
        yield start, min(n, start + step)


def delta_sizes(base: Tensor, weight: Tensor) -> Tensor:
    """Return the absolute delta of pieces of a base and a parent, in the precision of the arithmetic."""
    return (wide(weight) - wide(base)).abs_()


def check_finite(plan: Plan, name: str, place: int, values: Tensor) -> None:
    """Refuse values of a model of the plan that are not all finite."""
    if not torch.isfinite(values).all():
        message = f"{plan.models[place].name}: the weight {name!r} holds NaN or infinity"
        raise DataError(message)


def _mean(plan: Plan, name: str, weights: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    shares = _normal(plan, name) if plan.mean else [setting(parent.weight, name) for parent in plan.parents]
    flat = [weight.reshape(-1) for weight in weights]
    result = torch.empty(flat[0].shape, dtype=dtype)
    for start, end in pieces(weights[0].shape, rows=False):
        total = wide(flat[0][start:end]) * shares[0]
        for weight, share in zip(flat[1:], shares[1:], strict=True):
            total.add_(wide(weight[start:end]), alpha=share)
        if not torch.isfinite(total.sum()):
            for place, weight in enumerate(flat):
                check_finite(plan, name, place, weight[start:end])
        result[start:end] = total
    return result.reshape(weights[0].shape)


def _sum_of_deltas(
    plan: Plan,
    name: str,
    weights: Sequence[Tensor],
    dtype: torch.dtype,
    bands: Sequence[Band] | None,
    workers: Executor,
) -> Tensor:
    shape = weights[0].shape
    base, *parents = (weight.reshape(-1) for weight in weights)
    averaged = plan.mean and not plan.elect
    scales = _normal(plan, name) if averaged else [setting(parent.weight, name) for parent in plan.parents]
    masks = _masks(plan, name, shape, base, parents, bands, workers)
    result = torch.empty(base.shape, dtype=dtype)

    def part(i: int, start: int, end: int, origin: Tensor) -> Tensor:
        delta = wide(parents[i][start:end]) - origin
        if not torch.isfinite(delta.sum()):
            check_finite(plan, name, 0, base[start:end])
            check_finite(plan, name, i + 1, parents[i][start:end])
        mask = masks[i](delta)
        return delta if mask is None else delta.mul_(mask)

    for start, end in pieces(shape, rows=plan.scope == "row"):
        origin = wide(base[start:end])
        deltas = list(workers.map(partial(part, start=start, end=end, origin=origin), range(len(parents))))
        total = origin.clone()
        if plan.elect:
            plus = plan.no_vote_is_positive
            merged = elected(deltas, scales, mean=bool(plan.mean), no_vote_is_positive=plus)
            total.add_(merged, alpha=plan.scale)
        else:
            for delta, scale in zip(deltas, scales, strict=True):
                total.add_(delta, alpha=scale * plan.scale)
        result[start:end] = total
    return result.reshape(shape)


def _masks(
    plan: Plan,
    name: str,
    shape: torch.Size,
    base: Tensor,
    parents: Sequence[Tensor],
    bands: Sequence[Band] | None,
    workers: Executor,
) -> list[Callable[[Tensor], Tensor | None]]:
    """Return, for each parent, what gives the mask of the next piece of its delta."""
    if plan.method == "dare":
        seeds = [name_seed(plan.seed, i, name) for i in range(len(parents))]
        return [
            _dropping(setting(parent.drop, name), seed)
            for parent, seed in zip(plan.parents, seeds, strict=True)
        ]
    if plan.method == "task_arithmetic" or (bands is None and not shape):
        return [lambda _: None] * len(parents)
    shares = [(setting(parent.keep, name), setting(parent.remove, name)) for parent in plan.parents]
    if plan.scope == "row":
        return [_banded(shape[-1], keep, remove) for keep, remove in shares]
    n = base.numel()

    def band(i: int) -> Band:
        sizes = torch.empty(n, dtype=wide(base[:0]).dtype)
        for start, end in pieces(shape, rows=False):
            sizes[start:end] = delta_sizes(base[start:end], parents[i][start:end])
        return tensor_band(sizes.numpy(), ranks(n, *shares[i]))

    found = list(workers.map(band, range(len(parents)))) if bands is None else bands
    return [lambda delta, band=band: band.mask(delta.abs()) for band in found]  # type: ignore[misc]


def _banded(n: int, keep: float, remove: float) -> Callable[[Tensor], Tensor | None]:
    def mask(delta: Tensor) -> Tensor:
        return band_mask(delta.reshape(-1, n), keep=keep, remove=remove, scope="row").reshape(-1)

    return (lambda _: None) if keep == 1.0 and remove == 0.0 else mask


def _dropping(drop: float, seed: int) -> Callable[[Tensor], Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    return lambda delta: stays(delta, drop, generator)


def _normal(plan: Plan, name: str) -> list[float]:
    return normal_shares([setting(parent.weight, name) for parent in plan.parents], len(plan.parents))
