"""Batch models: their rows in batches, in a worker thread; an item that makes a model raise is found and recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConcordantError, ModelError, described, first_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.core.items import Items
    from concordant.core.model import BatchModel, Request
    from concordant.core.passes import Pass
    from concordant.core.sink import Sink


async def ask_in_batches(work: Pass, model: BatchModel, todo: NDArray[np.intp], sink: Sink) -> None:
    """Ask a batch model the rows `todo` of a pass."""
    working = asyncio.create_task(asyncio.to_thread(_batches, work, model, todo, sink))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:  # Ctrl-C: the batch in flight ends and is kept, and no other begins
        sink.stopped = True
        await working
        raise


def _batches(work: Pass, model: BatchModel, todo: NDArray[np.intp], sink: Sink) -> None:
    order = todo
    if work.request.order_seed is not None:
        order = np.random.default_rng(work.request.order_seed).permutation(todo)
    size = work.request.batch_size or model.batch_size
    any_answer = sink.works
    for start in range(0, len(order), size):
        if sink.stopped:
            return
        index = order[start : start + size]
        items = work.items if len(index) == len(work.items) and index is todo else work.items.rows(index)
        try:
            frame = _respond(model, items, work.request)
        except ConcordantError:
            raise
        except Exception:
            frame, any_answer = _bisect(model, items, work.request, any_answer=any_answer)
        else:
            any_answer = True
        sink.add_frame(items.ids, frame)


def _respond(model: BatchModel, items: Items, request: Request) -> pl.DataFrame:
    try:
        answer: Any = model.respond(items, request)
    except SystemExit as end:  # a model that ends the process must not choose the exit code of a check
        message = f"the model called exit({end.code})"
        raise RuntimeError(message) from end
    if not isinstance(answer, pl.DataFrame):
        message = f"model {model.name!r} must return a polars data frame with a column output, got {type(answer).__name__}"
        raise ModelError(message)
    frame = answer
    if "output" not in frame.columns or len(frame) != len(items) * request.n:
        got = f"{len(frame)} rows with columns {', '.join(frame.columns)}"
        message = (
            f"model {model.name!r} must return {len(items) * request.n} rows with a column output, got {got}"
        )
        raise ModelError(message)
    return frame


def _bisect(
    model: BatchModel, items: Items, request: Request, *, any_answer: bool
) -> tuple[pl.DataFrame, bool]:
    """Find the items that make a model raise, by halves, and record the exception as their error."""
    frames, stack, failures = [], _halves(items), 0
    while stack:
        part = stack.pop()
        try:
            frames.append((part, _respond(model, part, request)))
            any_answer = True
        except ConcordantError:
            raise
        except Exception as error:
            if len(part) > 1:
                stack += _halves(part)
                continue
            failures += 1
            if not any_answer and failures >= min(3, len(items)):
                what = f"raised {type(error).__name__} on every item it was given"
                message = f"model {model.name!r} {what}: {first_line(error)}"
                raise ModelError(message) from error
            lost = {"output": [None] * request.n, "error": [described(error)] * request.n}
            frames.append((part, pl.DataFrame(lost)))
    joined = pl.concat(
        [f.with_columns(_id=p.ids.gather(np.repeat(np.arange(len(p)), request.n))) for p, f in frames],
        how="diagonal_relaxed",
    )
    order = items.frame.select("id").join(
        joined, left_on="id", right_on="_id", how="left", maintain_order="left_right"
    )
    return order.drop("id"), any_answer


def _halves(items: Items) -> list[Items]:
    middle = len(items) // 2
    index = np.arange(len(items))
    return [items.rows(index[middle:]), items.rows(index[:middle])] if middle else [items]
