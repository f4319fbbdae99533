"""Canonical examples from files: several learning rates within one bound, the best of them, and its ledger.

The rate is chosen by every other one of the contexts, and the ledger is over the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from concordant.core.errors import ConfigError
from concordant.core.progress import progress_bars
from concordant.versions.editing.canonical import BoundedEdit, Tuning, canonical_edits
from concordant.versions.editing.examples import DELTA, failures, suffix_losses
from concordant.versions.editing.ledger import (
    Group,
    LedgerLine,
    behaviour_ledger,
    items_group,
    suffixes_group,
    texts_group,
)
from concordant.versions.editing.near_texts import hard_negatives
from concordant.versions.editing.surgery_run import general_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

    from concordant.core.items import Items
    from concordant.learn.sequences import Row
    from concordant.models.causal import CausalLM
    from concordant.versions.editing.examples import CanonicalExample

N_NEAR = 20
"""General texts most like the examples, that the ledger looks at by themselves."""


@dataclass(frozen=True)
class RateTried:
    """What one learning rate came to.

    Parameters
    ----------
    rate
        The learning rate.
    found
        The edit within the bound.
    failure_rate, suffix_loss
        Of the contexts to choose by, with the edit.
    """

    rate: float
    found: BoundedEdit
    failure_rate: float
    suffix_loss: float


@dataclass(frozen=True)
class CanonicalRun:
    """What came out.

    Parameters
    ----------
    tried
        The learning rates, in their order.
    chosen
        The one with the fewest failures, or None where no epoch of any stayed within the bound.
    ledger
        Of the chosen edit; empty without one.
    """

    tried: list[RateTried]
    chosen: RateTried | None
    ledger: list[LedgerLine]


def canonical_of_examples(
    model: CausalLM,
    examples: Sequence[CanonicalExample],
    general: Items,
    *,
    contexts: Sequence[CanonicalExample] = (),
    tuning: Tuning | None = None,
    rates: Sequence[float] = (1e-4, 1e-3),
    bound: float = 1e-3,
    delta: float = DELTA,
    draws: int = 3,
    stored: Mapping[str, torch.dtype] | None = None,
    seed: int = 0,
) -> CanonicalRun:
    r"""Learn examples within a bound on the drift; the model is left as it is.

    Parameters
    ----------
    model
        A language model.
    examples
        What it is to learn.
    general
        Items whose texts it is to go on saying: half of them to learn beside the examples, half for the bound.
    contexts
        The same behaviour in other contexts: half of them to choose the rate by, half for the ledger. Without any both
        are done by the examples themselves, which says nothing of other contexts.
    tuning
        How; its rate is replaced.
    rates
        Learning rates to try.
    bound
        :math:`\varepsilon` of `~concordant.versions.editing.last_within`.
    delta
        Summed loss above which a suffix is failed.
    draws
        Random edits beside the chosen one.
    stored
        Precision of the weights in the model's files.
    seed
        Decides all that is drawn.

    Raises
    ------
    ConfigError
        If there are no rates, or fewer than two general texts.
    """
    rows = general_rows(model, general)
    if not rates or len(rows) < 2:
        message = f"an edit by examples needs a rate and two general texts, got {len(rates)} rates and {len(rows)} texts"
        raise ConfigError(message)
    tuning, module = tuning or Tuning(), model.model
    rows, held_out = rows[::2], rows[1::2]
    judged = [one.good for one in contexts] or [one.good for one in examples]
    choosing, reporting = (judged[::2], judged[1::2] or judged) if contexts else (judged, judged)
    tried = []
    with progress_bars() as tell:
        for done, rate in enumerate(rates):
            tell("learning rates", done, len(rates))
            found = canonical_edits(
                module,
                examples,
                rows,
                replace(tuning, rate=rate),
                bounds=[bound],
                held_out=held_out,
                stored=stored,
                seed=seed,
            )[bound]
            tried.append(RateTried(rate, found, *_judged(module, found, choosing, delta)))
        tell("learning rates", len(rates), len(rates))
    within = [one for one in tried if one.found.epoch]
    if not within:
        return CanonicalRun(tried, None, [])
    chosen = min(within, key=lambda one: (one.failure_rate, one.suffix_loss))
    near = hard_negatives(examples, [ids for ids, _ in held_out], min(N_NEAR, max(1, len(held_out) // 4)))
    groups: list[Group] = [
        suffixes_group("other contexts" if contexts else "the examples", reporting, delta=delta),
        texts_group("general texts", held_out),
        texts_group("nearest texts", [held_out[place] for place in near]),
    ]
    if general.reference is not None:
        groups.append(items_group("general items", general, model, max_tokens=64))
    return CanonicalRun(
        tried, chosen, behaviour_ledger(module, chosen.found.edit, groups, draws=draws, seed=seed)
    )


def _judged(module: nn.Module, found: BoundedEdit, rows: Sequence[Row], delta: float) -> tuple[float, float]:
    """Return the failure rate and the mean summed loss of suffixes with an edit."""
    import torch

    found.edit.apply(module)
    try:
        with torch.no_grad():
            loss = float(suffix_losses(module, rows).mean())
        return float(failures(module, rows, delta=delta).double().mean()), loss
    finally:
        found.edit.undo(module)
