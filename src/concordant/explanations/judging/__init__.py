"""Whether an explanation is true to the model: explainers judged by what the classifier does, beside a random one.

Nothing here needs torch for a classifier that is not of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.judging.comparison import judge as judge
    from concordant.explanations.judging.judgement import Judgement as Judgement
    from concordant.explanations.judging.measures import MEASURES as MEASURES
    from concordant.explanations.judging.measures import Measure as Measure
    from concordant.explanations.judging.sanity import with_random_weights as with_random_weights

_HOME = {
    "MEASURES": "measures",
    "Judgement": "judgement",
    "Measure": "measures",
    "judge": "comparison",
    "with_random_weights": "sanity",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME)
