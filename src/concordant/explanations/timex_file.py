"""A fitted TimeX in one file: weights and moments as tensors, options in its header, written all or nothing."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import ModelError
from concordant.explanations.landmarks import Landmarks
from concordant.explanations.masking import Baseline
from concordant.explanations.timex_network import TimeXNetwork
from concordant.learn.checkpoint import load_tensors, save_tensors
from concordant.models.fingerprints import fingerprint

if TYPE_CHECKING:
    from torch import nn

    from concordant.explanations.series_model import SeriesModel
    from concordant.explanations.timex import TimeX

FILE = "timex.safetensors"


def save_timex(explainer: TimeX, folder: str | Path) -> Path:
    """Write a fitted explainer into a folder, and return the file; see :meth:`concordant.explanations.TimeX.save`."""
    net = explainer._net
    tensors = {f"net.{name}": weight for name, weight in net.state_dict().items()}
    tensors |= {"mean": explainer._baseline.mean, "std": explainer._baseline.std}
    if explainer.n_landmarks:
        found = zip(("vectors", "n_rows", "examples", "cosines"), astuple(explainer.landmarks()), strict=True)
        tensors |= {f"landmarks.{name}": torch.as_tensor(array) for name, array in found}
    header = {
        "options": explainer.options,
        "masking": explainer._masking,
        "draws_seed": explainer._draws_seed,
        "widths": net.widths,
        "classifier": identity_of(explainer.model.module),
    }
    path = Path(folder) / FILE
    save_tensors(path, tensors, header)
    return path


def load_timex(
    kind: type[TimeX], folder: str | Path, classifier: nn.Module | SeriesModel, **given: Any
) -> TimeX:
    """Read what :func:`save_timex` wrote; see :meth:`concordant.explanations.TimeX.load`."""
    path = Path(folder) / FILE
    tensors, header = load_tensors(path)
    if "options" not in header or "widths" not in header:
        message = f"{path} is a checkpoint, but not of a TimeX"
        raise ModelError(message)
    explainer = kind(classifier, **given, **header["options"])
    module = explainer.model.module
    refuse_another(path, header["classifier"], module)
    net_weights = {name.removeprefix("net."): t for name, t in tensors.items() if name.startswith("net.")}
    net = TimeXNetwork(
        explainer.model, tuple(header["widths"]), net_weights["landmarks"], explainer.size, explainer.seed
    )
    net.load_state_dict(net_weights)
    like = next(module.parameters(), torch.zeros(()))
    explainer._net = net.to(like)
    explainer._masking, explainer._draws_seed = header["masking"], header["draws_seed"]
    explainer._baseline = Baseline(tensors["mean"].to(like), tensors["std"].to(like))
    if explainer.n_landmarks:
        names = ("vectors", "n_rows", "examples", "cosines")
        explainer._landmarks = Landmarks(*(tensors[f"landmarks.{name}"].numpy() for name in names))
    return explainer


def identity_of(module: nn.Module) -> list[str]:
    """Return the type of a classifier and the digest of its weights."""
    weights = {name: np.asarray(weight.detach().cpu()) for name, weight in module.state_dict().items()}
    return [type(module).__name__, fingerprint(weights)]


def refuse_another(path: Path, known: list[str], module: nn.Module) -> None:
    """Refuse a classifier that is not the one whose identity a file has.

    Raises
    ------
    ModelError
        If it has another type or other weights.
    """
    name, digest = identity_of(module)
    if [name, digest] != known:
        message = (
            f"{path} explains another classifier: a {known[0]} with weights {known[1][:12]}, "
            f"got a {name} with weights {digest[:12]}"
        )
        raise ModelError(message)
