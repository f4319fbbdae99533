"""Log-probabilities and scores of answers under a causal model, at no more cost than the answers need.

Rows are padded on the right, where a causal model cannot see: no attention mask is needed. The head, whose output
is as wide as the vocabulary, is asked only at the places that predict a token of an answer.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from concordant.core.errors import ModelError
from concordant.learn.attention import attention_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

Row = tuple["Sequence[int]", "Sequence[Sequence[int]]"]
"""A prompt and the answers that follow it, each of them directly: they do not see each other."""


def answer_batch(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Put rows of a prompt and its answers into one batch.

    Parameters
    ----------
    rows
        Token ids of a prompt, at least one, and of its answers. A row with several answers is read by a mask that
        lets each see the prompt and itself, which not every model takes: see :func:`takes_shared_prompts`.

    Returns
    -------
    dict
        ``tokens`` of shape ``(rows, longest)``; for each of the n tokens of all answers ``places`` (where in the
        flattened rows the model predicts it), ``targets`` (which it is) and ``answers`` (of which answer it is,
        counted through the rows), shape ``(n,)``; ``counts``, the tokens of each answer, and ``ends``, where in the
        flattened rows its last one is. With several answers in a row also ``segments``, 0 for the prompt and k for
        the k-th answer, and ``positions``, shaped as the tokens.

    Examples
    --------
    >>> batch = answer_batch([([1, 5], [[7, 8], [9]])])
    >>> batch["tokens"].tolist(), batch["segments"].tolist(), batch["positions"].tolist()
    ([[1, 5, 7, 8, 9]], [[0, 0, 1, 1, 2]], [[0, 1, 2, 3, 2]])
    >>> batch["places"].tolist(), batch["targets"].tolist(), batch["answers"].tolist()
    ([1, 2, 1], [7, 8, 9], [0, 0, 1])
    """
    width = max(len(prompt) + sum(map(len, answers)) for prompt, answers in rows)
    shared = any(len(answers) > 1 for _, answers in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.int64)
    segments, positions = (torch.zeros(len(rows), width, dtype=torch.int64) for _ in range(2))
    places: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    counts: list[int] = []
    ends: list[int] = []
    for index, (prompt, answers) in enumerate(rows):
        flat = [*prompt, *(token for answer in answers for token in answer)]
        tokens[index, : len(flat)] = torch.tensor(flat)
        starts = accumulate(map(len, answers), initial=len(prompt))
        for k, (start, answer) in enumerate(zip(starts, answers, strict=False), start=1):
            first, behind = index * width + len(prompt) - 1, index * width + start
            places += [first, *range(behind, behind + len(answer) - 1)][: len(answer)]
            targets += answer
            owners += [len(counts)] * len(answer)
            counts.append(len(answer))
            ends.append(behind + len(answer) - 1)
            if shared:
                segments[index, start : start + len(answer)] = k
                positions[index, start : start + len(answer)] = torch.arange(len(answer)) + len(prompt)
        if shared:
            positions[index, : len(prompt)] = torch.arange(len(prompt))
    batch = {
        "tokens": tokens,
        "places": torch.tensor(places, dtype=torch.int64),
        "targets": torch.tensor(targets, dtype=torch.int64),
        "answers": torch.tensor(owners, dtype=torch.int64),
        "counts": torch.tensor(counts, dtype=torch.int64),
        "ends": torch.tensor(ends, dtype=torch.int64),
    }
    return {**batch, "segments": segments, "positions": positions} if shared else batch


