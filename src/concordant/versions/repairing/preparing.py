"""From a method and two models to a way of repairing: language models, classifiers of torch, or any two to route between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError
from concordant.models.language import GenerativeModel
from concordant.models.predictors import PredictorModel
from concordant.versions.repairing.lessons import advantage_of_old
from concordant.versions.repairing.router import Routed, fitted
from concordant.versions.repairing.way import Way

if TYPE_CHECKING:
    from pathlib import Path

    from concordant.core.behaviours import Behaviours
    from concordant.core.model import Model
    from concordant.versions.repairing.settings import Method, RepairSettings

ROUTER = "router.json"


def prepared(
    method: Method,
    models: tuple[Model, Model],
    behaviours: tuple[Behaviours, Behaviours],
    settings: RepairSettings,
    *,
    cut_at: int,
    seed: int,
    checkpoint: Path | None,
    progress: bool,
) -> Way:
    """Make a way of repairing ready for two models.

    Parameters
    ----------
    method
        Which.
    models
        The old and the new version.
    behaviours
        What they did on the items that may be learnt from.
    settings, cut_at, seed, checkpoint, progress
        As for `concordant.versions.repairing.language.language_way`.

    Raises
    ------
    ConcordantError
        If the method does not suit the models, or there is nothing to learn.
    """
    old, new = models
    if method == "route":
        return routing(old, new, behaviours, seed)
    how = {"seed": seed, "checkpoint": checkpoint, "progress": progress}
    if isinstance(old, GenerativeModel) and isinstance(new, GenerativeModel):
        from concordant.versions.repairing.language import language_way

        return language_way(method, (old, new), behaviours, settings, cut_at=cut_at, **how)  # type: ignore[arg-type]
    if isinstance(old, PredictorModel) and isinstance(new, PredictorModel):
        from concordant.versions.repairing.predictors import predictor_way

        return predictor_way(method, (old, new), behaviours[0].items, settings, **how)  # type: ignore[arg-type]
    kinds = " and ".join(f"{model.name!r}, a {type(model).__name__}" for model in models)
    message = (
        f"{method} repairs causal language models (hf:, pocket:) and classifiers of torch, both versions of one kind, "
        f"got {kinds}; the method route takes any two models that answer in batches"
    )
    raise ConfigError(message)


def routing(old: Model, new: Model, behaviours: tuple[Behaviours, Behaviours], seed: int) -> Way:
    """Make ready to send questions to one of two models; see `concordant.versions.repairing.router`.

    Parameters
    ----------
    old, new
        The versions, which answer in batches.
    behaviours
        What they did on the items that may be learnt from.
    seed
        Of the folds.
    """
    router = fitted(behaviours[0].items, advantage_of_old(*behaviours), seed=seed)
    name = f"{new.name}, route"

    def save(folder: Path, _: float) -> None:
        (folder / ROUTER).write_text(json.dumps(router.to_dict()), encoding="utf-8")

    return Way(
        lambda strength: Routed(old, new, router, strength, name=name),  # type: ignore[arg-type]  # it refuses servers
        save,
        about={
            "lessons": int(np.sum(~np.isnan(advantage_of_old(*behaviours)))),
            "terms": len(router.weights),
        },
    )
