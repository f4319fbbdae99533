"""MUSCLE: a compatible update against a plain one, by the right answers that turn wrong and the accuracy that is kept.

An old and a new base are taught the same task; the update of the first to the second is then repaired by masked
distillation. Its rivals are distillation with other masks, further training, an ensemble, and weights between the
plain update and the one distilled from the old model. The floor is the old base itself, taught again from another
seed: what it flips, no update is to blame for. At full scale the bases are two language models of yours.

Beside it stands the update of two small chat models that ship, by an adapter that learns from replies of both, and by
sending each question to the version that is expected to do better on its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from torch import Tensor

    from concordant.studies.update_setting import UpdateSetting
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

UNDEFINED = {"backward_trust_compatibility": 1.0, "relative_negative_flip_rate": 0.0}
"""What stands where nothing was right before, or nothing is wrong now, so that nothing can flip."""

RULES: dict[str, RuleName] = {
    "muscle": "current_wrong",
    "distilled": "all",
    "old_likelier": "old_more_likely",
    "old_right": "old_right",
}
"""The masks compared: the method, distillation from the old model alone, and two that need no mistake."""


@study(
    "muscle",
    claims=[
        Claim("fewer-negative-flips", f"muscle.{FLIPS}", f"update.{FLIPS}", "lower"),
        Claim("keeps-the-gain", f"muscle.{ACCURACY}", f"update.{ACCURACY}", "higher", margin=-0.005),
        Claim("masked-beats-plain-distillation", f"muscle.{ACCURACY}", f"distilled.{ACCURACY}", "higher"),
        Claim("fewer-flips-than-further-training", f"muscle.{FLIPS}", f"longer.{FLIPS}", "lower"),
        Claim("ensemble-flips-fewer", f"ensemble.{FLIPS}", f"muscle.{FLIPS}", "lower"),
        Claim("retraining-flips-more", f"update.{FLIPS}", f"again.{FLIPS}", "lower"),
        Claim("chat-fewer-negative-flips", f"chat_muscle.{FLIPS}", f"chat_update.{FLIPS}", "lower"),
        Claim(
            "chat-keeps-the-gain",
            f"chat_muscle.{ACCURACY}",
            f"chat_update.{ACCURACY}",
            "higher",
            margin=-0.01,
        ),
        Claim(
            "chat-fewer-flips-than-further-training", f"chat_muscle.{FLIPS}", f"chat_longer.{FLIPS}", "lower"
        ),
        Claim("chat-route-flips-fewer", f"chat_route.{FLIPS}", f"chat_update.{FLIPS}", "lower"),
        Claim(
            "chat-route-keeps-the-gain",
            f"chat_route.{ACCURACY}",
            f"chat_update.{ACCURACY}",
            "higher",
            margin=-0.01,
        ),
    ],
    baseline="the plain update: the new base, taught the task by the same recipe",
)
def muscle(scale: Scale, seed: int) -> Measurements:
    """Measure flips and accuracy of a compatible update, of the plain one and of its rivals."""
    from concordant.learn.randomness import child_seeds
    from concordant.versions.averages import ensemble_log_probabilities, interpolated_weights

    world_seed, old_seed, again_seed, new_seed, chat_seed = child_seeds(seed, 5)
    setting = _setting(scale, world_seed)
    old = setting.teach(setting.old_base, old_seed)
    update = setting.teach(setting.new_base, new_seed)
    models = {
        "again": setting.teach(setting.old_base, again_seed),
        "update": update,
        "longer": setting.further(update),
    }
    masked: dict[str, float] = {}
    for name, rule in RULES.items():
        repaired = setting.repair(old, update, rule)
        models[name] = repaired.model
        if name == "muscle":
            rates = enumerate(repaired.masked_rates, 1)
            masked = {f"muscle.masked_rate@{epoch}": rate for epoch, rate in rates}
    said = {name: setting.said(model) for name, model in {"old": old, **models}.items()}
    said["ensemble"] = ensemble_log_probabilities(said["old"], said["update"])
    between = interpolated_weights(models["distilled"].state_dict(), update.state_dict())
    models["distilled"].load_state_dict(between)
    said["between"] = setting.said(models["distilled"])

    answers = {name: logits.argmax(-1) for name, logits in said.items()}
    before = answers.pop("old")
    measured = {"old.accuracy": float((before == setting.right).double().mean())}
    for name, after in answers.items():
        measured |= flips_of(name, before, after, setting.right)
    return measured | masked | _of_chat(scale, chat_seed)


def _of_chat(scale: Scale, seed: int) -> dict[str, float]:
    """Return what is measured of the two chat models that ship, at full scale as at pocket scale."""
    from concordant.studies.chat_update import SMALLEST, ChatSizes, chat_update

    sizes = SMALLEST if scale is Scale.smoke else ChatSizes()
    return chat_update(sizes, seed=seed)


def _setting(scale: Scale, seed: int) -> UpdateSetting:
    if scale is Scale.full:
        from concordant.studies.language_update import named_setting

        return named_setting(seed=seed)
    from concordant.studies.update_setting import SMALLEST, ConceptSizes, concepts_setting

    return concepts_setting(SMALLEST if scale is Scale.smoke else ConceptSizes(), seed=seed)


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
    values = {metric: found[measure].value for metric, measure in MEASURES.items() if measure in found}
    return {f"{name}.{metric}": float(value) for metric, value in (UNDEFINED | values).items()}
