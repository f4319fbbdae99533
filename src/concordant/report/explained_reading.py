"""How to read a page of explanations, measure by measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.report.explained_words import title_of

if TYPE_CHECKING:
    from concordant.explanations.explained import Explained

SHADES = (
    "Of each series the least important number is left white and the most important is darkest, so that shades say where "
    "in a series an explanation points, and not how strongly compared with other series. Methods that have signs are red "
    "where a number speaks against the class that was given."
)
MEASURES = {
    "sufficiency_gap": (
        "The classifier sees only the numbers that an explanation calls most important; others "
        "stand in for the rest. The gap is what the probability of its class loses, averaged over shares. "
        "Small is good: what was kept was enough."
    ),
    "comprehensiveness_score": (
        "The other way round: the most important numbers are replaced. The more the class loses, the more of what it "
        "stood on was found."
    ),
    "label_agreement_rate": (
        "How often the classifier gives the same class to the most important numbers alone. Random numbers agree, too, "
        "where one class is given to nearly everything: look at what lies beyond them."
    ),
    "latent_cosine_score": (
        "The same question asked of the classifier's inner representation, which says more than its class does: 1 means "
        "that it stays where it was."
    ),
    "latent_gram_loss": (
        "Whether series keep their neighbours in the inner representation when only the most important numbers are kept: "
        "the mean squared change of their cosines with the others."
    ),
    "auprc_score": (
        "Where it is known which numbers make the class: the average precision of the explanation in finding them. It "
        "tells whether the classifier and its explanation look at the right place together; a classifier that decides "
        "by something else can have a true explanation with a low score."
    ),
    "aup_score": "Precision against the known numbers, averaged over thresholds from 0 to 1.",
    "aur_score": "Recall of the known numbers, averaged over thresholds from 0 to 1.",
    "iou_score": "Overlap of as many numbers as are known with the most important ones.",
    "noise_stability_score": (
        "Rank correlation of the explanations of a series and of the same with a little noise, where the class stays. A "
        "low score means that details should not be believed; a high one alone says little, for an explanation that is the "
        "same for all series is stable, too."
    ),
    "seed_stability_score": (
        "Rank correlation of explanations by explainers that were trained with other random numbers. A low score means "
        "that another run would point elsewhere."
    ),
    "sanity_loss": (
        "Rank correlation with the explanation of the same network with random weights. An explanation that hardly "
        "changes says nothing of what was learnt, however plausible it looks. Random numbers pass."
    ),
}


def readings(explained: Explained) -> list[tuple[str, str]]:
    """Return terms with what they mean, of what stands on the page alone."""
    entries = [] if explained.data.is_table else [("Shades", SHADES)]
    judged = explained.judged
    if judged is not None:
        measured = judged.measures["measure"].unique(maintain_order=True).to_list()
        entries.append(
            (
                "Random",
                "Numbers that know nothing stand beside every explainer. One that is not better than they are is not worth "
                "reading, whatever its picture looks like.",
            )
        )
        entries += [
            (title_of(name)[0].upper() + title_of(name)[1:], MEASURES[name])
            for name in measured
            if name in MEASURES
        ]
        entries.append(
            (
                "Better than",
                "Explainers are compared in pairs, on the same series, and p values are corrected for all pairs (Holm). Two "
                "intervals may overlap although the paired difference is certain.",
            )
        )
    if explained.landmarks:
        entries.append(
            (
                "Kinds of explanations",
                "Landmarks are learnt with the explainer, in its inner representation of what it keeps. The number is how "
                "many series are nearer to it than to any other, the cosine how near a series is.",
            )
        )
    if explained.data.is_table:
        entries.append(
            (
                "Columns",
                "The mean magnitude says how much a column moves the classifier in general. The dots say in which rows: "
                "where there are signs, right of 0 a number speaks for the class that its row was given. Blue are rows with "
                "high values of the column, brown those with low ones.",
            )
        )
    return entries
