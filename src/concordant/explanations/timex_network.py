"""What TimeX trains: the network that writes masks, a copy of the classifier that is fed with them, and landmarks."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.functional import relu

from concordant.explanations.mask_generator import MaskGenerator
from concordant.learn.networks.mlp import MLP
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from concordant.explanations.series_model import SeriesModel


@dataclass(frozen=True)
class Behaviour:
    """What a classifier does with series: latents of shape ``(n, d)``, probabilities of shape ``(n, classes)``."""

    latent: Tensor
    probabilities: Tensor


class TimeXNetwork(nn.Module):
    """All that is trained: the network that writes masks, the copy of the classifier, its new head, the landmarks."""

    def __init__(
        self,
        model: SeriesModel,
        widths: tuple[int, int, int, int],
        landmarks: Tensor,
        size: dict[str, Any],
        seed: int,
    ) -> None:
        super().__init__()
        self.widths = n_channels, length, width, n_classes = widths
        mask_seed, head_seed = child_seeds(seed, 2)
        self.masks = MaskGenerator(n_channels, length, **size, seed=mask_seed)
        self.copy = copy.deepcopy(model).requires_grad_()
        self.head = MLP(width, n_classes, hidden=(width,), activation=relu, seed=head_seed)
        self.landmarks = nn.Parameter(landmarks.clone())
        super().train()

    def train(self, mode: bool = True) -> TimeXNetwork:  # noqa: FBT001, FBT002 (the signature of PyTorch)
        """Change the mode of all parts, but not again where it is that mode: loops ask for it at every step."""
        return self if mode == self.training else super().train(mode)

    def act(self, x: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the logits of the new head and the latent of the copy, for series that are masked already."""
        latent = self.copy(x, keep)[1]
        return self.head(latent), latent
