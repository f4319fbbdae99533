"""Folding of event histories by a key, and a classifier of folded histories.

`fold` and the scores need no torch; nothing here imports it before `FoldedClassifier` is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.folding.folded import Folded as Folded
    from concordant.explanations.folding.folded import fold as fold
    from concordant.explanations.folding.folded import frequent_groups as frequent_groups
    from concordant.explanations.folding.lbsf import FoldedClassifier as FoldedClassifier
    from concordant.explanations.folding.risk_scores import auc as auc
    from concordant.explanations.folding.risk_scores import auc_score as auc_score
    from concordant.explanations.folding.risk_scores import kolmogorov_smirnov as kolmogorov_smirnov
    from concordant.explanations.folding.risk_scores import ks_score as ks_score
    from concordant.explanations.folding.risk_scores import recall_at_rejection as recall_at_rejection
    from concordant.explanations.folding.simulated_payments import payments as payments

_HOME = {
    "Folded": "folded",
    "FoldedClassifier": "lbsf",
    "auc": "risk_scores",
    "auc_score": "risk_scores",
    "fold": "folded",
    "frequent_groups": "folded",
    "kolmogorov_smirnov": "risk_scores",
    "ks_score": "risk_scores",
    "payments": "simulated_payments",
    "recall_at_rejection": "risk_scores",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch={"lbsf": "classifiers of folded histories"})
