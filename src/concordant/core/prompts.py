"""Items as a language model is asked them: a text or the turns of a conversation, with lettered options.

The same wording for every model and every version, so that two models differ by what they answer and not by
how they were asked. Who wants another wording writes it into the inputs and leaves `choices` out.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import polars as pl

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from concordant.core.items import Items
    from concordant.core.model import Message, Prompt

LETTERS = string.ascii_uppercase
"""The letters that options go by: A, B, C, ..."""

INSTRUCTION = "Answer with the letter of the right option."


def prompts(items: Items) -> list[Prompt]:
    r"""Write the prompts that a language model is asked.

    Parameters
    ----------
    items
        Items whose inputs are texts or lists of messages (``{"role": ..., "content": ...}``). Where an item
        has `choices`, they follow the question as lettered lines, with the request to answer with a letter;
        in a conversation they follow the last turn of the user.

    Returns
    -------
    list of Prompt
        One an item: a text, or a list of messages.

    Raises
    ------
    DataError
        If the inputs are neither texts nor messages, or an item has more than 26 choices.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> question = {"input": "Which is a fruit?", "choices": ["apple", "brick"]}
    >>> print(prompts(Items.from_records([question]))[0])
    Which is a fruit?
    <BLANKLINE>
    A. apple
    B. brick
    <BLANKLINE>
    Answer with the letter of the right option.
    """
    inputs = items.inputs
    options = _lettered(items)
    if inputs.dtype == pl.String:
        return [text + more for text, more in zip(inputs.to_list(), options, strict=True)]
    if not holds_messages(inputs.dtype):
        allowed = "texts or lists of messages with role and content"
        message = f"a language model needs text: inputs must be {allowed}, got {inputs.dtype}"
        raise DataError(message)
    conversations = zip(items.ids.to_list(), inputs.to_list(), options, strict=True)
    return [_conversation(name, turns, more) for name, turns, more in conversations]


def _lettered(items: Items) -> list[str]:
    """Write the options of each item as they follow its question: empty where it has none."""
    choices = items.choices
    if choices is None:
        return [""] * len(items)
    lengths = choices.list.len()
    if (lengths > len(LETTERS)).any():
        row = int((lengths > len(LETTERS)).arg_true()[0])
        message = f"item {items.ids[row]!r} has {lengths[row]} choices; allowed are at most {len(LETTERS)}"
        raise DataError(message)
    texts = []
    for options in choices.to_list():
        lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options or [], strict=False)]
        texts.append("\n\n" + "\n".join(lines) + "\n\n" + INSTRUCTION if lines else "")
    return texts


def holds_messages(dtype: pl.DataType) -> bool:
    """Whether a column of this type holds conversations: lists of messages with role and content."""
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return False
    fields = {field.name: field.dtype for field in dtype.inner.fields}
    return fields.get("role") == pl.String and fields.get("content") == pl.String


def _conversation(name: str, turns: list[dict[str, str | None]], more: str) -> list[Message]:
    if not turns or any(turn is None or turn["role"] is None or turn["content"] is None for turn in turns):
        message = f"item {name!r}: every turn of a conversation needs a role and a text as its content"
        raise DataError(message)
    messages: list[Message] = [{"role": str(turn["role"]), "content": str(turn["content"])} for turn in turns]
    if more:
        asked = next((turn for turn in reversed(messages) if turn["role"] == "user"), None)
        if asked is None:
            message = f"item {name!r} has choices but no turn of the user to put them into"
            raise DataError(message)
        asked["content"] += more
    return messages
