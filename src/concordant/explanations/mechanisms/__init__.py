"""What inside a model decides: which part writes what, and what the model does when that part is turned up or down.

Nothing here imports torch before one of the names that need it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.mechanisms.accuracy_laws import ConstantLaw as ConstantLaw
    from concordant.explanations.mechanisms.accuracy_laws import InferenceTimeLaw as InferenceTimeLaw
    from concordant.explanations.mechanisms.accuracy_laws import LogisticLaw as LogisticLaw
    from concordant.explanations.mechanisms.cells import cells_of as cells_of
    from concordant.explanations.mechanisms.cells import split_cells as split_cells
    from concordant.explanations.mechanisms.circuit import CircuitModel as CircuitModel
    from concordant.explanations.mechanisms.conflicts import Conflicts as Conflicts
    from concordant.explanations.mechanisms.conflicts import FactConflict as FactConflict
    from concordant.explanations.mechanisms.conflicts import contradicted as contradicted
    from concordant.explanations.mechanisms.conflicts import known_conflicts as known_conflicts
    from concordant.explanations.mechanisms.definite_layers import definite as definite
    from concordant.explanations.mechanisms.definite_layers import undo_definite as undo_definite
    from concordant.explanations.mechanisms.demonstrations import (
        chosen_demonstrations as chosen_demonstrations,
    )
    from concordant.explanations.mechanisms.demonstrations import flux_of as flux_of
    from concordant.explanations.mechanisms.depth_norms import TokenNorms as TokenNorms
    from concordant.explanations.mechanisms.depth_norms import token_norms as token_norms
    from concordant.explanations.mechanisms.difficulty import question_difficulty as question_difficulty
    from concordant.explanations.mechanisms.difficulty import solution_difficulty as solution_difficulty
    from concordant.explanations.mechanisms.dynamics import Trajectories as Trajectories
    from concordant.explanations.mechanisms.dynamics import blow_up_time as blow_up_time
    from concordant.explanations.mechanisms.dynamics import token_dynamics as token_dynamics
    from concordant.explanations.mechanisms.head_scaling import scaled_heads as scaled_heads
    from concordant.explanations.mechanisms.heads import head_outputs as head_outputs
    from concordant.explanations.mechanisms.law_scoring import LawScores as LawScores
    from concordant.explanations.mechanisms.law_scoring import compare_laws as compare_laws
    from concordant.explanations.mechanisms.law_scoring import law_scores as law_scores
    from concordant.explanations.mechanisms.logit_attribution import LogitAttribution as LogitAttribution
    from concordant.explanations.mechanisms.logit_attribution import (
        direct_logit_attribution as direct_logit_attribution,
    )
    from concordant.explanations.mechanisms.prompt_grid import strategy_grid as strategy_grid
    from concordant.explanations.mechanisms.published_circuit import PublishedCircuit as PublishedCircuit
    from concordant.explanations.mechanisms.published_circuit import published_power as published_power
    from concordant.explanations.mechanisms.published_circuit import (
        published_resistance as published_resistance,
    )
    from concordant.explanations.mechanisms.scan import linear_recurrence as linear_recurrence
    from concordant.explanations.mechanisms.scan import selective_scan as selective_scan
    from concordant.explanations.mechanisms.scan import with_selective_scan as with_selective_scan
    from concordant.explanations.mechanisms.soft_sort import SoftSort as SoftSort
    from concordant.explanations.mechanisms.soft_sort import soft_permutation as soft_permutation
    from concordant.explanations.mechanisms.sources import Recall as Recall
    from concordant.explanations.mechanisms.sources import frequency_correlation as frequency_correlation
    from concordant.explanations.mechanisms.sources import recall as recall
    from concordant.explanations.mechanisms.spectra import SpectrumReport as SpectrumReport
    from concordant.explanations.mechanisms.spectra import spectrum_report as spectrum_report
    from concordant.explanations.mechanisms.strategies import Strategy as Strategy
    from concordant.explanations.mechanisms.strategies import Wording as Wording
    from concordant.explanations.mechanisms.strategies import all_strategies as all_strategies
    from concordant.explanations.mechanisms.sweep import HeadChoice as HeadChoice
    from concordant.explanations.mechanisms.sweep import HeadSweep as HeadSweep
    from concordant.explanations.mechanisms.sweep import head_sweep as head_sweep

_HOME = {
    "CircuitModel": "circuit",
    "Conflicts": "conflicts",
    "ConstantLaw": "accuracy_laws",
    "FactConflict": "conflicts",
    "HeadChoice": "sweep",
    "HeadSweep": "sweep",
    "InferenceTimeLaw": "accuracy_laws",
    "LawScores": "law_scoring",
    "LogisticLaw": "accuracy_laws",
    "LogitAttribution": "logit_attribution",
    "PublishedCircuit": "published_circuit",
    "Recall": "sources",
    "SoftSort": "soft_sort",
    "SpectrumReport": "spectra",
    "Strategy": "strategies",
    "TokenNorms": "depth_norms",
    "Trajectories": "dynamics",
    "Wording": "strategies",
    "all_strategies": "strategies",
    "blow_up_time": "dynamics",
    "cells_of": "cells",
    "chosen_demonstrations": "demonstrations",
    "compare_laws": "law_scoring",
    "contradicted": "conflicts",
    "definite": "definite_layers",
    "direct_logit_attribution": "logit_attribution",
    "flux_of": "demonstrations",
    "frequency_correlation": "sources",
    "head_outputs": "heads",
    "head_sweep": "sweep",
    "known_conflicts": "conflicts",
    "law_scores": "law_scoring",
    "linear_recurrence": "scan",
    "published_power": "published_circuit",
    "published_resistance": "published_circuit",
    "question_difficulty": "difficulty",
    "recall": "sources",
    "scaled_heads": "head_scaling",
    "selective_scan": "scan",
    "soft_permutation": "soft_sort",
    "solution_difficulty": "difficulty",
    "spectrum_report": "spectra",
    "split_cells": "cells",
    "strategy_grid": "prompt_grid",
    "token_dynamics": "dynamics",
    "token_norms": "depth_norms",
    "undo_definite": "definite_layers",
    "with_selective_scan": "scan",
}
_WITHOUT_TORCH = (
    "accuracy_laws",
    "cells",
    "circuit",
    "demonstrations",
    "difficulty",
    "dynamics",
    "law_scoring",
    "published_circuit",
    "strategies",
    "prompt_grid",
)
_WITH_TORCH = dict.fromkeys(set(_HOME.values()) - set(_WITHOUT_TORCH), "the mechanisms of models")

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch=_WITH_TORCH)
