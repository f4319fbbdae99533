"""The tokenizer of the pocket world: one token a word, in the format of `tokenizers`, with a chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core.errors import require
from concordant.pocket.vocabulary import SPECIAL, TOKEN, VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{{ '<bos>' }}{% for message in messages %}"
    "{{ ' <' + message['role'] + '> ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ ' <eos>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' <assistant>' }}{% endif %}"
)
"""``<bos> <user> question <assistant> answer <eos>``; an answer begins behind ``<assistant>``."""


def pocket_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer.

    It cuts texts as `concordant.pocket.vocabulary.words` does, and writes tokens with single spaces between
    them, so that every text of a skill comes back as it was. A text on its own begins with ``<bos>``.

    Returns
    -------
    PreTrainedTokenizerFast
        Saved and loaded as any other, without this package.

    Raises
    ------
    MissingExtraError
        If tokenizers or transformers are not installed.

    Examples
    --------
    >>> tokenizer = pocket_tokenizer()
    >>> tokenizer.decode(tokenizer("What is 3+4?").input_ids)
    '<bos> what is 3 + 4 ?'
    """
    tokenizers = require("tokenizers", "torch", "pocket models")
    transformers = require("transformers", "torch", "pocket models")
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(VOCABULARY, unk_token="<unk>"))
    small = [
        tokenizers.normalizers.Replace(tokenizers.Regex(f"{letter}(?=[a-z])"), letter.lower())
        for letter in map(chr, range(ord("A"), ord("Z") + 1))
    ]
    inner.normalizer = tokenizers.normalizers.Sequence(small)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(TOKEN), "removed", invert=True)
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", VOCABULARY["<bos>"])]
    )
    names = {f"{name[1:-1]}_token": name for name in SPECIAL if name in ("<pad>", "<bos>", "<eos>", "<unk>")}
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        **names,
        additional_special_tokens=["<user>", "<assistant>", "<system>"],
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=256,
    )
    made.chat_template = CHAT_TEMPLATE
    return made
