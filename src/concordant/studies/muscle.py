"""MUSCLE: a compatible update against a plain one, by the right answers that turn wrong and the accuracy that is kept.

An old and a new base are taught the same task; the update of the first to the second is then repaired by masked
distillation. Its rivals are distillation with other masks, further training, an ensemble, and weights between the
plain update and the one distilled from the old model. The floor is the old base itself, taught again from another
seed: what it flips, no update is to blame for.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from torch import Tensor, nn

    from concordant.versions.muscle import RuleName

FLIPS, ACCURACY = "negative_flip_rate", "accuracy"
MEASURES = {
    ACCURACY: "accuracy_new",
    FLIPS: FLIPS,
    "positive_flip_rate": "positive_flip_rate",
    "wrong_answer_churn_rate": "wrong_answer_churn_rate",
    "backward_trust_compatibility": "backward_trust_compatibility",
    "relative_negative_flip_rate": "relative_negative_flip_rate",
}
"""What is measured of each method, and what `versions.flips` calls it."""

RULES: dict[str, RuleName] = {
    "muscle": "current_wrong",
    "distilled": "all",
    "old_likelier": "old_more_likely",
    "old_right": "old_right",
}
"""The masks compared: the method, distillation from the old model alone, and two that need no mistake."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; the set-up of the study at pocket scale by default."""

    task_items: int = 20_000
    test_items: int = 10_000
    old_width: int = 32
    old_items: int = 1_500
    old_steps: int = 200
    new_width: int = 128
    new_items: int = 6_000
    new_steps: int = 600
    task_steps: int = 400
    update_steps: int = 600


SIZES = {
    Scale.smoke: Sizes(1_000, 500, 8, 256, 5, 16, 512, 10, 30, 12),
    Scale.pocket: Sizes(),
}


@study(
    "muscle",
    claims=[
        Claim("fewer-negative-flips", f"muscle.{FLIPS}", f"update.{FLIPS}", "lower"),
        Claim("keeps-the-gain", f"muscle.{ACCURACY}", f"update.{ACCURACY}", "higher", margin=-0.005),
        Claim("masked-beats-plain-distillation", f"muscle.{ACCURACY}", f"distilled.{ACCURACY}", "higher"),
        Claim("fewer-flips-than-further-training", f"muscle.{FLIPS}", f"longer.{FLIPS}", "lower"),
        Claim("ensemble-flips-fewer", f"ensemble.{FLIPS}", f"muscle.{FLIPS}", "lower"),
        Claim("retraining-flips-more", f"update.{FLIPS}", f"again.{FLIPS}", "lower"),
    ],
    baseline="the plain update: the new base, taught the task by the same recipe",
)
def muscle(scale: Scale, seed: int) -> Measurements:
    """Measure flips and accuracy of a compatible update, of the plain one and of its rivals."""
    from concordant.learn import Batches, train
    from concordant.learn.randomness import child_seeds
    from concordant.studies.concepts import OPTIONS, Concepts, class_loss, taught
    from concordant.versions.averages import ensemble_log_probabilities, interpolated_weights
    from concordant.versions.muscle import compatible_update

    n = SIZES[scale]
    seeds = iter(child_seeds(seed, 10))
    world = Concepts(next(seeds))
    lessons = Batches(world.items(n.task_items), 256)
    items, classes = world.items(n.test_items)
    old_base = world.base(n.old_width, n.old_items, n.old_steps, seed=next(seeds))
    new_base = world.base(n.new_width, n.new_items, n.new_steps, seed=next(seeds))
    old = taught(old_base, lessons, n.task_steps, seed=next(seeds))
    update = taught(new_base, lessons, n.task_steps, seed=next(seeds))
    models: dict[str, nn.Module] = {
        "again": taught(old_base, lessons, n.task_steps, seed=next(seeds)),
        "update": update,
    }

    further = {"steps": n.update_steps, "seed": next(seeds), **OPTIONS}
    models["longer"] = copy.deepcopy(update)
    train(models["longer"], class_loss, lessons, **further)
    for name, rule in RULES.items():
        made = compatible_update(old, update, lessons, rule=rule, **further)
        models[name] = made.model
        if name == "muscle":
            masked = {f"muscle.masked_rate@{epoch}": rate for epoch, rate in enumerate(made.masked_rates, 1)}
    models["between"] = copy.deepcopy(update)
    models["between"].load_state_dict(
        interpolated_weights(models["distilled"].state_dict(), update.state_dict())
    )

    said = {name: model(items).detach() for name, model in {"old": old, **models}.items()}
    said["ensemble"] = ensemble_log_probabilities(said["old"], said["update"])
    answers = {name: logits.argmax(-1) for name, logits in said.items()}
    before = answers.pop("old")
    measured = {"old.accuracy": float((before == classes).double().mean())}
    for name, after in answers.items():
        measured |= flips_of(name, before, after, classes)
    return measured | masked


def flips_of(name: str, before: Tensor, after: Tensor, classes: Tensor) -> dict[str, float]:
    """Return what `versions.flips` finds of an update, from the classes that both versions gave."""
    import polars as pl

    from concordant.core.check import check
    from concordant.core.items import Items
    from concordant.models.load import load
    from concordant.versions import Flips

    places = pl.int_range(len(classes), eager=True)
    items = Items(pl.DataFrame({"id": places.cast(pl.String), "input": places, "reference": classes.numpy()}))
    old, new = (load(said.numpy().__getitem__, batched=True) for said in (before, after))
    found = check(new, items, [Flips(old)], progress=False, slices=[])["versions.flips"].findings
    return {f"{name}.{metric}": float(found[measure].value) for metric, measure in MEASURES.items()}
