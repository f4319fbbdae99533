r"""Token divergence: how far apart two language models are at each token of given answers.

With p the recorded and q the present distribution of the next token after a prompt and the tokens of an answer before it,

.. math:: KL(p \| q) = \sum_v p_v \log \frac{p_v}{q_v}

and the other way round, in nats. It is what makes a compressed or quantised copy measurable where its answers are still
the same, and it says at which items to look first: joined with the flips of the same items, the area under the curve says
how well the divergence of an item foretells that its answer changes.

A stored distribution has the k most probable tokens; all others are one further outcome, here as there. Putting outcomes
together can only make a divergence smaller.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch  # this module is itself imported only when a transformers model is used

from concordant.core.errors import DataError, ModelError
from concordant.core.progress import progress_bars
from concordant.core.statistics import probability_of_superiority
from concordant.models.reading import forward_options
from concordant.models.same_tokenizer import same_tokenizer
from concordant.models.tokens import batches, padded
from concordant.versions.fingerprints.file import TokenRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from concordant.core.model import Prompt
    from concordant.models.causal import CausalLM

Row: TypeAlias = "tuple[int, list[int], Tensor]"
"""The number of an answer, its tokens, and the log-probabilities of all tokens at each of them."""

TOP = 64
"""Most probable tokens that are stored."""

BATCH_LOGITS = 2**26
"""Logits that are made at once: tokens of a batch times the vocabulary."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenDivergence:
    """Divergences at the tokens of answers.

    Parameters
    ----------
    row
        Shape (tokens,): number of the answer that a token belongs to.
    forward, backward
        Shape (tokens,): KL(recorded, present) and KL(present, recorded), nats.
    n_rows
        How many answers there were, those without a token among them.
    """

    row: NDArray[np.int32]
    forward: NDArray[np.float64]
    backward: NDArray[np.float64]
    n_rows: int

    def of_rows(self, *, worst: bool = False) -> NDArray[np.float64]:
        """Return KL(recorded, present) of each answer: the mean over its tokens, or its largest; NaN without tokens."""
        found = np.full(self.n_rows, np.nan)
        if worst:
            np.fmax.at(found, self.row, self.forward)
        else:
            counts = np.bincount(self.row, minlength=self.n_rows)
            sums = np.bincount(self.row, weights=self.forward, minlength=self.n_rows)
            np.divide(sums, counts, out=found, where=counts > 0)
        return found

    def summary(self) -> dict[str, float]:
        """Return mean, 95th percentile and maximum over tokens, of both directions; empty without tokens."""
        if not len(self.row):
            return {}
        return {
            f"{name}_{what}": float(of(values))
            for name, values in (("forward", self.forward), ("backward", self.backward))
            for what, of in (("mean", np.mean), ("p95", lambda v: np.percentile(v, 95)), ("max", np.max))
        }


def token_divergence(
    old: CausalLM, new: CausalLM, prompts: Sequence[Prompt], answers: Sequence[str]
) -> TokenDivergence:
    """Measure the divergence of two models over the whole vocabulary.

    Parameters
    ----------
    old, new
        Two models of one tokenizer.
    prompts, answers
        The same number of each; the answers are usually those that the old model gave.

    Raises
    ------
    ConfigError
        If the tokenizers differ.
    ModelError
        If the vocabularies are of different sizes, or the models are asked in different ways (one in a chat template).
    """
    same_tokenizer(old, new)
    rows: list[NDArray[np.int32]] = []
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    both = zip(_distributions(old, prompts, answers), _distributions(new, prompts, answers), strict=True)
    for (row, tokens, p), (other, others, q) in both:
        if row != other or tokens != others:
            message = (
                f"{old.name} and {new.name} read prompt {row + 1} as other tokens: ask both in the same way"
            )
            raise ModelError(message)
        if p.shape != q.shape:
            message = f"the models have {p.shape[-1]} and {q.shape[-1]} tokens, and must have equally many"
            raise ModelError(message)
        rows.append(np.full(len(p), row, np.int32))
        parts.append((_kl(p, q), _kl(q, p)))
    return _joined(rows, parts, len(prompts))


def record_tokens(
    model: CausalLM,
    prompts: Sequence[Prompt],
    answers: Sequence[str],
    *,
    top: int = TOP,
    progress: bool = False,
) -> TokenRecord:
    """Store what a model holds for probable at each token of answers.

    Parameters
    ----------
    model
        A local language model.
    prompts, answers
        The same number of each.
    top
        Most probable tokens that are stored at each token; the whole vocabulary where it is no larger.
    progress
        Whether to draw a bar.
    """
    probe, token, logprob, ids, values = [], [], [], [], []
    vocabulary = 0
    read = _told(_distributions(model, prompts, answers), len(prompts), progress=progress)
    for row, tokens, logprobs in read:
        vocabulary = logprobs.shape[-1]
        best = logprobs.topk(min(top, vocabulary), dim=-1)
        probe.append(np.full(len(tokens), row, np.int32))
        token.append(np.asarray(tokens, np.int32))
        logprob.append(logprobs.gather(-1, torch.tensor(tokens, device=logprobs.device)[:, None])[:, 0].cpu())
        ids.append(best.indices.int().cpu())
        values.append(best.values.half().cpu())
    if not probe:
        nothing = np.zeros((0, top))
        empty = np.zeros(0, np.int32)
        return TokenRecord(
            empty, empty, empty.astype(np.float32), nothing.astype(np.int32), nothing.astype(np.float16), 0
        )
    numbers = np.concatenate(probe)
    order = np.argsort(numbers, kind="stable")
    return TokenRecord(
        probe=numbers[order],
        token=np.concatenate(token)[order],
        logprob=torch.cat(logprob).float().numpy()[order],
        top_ids=torch.cat(ids).numpy()[order],
        top_logprobs=torch.cat(values).numpy()[order],
        vocabulary=vocabulary,
    )


