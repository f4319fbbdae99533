r"""MUSCLE: an update that leans on the old model where the new one fails, and stays the new one elsewhere.

A copy of the new model is trained on the data of the task with both versions as frozen teachers. At each token i
(each item, for a classifier) a mask chooses the teacher:

.. math:: \frac1n\sum_i \left[m_i\,\mathrm{KL}(p^\mathrm{old}_i\,\|\,q_i)
    + (1-m_i)\,\mathrm{KL}(p^\mathrm{new}_i\,\|\,q_i)\right] - \frac{w}{n}\sum_i \log q_i(y_i)

By default :math:`m_i = 1` where the model in training, q, gets :math:`y_i` wrong; it is made anew at each step, and
no gradient runs through it. A training set that the new model has by heart leaves the mask empty and the model as it
is: look at the masked rates. Logits are ``(..., vocabulary)``, targets ``(...)``.

References
----------
J. Echterhoff et al. (2024), MUSCLE: a model update strategy for compatible LLM evolution, Findings of EMNLP.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sized
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import torch

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.learn import masked_distillation, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from concordant.learn import History
    from concordant.learn.batches import Epoch

RuleName = Literal["current_wrong", "all", "old_more_likely", "old_right"]
Rule: TypeAlias = "RuleName | Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]"


class Predictions(NamedTuple):
    """What the three models say about a batch.

    Parameters
    ----------
    current, old, new
        Logits of the model in training and of the two versions, shape ``(..., vocabulary)``.
    targets
        Right tokens or classes, integers, shape ``(...)``.
    counts
        True at the tokens that count (those of answers), shape ``(...)``; None for all.
    from_old
        True where the old model is the teacher, shape ``(...)``, where that is settled beforehand; None leaves it to
        the rule.
    """

    current: Tensor
    old: Tensor
    new: Tensor
    targets: Tensor
    counts: Tensor | None = None
    from_old: Tensor | None = None


@dataclass(frozen=True, slots=True)
class CompatibleUpdate:
    """A model trained to agree with two versions, and how much of it came from the old one.

    Parameters
    ----------
    model
        The updated model.
    history
        Of the training, by step: ``loss``, ``distillation``, ``cross_entropy`` where it counts, ``masked`` and
        ``tokens`` (how many of a batch had the old model as teacher, and how many there were).
    masked_rates
        Share of the tokens of each epoch whose teacher was the old model. Near 0, the method has done nothing.
    """

    model: nn.Module
    history: History
    masked_rates: tuple[float, ...]


def old_teacher_mask(
    current: Tensor, old: Tensor, new: Tensor, targets: Tensor, rule: Rule = "current_wrong"
) -> Tensor:
    """Return true where the old model is the teacher.

    Parameters
    ----------
    current, old, new, targets
        As for :class:`Predictions`.
    rule
        ``"current_wrong"``: the most probable token of the model in training is not the right one, the rule of the
        paper. ``"all"``: everywhere, which is distillation from the old model alone. ``"old_more_likely"``: the old
        model gives the right token more probability than the new one. ``"old_right"``: the most probable token
        of the old model is the right one. Or a function of the four tensors, for a mask in [0, 1].

    Returns
    -------
    Tensor
        Boolean, or what the function gave, shape ``(...)``, without gradient.

    Raises
    ------
    ConfigError
        If there is no rule of that name.
    DataError
        If the logits differ in shape (two vocabularies), or do not fit the targets.

    Examples
    --------
    >>> current = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> old, right = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 1.0]]), torch.tensor([0, 1, 0])
    >>> old_teacher_mask(current, old, current, right).tolist()
    [False, True, True]
    >>> old_teacher_mask(current, old, current, right, "old_more_likely").tolist()
    [True, True, True]
    """
    _check_rule(rule)
    _one_vocabulary(current, old, new, targets)
    with torch.no_grad():
        if callable(rule):
            return rule(current, old, new, targets).detach()
        if rule == "current_wrong":
            return current.argmax(-1) != targets
        if rule == "old_right":
            return old.argmax(-1) == targets
        if rule == "old_more_likely":
            return _log_likelihood(old, targets) > _log_likelihood(new, targets)
        return torch.ones_like(targets, dtype=torch.bool)


def compatibility_loss(
    predictions: Predictions, *, rule: Rule = "current_wrong", cross_entropy_weight: float = 0.0
) -> dict[str, Tensor]:
    """Return the loss of a step, and its parts.

    Parameters
    ----------
    predictions
        Of the three models; the gradient runs into the one in training only.
    rule
        As for :func:`old_teacher_mask`.
    cross_entropy_weight
        :math:`w`, at least 0: how much the right tokens themselves count beside the teachers.

    Returns
    -------
    dict
        Scalars: ``loss``, ``distillation`` (nats a token), ``cross_entropy`` (nats a token, where its weight is
        not 0), ``masked`` and ``tokens`` (numbers of tokens).

    Raises
    ------
    ConfigError
        If the weight is negative, or there is no such rule.
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> old, new = torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, 0.0]])
    >>> parts = compatibility_loss(Predictions(new, old, new, torch.tensor([1])))
    >>> parts["masked"].item(), round(parts["loss"].item(), 4)  # KL(old || new) = 2 tanh(1)
    (1.0, 1.5232)
    """
    _check_weight(cross_entropy_weight)
    current, old, new, targets, counts, from_old = predictions
    if counts is None:
        counts = torch.ones_like(targets, dtype=torch.bool)
    counts = counts.bool()
    targets = torch.where(counts, targets, 0)  # where nothing counts there may be no token, such as -100
    mask = old_teacher_mask(current, old, new, targets, rule) if from_old is None else from_old
    distillation = masked_distillation(current, old, new, mask, padding=counts)
    n_tokens = counts.sum()
    parts = {
        "loss": distillation,
        "distillation": distillation,
        "masked": torch.where(counts, mask.to(current.dtype), 0.0).sum(),
        "tokens": n_tokens.to(current.dtype),
    }
    if cross_entropy_weight:
        nll = -torch.where(counts, _log_likelihood(current, targets), 0.0).sum() / n_tokens.clamp(min=1)
        parts |= {"cross_entropy": nll, "loss": distillation + cross_entropy_weight * nll}
    return parts


def compatible_update(
    old: nn.Module,
    new: nn.Module,
    batches: Sequence[Any] | Epoch,
    *,
    rule: Rule = "current_wrong",
    cross_entropy_weight: float = 0.0,
    **options: Any,
) -> CompatibleUpdate:
    """Train a copy of the new classifier to keep what the old one did right.

    For language models with adapters see `concordant.versions.muscle_adapter`.

    Parameters
    ----------
    old, new
        Modules that map a batch of inputs to logits ``(batch, classes)``, of the same classes in the same order.
        Both are moved to the device of the training and are otherwise left as they were.
    batches
        Batches ``(inputs, classes)`` of the data that both were trained on, as `concordant.learn.train` takes them.
    rule, cross_entropy_weight
        As for :func:`compatibility_loss`. The rule ``"all"`` is plain distillation from the old model.
    options
        Of `concordant.learn.train`: `steps` or `epochs`, `optimizer`, `seed`, `device`, `validate`, ...

    Returns
    -------
    CompatibleUpdate

    Raises
    ------
    ConfigError, ModelError
        As `concordant.learn.train` does, and for a rule or weight that is not allowed.
    DataError
        If the two versions have different classes.

    Examples
    --------
    >>> from concordant.learn import MLP, Batches
    >>> x, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
    >>> old, new = MLP(4, 2, hidden=(), seed=1), MLP(4, 2, hidden=(8,), seed=2)
    >>> update = compatible_update(old, new, Batches((x, y), 2), epochs=3, progress=False)
    >>> len(update.masked_rates), update.history.steps
    (3, 6)
    """

    def read(model: nn.Module, batch: Any) -> Predictions:
        inputs, classes = batch
        return Predictions(model(inputs), said_by(old, inputs), said_by(new, inputs), classes)

    return distilled(
        copy.deepcopy(new),
        read,
        batches,
        rule=rule,
        cross_entropy_weight=cross_entropy_weight,
        **options,
    )


def distilled(
    model: nn.Module,
    read: Callable[[nn.Module, Any], Predictions],
    batches: Sequence[Any] | Epoch,
    *,
    rule: Rule = "current_wrong",
    cross_entropy_weight: float = 0.0,
    **options: Any,
) -> CompatibleUpdate:
    """Train a model that starts as the new version, in place, whatever it reads.

    Parameters
    ----------
    model
        What is trained.
    read
        ``read(model, batch)`` gives the predictions of the three models for a batch.
    batches, rule, cross_entropy_weight, options
        As for :func:`compatible_update`.
    """
    _check_rule(rule)
    _check_weight(cross_entropy_weight)
    loss = partial(compatibility_loss, rule=rule, cross_entropy_weight=cross_entropy_weight)
    history = train(model, lambda trained, batch: loss(read(trained, batch)), batches, **options)
    per_epoch = len(batches) / options.get("accumulate", 1) if isinstance(batches, Sized) else None
    return CompatibleUpdate(model, history, tuple(_masked_rates(history, per_epoch)))


@torch.no_grad()
def said_by(teacher: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits of a teacher: in evaluation mode, without gradient, on the device of the inputs."""
    was_training = teacher.training
    teacher.to(inputs.device).eval()
    try:
        logits: Tensor = teacher(inputs)
    finally:
        teacher.train(was_training)
    return logits


