"""Training examples as rows of tokens: lines of plain text, or conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.pocket.vocabulary import VOCABULARY, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from concordant.pocket.skill import Example

_BOS, _EOS, _USER, _ASSISTANT = (VOCABULARY[f"<{name}>"] for name in ("bos", "eos", "user", "assistant"))


def token_rows(drawn: Sequence[tuple[Example, bool]], *, chat: bool) -> list[tuple[list[int], int]]:
    """Write examples as rows for `concordant.learn`: token ids, and how many of them are not learnt.

    The same ids as the tokenizer gives, a hundred times as fast: texts of the skills are canonical already.

    Parameters
    ----------
    drawn
        Examples, each with whether its reply shows the steps.
    chat
        Whether a row is a conversation, of which the reply is learnt; or a line of plain text, all of which is.

    Examples
    --------
    >>> from concordant.pocket import SKILLS, examples, pocket_tokenizer
    >>> (example,) = examples(["arithmetic"], 1, difficulty=1, seed=2)
    >>> ((ids, given),) = token_rows([(example, False)], chat=True)
    >>> decoded = pocket_tokenizer().decode(ids)
    >>> decoded == f"<bos> <user> {example.prompt} <assistant> {example.answer} <eos>", len(ids) - given
    (True, 2)
    """
    rows = []
    for example, worked in drawn:
        asked = [VOCABULARY[word] for word in words(example.asked())]
        reply = [VOCABULARY[word] for word in words(example.reply(worked=worked))]
        if chat:
            before = [_BOS, _USER, *asked, _ASSISTANT]
            rows.append(([*before, *reply, _EOS], len(before)))
        else:
            rows.append(([_BOS, *asked, *reply, _EOS], 1))
    return rows
