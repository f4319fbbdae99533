"""Preference training of causal language models: pairs of answers, their reference, batches, and the loss for `train`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from concordant.core.errors import ConfigError, DataError
from concordant.learn.answers import (
    Row,
    answer_batch,
    answer_log_probabilities,
    length_batches,
    on,
    takes_shared_prompts,
)
from concordant.learn.losses import dpo, ipo, orpo
from concordant.learn.losses.reduction import positive
from concordant.learn.sequences import answer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

Kind = Literal["dpo", "ipo", "orpo"]


@dataclass(frozen=True)
class PreferencePairs:
    """Prompts with two answers each, of which the first is preferred, as tokens.

    Parameters
    ----------
    prompts, chosen, rejected
        Token ids, one sequence a pair, each of at least one token. An answer follows its prompt directly and ends
        with the token that ends a text, where the model is to learn when to stop.
    label
        The probability that the chosen answer is the better one, in [0, 1], one for all or one a pair; 1 by
        default. Only ``"dpo"`` takes others.
    weights
        A weight a pair, at least 0; 1 by default.
    margin
        By how much the chosen answer must win, nats of implied reward, one for all or one a pair; 0 by default.
        Only ``"dpo"`` takes it.
    reference_chosen, reference_rejected
        Log-probabilities of the answers under the reference, nats, shape ``(pairs,)``: see :meth:`with_reference`.

    Raises
    ------
    DataError
        If there is no pair, the parts differ in number, a sequence is empty, or a number is outside its range.

    Examples
    --------
    >>> pairs = PreferencePairs([[1, 5]], [[7, 2]], [[8, 9, 2]], label=0.8)
    >>> len(pairs), pairs.label
    (1, tensor([0.8000]))
    """

    prompts: Sequence[Sequence[int]]
    chosen: Sequence[Sequence[int]]
    rejected: Sequence[Sequence[int]]
    label: Any = None
    weights: Any = None
    margin: Any = None
    reference_chosen: Any = None
    reference_rejected: Any = None

    def __post_init__(self) -> None:
        n = len(self.prompts)
        if not n or {len(self.chosen), len(self.rejected)} != {n}:
            message = (
                "preference pairs need as many prompts as chosen and rejected answers and at least one, "
                f"got {n}, {len(self.chosen)} and {len(self.rejected)}"
            )
            raise DataError(message)
        for name in ("prompts", "chosen", "rejected"):
            rows = [[int(token) for token in row] for row in getattr(self, name)]
            empty = next((i for i, row in enumerate(rows) if not row), None)
            if empty is not None:
                message = f"preference pairs need at least one token in each prompt and answer, got none in {name}[{empty}]"
                raise DataError(message)
            object.__setattr__(self, name, rows)
        for name in _NUMBERS:
            object.__setattr__(self, name, _a_pair(name, getattr(self, name), n))
        if (self.reference_chosen is None) != (self.reference_rejected is None):
            message = "preference pairs need both sides of the reference or neither, got one"
            raise DataError(message)

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def of_texts(
        cls,
        tokenizer: Any,
        prompts: Sequence[Any],
        chosen: Sequence[str],
        rejected: Sequence[str],
        **numbers: Any,
    ) -> PreferencePairs:
        """Make pairs of texts or conversations.

        Parameters
        ----------
        tokenizer
            A transformers tokenizer.
        prompts
            Texts, which are continued as they are, or conversations, which go through the chat template.
        chosen, rejected
            Answers, one a prompt. They end with the token that ends a text, or as the template ends an answer.
        numbers
            ``label``, ``weights``, ``margin``, as above.

        Raises
        ------
        DataError
            If the parts differ in number, or a conversation comes to a tokenizer without a template.

        See Also
        --------
        concordant.learn.sequences.answer_rows : which tokens are the prompt's.
        """
        first, second = (answer_rows(tokenizer, prompts, side) for side in (chosen, rejected))
        # Where one answer is joined with the end of the prompt, that end is a part of both answers.
        starts = [min(a, b) for (_, a), (_, b) in zip(first, second, strict=True)]
        begun = [row[:start] for (row, _), start in zip(first, starts, strict=True)]
        sides = (
            [row[start:] for (row, _), start in zip(side, starts, strict=True)] for side in (first, second)
        )
        return cls(begun, *sides, **numbers)

    def with_reference(self, model: nn.Module, *, batch_size: int = 64) -> PreferencePairs:
        """Return the pairs with the log-probabilities of their answers under a model as it is now.

        They are computed once, so the reference needs no place in memory while the policy is trained.

        Parameters
        ----------
        model
            A causal language model of transformers; asked without gradient, in evaluation mode.
        batch_size
            Pairs in one forward pass.
        """
        device = next(model.parameters()).device
        batches = self.batches(batch_size, model=model)
        sums = torch.zeros(2, len(self))
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                for part in _by_length(batches.lengths, batch_size):
                    values = answer_log_probabilities(model, on(batches.batch(part), device))
                    sums[:, part] = by_side(values, shared=batches.shared).cpu()
        finally:
            model.train(training)
        return replace(self, reference_chosen=sums[0], reference_rejected=sums[1])

    def batches(
        self, size: int, *, model: nn.Module | None = None, shuffle: bool = True, pool: int = 16
    ) -> PreferenceBatches:
        """Return the pairs in batches, for :func:`concordant.learn.train`.

        Parameters
        ----------
        size
            Pairs a batch, at least 1; both answers of a pair are read in one forward pass.
        model
            The model they are for. Where it is seen, on the longest pair, to read two answers behind one prompt
            right, each prompt is read once and not twice. By default it is read twice, which every causal model does.
        shuffle
            Whether each epoch has an order of its own; otherwise the order is that of the pairs.
        pool
            Pairs of about equal length are put together within as many batches of the drawn order, so that little
            is padding; 1 leaves the drawn order.

        Raises
        ------
        ConfigError
            If `size` or `pool` is below 1.
        """
        return PreferenceBatches(self, size, model=model, shuffle=shuffle, pool=pool)


class PreferenceBatches:
    """The batches of some preference pairs; made by :meth:`PreferencePairs.batches`."""

    def __init__(
        self,
        pairs: PreferencePairs,
        size: int,
        *,
        model: nn.Module | None = None,
        shuffle: bool = True,
        pool: int = 16,
    ) -> None:
        for name, number in (("size", size), ("pool", pool)):
            if number < 1:
                message = f"{name} of preference batches must be at least 1, got {number}"
                raise ConfigError(message)
        self.pairs, self.size, self.shuffle, self.pool = pairs, size, shuffle, pool
        rows = zip(pairs.prompts, pairs.chosen, pairs.rejected, strict=True)
        longest = max(
            ((p, (c, r)) for p, c, r in rows), key=lambda row: len(row[0]) + len(row[1][0]) + len(row[1][1])
        )
        self.shared = model is not None and takes_shared_prompts(model, longest)
        self.lengths = [
            len(p) + (len(c) + len(r) if self.shared else max(len(c), len(r)))
            for p, c, r in zip(pairs.prompts, pairs.chosen, pairs.rejected, strict=True)
        ]

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.size)

    def __call__(self, generator: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Go through one epoch in an order drawn from the generator."""
        for part in length_batches(self.lengths, self.size, generator if self.shuffle else None, self.pool):
            yield self.batch(part)

    def batch(self, part: Sequence[int]) -> dict[str, Tensor]:
        """Return the batch of some pairs: what :func:`concordant.learn.answers.answer_batch` gives, and their numbers."""
        prompts, chosen, rejected = self.pairs.prompts, self.pairs.chosen, self.pairs.rejected
        rows: list[Row]
        if self.shared:
            rows = [(prompts[i], [chosen[i], rejected[i]]) for i in part]
        else:
            rows = [(prompts[i], [side[i]]) for side in (chosen, rejected) for i in part]
        numbers = {name: getattr(self.pairs, name) for name in _NUMBERS}
        return {
            **answer_batch(rows),
            **{name: values[list(part)] for name, values in numbers.items() if values is not None},
        }


