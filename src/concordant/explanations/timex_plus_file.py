"""A fitted TimeX++ in one file: weights and moments as tensors, options in its header, written all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from concordant.core.errors import ModelError
from concordant.explanations.masking import Baseline
from concordant.explanations.timex_file import identity_of, refuse_another
from concordant.explanations.timex_plus_network import TimeXPlusNetwork
from concordant.learn.checkpoint import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import nn

    from concordant.explanations.series_model import SeriesModel
    from concordant.explanations.timex_plus import TimeXPlus

FILE = "timex-plus.safetensors"


def save_timex_plus(explainer: TimeXPlus, folder: str | Path) -> Path:
    """Write a fitted explainer into a folder, and return the file; see :meth:`concordant.explanations.TimeXPlus.save`."""
    tensors = {f"net.{name}": weight for name, weight in explainer._net.state_dict().items()}
    tensors |= {"mean": explainer._baseline.mean, "std": explainer._baseline.std}
    path = Path(folder) / FILE
    header = {
        "method": "timex++",
        "options": explainer.options,
        "classifier": identity_of(explainer.model.module),
    }
    save_tensors(path, tensors, header)
    return path


def load_timex_plus(
    kind: type[TimeXPlus], folder: str | Path, classifier: nn.Module | SeriesModel
) -> TimeXPlus:
    """Read what :func:`save_timex_plus` wrote; see :meth:`concordant.explanations.TimeXPlus.load`."""
    path = Path(folder) / FILE
    tensors, header = load_tensors(path)
    if header.get("method") != "timex++":
        message = f"{path} is a checkpoint, but not of a TimeX++"
        raise ModelError(message)
    explainer = kind(classifier, **header["options"])
    module = explainer.model.module
    refuse_another(path, header["classifier"], module)
    like = next(module.parameters(), torch.zeros(()))
    explainer._baseline = Baseline(tensors.pop("mean").to(like), tensors.pop("std").to(like))
    length, n_channels = explainer._baseline.mean.shape
    net = TimeXPlusNetwork(n_channels, length, explainer.size, explainer.seed)
    net.load_state_dict({name.removeprefix("net."): weight for name, weight in tensors.items()})
    explainer._net = net.to(like)
    return explainer
