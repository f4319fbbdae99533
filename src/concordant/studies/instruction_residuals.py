"""Instruction residuals: a base with new knowledge gets back what instruction tuning gave the old one, by addition.

Five models: the base (a), the instruct model (b), both trained further on documents about old and new facts (c and d),
and c with the residual b - a on it (e). Questions tell who can follow instructions, documents who knows the new facts.
Controls: other coefficients, a residual whose numbers change places within each weight, one of another seed's models,
and instruction tuning anew. At full scale the models and the questions are yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from concordant.models.causal import CausalLM
    from concordant.studies.shifted_facts import Facts

SEEN, UNSEEN, NEW = "seen_accuracy", "unseen_accuracy", "new_accuracy"
DOCUMENTS, FLIPS = "new_document_accuracy", "negative_flip_rate"

VARIABLES = {
    "CONCORDANT_RESIDUALS_BASE": "a base model",
    "CONCORDANT_RESIDUALS_INSTRUCT": "its instruct model",
    "CONCORDANT_RESIDUALS_UPDATED": "the base trained further",
    "CONCORDANT_RESIDUALS_RETRAINED": "the instruct model trained further",
    "CONCORDANT_RESIDUALS_ITEMS": "items that need instructions to be followed",
    "CONCORDANT_RESIDUALS_NEW_ITEMS": "items on the new texts",
}


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    width: int = 128
    layers: int = 2
    old: int = 60
    seen: int = 50
    new: int = 60
    values: int = 24
    base_steps: int = 350
    instruct_steps: int = 350
    further_steps: int = 150


SIZES = {Scale.smoke: Sizes(16, 1, 8, 6, 8, 4, 12, 12, 12), Scale.pocket: Sizes()}
BASE_RATE, RATE, FURTHER_RATE = 3e-3, 2e-3, 1e-3
"""Learning rates of the base, of instruction tuning, and of further training, which must not go far from its start."""


@study(
    "instruction-residuals",
    claims=[
        Claim(
            "residual-beats-training-the-instruct-model", f"residual.{SEEN}", f"retrained.{SEEN}", "higher"
        ),
        Claim("residual-restores", f"residual.{SEEN}", f"updated.{SEEN}", "higher", margin=0.1),
        Claim("fewer-flips", f"residual.{FLIPS}", f"retrained.{FLIPS}", "lower"),
        Claim("keeps-new-knowledge", f"residual.{DOCUMENTS}", f"updated.{DOCUMENTS}", "higher", margin=-0.05),
        Claim("needs-its-places", f"residual.{SEEN}", f"permuted.{SEEN}", "higher", margin=0.1),
        Claim("needs-its-base", f"residual.{SEEN}", f"stranger.{SEEN}", "higher", margin=0.1),
        Claim("coefficient-one", f"residual.{SEEN}", f"half.{SEEN}", "higher"),
    ],
    baseline="the instruct model, trained further itself on the same documents",
)
def instruction_residuals(scale: Scale, seed: int) -> Measurements:
    """Measure questions and documents of an instruct model, of its updates, and of a base with its residual."""
    if scale is Scale.full:
        return _your_models()
    from concordant.learn.randomness import child_seeds
    from concordant.studies.muscle import flips_of
    from concordant.studies.shifted_facts import Facts
    from concordant.versions.residuals import drift, residual

    n = SIZES[scale]
    world_seed, pair_seed, stranger_seed, further_seed, permuting = child_seeds(seed, 5)
    facts = Facts.draw(n.old + n.new, n.values, n.old, n.seen, seed=world_seed)
    base, instruct = pair(facts, n, pair_seed)
    updated, retrained = (told(model, facts, n, further_seed) for model in (base, instruct))
    tuned = asked(updated, facts, n, pair_seed)
    difference = residual(instruct.model.state_dict(), base.model.state_dict())
    other_base, other_instruct = pair(facts, n, stranger_seed)
    foreign = residual(other_instruct.model.state_dict(), other_base.model.state_dict())
    models = {
        "base": base,
        "instruct": instruct,
        "updated": updated,
        "retrained": retrained,
        "residual": restored(updated, difference),
        "tuned-again": tuned,
        "half": restored(updated, difference, 0.5),
        "one-and-a-half": restored(updated, difference, 1.5),
        "permuted": restored(updated, permuted(difference, permuting)),
        "stranger": restored(updated, foreign),
    }
    measured: dict[str, float] = {}
    for name, model in models.items():
        measured |= {f"{name}.{metric}": value for metric, value in scores(model.model, facts).items()}
    old = range(n.old)
    before, right = facts.answers(instruct.model, old), facts.question(old)[:, 4]
    for name in ("updated", "retrained", "residual", "tuned-again"):
        flips = flips_of(name, before, facts.answers(models[name].model, old), right)
        measured[f"{name}.{FLIPS}"] = flips[f"{name}.{FLIPS}"]
    moved = drift(updated.model.state_dict(), base.model.state_dict(), difference)
    return (
        measured
        | recovered(measured)
        | {
            "update.cosine_with_residual": moved.cosine,
            "update.length_over_residual": moved.length_ratio,
        }
    )


def pair(facts: Facts, n: Sizes, seed: int) -> tuple[CausalLM, CausalLM]:
    """Train a base on documents about old facts, and an instruct model from it on questions about some of them."""
    from concordant.learn.randomness import child_seeds
    from concordant.pocket.recipes import Size
    from concordant.studies.small_language import new_language_model, taught

    start_seed, base_seed, asked_seed = child_seeds(seed, 3)
    start = new_language_model(Size(n.width, n.layers, 4, 2 * n.width), seed=start_seed, chat=False)
    rows = facts.document_rows(range(facts.n_old))
    base = taught(start, rows, steps=n.base_steps, rate=BASE_RATE, seed=base_seed)
    return base, asked(base, facts, n, asked_seed)


def asked(model: CausalLM, facts: Facts, n: Sizes, seed: int) -> CausalLM:
    """Teach a model to answer questions."""
    from concordant.studies.small_language import taught

    rows = facts.question_rows(facts.parts["seen"])
    return taught(model, rows, steps=n.instruct_steps, rate=RATE, seed=seed)


def told(model: CausalLM, facts: Facts, n: Sizes, seed: int) -> CausalLM:
    """Train a model further on documents about all facts, old and new."""
    from concordant.studies.small_language import taught

    rows = facts.document_rows(range(len(facts.values)))
    return taught(model, rows, steps=n.further_steps, rate=FURTHER_RATE, seed=seed)


def restored(updated: CausalLM, difference: dict[str, Tensor], coefficient: float = 1.0) -> CausalLM:
    """Return an updated base with a residual on it."""
    from concordant.studies.small_language import with_weights
    from concordant.versions.residuals import add_residual

    added = add_residual(updated.model.state_dict(), difference, coefficient=coefficient)
    return with_weights(updated, added)


def permuted(difference: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return a residual whose numbers have changed places within each weight: as large, and about nothing."""
    import torch

    from concordant.learn.randomness import generator_of

    generator = generator_of(seed)
    return {
        name: weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight)
        for name, weight in difference.items()
    }


