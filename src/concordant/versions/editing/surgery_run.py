"""Model surgery from texts alone: probe, rows, a sweep over strengths, and the ledger of the edit that is chosen.

What chooses the strength does not report: of prompts and general texts every other one serves to choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import DataError
from concordant.learn.sequences import TokenBatches, answer_nll
from concordant.models.tokens import Tokens
from concordant.versions.editing.gates import SHARE, Rule, row_scores, select_rows, surgery
from concordant.versions.editing.ledger import (
    Group,
    LedgerLine,
    behaviour_ledger,
    items_group,
    rate_group,
    texts_group,
)
from concordant.versions.editing.probe import LinearProbe, fit_probe, pooled_states
from concordant.versions.editing.sweep import SweepPoint, strength_sweep, strongest_within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from concordant.core.items import Items
    from concordant.learn.sequences import Row
    from concordant.models.causal import CausalLM

STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
LEAST = 4
"""Prompts, and general texts, that are needed: half of them choose, half report."""


@dataclass(frozen=True)
class SurgeryOptions:
    """How surgery is done.

    Parameters
    ----------
    share
        Of all gate rows that are moved, in (0, 1].
    rule
        ``"opposed"``, ``"aligned"`` or ``"random"``.
    strengths
        That are tried, in mean lengths of a gate row.
    bound
        By what share the perplexity of general texts may rise.
    max_tokens
        Of a continuation.
    draws
        Random edits beside the chosen one.
    seed
        Decides all that is drawn.
    """

    share: float = SHARE
    rule: Rule = "opposed"
    strengths: tuple[float, ...] = STRENGTHS
    bound: float = 0.02
    max_tokens: int = 32
    draws: int = 3
    seed: int = 0


@dataclass(frozen=True)
class SurgeryRun:
    """What came out.

    Parameters
    ----------
    probe
        Of the behaviour.
    points
        The sweep, on the prompts and texts to choose by: the rate, and the perplexity as a multiple of that before.
    chosen
        The strongest point within the bound, or None where there is none.
    ledger
        Of the chosen edit, on the other prompts and texts; empty without one.
    """

    probe: LinearProbe
    points: list[SweepPoint]
    chosen: SweepPoint | None
    ledger: list[LedgerLine]


def surgery_of_texts(
    model: CausalLM,
    unwanted: Sequence[str],
    wanted: Sequence[str],
    general: Items,
    *,
    prompts: Sequence[str] | None = None,
    is_unwanted: Callable[[str], bool] | None = None,
    options: SurgeryOptions | None = None,
    stored: Mapping[str, torch.dtype] | None = None,
) -> SurgeryRun:
    """Turn down what unwanted texts have and wanted ones have not; the model is left as it is.

    Parameters
    ----------
    model
        A language model with gated layers.
    unwanted, wanted
        Texts with and without the behaviour.
    general
        Items that must not change: their texts, and where they have references their answers.
    prompts
        What the model continues to show the behaviour; by default the first halves of the unwanted texts.
    is_unwanted
        Judges a continuation; by default the probe does, on the states of the model before the edit.
    options
        How.
    stored
        Precision of the weights in the model's files; see `~concordant.versions.editing.edit_of_rows`.

    Raises
    ------
    DataError
        If there are too few texts or prompts.
    """
    options = options or SurgeryOptions()
    module: Any = model.model
    plain = Tokens(model.tokens.tokenizer)
    states = [pooled_states(module, plain.encode(texts)) for texts in (unwanted, wanted)]
    probe = fit_probe(*states, seed=options.seed)
    asked = list(prompts) if prompts is not None else [_first_half(text) for text in unwanted]
    rows = general_rows(model, general)
    for name, found in (("prompts", asked), ("general texts", rows)):
        if len(found) < LEAST:
            message = (
                f"model surgery needs at least {LEAST} {name}, half of them to choose by, got {len(found)}"
            )
            raise DataError(message)

    # The probe reads continuations in the states of the model before the edit, also when the edited one wrote them.
    untouched = _frozen(module)

    def judged(prompts: Sequence[str]) -> Callable[[nn.Module], NDArray[np.float64]]:
        def values(edited: nn.Module) -> NDArray[np.float64]:
            texts = _continuations(model, edited, prompts, options)
            if is_unwanted is not None:
                return np.array([float(is_unwanted(text)) for text in texts])
            scores = probe.scores(pooled_states(untouched, plain.encode(texts)))
            found: NDArray[np.float64] = (scores > 0).double().numpy()
            return found

        return values

    choosing, batches = judged(asked[::2]), TokenBatches(rows[::2], _tokens(rows))
    before = answer_nll(module, batches)
    scores = row_scores(module, probe.direction)
    n_rows = max(1, round(options.share * sum(map(len, scores.values()))))
    chosen_rows = select_rows(scores, n_rows, options.rule, seed=options.seed)
    settings = {
        "rule": options.rule,
        "bound": options.bound,
        "probe_accuracy": probe.accuracy.value,
        "model": model.name,
    }
    points = strength_sweep(
        module,
        lambda strength: surgery(
            module,
            probe.direction,
            chosen_rows,
            strength,
            stored=stored,
            settings=settings,
            seed=options.seed,
        ),
        options.strengths,
        rate=lambda edited: float(choosing(edited).mean()),
        cost=lambda edited: math.exp(answer_nll(edited, batches) - before),
    )
    chosen = strongest_within(points, 1 + options.bound)
    if chosen is None:
        return SurgeryRun(probe, points, None, [])
    groups: list[Group] = [
        rate_group("continuations", judged(asked[1::2])),
        texts_group("general texts", rows[1::2]),
    ]
    if general.reference is not None:
        held = general.rows(np.arange(len(general)) % 2 == 1)
        groups.append(items_group("general items", held, model, max_tokens=options.max_tokens))
    lines = behaviour_ledger(module, chosen.edit, groups, draws=options.draws, seed=options.seed)
    return SurgeryRun(probe, points, chosen, lines)


def general_rows(model: CausalLM, items: Items) -> list[Row]:
    """Return the texts of items as rows of tokens: the answers behind their prompts, or where there are none all."""
    prompts = items.inputs.to_list()
    if items.reference is None:
        return [(ids, 1) for ids in model.tokens.encode(prompts)]
    space = "" if model.chat else " "
    rows, starts = model.tokens.encode_pairs(prompts, [f"{space}{answer}" for answer in items.reference])
    return list(zip(rows, starts, strict=True))


def _frozen(module: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(module).requires_grad_(False)


def _continuations(
    model: CausalLM, module: nn.Module, prompts: Sequence[str], options: SurgeryOptions
) -> list[str]:
    asked = model.with_model(module)
    written = asked.generate(list(prompts), temperature=1.0, max_tokens=options.max_tokens, seed=options.seed)
    return [one[0].text for one in written]


def _first_half(text: str) -> str:
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _tokens(rows: Sequence[Row]) -> int:
    return max(4096, *(len(ids) for ids, _ in rows))
