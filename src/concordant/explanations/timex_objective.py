"""What TimeX minimises: the parts of its loss on a batch, what they weigh, and which of them choose the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from concordant.core.errors import ConfigError
from concordant.explanations.landmarks import nearest_landmark
from concordant.explanations.masking import Baseline, Masking, masked
from concordant.explanations.timex_loss import (
    Connection,
    LabelRelation,
    connection_loss,
    mask_size_loss,
    scalar_label_loss,
)
from concordant.learn.losses.relational import gram_loss, pairwise_jensen_shannon_loss
from concordant.learn.networks.masks import straight_through

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from concordant.explanations.timex_network import Behaviour, TimeXNetwork


@dataclass(frozen=True)
class Objective:
    """The loss of TimeX.

    Attributes
    ----------
    keep_rate, label_relation, connection
        As for :class:`concordant.explanations.TimeX`.
    weights
        Of ``behaviour``, ``label``, ``size`` and ``connection``, at least 0; the landmarks weigh 1.

    Raises
    ------
    ConfigError
        If one is outside its range.
    """

    keep_rate: float
    label_relation: LabelRelation
    connection: Connection
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not 0 < self.keep_rate < 1:
            message = f"keep_rate of TimeX must be above 0 and below 1, got {self.keep_rate}"
            raise ConfigError(message)
        for name, weight in self.weights.items():
            if not weight >= 0:
                message = f"the weight of {name} in TimeX must be at least 0, got {weight}"
                raise ConfigError(message)
        for name, kind in (("label_relation", LabelRelation), ("connection", Connection)):
            value, known = getattr(self, name), get_args(kind)
            if value not in known:
                message = f"{name} of TimeX must be {' or '.join(map(repr, known))}, got {value!r}"
                raise ConfigError(message)

    def parts(
        self,
        net: TimeXNetwork,
        x: Tensor,
        seen: Behaviour,
        masking: Masking,
        baseline: Baseline,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return the parts of the loss on series of shape ``(n, time, channel)``, and the mean ``keep_rate``."""
        log_odds = net.masks(x)
        p = log_odds.sigmoid()
        mask = straight_through(log_odds, generator=generator)
        logits, latent = net.act(*masked(x, mask, masking, baseline, generator))
        labels = scalar_label_loss if self.label_relation == "scalar" else pairwise_jensen_shannon_loss
        landmark = x.new_zeros(())
        if len(net.landmarks):
            landmark = gram_loss(nearest_landmark(latent, net.landmarks, generator), seen.latent)
        return {
            "behaviour": gram_loss(latent, seen.latent),
            "label": labels(logits.softmax(-1), seen.probabilities),
            "size": mask_size_loss(log_odds, self.keep_rate),
            "connection": connection_loss(p, self.connection),
            "landmark": landmark,
            "keep_rate": p.mean(),
        }

    def total(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the parts as they weigh."""
        return sum((weight * parts[name] for name, weight in self.weights.items()), parts["landmark"])

    def consistency(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return what is asked of an epoch: consistency of behaviour and of labels, as they weigh."""
        return self.weights["behaviour"] * parts["behaviour"] + self.weights["label"] * parts["label"]