def preference_loss(
    kind: Kind = "dpo", *, beta: float = 0.1, mean: bool | None = None, reference_free: bool = False
) -> Callable[[nn.Module, Mapping[str, Tensor]], dict[str, Tensor]]:
    """Return the loss of preference training, for :func:`concordant.learn.train` and batches of preference pairs.

    Parameters
    ----------
    kind
        :func:`concordant.learn.dpo`, :func:`concordant.learn.ipo` or :func:`concordant.learn.orpo`.
    beta
        As they take it, greater than 0.
    mean
        Whether log-probabilities are means over the tokens of an answer, policy and reference alike; by default
        sums for DPO and means for IPO and ORPO, as they are in use.
    reference_free
        Whether a reference that the pairs carry is left out (DPO, IPO); with a margin, and means, that is SimPO.

    Returns
    -------
    callable
        ``loss(model, batch)`` gives ``loss``; ``accuracy``, the share of pairs whose implied rewards are in the
        right order, ties not counted; and ``reward_margin``, the mean difference of those rewards, nats. The implied
        reward is `beta` times the log-ratio to the reference; for ORPO, `beta` times the log-probability.

    Raises
    ------
    ConfigError
        If an option is outside its range; from the loss, if the pairs carry a label or margin that its kind does not
        take, or carry no reference.

    Examples
    --------
    A random model learns to prefer.

    >>> from functools import partial
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from concordant.learn import train
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> with torch.random.fork_rng():
    ...     model = LlamaForCausalLM(LlamaConfig(vocab_size=12, **sizes))
    >>> pairs = PreferencePairs([[1, 5], [1, 6]], [[7, 2], [8, 2]], [[9, 2], [9, 10, 2]]).with_reference(model)
    >>> adam = partial(torch.optim.Adam, lr=0.01)
    >>> history = train(
    ...     model, preference_loss("dpo", beta=0.5), pairs.batches(2, model=model), steps=10, optimizer=adam
    ... )
    >>> round(history.loss[0], 4), history.loss[-1] < 0.6, history.parts["accuracy"][-1]
    (0.6931, True, 1.0)
    """
    if kind not in get_args(Kind):
        message = f"kind of preference_loss must be 'dpo', 'ipo' or 'orpo', got {kind!r}"
        raise ConfigError(message)
    positive("preference_loss", beta=beta)
    averaged = kind != "dpo" if mean is None else mean
    if kind == "orpo" and not averaged:
        message = "mean of preference_loss must not be false for 'orpo', whose odds are those of a mean token"
        raise ConfigError(message)

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        refused = [name for name in ("label", "margin") if name in batch and kind != "dpo"]
        if refused:
            message = f"preference_loss of kind {kind!r} takes no {refused[0]}, which these pairs carry"
            raise ConfigError(message)
        shared = "segments" in batch
        policy = by_side(answer_log_probabilities(model, batch), shared=shared)
        counts = by_side(batch["counts"], shared=shared) if averaged else torch.ones_like(policy)
        policy = policy / counts
        weights = batch.get("weights")
        if kind == "orpo":
            values = orpo(*policy, beta=beta, weights=weights)
            ratio = policy[0] - policy[1]
        else:
            reference = None if reference_free else _reference(batch) / counts
            sides = (*policy, *(reference if reference is not None else (None, None)))
            if kind == "ipo":
                values = ipo(*sides, beta=beta, weights=weights)
            else:
                label, margin = batch.get("label", 1.0), batch.get("margin")
                values = dpo(*sides, beta=beta, label=label, weights=weights, margin=margin)
            ratio = policy[0] - policy[1]
            if reference is not None:
                ratio = ratio - (reference[0] - reference[1])
        ratio = ratio.detach()
        return {"loss": values, "accuracy": (ratio > 0).float().mean(), "reward_margin": beta * ratio.mean()}

    return loss


