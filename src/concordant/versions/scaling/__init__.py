"""What size does to behaviour: laws of scaling with intervals, and how well compute predicts each item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.versions.scaling.choice_chain import option_metrics as option_metrics
    from concordant.versions.scaling.fits import FittedLaw as FittedLaw
    from concordant.versions.scaling.fits import ScalingFit as ScalingFit
    from concordant.versions.scaling.fits import fit_points as fit_points
    from concordant.versions.scaling.ladder import OptionTable as OptionTable
    from concordant.versions.scaling.ladder import ladder_of_logs as ladder_of_logs
    from concordant.versions.scaling.ladder import read_ladder as read_ladder
    from concordant.versions.scaling.laws import OffsetPowerLaw as OffsetPowerLaw
    from concordant.versions.scaling.laws import PowerLaw as PowerLaw
    from concordant.versions.scaling.laws import fit_offset_power_law as fit_offset_power_law
    from concordant.versions.scaling.laws import fit_power_law as fit_power_law
    from concordant.versions.scaling.predictability import Predictability as Predictability
    from concordant.versions.scaling.predictability import compute_correlations as compute_correlations
    from concordant.versions.scaling.predictability import lost_at as lost_at

_HOME = {
    "FittedLaw": "fits",
    "OffsetPowerLaw": "laws",
    "OptionTable": "ladder",
    "PowerLaw": "laws",
    "Predictability": "predictability",
    "ScalingFit": "fits",
    "compute_correlations": "predictability",
    "fit_offset_power_law": "laws",
    "fit_points": "fits",
    "fit_power_law": "laws",
    "ladder_of_logs": "ladder",
    "lost_at": "predictability",
    "option_metrics": "choice_chain",
    "read_ladder": "ladder",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME)