def divergence_from(
    recorded: TokenRecord,
    model: CausalLM,
    prompts: Sequence[Prompt],
    answers: Sequence[str],
    *,
    progress: bool = False,
) -> TokenDivergence:
    """Measure the divergence of a model from stored distributions.

    Parameters
    ----------
    recorded
        As `record_tokens` made it, of the same prompts and answers.
    model
        The present model, of the same tokenizer.
    prompts, answers
        As they were recorded.
    progress
        Whether to draw a bar.

    Raises
    ------
    DataError
        If the tokens of an answer are not those that were recorded: the tokenizer is another.
    """
    ends = np.searchsorted(recorded.probe, np.arange(len(prompts) + 1))
    rows, parts = [], []
    read = _told(_distributions(model, prompts, answers), len(prompts), progress=progress)
    for row, tokens, logprobs in read:
        here = slice(int(ends[row]), int(ends[row + 1]))
        if recorded.token[here].tolist() != list(tokens) or logprobs.shape[-1] != recorded.vocabulary:
            message = (
                f"answer {row + 1} is cut into other tokens than were recorded: the tokenizer is another"
            )
            raise DataError(message)
        ids = torch.from_numpy(recorded.top_ids[here].astype(np.int64)).to(logprobs.device)
        p = _with_rest(torch.from_numpy(recorded.top_logprobs[here].astype(np.float64)).exp())
        q = _with_rest(logprobs.gather(-1, ids).double().cpu().exp())
        whole = ids.shape[-1] == recorded.vocabulary
        p, q = (_normalised(part[:, :-1] if whole else part) for part in (p, q))
        rows.append(np.full(len(p), row, np.int32))
        parts.append((_kl(p.log(), q.log()), _kl(q.log(), p.log())))
    return _joined(rows, parts, len(prompts))


def flip_auroc(divergences: NDArray[np.float64], flipped: NDArray[np.bool_]) -> float:
    """Return how well the divergence of items foretells their flips: the area under the curve; NaN without both kinds.

    Parameters
    ----------
    divergences
        Shape (items,): of each item; NaN where unknown.
    flipped
        Shape (items,): whether its answer changed.

    Examples
    --------
    >>> flip_auroc(np.array([0.1, 0.9, 0.2]), np.array([False, True, False]))
    1.0
    """
    known = ~np.isnan(divergences)
    changed, same = divergences[known & flipped], divergences[known & ~flipped]
    if not changed.size or not same.size:
        return float("nan")
    return probability_of_superiority(changed, same)


def _told(rows: Iterator[Row], n: int, *, progress: bool) -> Iterator[Row]:
    """Give the rows, and draw a bar of how many there have been."""
    bars = progress_bars() if progress else nullcontext(lambda label, done, total: None)
    with bars as tell:
        for done, row in enumerate(rows, 1):
            yield row
            tell("tokens of answers", done, n)


@torch.inference_mode()
def _distributions(model: CausalLM, prompts: Sequence[Prompt], answers: Sequence[str]) -> Iterator[Row]:
    """Give the number of each answer, its tokens and the log-probabilities, shape (tokens, vocabulary), row by row."""
    if len(prompts) != len(answers):
        message = f"model {model.name!r}: {len(answers)} answers for {len(prompts)} prompts"
        raise ModelError(message)
    rows, starts = model.tokens.encode_pairs(prompts, answers)
    lengths = [len(row) - start for row, start in zip(rows, starts, strict=True)]
    vocabulary = int(model.model.get_input_embeddings().weight.shape[0])
    options = forward_options(model.model)
    room = max(1, BATCH_LOGITS // vocabulary)
    parts = list(batches([len(row) for row in rows], model.batch_size, room))
    for part in parts:
        members = [i for i in part if lengths[i] > 0]
        if not members:
            continue
        kept = max(lengths[i] for i in members)
        inputs = padded([rows[i] for i in members], model.tokens.pad, model.model.device)
        more: dict[str, Any] = {"logits_to_keep": kept + 1} if "logits_to_keep" in options else {}
        taken = {name: value for name, value in inputs.items() if name in options}
        logits = model.model(**taken, use_cache=False, **more).logits[:, -kept - 1 : -1].float()
        logprobs = logits.log_softmax(dim=-1)
        for place, i in enumerate(members):
            yield i, rows[i][starts[i] :], logprobs[place, kept - lengths[i] :]


def _kl(p: Tensor, q: Tensor) -> NDArray[np.float64]:
    """Return KL of log-probabilities over the last axis; rounding cannot make it negative."""
    p, q = p.double(), q.double()
    terms = torch.where(p > -torch.inf, p.exp() * (p - q), torch.zeros_like(p))
    found: NDArray[np.float64] = terms.sum(dim=-1).clamp(min=0).cpu().numpy()
    return found


def _with_rest(p: Tensor) -> Tensor:
    """Return probabilities with one more outcome for all that they leave out."""
    rest = (1.0 - p.sum(dim=-1, keepdim=True)).clamp(min=0)
    return torch.cat([p, rest], dim=-1)


def _normalised(p: Tensor) -> Tensor:
    p = p.clamp(min=1e-12)
    return p / p.sum(dim=-1, keepdim=True)


def _joined(
    rows: list[NDArray[np.int32]],
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    n_rows: int,
) -> TokenDivergence:
    if not rows:
        return TokenDivergence(np.zeros(0, np.int32), np.zeros(0), np.zeros(0), n_rows)
    row = np.concatenate(rows)
    forward, backward = (np.concatenate(side) for side in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    return TokenDivergence(row[order], forward[order], backward[order], n_rows)