_NUMBERS = ("label", "weights", "margin", "reference_chosen", "reference_rejected")


def _a_pair(name: str, numbers: Any, n: int) -> Tensor | None:
    """Return one number a pair, or None."""
    if numbers is None:
        return None
    values = torch.as_tensor(numbers, dtype=torch.float32).detach()
    values = values.expand(n).clone() if values.ndim == 0 else values
    if values.shape != (n,):
        message = f"{name} of preference pairs must be one number or one a pair ({n}), got shape {tuple(values.shape)}"
        raise DataError(message)
    low, high, words = _RANGES.get(name, (-torch.inf, torch.inf, "finite"))
    wrong = ~(values.isfinite() & (values >= low) & (values <= high))
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        message = f"{name} of preference pairs must be {words}, got {values[index].item():g} for pair {index}"
        raise DataError(message)
    return values


_RANGES = {"label": (0.0, 1.0, "from 0 to 1"), "weights": (0.0, torch.inf, "finite and at least 0")}


def by_side(values: Tensor, *, shared: bool) -> Tensor:
    """Return values of answers as ``(2, pairs)``: a pair beside the other in one row, or all chosen ones first."""
    return values.view(-1, 2).T if shared else values.view(2, -1)


def _reference(batch: Mapping[str, Tensor]) -> Tensor:
    if "reference_chosen" not in batch:
        message = (
            "preference_loss needs the reference: make it before training by pairs.with_reference(model), "
            "or give reference_free=True"
        )
        raise ConfigError(message)
    return torch.stack([batch["reference_chosen"], batch["reference_rejected"]])


def _by_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield all indices in batches, the longest first, so that memory runs out at once or never."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    for start in range(0, len(order), size):
        yield order[start : start + size]