def _masked_rates(history: History, per_epoch: float | None) -> Iterator[float]:
    """Yield the masked share of each epoch, all of it one where its length is not known."""
    masked, tokens = history.parts.get("masked", []), history.parts.get("tokens", [])
    per_epoch = per_epoch or max(1, len(masked))
    start, epoch = 0, 0
    while start < len(masked):
        epoch += 1
        end = max(start + 1, round(epoch * per_epoch))
        yield sum(masked[start:end]) / max(1.0, sum(tokens[start:end]))
        start = end


def _log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    chosen = logits.gather(-1, targets.long()[..., None]).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def _one_vocabulary(current: Tensor, old: Tensor, new: Tensor, targets: Tensor) -> None:
    shapes = {"old": tuple(old.shape), "new": tuple(new.shape), "current": tuple(current.shape)}
    if len(set(shapes.values())) > 1:
        got = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
        message = f"a compatible update needs versions of one vocabulary, the same classes or tokens, got logits {got}"
        raise DataError(message)
    if current.shape[:-1] != targets.shape:
        message = (
            f"the targets of a compatible update must have one value a token, shape {tuple(current.shape[:-1])}, "
            f"got {tuple(targets.shape)}"
        )
        raise DataError(message)


def _check_rule(rule: object) -> None:
    if not callable(rule) and rule not in get_args(RuleName):
        message = f"there is no mask rule {rule!r}: {nearest(str(rule), get_args(RuleName))}"
        raise ConfigError(message)


def _check_weight(weight: float) -> None:
    if not weight >= 0:
        message = f"cross_entropy_weight must be at least 0, got {weight}"
        raise ConfigError(message)
