"""Decoders with a head for scores, as judges of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # this module is itself imported only when a transformers model is used

from concordant.core.errors import ModelError
from concordant.learn.answers import answer_batch, answer_scores, on, scores_answers
from concordant.learn.sequences import answer_rows
from concordant.models.tokens import batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.core.model import Prompt


class RewardHead:
    """A sequence classifier on a decoder with its tokenizer, as a `~concordant.models.base.RewardModel`.

    An answer is scored at its last token, the one that ends a text, after its prompt: as
    `concordant.learn.reward_loss` trains it on pairs of texts, and as other libraries do.

    Parameters
    ----------
    model
        A transformers decoder for sequence classification: with one output it gives one score an answer, with
        several one an attribute.
    tokenizer
        Its tokenizer.
    name
        What reports call it.
    batch_size
        Answers in one forward pass.

    Raises
    ------
    ModelError
        If the model has no head that scores tokens.

    Attributes
    ----------
    attributes
        What the outputs are called, where there are several; otherwise empty.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str | None = None, batch_size: int = 32) -> None:
        if not scores_answers(model):
            message = f"RewardHead needs a decoder for sequence classification, got a {type(model).__name__}"
            raise ModelError(message)
        self.model, self.tokenizer = model.eval(), tokenizer
        self.name = name or type(model).__name__
        self.batch_size = batch_size
        config = model.config
        self._longest = int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2**31)
        n = config.num_labels
        self.attributes = tuple(config.id2label[i] for i in range(n)) if n > 1 else ()

    def __repr__(self) -> str:
        return f"RewardHead({self.name})"

    @torch.inference_mode()
    def reward(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NDArray[np.float64]:
        """Judge completions; see `RewardModel.reward`.

        Raises
        ------
        DataError
            If there are not as many completions as prompts, or a conversation comes to a tokenizer without a
            chat template.
        ModelError
            If a prompt with its answer is too long.
        """
        rows = [ids for ids, _ in answer_rows(self.tokenizer, prompts, completions)]
        too_long = next((len(ids) for ids in rows if len(ids) > self._longest), None)
        if too_long is not None:
            message = f"model {self.name!r}: an answer with its prompt has {too_long} tokens, not at most {self._longest}"
            raise ModelError(message)
        scores = np.empty((len(rows), self.model.config.num_labels))
        for part in batches([len(ids) for ids in rows], self.batch_size):
            batch = answer_batch([(rows[i][:-1], [rows[i][-1:]]) for i in part])
            scores[part] = answer_scores(self.model, on(batch, self.model.device)).double().cpu().numpy()
        return scores if self.attributes else scores[:, 0]
