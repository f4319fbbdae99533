"""Two language models of one tokenizer that speak as one: at each token the mean of their probabilities.

A strong rival of every repair, since it needs no training and flips few items; it costs both models at each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ModelError
from concordant.core.model import digest
from concordant.models.causal import CausalLM
from concordant.models.reading import reader_of
from concordant.models.same_tokenizer import same_tokenizer
from concordant.models.tokens import padded
from concordant.versions.averages import ensemble_log_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from concordant.models.reading import Reader


class EnsembleLM(CausalLM):
    """Two versions of a causal language model as one, asked in the way of the new one.

    Parameters
    ----------
    old, new
        Of one tokenizer; both must keep keys and values and nothing else, as most decoders do.
    share
        How much of it is the new version, in [0, 1]; default a half.

    Raises
    ------
    ConfigError
        If the tokenizers differ.
    ModelError
        If one of the two cannot be read token by token beside the other.

    Examples
    --------
    >>> from concordant.pocket import load_pocket
    >>> old, new = (load_pocket(f"250k-chat-v{i}").language_model for i in (1, 2))
    >>> EnsembleLM(old, new).generate(["what is 2 + 2 ?"], max_tokens=8)[0][0].text
    '4'
    """

    def __init__(self, old: CausalLM, new: CausalLM, *, share: float = 0.5) -> None:
        same_tokenizer(old, new)
        readers = [_reader(model) for model in (old, new)]
        fingerprint = digest("ensemble", old.fingerprint, new.fingerprint, share)
        super().__init__(
            new.model,
            new.tokens.tokenizer,
            name=f"{old.name} and {new.name}",
            fingerprint=fingerprint,
            batch_size=min(old.batch_size, new.batch_size),
            chat=new.chat,
        )
        self.old, self.share = old, share
        self._readers = readers
        self._longest = min(self._longest, old._longest)

    def _found(self, finds: Callable[[Any], Any]) -> Any:
        """Return what makes the reader of both; scores are made row by row, without shared prefixes."""
        if finds is not reader_of:
            return False
        first, second = self._readers
        return lambda: _Both(first(), second(), self.share)

    @torch.inference_mode()
    def _logprobs(self, rows: Sequence[Sequence[int]], kept: int) -> NDArray[np.float64]:
        logits = [model._forward(rows).logits[:, -kept - 1 : -1].float() for model in (self.old, self)]
        log_probabilities = ensemble_log_probabilities(logits[0], logits[1], share=self.share)
        ids = padded(rows, self.tokens.pad, log_probabilities.device)["input_ids"][:, -kept:]
        found: NDArray[np.float64] = (
            log_probabilities.gather(-1, ids[..., None])[..., 0].double().cpu().numpy()
        )
        return found


class _Both:
    """Two readers side by side, whose logits are those of the mean."""

    def __init__(self, old: Reader, new: Reader, share: float) -> None:
        self._old, self._new, self._share = old, new, share

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        return self._mean(self._old.read(rows), self._new.read(rows))

    def open(self, samples: int, steps: int) -> None:
        self._old.open(samples, steps)
        self._new.open(samples, steps)

    def step(self, tokens: Tensor) -> Tensor:
        return self._mean(self._old.step(tokens), self._new.step(tokens))

    def keep(self, prompts: Tensor, samples: Tensor) -> None:
        self._old.keep(prompts, samples)
        self._new.keep(prompts, samples)

    def _mean(self, old: Tensor, new: Tensor) -> Tensor:
        return ensemble_log_probabilities(old.float(), new.float(), share=self._share)


def _reader(model: CausalLM) -> Callable[[], Reader]:
    found: Callable[[], Reader] | None = model._found(reader_of)
    if found is None:
        message = f"the model {model.name!r} keeps more than keys and values, and cannot speak beside another"
        raise ModelError(message)
    return found
