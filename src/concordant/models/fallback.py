"""Decoding by ``transformers.generate``, for models that have no reader of ours: slower, and never wrong.

The tokens are chosen by the same function and from the same draws as in `concordant.models.decoding`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch  # this module is itself imported only when a transformers model is used

from concordant.models.sampling import chosen
from concordant.models.tokens import padded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from concordant.models.sampling import StopTexts


@torch.inference_mode()
def generate(
    model: Any,
    rows: Sequence[Sequence[int]],
    *,
    samples: int = 1,
    steps: int,
    temperature: float = 0.0,
    draws: NDArray[np.float64] | None = None,
    ends: Sequence[int] = (),
    stops: StopTexts | None = None,
    pad: int = 0,
) -> tuple[list[list[int]], list[NDArray[np.float64]]]:
    """Continue prompts; arguments and answer are those of `concordant.models.decoding.decode`.

    Parameters
    ----------
    model
        A transformers model.
    pad
        The token that fills up shorter prompts.
    """
    from transformers import GenerationConfig

    inputs = padded(rows, pad, model.device)
    start = inputs["input_ids"].shape[1]
    choice = _Choice(temperature, draws)
    defaults = GenerationConfig(eos_token_id=list(ends) or None, pad_token_id=pad)
    with _generation_defaults(model, defaults):
        output = model.generate(
            input_ids=inputs["input_ids"].repeat_interleave(samples, dim=0),
            attention_mask=inputs["attention_mask"].repeat_interleave(samples, dim=0),
            max_new_tokens=steps,
            do_sample=False,
            logits_processor=[choice],
            stopping_criteria=[_Stopping(stops, start)] if stops is not None else [],
        )
    made, logprobs = [], []
    for row, found in zip(output[:, start:].tolist(), choice.logprobs(), strict=True):
        length = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
        made.append(row[:length])
        logprobs.append(found[:length])
    return made, logprobs


class _Choice:
    """A logits processor that chooses each token itself and keeps its log-probability."""

    def __init__(self, temperature: float, draws: NDArray[np.float64] | None) -> None:
        self._temperature, self._draws = temperature, draws
        self._logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores that leave one token in each row: `scores` has shape ``(rows, vocabulary)``."""
        draw = None
        if self._draws is not None:
            draw = torch.from_numpy(self._draws[:, len(self._logprobs)]).to(scores.device)
        tokens, logprobs = chosen(scores, self._temperature, draw)
        self._logprobs.append(logprobs)
        return torch.full_like(scores, -torch.inf).scatter(-1, tokens[:, None], 0.0)

    def logprobs(self) -> NDArray[np.float64]:
        return torch.stack(self._logprobs, dim=1).double().cpu().numpy()


class _Stopping:
    """A stopping criterion: rows whose new text holds one of some texts."""

    def __init__(self, stops: StopTexts, prompt_length: int) -> None:
        self._stops, self._start = stops, prompt_length
        self._done: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        if self._done is None:
            self._done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        ended = torch.tensor([self._stops(row) for row in input_ids[:, self._start :].tolist()])
        self._done = self._done | ended.to(input_ids.device)
        return self._done


@contextlib.contextmanager
def _generation_defaults(model: Any, defaults: Any) -> Iterator[None]:
    """Let `defaults` be what generate() fills a request up with, for a while."""
    own, model.generation_config = model.generation_config, defaults
    try:
        yield
    finally:
        model.generation_config = own
