"""Whether two models count tokens alike, which methods need that put their probabilities side by side."""

from __future__ import annotations

import json
from typing import Any

from concordant.core.errors import ConfigError

SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
PARTS = ("normalizer", "pre_tokenizer", "model", "post_processor")


def same_tokenizer(a: Any, b: Any) -> None:
    """Check that two tokenizers make the same tokens of every text.

    Compared are the vocabularies, the special tokens that begin, end and fill up a text, and, where both are of
    the `tokenizers` library, how texts are normalised, cut and joined. Chat templates are not: they decide what is
    tokenised.

    Parameters
    ----------
    a, b
        Tokenizers of the transformers library, or models that have one (``cc.load("hf:...")``).

    Raises
    ------
    ConfigError
        If they differ; it names the first difference.

    Examples
    --------
    >>> from tokenizers import Tokenizer, models
    >>> from transformers import PreTrainedTokenizerFast
    >>> def of(words):
    ...     vocabulary = {word: i for i, word in enumerate(words)}
    ...     inner = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    ...     return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
    >>> same_tokenizer(of(["?", "a", "b"]), of(["?", "a", "b"]))
    >>> same_tokenizer(of(["?", "a", "b"]), of(["?", "a", "c"]))
    Traceback (most recent call last):
        ...
    concordant.core.errors.ConfigError: the tokenizers differ: token 2 is 'b' in one and 'c' in the other
    """
    difference = _difference(_tokenizer(a), _tokenizer(b))
    if difference:
        message = f"the tokenizers differ: {difference}"
        raise ConfigError(message)


def _tokenizer(model: Any) -> Any:
    model = getattr(model, "language_model", model)
    tokens = getattr(model, "tokens", None)
    found = getattr(tokens, "tokenizer", model)
    if not hasattr(found, "get_vocab"):
        message = f"a tokenizer, or a model that has one, is needed, got a {type(model).__name__}"
        raise ConfigError(message)
    return found


def _difference(a: Any, b: Any) -> str:
    first, second = ({i: token for token, i in made.get_vocab().items()} for made in (a, b))
    for i in sorted(first.keys() & second.keys()):
        if first[i] != second[i]:
            return f"token {i} is {first[i]!r} in one and {second[i]!r} in the other"
    if len(first) != len(second):
        token = min(first.keys() ^ second.keys())
        name = first.get(token, second.get(token))
        return f"one has {len(first)} tokens and the other {len(second)}; the first that one lacks is {token}, {name!r}"
    if first != second:
        return f"token {min(first.keys() ^ second.keys())} is in one only"
    for name in SPECIAL:
        if getattr(a, name, None) != getattr(b, name, None):
            return f"{name} is {getattr(a, name, None)!r} in one and {getattr(b, name, None)!r} in the other"
    inner: list[Any] = [getattr(made, "backend_tokenizer", None) for made in (a, b)]
    if all(hasattr(made, "to_str") for made in inner):
        ours, theirs = (json.loads(made.to_str()) for made in inner)
        for part in PARTS:
            if ours.get(part) != theirs.get(part):
                return f"their {part} differs, which decides how a text is cut into tokens"
    return ""
