r"""Whether an explanation is of the model at all: with random weights in the classifier it must become another one.

J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim (2018), Sanity checks for saliency maps, NeurIPS.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concordant.explanations.classifiers import Classifier
    from concordant.explanations.series_model import SeriesModel


def unshakeable(classifier: Classifier) -> str:
    """Return why the weights of a classifier cannot be made random, or an empty text if they can."""
    if not hasattr(classifier, "behaviour"):
        return (
            f"{classifier.name} is known by its probabilities alone, so there are no weights to make random"
        )
    if all(parameter.numel() < 2 for parameter in classifier.parameters()):  # type: ignore[attr-defined]
        return f"{classifier.name} has no parameter of several numbers whose order could be random"
    return ""


def with_random_weights(model: SeriesModel, seed: int) -> SeriesModel:
    """Return a copy of a classifier in which the numbers of each parameter are in a random order.

    So every parameter keeps its moments, and the copy is as large and as lively as the classifier, and knows nothing.

    Parameters
    ----------
    model
        It is not changed.
    seed
        Decides the order.
    """
    import torch

    shuffled = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in shuffled.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return shuffled
