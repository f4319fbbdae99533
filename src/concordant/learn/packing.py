"""Rows of tokens packed into windows, so that a batch mixes rows of all lengths and hardly holds padding.

`TokenBatches` puts rows of one length side by side, which is fastest, but then a batch often holds one kind of row.
Here each window holds several rows one after the other; positions begin anew with each, and none sees another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch

from concordant.core.errors import ConfigError
from concordant.learn.attention import attention_mask
from concordant.learn.losses.language import sft_nll
from concordant.learn.sequences import check_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

    from concordant.learn.sequences import Row

N_OPEN = 16
"""Windows that are filled at the same time: with more of them less is padding, and rows move further."""


class PackedBatch(TypedDict):
    """Windows side by side, all of shape ``(batch, time)``.

    ``tokens``; ``mask``, true at what is learnt; ``positions``, from 0 in each row; ``segments``, 0 for padding and
    k for the k-th row of a window.
    """

    tokens: Tensor
    mask: Tensor
    positions: Tensor
    segments: Tensor


class PackedBatches:
    """Rows of tokens in a shuffled order, packed into windows; an epoch has every row once.

    How many batches an epoch has depends on the order, so `train` wants `steps` and not `epochs`.

    Parameters
    ----------
    rows
        Pairs of token ids and the number of those, from the left, that are the prompt; with 0 all tokens but the
        first are learnt.
    window
        Tokens in a window; at least as many as the longest row has.
    size
        Windows in a batch.
    pad
        What stands where no row fits; nothing looks at it.

    Raises
    ------
    DataError
        If there are no rows, or a row is empty, longer than a window or shorter than its prompt.
    ConfigError
        If `window` or `size` is below 1.

    Examples
    --------
    >>> import torch
    >>> batches = PackedBatches([([5, 6, 7], 1), ([5, 8], 1)], window=6, size=1)
    >>> (batch,) = batches(torch.Generator().manual_seed(0))
    >>> batch["tokens"].tolist(), batch["mask"].int().tolist()
    ([[5, 6, 7, 5, 8, 0]], [[0, 1, 1, 0, 1, 0]])
    >>> batch["positions"].tolist(), batch["segments"].tolist()
    ([[0, 1, 2, 0, 1, 0]], [[1, 1, 1, 2, 2, 0]])
    """

    def __init__(self, rows: Iterable[Row], window: int, size: int, *, pad: int = 0) -> None:
        for name, number in (("window", window), ("size", size)):
            if number < 1:
                message = f"{name} of PackedBatches must be at least 1, got {number}"
                raise ConfigError(message)
        self.rows = list(rows)
        lengths = np.array([len(ids) for ids, _ in self.rows], dtype=np.int64)
        prompts = np.array([prompt for _, prompt in self.rows], dtype=np.int64)
        check_rows("PackedBatches", lengths, prompts, window)
        self.window, self.size, self.pad = window, size, pad

    def __call__(self, generator: torch.Generator) -> Iterator[PackedBatch]:
        """Go through one epoch in an order drawn from the generator."""
        order = torch.randperm(len(self.rows), generator=generator).tolist()
        batch: list[list[int]] = []
        for packed in self._windows(order):
            batch.append(packed)
            if len(batch) == self.size:
                yield self._batch(batch)
                batch = []
        if batch:
            yield self._batch(batch)

    def _windows(self, order: list[int]) -> Iterator[list[int]]:
        """Yield the rows of each window: a row goes into the first open window that has room."""
        open_: list[list[int]] = []
        room: list[int] = []
        for row in order:
            length = len(self.rows[row][0])
            place = next((i for i, left in enumerate(room) if left >= length), None)
            if place is None:
                if len(open_) == N_OPEN:
                    fullest = room.index(min(room))
                    del room[fullest]
                    yield open_.pop(fullest)
                open_.append([])
                room.append(self.window)
                place = -1
            open_[place].append(row)
            room[place] -= length
        yield from open_

    def _batch(self, windows: list[list[int]]) -> PackedBatch:
        shape = (len(windows), self.window)
        tokens = torch.full(shape, self.pad)
        mask = torch.zeros(shape, dtype=torch.bool)
        positions, segments = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        for w, window in enumerate(windows):
            start = 0
            for k, row in enumerate(window, 1):
                ids, prompt = self.rows[row]
                end = start + len(ids)
                tokens[w, start:end] = torch.tensor(ids)
                mask[w, start + max(prompt, 1) : end] = True
                positions[w, start:end] = torch.arange(len(ids))
                segments[w, start:end] = k
                start = end
        return {"tokens": tokens, "mask": mask, "positions": positions, "segments": segments}


def packed_sft(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Return the mean negative log-likelihood of what is learnt in packed rows, a loss for `train`.

    Parameters
    ----------
    model
        A causal language model of transformers whose attention follows a mask of who may look where.
    batch
        From `PackedBatches`.

    Returns
    -------
    Tensor
        A scalar, nats a token: the same as `sft` of the same rows side by side.
    """
    segments = batch["segments"]
    time = segments.shape[1]
    earlier = torch.ones(time, time, dtype=torch.bool, device=segments.device).tril()
    allowed = earlier & (segments[:, :, None] == segments[:, None, :])
    logits = model(
        input_ids=batch["tokens"],
        position_ids=batch["positions"],
        attention_mask=attention_mask(model, allowed),
        use_cache=False,
    ).logits
    return sft_nll(logits, batch["tokens"], batch["mask"])
