"""A repaired model from its folder: what ``repaired:FOLDER`` stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ModelError, first_line
from concordant.models.language import GenerativeModel
from concordant.models.load import load

if TYPE_CHECKING:
    from concordant.core.model import Model

DOCUMENT, MODEL, ROUTER = "repair.json", "model", "router.json"


def load_repaired(source: str | Path, *, name: str | None = None) -> Model:
    """Load the model that ``concordant repair`` kept in a folder.

    An adapter or interpolated weights are loaded from the folder; a route or an ensemble loads both versions from where
    they were, and says so where they are no longer there.

    Parameters
    ----------
    source
        The folder.
    name
        What reports call it; the name of the folder by default.

    Raises
    ------
    ModelError
        If it holds no repair, one that kept no model, or one whose models cannot be loaded by name alone.
    """
    folder = Path(source)
    try:
        document: dict[str, Any] = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        method, models = document["kept"], document["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder} holds no repair: {first_line(error)}"
        raise ModelError(message) from None
    if method is None:
        message = f"{folder} holds a repair that changed nothing: load the update, {models['new']['spec']}"
        raise ModelError(message)
    label = name or folder.resolve().name
    if any(entry["spec"].startswith("python:") for entry in models.values()):
        message = (
            f"{folder} holds the repair of models of a Python file, whose weights load by "
            "concordant.learn.checkpoint.load_weights"
        )
        raise ModelError(message)
    if (folder / MODEL).is_dir():
        entry = dict(models["new"])
        scheme = entry.pop("spec").partition(":")[0]
        options = {key: value for key, value in entry.items() if key != "name"}
        return load(f"{scheme}:{folder / MODEL}", **options, name=label)
    old, new = (
        load(entry["spec"], **{k: v for k, v in entry.items() if k != "spec"}) for entry in models.values()
    )
    strength = document["methods"][method]["strength"]
    if method == "route":
        from concordant.versions.repairing.router import Routed, read_router

        return Routed(old, new, read_router(folder / ROUTER), strength, name=label)  # type: ignore[arg-type]
    from concordant.versions.repairing.language import spoken_together

    assert isinstance(old, GenerativeModel)
    assert isinstance(new, GenerativeModel)
    return spoken_together(old, new, strength, name=label)