def answer_log_probabilities(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the log-probability of each answer after its prompt: the sum over its tokens.

    Parameters
    ----------
    model
        A causal language model of transformers, plain or wrapped (LoRA, several GPUs).
    batch
        Of :func:`answer_batch`, on the device of the model.

    Returns
    -------
    Tensor
        Shape ``(answers,)``, nats, in the order of the rows; in single precision or better.

    Raises
    ------
    ModelError
        If the model is of another sort.
    """
    values = -cross_entropy(_logits(model, batch), batch["targets"], reduction="none")
    return values.new_zeros(len(batch["counts"])).index_add(0, batch["answers"], values)


def answer_scores(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return what the head of a sequence classifier says at the last token of each answer.

    Parameters
    ----------
    model
        A decoder of transformers with a head for sequence classification, plain or wrapped.
    batch
        Of :func:`answer_batch`, on the device of the model.

    Returns
    -------
    Tensor
        Shape ``(answers, outputs)``, in single precision or better.

    Raises
    ------
    ModelError
        If the model has no such head.
    """
    inner = _inner(model)
    if not scores_answers(inner):
        message = (
            f"a reward model needs a head 'score' at each token, as decoders for sequence classification have, "
            f"got a {type(inner).__name__}"
        )
        raise ModelError(message)
    said: list[Tensor] = []
    handle = inner.score.register_forward_hook(lambda _, inputs, output: said.append(output))
    try:
        # The places that the model itself would look for, by its padding token, are not asked for: an answer may
        # end with that very token.
        model(**_inputs(inner, batch))
    finally:
        handle.remove()
    return _precise(said[0].flatten(0, 1).index_select(0, batch["ends"]))


def scores_answers(model: nn.Module) -> bool:
    """Return whether a model, plain or wrapped, has a head for sequence classification at each token."""
    return hasattr(_inner(model), "score")


def takes_shared_prompts(model: nn.Module, row: Row) -> bool:
    """Return whether a model gives answers that share a row what it gives them alone.

    That needs attention which follows a mask and positions of its own, as most decoders have it, and recurrent
    models do not. A long row tells more: attention to a window behaves until the window is full.
    """
    prompt, answers = row
    device = next(model.parameters()).device
    read = answer_scores if scores_answers(model) else answer_log_probabilities
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = read(model, on(answer_batch([(prompt, [a]) for a in answers]), device))
            shared = read(model, on(answer_batch([row]), device))
    except (TypeError, ValueError, RuntimeError, IndexError):  # the model has no such inputs
        return False
    finally:
        model.train(training)
    exact = all(parameter.dtype in (torch.float32, torch.float64) for parameter in model.parameters())
    return torch.allclose(alone, shared, rtol=1e-4 if exact else 1e-2, atol=1e-5)


def length_batches(
    lengths: Sequence[int], size: int, generator: torch.Generator | None, pool: int
) -> Iterator[list[int]]:
    """Yield the indices of one epoch in batches of about equal length, so that little is padding.

    Parameters
    ----------
    lengths
        Tokens of each row.
    size
        Rows a batch; the last one may have fewer.
    generator
        Draws the order of the rows and of the batches; None keeps the order of the rows, unsorted.
    pool
        Rows are sorted within as many batches of the drawn order; 1 leaves the drawn order.

    Examples
    --------
    >>> sorted(length_batches([1, 9, 2, 8], 2, torch.Generator().manual_seed(0), pool=2))
    [[0, 2], [3, 1]]
    """
    n = len(lengths)
    order = list(range(n)) if generator is None else torch.randperm(n, generator=generator).tolist()
    if generator is not None and pool > 1:
        pools = [order[start : start + size * pool] for start in range(0, n, size * pool)]
        order = [index for part in pools for index in sorted(part, key=lengths.__getitem__)]
    parts = [order[start : start + size] for start in range(0, n, size)]
    if generator is not None and pool > 1:
        parts = [parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()]
    yield from parts


def on(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return a batch on a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the logits at the places of a batch, shape ``(n, vocabulary)``.

    The model is called as it is called by everybody, so that wrappers, precision and what follows the head (scales,
    caps) are as they are; only the input of its head is cut down, on the way, to the places.
    """
    tokens, places = batch["tokens"], batch["places"]
    inner = _inner(model)
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    cut = False

    def at_places(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        nonlocal cut
        if not (len(inputs) == 1 and inputs[0].shape[:-1] == tokens.shape):
            return None
        cut = True
        return (inputs[0].flatten(0, 1).index_select(0, places)[None],)

    handle = head.register_forward_pre_hook(at_places) if head is not None else None
    try:
        logits: Tensor = model(**_inputs(inner, batch)).logits
    finally:
        if handle is not None:
            handle.remove()
    if logits.ndim != 3:
        message = f"log-probabilities of answers need a causal language model, got a {type(inner).__name__}"
        raise ModelError(message)
    return _precise(logits[0] if cut else logits.flatten(0, 1).index_select(0, places))


def _inputs(inner: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    inputs: dict[str, Any] = {"input_ids": batch["tokens"], "use_cache": False}
    if "segments" in batch:
        inputs["position_ids"] = batch["positions"]
        inputs["attention_mask"] = _shared_prompt_mask(inner, batch["segments"])
    return inputs


def _inner(model: nn.Module) -> Any:
    """Return what is within a wrapper for several GPUs."""
    return getattr(model, "module", model)


def _precise(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _shared_prompt_mask(model: Any, segments: Tensor) -> Tensor:
    """Return who may look where: at what came before, of the prompt or of the same answer."""
    time = segments.shape[1]
    earlier = torch.ones(time, time, dtype=torch.bool, device=segments.device).tril()
    same = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
    return attention_mask(model, earlier & same)