def scores(model: nn.Module, facts: Facts) -> dict[str, float]:
    """Return what a model can do: questions by kind of fact, and documents about old and new facts."""
    found = {f"{part}_accuracy": facts.question_accuracy(model, who) for part, who in facts.parts.items()}
    return found | {
        "old_document_accuracy": facts.document_accuracy(model, range(facts.n_old)),
        DOCUMENTS: facts.document_accuracy(model, facts.parts["new"]),
    }


def recovered(measured: Mapping[str, float]) -> dict[str, float]:
    """Return recovery, 1 where nothing was lost, and how much the instruct model forgot in further training."""
    from concordant.versions.residuals import recovery

    names = ("residual", "updated", "instruct", "retrained")
    e, c, b, d = (measured[f"{name}.{SEEN}"] for name in names)
    return {"residual.recovery": recovery(e, c, b) if b > c else 1.0, "retrained.forgetting_gap": b - d}


def _your_models() -> dict[str, float]:
    """Put the residual of models of yours on an updated base of yours, and ask all of them your items."""
    from concordant.studies.relabelled import relabelled
    from concordant.studies.small_language import with_weights
    from concordant.studies.your_models import accuracy, named, outcomes, your_items, your_model
    from concordant.versions.residuals import add_residual, drift, residual

    places = named("instruction-residuals", VARIABLES)
    base, instruct, updated, retrained = (
        your_model(places[f"CONCORDANT_RESIDUALS_{which}"])
        for which in ("BASE", "INSTRUCT", "UPDATED", "RETRAINED")
    )
    old, new = (your_items(places[f"CONCORDANT_RESIDUALS_{which}"]) for which in ("ITEMS", "NEW_ITEMS"))
    states = [model.model.state_dict() for model in (base, instruct, updated)]
    difference = residual(states[1], states[0])
    foreign = residual(*(relabelled(state, seed=0) for state in (states[1], states[0])))
    added = {
        "residual": add_residual(states[2], difference),
        "half": add_residual(states[2], difference, coefficient=0.5),
        "one-and-a-half": add_residual(states[2], difference, coefficient=1.5),
        "permuted": add_residual(states[2], permuted(difference, 0)),
        "stranger": add_residual(states[2], foreign),
    }
    models = {"base": base, "instruct": instruct, "updated": updated, "retrained": retrained}
    models |= {name: with_weights(instruct, weights) for name, weights in added.items()}
    was = outcomes(instruct, old)
    measured: dict[str, float] = {}
    for name, model in models.items():
        now = outcomes(model, old)
        measured |= {
            f"{name}.{SEEN}": float(now.mean()),
            f"{name}.{DOCUMENTS}": accuracy(model, new),
            f"{name}.{FLIPS}": float((was & ~now).mean()),
        }
    moved = drift(states[2], states[0], difference)
    return (
        measured
        | recovered(measured)
        | {
            "update.cosine_with_residual": moved.cosine,
            "update.length_over_residual": moved.length_ratio,
        }
    )
