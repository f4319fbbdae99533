"""Canonical examples: homes told otherwise in one plain sentence each, judged in six other ways of telling them.

A small Backpack learns a world of entities and their homes. Ten homes are then taught anew from the plainest sentence,
by training all weights, adapters, or a few sense vectors, and what is taught must not raise the loss on general text by
more than a bound. General text tells everything but those homes, the colours of their entities too. Learning rates are
chosen on ten other homes. The edit of the senses is also given to a larger transformer, by the log-ratio ensemble,
beside editing that transformer itself. At full scale the model, the texts and the examples are yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from concordant.learn.sequences import Row
    from concordant.studies.canonical_setting import CanonicalSetting
    from concordant.versions.editing.canonical import BoundedEdit, Way

BOUNDS = (1e-3, 1e-2)
BETTER, NEAR, DRIFT = "improvement", "near_miss_loss_gap", "drift"

RATES: dict[Way, tuple[float, ...]] = {
    "full": (1e-4, 2e-4, 4e-4, 8e-4),
    "lora": (1e-3, 2e-3, 4e-3, 8e-3),
    "senses": (0.05, 0.1, 0.2, 0.4),
}
"""Learning rates that are tried on the validation facts."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is taught; chosen on seeds 1000 and above."""

    texts: int = 12_000
    steps: int = 300
    tokens: int = 2048
    width: int = 64
    large_width: int = 96
    facts: int = 10
    general: int = 600
    held_out: int = 300
    epochs: int = 10
    n_rates: int = 4


SIZES = {
    Scale.smoke: Sizes(200, 8, 512, 16, 16, 2, 60, 60, 2, 1),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(steps=50_000, tokens=16_384),
}


@study(
    "canonical-examples",
    claims=[
        Claim("lora-beats-full", f"lora.{BETTER}", f"full.{BETTER}", "higher"),
        Claim("senses-beat-lora", f"senses.{BETTER}", f"lora.{BETTER}", "higher"),
        Claim("near-misses-stay", f"senses.{NEAR}", 0.1, "lower"),
        Claim("ensemble-edits-a-larger-model", f"ensemble.{BETTER}", f"large-lora.{BETTER}", "higher"),
    ],
    baseline="full fine-tuning under the same bound",
)
def canonical_examples(scale: Scale, seed: int) -> Measurements:
    """Measure how far the failure rate falls in new contexts under bounds on the drift, for three ways and an ensemble."""
    from concordant.learn.randomness import child_seeds
    from concordant.studies.canonical_setting import attribute_setting, named_setting
    from concordant.versions.editing.examples import failures

    n = SIZES[scale]
    setting_seed, edit_seed = child_seeds(seed, 2)
    make = named_setting if scale is Scale.full else attribute_setting
    setting = make(n, seed=setting_seed)
    measured = {
        f"{name}.failure_rate": float(failures(model, setting.facts["test"].contexts).double().mean())
        for name, model in (("unedited", setting.small), ("large-unedited", setting.large))
    }
    for way in RATES:
        edits = _searched(setting, setting.small, way, n, edit_seed)
        measured |= _of_edits(way, setting, setting.small, edits)
        if way == "senses":
            measured |= _of_ensemble(setting, edits)
        else:
            edits = _searched(setting, setting.large, way, n, edit_seed)
            measured |= _of_edits(f"large-{way}", setting, setting.large, edits)
    return measured


def _searched(
    setting: CanonicalSetting, model: nn.Module, way: Way, n: Sizes, seed: int
) -> dict[float, BoundedEdit]:
    """Choose a learning rate for each bound on the validation facts, and learn the test facts with it."""
    from concordant.versions.editing.canonical import Tuning, canonical_edits

    def edits(part: str, rate: float, bounds: Sequence[float]) -> dict[float, BoundedEdit]:
        return canonical_edits(
            model,
            setting.facts[part].examples,
            setting.general,
            Tuning(way=way, rate=rate, epochs=n.epochs),
            bounds=bounds,
            held_out=setting.held_out,
            seed=seed,
        )

    scores: dict[float, list[tuple[float, float, float]]] = {bound: [] for bound in BOUNDS}
    for rate in RATES[way][-n.n_rates :]:
        for bound, found in edits("validation", rate, BOUNDS).items():
            rows = setting.facts["validation"].contexts
            rates, losses = _with_edit(model, found, rows)
            scores[bound].append((rates, losses, rate))
    chosen = {bound: min(found)[-1] for bound, found in scores.items()}
    return {bound: edits("test", rate, [bound])[bound] for bound, rate in chosen.items()}


def _with_edit(model: nn.Module, found: BoundedEdit, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the failure rate and the mean loss of rows with an edit."""
    found.edit.apply(model)
    try:
        return _judged(model, rows)
    finally:
        found.edit.undo(model)


def _judged(model: nn.Module, rows: Sequence[Row]) -> tuple[float, float]:
    import torch

    from concordant.versions.editing.examples import DELTA, suffix_losses

    with torch.no_grad():
        losses = suffix_losses(model, rows).double()
    return float((losses > DELTA).double().mean()), float(losses.mean())


def _of_edits(
    method: str, setting: CanonicalSetting, model: nn.Module, edits: dict[float, BoundedEdit]
) -> dict[str, float]:
    facts = setting.facts["test"]
    before, near = _judged(model, facts.contexts)[0], _judged(model, facts.near)[1]
    values: dict[str, list[float]] = {BETTER: [], NEAR: [], DRIFT: []}
    for found in edits.values():
        values[BETTER].append(before - _with_edit(model, found, facts.contexts)[0])
        values[NEAR].append(_with_edit(model, found, facts.near)[1] - near)
        values[DRIFT].append(found.drift)
    return _told(method, values)


def _of_ensemble(setting: CanonicalSetting, edits: dict[float, BoundedEdit]) -> dict[str, float]:
    """Give the edits of the senses to the larger model, each within its bound."""
    import copy

    from concordant.learn.sequences import TokenBatches, answer_nll
    from concordant.versions.editing.ensemble import LogRatioEnsemble, bound_weight

    facts = setting.facts["test"]
    held_out = TokenBatches(setting.held_out, 8192, shuffle=False)
    start, near = answer_nll(setting.large, held_out), _judged(setting.large, facts.near)[1]
    before = _judged(setting.large, facts.contexts)[0]
    values: dict[str, list[float]] = {BETTER: [], NEAR: [], DRIFT: [], "weight": []}
    for bound, found in edits.items():
        edited = copy.deepcopy(setting.small)
        found.edit.apply(edited)
        ensemble = LogRatioEnsemble(setting.large, edited, setting.small)
        values["weight"].append(bound_weight(ensemble, lambda one: answer_nll(one, held_out), bound))
        values[BETTER].append(before - _judged(ensemble, facts.contexts)[0])
        values[NEAR].append(_judged(ensemble, facts.near)[1] - near)
        values[DRIFT].append(answer_nll(ensemble, held_out) / start - 1)
    return _told("ensemble", values)


def _told(method: str, values: dict[str, list[float]]) -> dict[str, Any]:
    """Name values by bound, and their means over bounds."""
    found = {
        f"{method}.{metric}@{bound}": value
        for metric, of_bounds in values.items()
        for bound, value in zip(BOUNDS, of_bounds, strict=True)
    }
    return found | {f"{method}.{metric}": sum(one) / len(one) for metric, one in values.items()}
