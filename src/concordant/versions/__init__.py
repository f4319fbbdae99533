"""Agreement of a model with its previous version: flips, graded regressions, the noise floor, compatible updates.

What trains or averages models needs torch, which is not imported before one of its names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy
from concordant.versions.flips import Flips as Flips
from concordant.versions.noise_floor import NoiseFloor as NoiseFloor
from concordant.versions.retention import Retention as Retention
from concordant.versions.scores import Scores as Scores
from concordant.versions.step_agreement import StepAgreement as StepAgreement

if TYPE_CHECKING:
    from concordant.versions.averages import ensemble_log_probabilities as ensemble_log_probabilities
    from concordant.versions.averages import interpolated_weights as interpolated_weights
    from concordant.versions.muscle import CompatibleUpdate as CompatibleUpdate
    from concordant.versions.muscle import compatible_update as compatible_update
    from concordant.versions.muscle_adapter import compatible_adapter as compatible_adapter
    from concordant.versions.repairing.classifier import TorchClassifier as TorchClassifier
    from concordant.versions.repairing.flow import repair as repair
    from concordant.versions.repairing.result import Repair as Repair
    from concordant.versions.repairing.settings import RepairSettings as RepairSettings

_HOME = {
    "CompatibleUpdate": "muscle",
    "compatible_adapter": "muscle_adapter",
    "compatible_update": "muscle",
    "ensemble_log_probabilities": "averages",
    "interpolated_weights": "averages",
    "Repair": "repairing.result",
    "RepairSettings": "repairing.settings",
    "TorchClassifier": "repairing.classifier",
    "repair": "repairing.flow",
}

__all__ = sorted([*_HOME, "Flips", "NoiseFloor", "Retention", "Scores", "StepAgreement"])
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch="compatible updates and repairs")
