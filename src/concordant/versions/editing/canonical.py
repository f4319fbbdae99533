r"""Editing with canonical examples: a model learns a few plain examples and stays within a bound of what it was.

The examples are learnt for a few epochs beside a divergence from the model as it was on general text,

.. math:: \mathcal{L} = \mathcal{L}_{examples} + \beta\, \mathrm{KL}(p_{edited} \,\|\, p_{before}),

and the last epoch is kept whose loss on a fixed general text is within :math:`L_0 (1 + \varepsilon)`. What is trained
is the whole model, low-rank adapters on its feed-forward maps, or a few sense vectors of a Backpack. Settings are
chosen by other examples than those that are reported.

References
----------
Hewitt et al., "Model Editing with Canonical Examples", 2024.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from concordant.core.errors import ConfigError, ModelError, nearest
from concordant.learn.lora import add_lora, merge_lora
from concordant.learn.losses.divergence import masked_kl
from concordant.learn.networks.backpack import Backpack
from concordant.learn.randomness import child_seeds, generator_of
from concordant.learn.sequences import TokenBatches, answer_nll, logits_of
from concordant.versions.editing.bounded import Kept, bounded_epochs
from concordant.versions.editing.examples import LossKind, canonical_loss, suffix_losses
from concordant.versions.editing.making import edit_between
from concordant.versions.editing.senses import select_senses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from concordant.learn.sequences import Row, TokenBatch
    from concordant.versions.editing.edit import Edit
    from concordant.versions.editing.examples import CanonicalExample

Way = Literal["full", "lora", "senses"]
TARGETS = (
    "gate_proj",
    "up_proj",
    "down_proj",
    "c_fc",
    "fc_in",
    "fc_out",
    "dense_h_to_4h",
    "dense_4h_to_h",
    "widen",
    "narrow",
)
"""What the maps of feed-forward layers are called, in models of several families and in ours."""

BETAS = (0.9, 0.995)


@dataclass(frozen=True)
class Tuning:
    r"""How examples are learnt.

    Parameters
    ----------
    way
        ``"full"``: all weights; ``"lora"``: adapters on the feed-forward maps; ``"senses"``: a few sense vectors of a
        Backpack.
    rate
        Learning rate at the start; it falls to nothing as half a cosine.
    loss
        ``"good"``, ``"bad"``, ``"good-v-bad"`` or ``"balance"``; see `~concordant.versions.editing.canonical_loss`.
    weight
        :math:`\beta`, of the divergence from the model before, at least 0.
    epochs
        Times through the examples.
    batch
        Examples a step.
    rank
        Of the adapters.
    per_example, penalty
        How senses are chosen; see `~concordant.versions.editing.select_senses`.
    """

    way: Way = "lora"
    rate: float = 1e-3
    loss: LossKind = "good"
    weight: float = 0.3
    epochs: int = 10
    batch: int = 5
    rank: int = 4
    per_example: int = 8
    penalty: float = 100.0

    def __post_init__(self) -> None:
        if self.way not in get_args(Way):
            message = f"there is no way of editing {self.way!r}; {nearest(self.way, get_args(Way))}"
            raise ConfigError(message)
        allowed = {
            "rate": (self.rate, 0 < self.rate < math.inf, "above 0"),
            "weight": (self.weight, 0 <= self.weight < math.inf, "at least 0"),
            "epochs": (self.epochs, self.epochs >= 1, "at least 1"),
            "batch": (self.batch, self.batch >= 1, "at least 1"),
        }
        for name, (value, is_allowed, words) in allowed.items():
            if not is_allowed:
                message = f"{name} of a tuning must be {words}, got {value}"
                raise ConfigError(message)


@dataclass(frozen=True)
class BoundedEdit:
    """An edit within a bound on the drift.

    Parameters
    ----------
    edit
        What changes; empty if no epoch was within the bound.
    epoch
        That was kept, from 1; 0 for none.
    drift
        Loss on the general text with the edit over that without it, minus 1.
    """

    edit: Edit
    epoch: int
    drift: float


def canonical_edits(
    model: nn.Module,
    examples: Sequence[CanonicalExample],
    general: Sequence[Row],
    tuning: Tuning,
    *,
    bounds: Sequence[float] = (1e-3,),
    held_out: Sequence[Row] | None = None,
    stored: Mapping[str, torch.dtype] | None = None,
    seed: int = 0,
) -> dict[float, BoundedEdit]:
    r"""Learn examples within bounds on the drift; the model is left as it is.

    Parameters
    ----------
    model
        Gives logits for tokens: a causal language model of transformers, or a Backpack.
    examples
        What it is to learn, at least one.
    general
        Rows of general text, of which a batch goes into every step.
    tuning
        How.
    bounds
        :math:`\varepsilon`: shares by which the loss on general text may rise, one edit for each.
    held_out
        The fixed general text of the bound; `general` by default.
    stored
        Precision of the weights in the model's files; see `~concordant.versions.editing.edit_of_rows`.
    seed
        Decides orders and adapters.

    Returns
    -------
    dict
        By bound.

    Raises
    ------
    ConfigError
        If there are no examples, or the loss needs bad suffixes and there are none.
    ModelError
        If the way does not suit the model.
    """
    if not examples:
        message = "there are no examples to learn"
        raise ConfigError(message)
    order_seed, general_seed, adapter_seed = child_seeds(seed, 3)
    longest = max(len(ids) for ids, _ in [*general, *(held_out or ())])
    texts = TokenBatches(general, max(1024, longest))
    fixed = TokenBatches(held_out or general, max(8192, longest), shuffle=False)
    trained = copy.deepcopy(model).eval()
    _open(trained, examples, texts, tuning, adapter_seed)
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=tuning.rate, betas=BETAS)
    steps = tuning.epochs * -(-len(examples) // tuning.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator, stream = generator_of(order_seed), _endless(texts, general_seed)

    def epoch(_: int) -> None:
        order = torch.randperm(len(examples), generator=generator)
        for places in torch.split(order, tuning.batch):
            optimizer.zero_grad()
            loss = _example_loss(trained, [examples[i] for i in places.tolist()], tuning.loss)
            if tuning.weight:
                loss = loss + tuning.weight * _drift(trained, model, next(stream))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()

    kept = bounded_epochs(
        trained, epoch, lambda one: answer_nll(one, fixed), epochs=tuning.epochs, bounds=bounds
    )
    start = answer_nll(model, fixed)
    about = {"method": "canonical", "settings": asdict(tuning), "seed": seed}
    return {
        bound: BoundedEdit(
            _edit(model, trained, state, stored, {**about, "bound": bound}),
            state.epoch,
            state.general_loss / start - 1,
        )
        for bound, state in kept.items()
    }


def _open(
    model: nn.Module, examples: Sequence[CanonicalExample], texts: TokenBatches, tuning: Tuning, seed: int
) -> None:
    """Let the parameters of the way take gradients, and no others."""
    if tuning.way == "full":
        model.requires_grad_(True)
        if isinstance(model, Backpack):
            model.sense_changes.requires_grad_(False)
    elif tuning.way == "lora":
        ends = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        targets = [name for name in TARGETS if name in ends]
        if not targets:
            message = (
                f"the {type(model).__name__} has no feed-forward maps that are known ({', '.join(TARGETS)})"
            )
            raise ModelError(message)
        add_lora(model, tuning.rank, targets=targets, seed=seed)
    else:
        if not isinstance(model, Backpack):
            message = f"only a Backpack has senses to edit, got a {type(model).__name__}: choose full or lora"
            raise ModelError(message)
        chosen = select_senses(model, examples, texts, per_example=tuning.per_example, penalty=tuning.penalty)
        model.requires_grad_(False)
        model.sense_changes.requires_grad_(True)
        is_chosen = torch.zeros(len(model.sense_changes), 1, device=model.sense_changes.device)
        is_chosen[chosen] = 1.0
        # Adam moves nothing whose gradient is always 0.
        model.sense_changes.register_hook(lambda gradient: gradient * is_chosen)  # type: ignore[no-untyped-call]


def _example_loss(model: nn.Module, examples: Sequence[CanonicalExample], kind: LossKind) -> Tensor:
    good = suffix_losses(model, [example.good for example in examples], mean=True)
    rows = [example.bad for example in examples if example.bad is not None]
    if kind == "good" or len(rows) < len(examples):
        return canonical_loss(good, None, kind)
    return canonical_loss(good, suffix_losses(model, rows, mean=True), kind)


def _drift(model: nn.Module, before: nn.Module, batch: TokenBatch) -> Tensor:
    """Return the divergence of the model in training from that before, over the tokens of general text."""
    device = next(model.parameters()).device
    tokens = batch["tokens"].to(device)
    with torch.no_grad():
        said = logits_of(before, tokens)
    return masked_kl(said, logits_of(model, tokens), direction="reverse", padding=batch["real"].to(device))


def _endless(batches: TokenBatches, seed: int) -> Iterator[TokenBatch]:
    generator = generator_of(seed)
    while True:
        yield from batches(generator)


def _edit(
    model: nn.Module,
    trained: nn.Module,
    state: Kept,
    stored: Mapping[str, torch.dtype] | None,
    about: dict[str, Any],
) -> Edit:
    """Return the edit that leads to a state of the training."""
    named = dict(trained.named_parameters())
    with torch.no_grad():
        for name, value in state.weights.items():
            named[name].copy_(value)
    edited = trained
    if hasattr(trained, "peft_config"):
        edited = copy.deepcopy(trained)
        merge_lora(edited)
    if state.epoch == 0:  # merging nothing may still turn a zero
        edited = model
    return edit_between(model, edited, stored=stored, **about)
