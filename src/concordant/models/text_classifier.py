"""Text classifiers and scorers of the transformers library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # this module is itself imported only when a transformers model is used

from concordant.learn.sequences import adds_begin
from concordant.models.classes import softmax
from concordant.models.tokens import batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.model import Prompt

UNBOUNDED = 10**9
"""Tokenizers without a greatest length name a number above this."""


class TextClassifier:
    """A sequence classifier with its tokenizer, as a `~concordant.models.base.Predictor` of texts.

    Texts that are longer than the model takes are cut at their end. Conversations go through the chat
    template of the tokenizer.

    Parameters
    ----------
    model
        A transformers model with a head for sequence classification: with one output it is a scorer (a
        regressor or reward model), otherwise a classifier of its ``config.id2label``.
    tokenizer
        Its tokenizer.
    batch_size
        Texts in one forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int = 32) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        config = model.config
        tokenizer.padding_side = tokenizer.truncation_side = "right"
        if tokenizer.pad_token_id is None or config.pad_token_id is None:
            # Decoders look for the last token that is no padding: without one they are asked one by one.
            self.batch_size = 1
        self._adds_begin = adds_begin(tokenizer)
        positions = getattr(config, "max_position_embeddings", None) or UNBOUNDED
        longest = min(tokenizer.model_max_length, positions)
        self._longest = longest if longest < UNBOUNDED else None
        if config.num_labels > 1:
            self.classes_ = [config.id2label[i] for i in range(config.num_labels)]
            self.probabilities = self._probabilities

    def predict(self, x: Sequence[Prompt]) -> NDArray[Any]:
        """Return the most probable label of each text, or the score of a scorer: shape ``(n,)``."""
        logits = self._logits(x)
        return logits[:, 0] if logits.shape[1] == 1 else np.asarray(self.classes_)[logits.argmax(axis=1)]

    def _probabilities(self, x: Sequence[Prompt]) -> NDArray[np.float64]:
        """Return the softmax of the logits, shape ``(n, n_classes)``."""
        return softmax(self._logits(x))

    @torch.inference_mode()
    def _logits(self, x: Sequence[Prompt]) -> NDArray[np.float64]:
        texts = [self._text(prompt) for prompt in x]
        logits = np.empty((len(texts), self.model.config.num_labels))
        for part in batches(list(map(len, texts)), self.batch_size):
            inputs = self.tokenizer(
                [texts[i] for i in part],
                padding=len(part) > 1,
                truncation=self._longest is not None,
                max_length=self._longest,
                return_tensors="pt",
            ).to(self.model.device)
            logits[part] = self.model(**inputs).logits.double().cpu().numpy()
        return logits

    def _text(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        if getattr(self.tokenizer, "chat_template", None) is None:
            return "\n".join(f"{message['role']}: {message['content']}" for message in prompt)
        text = str(self.tokenizer.apply_chat_template(prompt, tokenize=False))
        # The token that the template begins with is put there by the tokenizer too, and must not come twice.
        return text.removeprefix(self.tokenizer.bos_token) if self._adds_begin else text
