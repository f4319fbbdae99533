"""How tokens are chosen and when a text ends, so that a row does not depend on the rows it is batched with.

Each sample of a prompt has a stream of uniform numbers of its own, seeded by the seed of the request, the
tokens of the prompt and the number of the sample. At each step one of them goes through the inverse of
the cumulative distribution of the next token. The global generators are not touched, and who else is in
the batch, in which order, changes the draw only where rounding does.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # this module is itself imported only when a transformers model is used

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


def uniforms(prompts: Sequence[Sequence[int]], n: int, steps: int, seed: int) -> NDArray[np.float64]:
    """Draw the stream of each sample.

    Parameters
    ----------
    prompts
        Token ids of each prompt.
    n
        Samples of each prompt.
    steps
        Tokens of each sample.
    seed
        Not negative.

    Returns
    -------
    array of shape ``(len(prompts) * n, steps)``, the samples of a prompt side by side
    """
    streams = []
    for prompt in prompts:
        data = np.asarray(prompt, np.int64).tobytes()
        key = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
        streams += [np.random.default_rng([seed, key, sample]).random(steps) for sample in range(n)]
    return np.stack(streams)


class TokenChoice:
    """A logits processor that chooses each token itself and keeps its log-probability.

    Parameters
    ----------
    temperature
        0 takes the most probable token.
    draws
        Shape ``(rows, steps)``, from `uniforms`; not needed for temperature 0.
    """

    def __init__(self, temperature: float, draws: NDArray[np.float64] | None = None) -> None:
        self._temperature = temperature
        self._draws = draws
        self._logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores that leave one token in each row: `scores` has shape ``(rows, vocabulary)``."""
        if self._draws is None:
            chosen = scores.argmax(dim=-1, keepdim=True)
        else:
            cumulative = (scores.double() / self._temperature).softmax(dim=-1).cumsum(dim=-1)
            draw = torch.from_numpy(self._draws[:, len(self._logprobs)]).to(scores.device)
            target = draw[:, None] * cumulative[:, -1:]
            chosen = torch.searchsorted(cumulative, target, right=True).clamp(max=scores.shape[-1] - 1)
        self._logprobs.append(scores.log_softmax(dim=-1).gather(-1, chosen)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter(-1, chosen, 0.0)

    @property
    def logprobs(self) -> NDArray[np.float64]:
        """Log-probability of each chosen token, shape ``(rows, steps)``, in nats, under temperature 1."""
        return torch.stack(self._logprobs, dim=1).double().cpu().numpy()


class StopTexts:
    """A stopping criterion: rows whose new text holds one of some texts.

    Parameters
    ----------
    tokenizer
        Decodes the newest tokens.
    stop
        The texts.
    prompt_length
        Tokens before the first new one.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], prompt_length: int) -> None:
        self._tokenizer, self._stop, self._start = tokenizer, tuple(stop), prompt_length
        # A token that ends a text of k bytes began at most k tokens ago; one more, for what it is joined to.
        self._tail = max(len(text.encode()) for text in self._stop) + 1
        self._done: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Return which rows have ended, shape ``(rows,)``."""
        if self._done is None:
            self._done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        newest = input_ids[:, max(self._start, input_ids.shape[1] - self._tail) :]
        texts = self._tokenizer.batch_decode(
            newest, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        ended = torch.tensor([any(stop in text for stop in self._stop) for text in texts])
        self._done = self._done | ended.to(input_ids.device)
        return self._done
