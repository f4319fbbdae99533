"""Prompts into tokens and back, and rows of tokens into batches.

One way of doing it for generating and for scoring, so that the two agree on what a model was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch  # this module is itself imported only when a transformers model is used

from concordant.learn.sequences import adds_begin
from concordant.models.prefix_trees import common

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from concordant.core.model import Message, Prompt


class Tokens:
    """The tokenizer of a model as this package uses it.

    Parameters
    ----------
    tokenizer
        A transformers tokenizer.
    chat
        Whether a text is asked as one turn of the user, in the chat template of the tokenizer, rather
        than continued as it is. Conversations always go through the template; where there is none, they
        are written as lines ``role: content``.
    """

    def __init__(self, tokenizer: Any, *, chat: bool = False) -> None:
        self.tokenizer = tokenizer
        self._chat = chat
        bos = tokenizer.bos_token_id
        self._before = [bos] if adds_begin(tokenizer) else []
        ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, bos, 0)
        self.pad = next(int(i) for i in ids if i is not None)
        self._empty = next(int(i) for i in (bos, tokenizer.eos_token_id, self.pad) if i is not None)

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the token ids of prompts; an empty prompt is the token that begins or ends a text."""
        return self._encode([self._render(prompt) for prompt in prompts])

    def encode_pairs(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> tuple[list[list[int]], list[int]]:
        """Return the token ids of prompts with completions, and how many of them are the prompt's.

        A completion is encoded together with its prompt. Where the last token of the prompt alone is
        joined with the beginning of the completion, the completion has the joint token.
        """
        texts = {prompt: self._render(prompt) for prompt in {p for p in prompts if isinstance(p, str)}}
        rendered = [texts[p] if isinstance(p, str) else self._render(p) for p in prompts]
        both = [(text + more, plain) for (text, plain), more in zip(rendered, completions, strict=True)]
        alone, joint = self._encode(rendered), self._encode(both)
        return joint, [max(common(a, j), 1) for a, j in zip(alone, joint, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, without the special ones."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _encode(self, rendered: Sequence[tuple[str, bool]]) -> list[list[int]]:
        """Return the token ids of rendered prompts; each text is encoded once, however often it is there."""
        texts = list(dict.fromkeys(text for text, _ in rendered))
        encoded = dict(zip(texts, self.tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True))
        before = ((self._before if is_plain else []) for _, is_plain in rendered)
        rows = zip(before, rendered, strict=True)
        return [[*first, *encoded[text]] or [self._empty] for first, (text, _) in rows]

    def _render(self, prompt: Prompt) -> tuple[str, bool]:
        """Return the text of a prompt, and whether it is plain: without the special tokens of a template."""
        if isinstance(prompt, str):
            if not self._chat:
                return prompt, True
            prompt = [{"role": "user", "content": prompt}]
        if getattr(self.tokenizer, "chat_template", None) is None:
            return _as_lines(prompt), True
        further = {"continue_final_message": True} if _is_begun(prompt) else {"add_generation_prompt": True}
        return str(self.tokenizer.apply_chat_template(prompt, tokenize=False, **further)), False


def padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> dict[str, torch.Tensor]:
    """Put rows of token ids into one array, padded on the left, so that the last tokens are side by side.

    Returns
    -------
    dict
        `input_ids`, `attention_mask` and `position_ids`, each of shape ``(rows, longest)``.
    """
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def batches(lengths: Sequence[Any], size: int, tokens: int | None = None) -> Iterator[list[int]]:
    """Yield the indices of rows in batches of at most `size`, the longest first, equal lengths together.

    Where `tokens` is given, lengths are numbers, and a batch of more than one row has at most so many tokens with
    all rows as long as its longest.

    Examples
    --------
    >>> list(batches([5, 1, 9, 5], 2)), list(batches([5, 1, 9, 5], 3, 10))
    ([[2, 0], [3, 1]], [[2], [0, 3], [1]])
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        rows = size if tokens is None else min(size, max(1, tokens // max(lengths[order[start]], 1)))
        yield order[start : start + rows]
        start += rows


def _is_begun(messages: list[Message]) -> bool:
    return messages[-1]["role"] == "assistant"


def _as_lines(messages: list[Message]) -> str:
    lines = [f"{message['role']}: {message['content']}" for message in messages]
    return "\n".join(lines if _is_begun(messages) else [*lines, "assistant:"])
