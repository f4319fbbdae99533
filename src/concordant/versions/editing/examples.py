r"""Canonical examples: one plain example of a wanted behaviour each, what is learnt from it, and when a model fails it.

An example is a prefix with the suffix that shall come, the one that shall not, or both. Only tokens of the suffix
count. With :math:`c` the mean negative log-likelihood of a suffix, the losses are

- ``good``: :math:`c_{good}`; ``bad``: :math:`-c_{bad}`; ``good-v-bad``: :math:`c_{good} - c_{bad}`;
- ``balance``: :math:`|c_{good} - c_{bad}|`, where neither shall be likelier.

A model fails an example if the *summed* negative log-likelihood of the suffix is above :math:`\delta`; with
:math:`\delta = -\ln 0.2` it succeeds where the whole suffix has a probability of at least 0.2.

References
----------
Hewitt et al., "Model Editing with Canonical Examples", 2024.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.learn.losses.language import token_log_probabilities
from concordant.learn.sequences import TokenBatches, adds_begin, logits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from concordant.learn.sequences import Row

LossKind = Literal["good", "bad", "good-v-bad", "balance"]
DELTA = -math.log(0.2)
KEYS = ("prefix", "good", "bad")


@dataclass(frozen=True)
class CanonicalExample:
    """A prefix with its suffixes, as rows of tokens.

    Parameters
    ----------
    good
        The prefix with the suffix that shall come: token ids, and how many of them are the prefix.
    bad
        The same with the suffix that shall not come, where there is one.
    """

    good: Row
    bad: Row | None = None


def canonical_loss(good: Tensor, bad: Tensor | None, kind: LossKind) -> Tensor:
    """Return the loss of a batch of examples.

    Parameters
    ----------
    good, bad
        Mean negative log-likelihoods of the suffixes, shape ``(n,)``.
    kind
        ``"good"``, ``"bad"``, ``"good-v-bad"`` or ``"balance"``. What makes a suffix unlikely has no lower end: it needs
        a bound on the drift beside it.

    Raises
    ------
    ConfigError
        If there is no such kind, or it needs bad suffixes and there are none.

    Examples
    --------
    >>> import torch
    >>> canonical_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0]), "balance")
    tensor(1.5000)
    """
    if kind not in get_args(LossKind):
        message = f"there is no loss {kind!r}; {nearest(kind, get_args(LossKind))}"
        raise ConfigError(message)
    if kind == "good":
        return good.mean()
    if bad is None:
        message = f"the loss {kind!r} needs examples with a bad suffix, and there is none"
        raise ConfigError(message)
    values = {"bad": -bad, "good-v-bad": good - bad, "balance": (good - bad).abs()}[kind]
    return values.mean()


def suffix_losses(model: nn.Module, rows: Sequence[Row], *, mean: bool = False) -> Tensor:
    """Return the negative log-likelihood of the suffix of each row, nats; with gradients where they are on.

    Parameters
    ----------
    model
        Gives logits for tokens.
    rows
        Token ids, and how many of them are the prefix.
    mean
        Whether to divide by the number of tokens of the suffix.

    Returns
    -------
    Tensor
        Shape ``(n,)``.
    """
    device = next(model.parameters()).device
    batches = TokenBatches(rows, max(4096, *(len(ids) for ids, _ in rows)), shuffle=False)
    losses: list[Any] = [None] * len(rows)
    for batch in batches(torch.Generator()):
        tokens, mask = batch["tokens"].to(device), batch["mask"].to(device)
        values = -token_log_probabilities(logits_of(model, tokens), tokens).masked_fill(~mask, 0.0).sum(1)
        if mean:
            values = values / mask.sum(1).clamp(min=1)
        for place, value in zip(batch["rows"].tolist(), values, strict=True):
            losses[place] = value
    return torch.stack(losses)


@torch.no_grad()
def failures(model: nn.Module, rows: Sequence[Row], *, delta: float = DELTA) -> Tensor:
    """Say of each row whether the model fails it: whether its suffix has a summed loss above `delta`.

    Parameters
    ----------
    model, rows
        As for :func:`suffix_losses`.
    delta
        In nats, greater than 0; by default a suffix needs a probability of 0.2.

    Returns
    -------
    Tensor
        Booleans of shape ``(n,)``; their mean is the failure rate.
    """
    if not delta > 0:
        message = f"delta, the loss from which an example is failed, must be above 0, got {delta}"
        raise ConfigError(message)
    return suffix_losses(model, rows) > delta


def read_examples(path: str | Path, tokenizer: Any) -> list[CanonicalExample]:
    """Read examples from a file with a JSON object a line: ``prefix``, ``good``, and where there is one ``bad``.

    Parameters
    ----------
    path
        The file.
    tokenizer
        Of the model. A suffix keeps its leading space, and no special tokens are put between.

    Raises
    ------
    DataError
        If the file cannot be read, or a line is not such an object; the line is named.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: the examples cannot be read: {getattr(error, 'strerror', None) or error}"
        raise DataError(message) from None
    examples = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except ValueError as error:
            message = f"{path}, line {number}: not JSON: {error}"
            raise DataError(message) from None
        if not isinstance(given, dict) or not all(isinstance(given.get(key), str) for key in KEYS[:2]):
            message = f"{path}, line {number}: an example needs prefix and good as texts, perhaps bad, got {line[:80]}"
            raise DataError(message)
        if unknown := next((key for key in given if key not in KEYS), None):
            message = f"{path}, line {number}: an example has no {unknown!r}; {nearest(unknown, KEYS)}"
            raise DataError(message)
        bad = given.get("bad")
        rows = [suffix_row(tokenizer, given["prefix"], suffix) for suffix in (given["good"], bad) if suffix]
        examples.append(CanonicalExample(*rows))
    if not examples:
        message = f"{path}: there are no examples in it"
        raise DataError(message)
    return examples


def suffix_row(tokenizer: Any, prefix: str, suffix: str) -> Row:
    """Return the row of a prefix and its suffix, encoded together; a token that joins both is the suffix's.

    Raises
    ------
    DataError
        If nothing of the suffix is left to learn.
    """
    begin = [tokenizer.bos_token_id] if adds_begin(tokenizer) else []
    alone, both = tokenizer([prefix, prefix + suffix], add_special_tokens=False)["input_ids"]
    pairs = enumerate(zip(alone, both, strict=False))
    n_common = next((i for i, (a, b) in pairs if a != b), min(len(alone), len(both)))
    if n_common == len(both):
        message = f"the suffix {suffix!r} adds no token to {prefix!r}"
        raise DataError(message)
    return [*begin, *both], len(begin) + n_common
