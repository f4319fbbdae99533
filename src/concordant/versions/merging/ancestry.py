"""Whether models can be merged at all: the same names and shapes, the same tokens, and one ancestor.

Ancestry is judged by a sample of the matrices. Two models that began alike are nearly parallel, whatever they learnt
since; two that began apart are at right angles: cosine about 0, a distance of about the root of 2 from one another.
Below a cosine of a half a merge is refused. Vectors do not count: scales of norms are near 1 in all models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.models.huggingface import TOKENIZERS
from concordant.versions.merging.weights import is_weight, wide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from concordant.models.weight_files import WeightFiles
    from concordant.versions.merging.plan import Plan

RELATED = 0.5
"""The least cosine between the matrices of two models of one ancestor."""

SAMPLE = 1 << 16
"""Entries of a matrix that are looked at, from its middle."""


@dataclass(frozen=True, slots=True)
class Ancestry:
    """How near the models of a merge are to each other, over a sample of their matrices.

    Parameters
    ----------
    names
        Of the models: the base, if there is one, and the parents.
    cosines
        Between their weights, shape ``(models, models)``.
    distances
        Of each model from the first, as a share of the length of the first, shape ``(models,)``.
    delta_cosines
        Between what each model adds to the first, shape ``(models, models)``; the first adds nothing, and has 0.
    """

    names: tuple[str, ...]
    cosines: NDArray[np.float64]
    distances: NDArray[np.float64]
    delta_cosines: NDArray[np.float64]

    def strangers(self) -> str | None:
        """Return in one sentence which models have no common ancestor, or None."""
        for i, name in enumerate(self.names[1:], start=1):
            if self.cosines[0, i] < RELATED:
                return (
                    f"{name} does not come from {self.names[0]}, or from where that came from: the cosine between their"
                    f" matrices is {self.cosines[0, i]:.3f}, of models of one ancestor at least {RELATED}"
                )
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for the record."""
        return {
            "models": list(self.names),
            "cosines_of_weights": self.cosines.round(6).tolist(),
            "distances_from_the_first": self.distances.round(6).tolist(),
            "cosines_of_deltas": self.delta_cosines.round(6).tolist(),
            "entries_a_matrix": SAMPLE,
        }


def ancestry(plan: Plan, files: Sequence[WeightFiles]) -> Ancestry:
    """Measure how near the models of a plan are to each other.

    Parameters
    ----------
    plan
        The merge.
    files
        The weights of its models, in their order, of the same names and shapes.
    """
    products = np.zeros((len(files), len(files)))
    moved = np.zeros_like(products)
    for name, entry in files[0].entries.items():
        if len(entry.shape) < 2 or not _is_weight(plan, files[0], name):
            continue
        start = max(0, (entry.n_entries - SAMPLE) // 2)
        end = min(entry.n_entries, start + SAMPLE)
        rows = torch.stack([wide(each.piece(name, start, end)).float() for each in files]).numpy()
        products += rows @ rows.T
        added = rows - rows[0]
        moved += added @ added.T
    lengths = np.sqrt(np.diag(moved))
    return Ancestry(
        tuple(model.name for model in plan.models),
        _cosines(products),
        lengths / (math.sqrt(products[0, 0]) or 1.0),
        _cosines(moved),
    )


def check_one_architecture(plan: Plan, files: Sequence[WeightFiles]) -> None:
    """Refuse models whose names or shapes differ, or that hold weights that cannot be added up.

    Raises
    ------
    DataError, ModelError
        The message names the first weight that does not fit.
    """
    first, first_name = files[0], plan.models[0].name
    for name, entry in first.entries.items():
        if entry.dtype.itemsize == 1 and entry.dtype.is_floating_point:
            message = f"{first_name}: the weight {name!r} is quantised ({entry.dtype}), and cannot be merged"
            raise ModelError(message)
    for model, each in zip(plan.models[1:], files[1:], strict=True):
        for name in [*first.entries, *(name for name in each.entries if name not in first)]:
            shapes = [s[name].shape if name in s else "no such weight" for s in (first, each)]
            if shapes[0] != shapes[1]:
                message = (
                    f"models can be merged where names and shapes of weights are the same, got {name!r} with"
                    f" {shapes[0]} in {first_name} and {shapes[1]} in {model.name}"
                )
                raise DataError(message)


def check_tokens(plan: Plan) -> None:
    """Refuse models of different vocabularies; models without a tokenizer are not compared.

    Raises
    ------
    ConfigError
        The message names the models and the first difference.
    """
    with_one = [model for model in plan.models if any(next(model.folder.glob(p), None) for p in TOKENIZERS)]
    if len(with_one) < 2:
        return
    from transformers import AutoTokenizer

    vocabularies = [AutoTokenizer.from_pretrained(model.folder).get_vocab() for model in with_one]
    for model, vocabulary in zip(with_one[1:], vocabularies[1:], strict=True):
        if vocabulary != vocabularies[0]:
            token = min((vocabulary.items() ^ vocabularies[0].items()), key=lambda item: (item[1], item[0]))
            message = (
                f"{with_one[0].name} and {model.name} have different vocabularies, first at token {token[1]}"
                f" ({token[0]!r}); --force merges them all the same"
            )
            raise ConfigError(message)


def _is_weight(plan: Plan, files: WeightFiles, name: str) -> bool:
    return is_weight(name, torch.empty(0, dtype=files[name].dtype), plan.buffers)


def _cosines(products: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.sqrt(np.diag(products))
    outer = np.outer(lengths, lengths)
    cosines: NDArray[np.float64] = np.divide(products, outer, out=np.zeros_like(products), where=outer > 0)
    return cosines
