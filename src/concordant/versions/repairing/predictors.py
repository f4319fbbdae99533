"""Repairs of classifiers of torch: a copy of the new one that is trained, both at once, or weights between them."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from concordant.core.errors import ConfigError, DataError
from concordant.learn import Batches, cosine
from concordant.learn.checkpoint import save_weights
from concordant.models.predictors import PredictorModel
from concordant.models.rows import inputs_of
from concordant.versions.averages import interpolated_weights
from concordant.versions.muscle import compatible_update
from concordant.versions.repairing.classifier import MeanClassifier, TorchClassifier
from concordant.versions.repairing.way import Way

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.core.items import Items
    from concordant.versions.muscle import RuleName
    from concordant.versions.repairing.settings import Method, RepairSettings

WEIGHTS = "weights.safetensors"
EPOCHS, RATE, BATCH = 20, 1e-3, 64
"""Where nothing is said."""

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""


def predictor_way(
    method: Method,
    models: tuple[PredictorModel, PredictorModel],
    items: Items,
    settings: RepairSettings,
    *,
    seed: int,
    checkpoint: Path | None,
    progress: bool,
) -> Way:
    """Make a way of repairing a classifier ready.

    Parameters
    ----------
    method
        Which; not ``"route"``.
    models
        The old and the new version, each of a `TorchClassifier`.
    items
        What may be trained on: arrays of one shape, with the classes as references.
    settings
        How it is trained; the rule ``"reply"`` is for language models.
    seed, checkpoint, progress
        Of the training.

    Raises
    ------
    ConfigError
        If a model is no classifier of torch, or the rule is for language models.
    DataError
        If items have no reference, or weights between versions of two architectures are asked for.
    """
    old, new = (_classifier(model) for model in models)

    def as_new(classifier: Any) -> PredictorModel:
        return PredictorModel(classifier, name=f"{models[1].name}, {method}", batch_size=models[1].batch_size)

    def with_state(state: dict[str, torch.Tensor]) -> TorchClassifier:
        module = copy.deepcopy(new.module)
        module.load_state_dict(state)
        return TorchClassifier(module, getattr(new, "classes_", None))

    if method == "ensemble":
        return Way(lambda strength: as_new(MeanClassifier(old, new, share=1 - strength)), calls=2)
    about: dict[str, Any] = {}
    if method == "interpolation":
        end = old.module.state_dict()
        interpolated_weights(end, new.module.state_dict())  # refuses two architectures
    else:
        if settings.rule == "reply":
            message = "the rule 'reply' is for language models; allowed for classifiers: the other rules"
            raise ConfigError(message)
        if items.reference is None:
            message = "a repair of classifiers needs items with a reference, the right class"
            raise DataError(message)
        rule: RuleName = "all" if method == "distil" else settings.rule or "current_wrong"
        batches = Batches(
            (new.tensor(inputs_of(items)).cpu(), new.places(items.reference)), settings.batch or BATCH
        )
        epochs = settings.epochs or EPOCHS
        update = compatible_update(
            old.module,
            new.module,
            batches,
            rule=rule,
            cross_entropy_weight=settings.cross_entropy_weight or 0.0,
            epochs=epochs,
            optimizer=partial(torch.optim.AdamW, lr=settings.rate or RATE),
            schedule=partial(cosine, warm_up=round(WARM_UP * epochs * len(batches))),
            seed=seed,
            device=next(new.module.parameters()).device,
            checkpoint=checkpoint,
            resume=checkpoint is not None,
            progress=progress,
        )
        end = update.model.state_dict()
        about = {
            "lessons": len(items),
            "steps": update.history.steps,
            "masked_rates": list(update.masked_rates),
        }

    def between(strength: float) -> TorchClassifier:
        return with_state(interpolated_weights(end, new.module.state_dict(), share=1 - strength))

    return Way(
        lambda strength: as_new(between(strength)),
        lambda folder, strength: save_weights(folder / WEIGHTS, between(strength).module),
        about=about,
    )


def _classifier(model: PredictorModel) -> TorchClassifier:
    if not isinstance(model.predictor, TorchClassifier):
        message = (
            f"a repair trains classifiers of torch (versions.TorchClassifier of a module), got {model.name!r}, "
            f"a {type(model.predictor).__name__}; the methods that train nothing else can do without: route"
        )
        raise ConfigError(message)
    return model.predictor
