"""What inside a model decides: which part writes what, and what the model does when that part is turned up or down.

Nothing here imports torch before one of the names that need it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.mechanisms.conflicts import Conflicts as Conflicts
    from concordant.explanations.mechanisms.conflicts import FactConflict as FactConflict
    from concordant.explanations.mechanisms.conflicts import contradicted as contradicted
    from concordant.explanations.mechanisms.conflicts import known_conflicts as known_conflicts
    from concordant.explanations.mechanisms.head_scaling import scaled_heads as scaled_heads
    from concordant.explanations.mechanisms.heads import head_outputs as head_outputs
    from concordant.explanations.mechanisms.logit_attribution import LogitAttribution as LogitAttribution
    from concordant.explanations.mechanisms.logit_attribution import (
        direct_logit_attribution as direct_logit_attribution,
    )
    from concordant.explanations.mechanisms.sources import Recall as Recall
    from concordant.explanations.mechanisms.sources import frequency_correlation as frequency_correlation
    from concordant.explanations.mechanisms.sources import recall as recall
    from concordant.explanations.mechanisms.sweep import HeadChoice as HeadChoice
    from concordant.explanations.mechanisms.sweep import HeadSweep as HeadSweep
    from concordant.explanations.mechanisms.sweep import head_sweep as head_sweep

_HOME = {
    "Conflicts": "conflicts",
    "FactConflict": "conflicts",
    "HeadChoice": "sweep",
    "HeadSweep": "sweep",
    "LogitAttribution": "logit_attribution",
    "Recall": "sources",
    "contradicted": "conflicts",
    "direct_logit_attribution": "logit_attribution",
    "frequency_correlation": "sources",
    "head_outputs": "heads",
    "head_sweep": "sweep",
    "known_conflicts": "conflicts",
    "recall": "sources",
    "scaled_heads": "head_scaling",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch="the mechanisms of models")
