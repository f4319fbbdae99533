"""A behaviour ledger: what an edit changed where it should and elsewhere, beside random edits of the same size.

Each line is a measure over one group of items, with and without the edit, and the difference with its interval, in pairs.
Beside it stand the differences that random edits make: of as many rows of the same tensors, moved as far, in directions
that are drawn. What they change as well is due to the size of the edit and not to what it says.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from concordant.core.progress import progress_bars
from concordant.core.statistics import estimate_mean, paired_difference
from concordant.learn.randomness import child_seeds, generator_of
from concordant.learn.sequences import TokenBatches, logits_of
from concordant.versions.editing.examples import DELTA, suffix_losses
from concordant.versions.editing.making import edit_of_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from concordant.core.items import Items
    from concordant.core.statistics import Estimate
    from concordant.learn.sequences import Row
    from concordant.models.causal import CausalLM
    from concordant.versions.editing.edit import Edit

Where = Literal["target", "elsewhere"]
Values: TypeAlias = "Mapping[str, tuple[NDArray[np.float64] | None, NDArray[np.float64]]]"


@dataclass(frozen=True)
class Group:
    """Items that are measured together.

    Parameters
    ----------
    name
        What they are.
    where
        ``"target"``: the edit is to change them; ``"elsewhere"``: it is not.
    values
        ``values(before, after)`` gives by measure the values of all items under the model without the edit (None for a
        measure of both at once, such as a divergence) and with it.
    """

    name: str
    where: Where
    values: Callable[[nn.Module, nn.Module], Values]


@dataclass(frozen=True)
class LedgerLine:
    """One measure of one group.

    Parameters
    ----------
    group, where
        As in `Group`.
    measure
        Its name.
    before, after
        Means without and with the edit; `before` is None for a measure of both at once.
    change
        The mean difference over items, or the mean of a measure of both, with its interval.
    random
        The same of each random edit.
    """

    group: str
    where: Where
    measure: str
    before: float | None
    after: float
    change: Estimate
    random: tuple[float, ...]

    @property
    def random_change(self) -> float | None:
        """Mean change over the random edits, or None without any."""
        return float(np.mean(self.random)) if self.random else None

    def to_dict(self) -> dict[str, Any]:
        """Return the line as JSON takes it."""
        return {
            "group": self.group,
            "where": self.where,
            "measure": self.measure,
            "before": self.before,
            "after": self.after,
            "change": self.change.value,
            "low": self.change.low if np.isfinite(self.change.low) else None,
            "high": self.change.high if np.isfinite(self.change.high) else None,
            "n": self.change.n,
            "random": list(self.random),
        }


def behaviour_ledger(
    model: nn.Module, edit: Edit, groups: Sequence[Group], *, draws: int = 3, seed: int = 0
) -> list[LedgerLine]:
    """Measure what an edit changes; the model is left as it is.

    Parameters
    ----------
    model
        Without the edit. A copy of it is made to be edited.
    edit
        Made for it.
    groups
        What is measured.
    draws
        Random edits of the same size, at least 0.
    seed
        Of the random edits.

    Returns
    -------
    list
        Lines in the order of the groups and their measures.
    """
    edits = [edit, *(random_edit(model, edit, seed=one) for one in child_seeds(seed, max(draws, 1))[:draws])]
    edited = copy.deepcopy(model)
    found: list[list[Values]] = []
    with progress_bars() as tell:
        for done, one in enumerate(edits):
            tell("ledger", done, len(edits))
            one.apply(edited)
            found.append([group.values(model, edited) for group in groups])
            one.undo(edited)
        tell("ledger", len(edits), len(edits))
    lines = []
    for place, group in enumerate(groups):
        for measure, (before, after) in found[0][place].items():
            changes = [_change(*of_edit[place][measure]) for of_edit in found]
            means = None if before is None else float(before.mean())
            random = tuple(change.value for change in changes[1:])
            lines.append(
                LedgerLine(group.name, group.where, measure, means, float(after.mean()), changes[0], random)
            )
    return lines


def random_edit(model: nn.Module, edit: Edit, *, seed: int) -> Edit:
    """Return a random edit of the size of another: as many rows of each tensor, each moved as far in a drawn direction.

    Parameters
    ----------
    model
        The model that the edit was made for.
    edit
        Whose size is taken.
    seed
        Decides rows and directions.
    """
    generator = generator_of(seed)
    parts: dict[str, tuple[Tensor, Tensor]] = {}
    for name, change in edit.changes.items():
        width = change.old.shape[1]
        n_all = int(np.prod(change.shape)) // width
        index = torch.randperm(n_all, generator=generator)[: len(change.index)].sort().values
        lengths = (change.new.float() - change.old.float()).norm(dim=1, keepdim=True)
        towards = torch.randn(change.old.shape, generator=generator)
        step = towards / towards.norm(dim=1, keepdim=True).clamp(min=1e-12) * lengths
        parts[name] = (index, step)
    stored = {name: change.old.dtype for name, change in edit.changes.items()}
    return edit_of_parts(model, parts, stored=stored, method="random", seed=seed)


def texts_group(name: str, rows: Sequence[Row], where: Where = "elsewhere") -> Group:
    """Make a group of texts: the loss of each, and the divergence from the model without the edit, nats a token.

    Parameters
    ----------
    name, where
        As in `Group`.
    rows
        Token ids, and how many of them are not counted.
    """

    @torch.no_grad()
    def values(before: nn.Module, after: nn.Module) -> Values:
        device = next(before.parameters()).device
        sums = np.zeros((3, len(rows)))
        batches = TokenBatches(rows, max(4096, *(len(ids) for ids, _ in rows)), shuffle=False)
        for batch in batches(torch.Generator()):
            tokens, places = batch["tokens"].to(device), batch["rows"].numpy()
            counts = batch["mask"][:, 1:].to(device)
            said = [logits_of(model, tokens)[:, :-1].float().log_softmax(-1) for model in (before, after)]
            own = [-one.gather(-1, tokens[:, 1:, None])[..., 0] for one in said]
            apart = (said[0].exp() * (said[0] - said[1])).sum(-1)
            for total, value in zip(sums, (*own, apart), strict=True):
                means = value.masked_fill(~counts, 0.0).sum(1) / counts.sum(1).clamp(min=1)
                total[places] = means.double().cpu().numpy()
        return {"loss": (sums[0], sums[1]), "kl": (None, sums[2])}

    return Group(name, where, values)


def suffixes_group(name: str, rows: Sequence[Row], where: Where = "target", *, delta: float = DELTA) -> Group:
    """Make a group of suffixes: the summed loss of each, and whether the model fails it, which is a loss above `delta`."""

    @torch.no_grad()
    def values(before: nn.Module, after: nn.Module) -> Values:
        losses = [suffix_losses(model, rows).double().cpu().numpy() for model in (before, after)]
        failed = [(loss > delta).astype(float) for loss in losses]
        return {"failure_rate": (failed[0], failed[1]), "suffix_loss": (losses[0], losses[1])}

    return Group(name, where, values)


def items_group(
    name: str, items: Items, model: CausalLM, where: Where = "elsewhere", *, grade: Any = None, **request: Any
) -> Group:
    """Make a group of items with references: accuracy, and flips of the answers that the model writes.

    Parameters
    ----------
    name, where
        As in `Group`.
    items
        With a reference each.
    model
        Says how modules are asked.
    grade
        As for `concordant.check`.
    request
        Of `concordant.Request`, such as ``max_tokens``.
    """
    from concordant.core.check import check
    from concordant.core.model import Request
    from concordant.models.language import GenerativeModel
    from concordant.versions.flips import Flips

    def asked(module: nn.Module) -> GenerativeModel:
        return GenerativeModel(model.with_model(module))

    def values(before: nn.Module, after: nn.Module) -> Values:
        report = check(
            asked(after),
            items,
            [Flips(asked(before))],
            grade=grade,
            request=Request(**request),
            slices=[],
            progress=False,
        )
        verdicts = report["versions.flips"].verdicts
        graded = verdicts.filter(verdicts["old_right"].is_not_null())
        was, now, lost, won = (
            graded[column].cast(float).to_numpy()
            for column in ("old_right", "new_right", "negative_flip", "positive_flip")
        )
        return {"accuracy": (was, now), "negative_flip_rate": (None, lost), "positive_flip_rate": (None, won)}

    return Group(name, where, values)


def rate_group(
    name: str, judged: Callable[[nn.Module], NDArray[np.float64]], where: Where = "target"
) -> Group:
    """Make a group of prompts whose continuations are judged, each by a number such as 1 for unwanted and 0 for wanted."""
    return Group(name, where, lambda before, after: {"rate": (judged(before), judged(after))})


def _change(before: NDArray[np.float64] | None, after: NDArray[np.float64]) -> Estimate:
    return estimate_mean(after) if before is None else paired_difference(after, before)
