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


def chosen(logits: Tensor, temperature: float, draw: Tensor | None) -> tuple[Tensor, Tensor]:
    """Choose the next token of each row.

    Parameters
    ----------
    logits
        Shape ``(rows, vocabulary)``.
    temperature
        0 takes the most probable token.
    draw
        Shape ``(rows,)``, a number in [0, 1) for each row; not needed for temperature 0.

    Returns
    -------
    tokens, logprobs
        Each of shape ``(rows,)``; log-probabilities in nats, under temperature 1.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0, -torch.inf]]).expand(3, 3)  # two tokens, one as probable as the other
    >>> tokens, logprobs = chosen(logits, 1.0, torch.tensor([0.1, 0.49, 0.51]).double())
    >>> tokens.tolist(), logprobs.exp().tolist()
    ([0, 0, 1], [0.5, 0.5, 0.5])
    """
    if draw is None:
        tokens = logits.argmax(dim=-1, keepdim=True)
    else:
        cumulative = (logits.double() / temperature).softmax(dim=-1).cumsum(dim=-1)
        target = draw[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, target, right=True).clamp(max=logits.shape[-1] - 1)
    logits = logits.float()
    return tokens[:, 0], logits.gather(-1, tokens)[:, 0] - logits.logsumexp(dim=-1)


class StopTexts:
    """Whether a text holds one of some texts, asked after each of its tokens.

    Parameters
    ----------
    tokenizer
        Decodes the newest tokens.
    stop
        The texts, at least one.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        # A token that ends a text of k bytes began at most k tokens ago; one more, for what it is joined to.
        self._tail = max(len(text.encode()) for text in self._stop) + 1
        self._last = {text[-1:] for text in self._stop}
        self._is_candidate: dict[int, bool] = {}

    def may_end(self, token: int) -> bool:
        """Whether a text that did not hold one may hold it with this token: most tokens cannot be the last of one."""
        found = self._is_candidate.get(token)
        if found is None:
            text = self._decoded([token])
            # White space is added and taken away between tokens, and bytes may be half a character.
            unclear = not text or "\ufffd" in text or any(not last or last.isspace() for last in self._last)
            found = self._is_candidate[token] = unclear or any(last in text for last in self._last)
        return found

    def __call__(self, tokens: Sequence[int]) -> bool:
        """Whether the text of some tokens holds one of the texts at its end, so to say: within its newest tokens."""
        text = self._decoded(tokens[-self._tail :])
        return any(stop in text for stop in self._stop)

    def _decoded(self, tokens: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
