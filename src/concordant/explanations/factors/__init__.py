"""Which factors a model goes by, whether other models, versions and seeds go by the same, and training to that.

X. Wu, L. Li, X. Tao, F. Xing, J. Yuan (2024), Primary and secondary factor consistency as domain knowledge to guide
happiness computing in online assessment, arXiv:2402.12398.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.factors.attributions import gradient_attribution as gradient_attribution
    from concordant.explanations.factors.attributions import linear_attribution as linear_attribution
    from concordant.explanations.factors.attributions import (
        permutation_attribution as permutation_attribution,
    )
    from concordant.explanations.factors.attributions import tree_attribution as tree_attribution
    from concordant.explanations.factors.deletion import deletion_check as deletion_check
    from concordant.explanations.factors.knowledge import gradient_shares as gradient_shares
    from concordant.explanations.factors.knowledge import knowledge_loss as knowledge_loss
    from concordant.explanations.factors.knowledge import mutual_loss as mutual_loss
    from concordant.explanations.factors.knowledge import with_knowledge as with_knowledge
    from concordant.explanations.factors.shares import Importance as Importance
    from concordant.explanations.factors.shares import agreed as agreed
    from concordant.explanations.factors.shares import agreement as agreement
    from concordant.explanations.factors.shares import agreement_matrix as agreement_matrix
    from concordant.explanations.factors.shares import compared as compared
    from concordant.explanations.factors.shares import importance as importance
    from concordant.explanations.factors.shares import ranked_shares as ranked_shares
    from concordant.explanations.factors.shares import reversed_shares as reversed_shares
    from concordant.explanations.factors.shares import uniform_shares as uniform_shares

_HOME = {
    "Importance": "shares",
    "agreed": "shares",
    "agreement": "shares",
    "agreement_matrix": "shares",
    "compared": "shares",
    "deletion_check": "deletion",
    "gradient_attribution": "attributions",
    "gradient_shares": "knowledge",
    "importance": "shares",
    "knowledge_loss": "knowledge",
    "linear_attribution": "attributions",
    "mutual_loss": "knowledge",
    "permutation_attribution": "attributions",
    "ranked_shares": "shares",
    "reversed_shares": "shares",
    "tree_attribution": "attributions",
    "uniform_shares": "shares",
    "with_knowledge": "knowledge",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(
    __name__, _HOME, torch={"knowledge": "networks that are trained with knowledge"}
)
