"""What explanations are measured by, and which way each measure is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["higher", "lower"]


@dataclass(frozen=True)
class Measure:
    """A number that an explanation has for every series.

    Attributes
    ----------
    name
        As it is in tables.
    direction
        Whether ``"higher"`` or ``"lower"`` is better.
    bounds
        The least and the largest that it can be.
    about
        What it says, in a phrase.
    """

    name: str
    direction: Direction
    bounds: tuple[float, float]
    about: str

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.direction == "higher" else -1


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "sufficiency_gap",
            "lower",
            (-1, 1),
            "how much less probable the class is when only the most important numbers are kept, over all shares",
        ),
        Measure(
            "comprehensiveness_score",
            "higher",
            (-1, 1),
            "how much less probable the class is when the most important numbers are replaced, over all shares",
        ),
        Measure(
            "label_agreement_rate",
            "higher",
            (0, 1),
            "how often the class stays when only the most important numbers are kept",
        ),
        Measure(
            "latent_cosine_score",
            "higher",
            (-1, 1),
            "how near the latent stays when only the most important numbers are kept",
        ),
        Measure(
            "latent_gram_loss",
            "lower",
            (0, 4),
            "how much the series moves among the others in the latent when only the most important numbers are kept",
        ),
        Measure("auprc_score", "higher", (0, 1), "average precision against the truth"),
        Measure("aup_score", "higher", (0, 1), "area under precision over thresholds, against the truth"),
        Measure("aur_score", "higher", (0, 1), "area under recall over thresholds, against the truth"),
        Measure("iou_score", "higher", (0, 1), "overlap of the most important numbers with the truth"),
        Measure(
            "noise_stability_score",
            "higher",
            (-1, 1),
            "rank correlation with the explanation of the series with a little noise, where the class stays",
        ),
        Measure(
            "seed_stability_score",
            "higher",
            (-1, 1),
            "rank correlation between explainers that were trained with different seeds",
        ),
        Measure(
            "sanity_loss",
            "lower",
            (0, 1),
            "rank correlation, without its sign, with the explanation of the classifier with random weights",
        ),
    )
}
"""All measures, by name. The first is the one that ranks, where no other is asked for."""
