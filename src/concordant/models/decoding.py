"""Decoding: one token of each sample at a time, until all have ended.

Several samples of a prompt read it once; where many have ended, the others go on without them; and no step
does what one more token does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch  # this module is itself imported only when a transformers model is used

from concordant.models.sampling import chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.models.reading import Reader
    from concordant.models.sampling import StopTexts

FEW = 0.75
"""Where the samples that still go on need no more than this share of the batch, the others are left out."""


@torch.inference_mode()
def decode(
    reader: Reader,
    rows: Sequence[Sequence[int]],
    *,
    samples: int = 1,
    steps: int,
    temperature: float = 0.0,
    draws: NDArray[np.float64] | None = None,
    ends: Sequence[int] = (),
    stops: StopTexts | None = None,
) -> tuple[list[list[int]], list[NDArray[np.float64]]]:
    """Continue prompts.

    Parameters
    ----------
    reader
        The model.
    rows
        Token ids of each prompt, none empty.
    samples
        Samples of each prompt.
    steps
        Most new tokens of a sample, at least 1.
    temperature
        0 takes the most probable token.
    draws
        Shape ``(len(rows) * samples, steps)``, uniform numbers in [0, 1); not needed for temperature 0.
    ends
        Tokens that end a sample; they are part of what is returned.
    stops
        Texts that end a sample.

    Returns
    -------
    tokens
        New tokens of each of the ``len(rows) * samples`` samples, those of a prompt side by side.
    logprobs
        Log-probability of each token, in nats, at temperature 1.
    """
    logits = reader.read(rows).repeat_interleave(samples, dim=0)
    reader.open(samples, steps)
    device, n = logits.device, len(logits)
    uniforms = None if draws is None else torch.from_numpy(draws).to(device)
    tokens = torch.zeros(n, steps, dtype=torch.long, device=device)
    logprobs = torch.zeros(n, steps, dtype=torch.float32, device=device)
    final = torch.tensor(ends, dtype=torch.long, device=device)
    lengths, going = np.full(n, steps), np.ones(n, bool)
    grid = np.arange(n).reshape(len(rows), samples)  # the samples that are in the batch
    batch = torch.arange(n, device=device)  # the same, flat
    for step in range(steps):
        draw = None if uniforms is None else uniforms[batch, step]
        taken, logprobs[batch, step] = chosen(logits, temperature, draw)
        tokens[batch, step] = taken
        if step + 1 == steps:
            break
        ended = torch.isin(taken, final).cpu().numpy() & going[grid.ravel()]
        if stops is not None:
            for i, token in enumerate(taken.tolist()):
                sample = grid.ravel()[i]
                if going[sample] and not ended[i] and stops.may_end(token):
                    ended[i] = stops(tokens[sample, : step + 1].tolist())
        if ended.any():
            over = grid.ravel()[ended]
            going[over], lengths[over] = False, step + 1
            if not going[grid].any():
                break
            prompts, places = _going(going[grid])
            if places.size <= FEW * grid.size:
                grid = grid[prompts[:, None], places]
                kept = [torch.from_numpy(index).to(device) for index in (prompts, places)]
                taken = taken.view(-1, samples)[kept[0][:, None], kept[1]].flatten()
                batch, samples = torch.from_numpy(grid.ravel()).to(device), grid.shape[1]
                reader.keep(*kept)
        logits = reader.step(taken)
    found = logprobs.double().cpu().numpy()
    pairs = zip(tokens.tolist(), lengths.tolist(), strict=True)
    return [row[:length] for row, length in pairs], [row[:k] for row, k in zip(found, lengths, strict=True)]


def _going(going: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the prompts of which some sample goes on, and as many samples of each as of that with most of them.

    Examples
    --------
    >>> prompts, samples = _going(np.array([[True, False, True], [False, False, False], [False, False, True]]))
    >>> prompts.tolist(), samples.tolist()
    ([0, 2], [[0, 2], [2, 0]])
    """
    prompts = np.flatnonzero(going.any(axis=1))
    most = int(going.sum(axis=1).max())
    return prompts, np.argsort(~going[prompts], axis=1, kind="stable")[:, :most]
