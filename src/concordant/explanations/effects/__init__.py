"""Effects of treatments: estimators with response curves and intervals, worlds with known effects, and errors.

Nothing here imports torch before one of the estimators is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.explanations.effects.baselines import DRNet as DRNet
    from concordant.explanations.effects.baselines import PlainNet as PlainNet
    from concordant.explanations.effects.baselines import TARNet as TARNet
    from concordant.explanations.effects.baselines import VCNet as VCNet
    from concordant.explanations.effects.curves import ResponseCurve as ResponseCurve
    from concordant.explanations.effects.curves import average_effect_error as average_effect_error
    from concordant.explanations.effects.curves import average_squared_error as average_squared_error
    from concordant.explanations.effects.curves import effect_error as effect_error
    from concordant.explanations.effects.curves import integrated_squared_error as integrated_squared_error
    from concordant.explanations.effects.curves import uniform_grid as uniform_grid
    from concordant.explanations.effects.shifts import dose_shift_split as dose_shift_split
    from concordant.explanations.effects.simulators import binary as binary
    from concordant.explanations.effects.simulators import dosed as dosed
    from concordant.explanations.effects.simulators import ihdp as ihdp
    from concordant.explanations.effects.simulators import synthetic as synthetic
    from concordant.explanations.effects.transtee import TransTEE as TransTEE

_HOME = {
    "DRNet": "baselines",
    "PlainNet": "baselines",
    "ResponseCurve": "curves",
    "TARNet": "baselines",
    "TransTEE": "transtee",
    "VCNet": "baselines",
    "average_effect_error": "curves",
    "average_squared_error": "curves",
    "binary": "simulators",
    "dose_shift_split": "shifts",
    "dosed": "simulators",
    "effect_error": "curves",
    "ihdp": "simulators",
    "integrated_squared_error": "curves",
    "synthetic": "simulators",
    "uniform_grid": "curves",
}
_WITH_TORCH = dict.fromkeys(("baselines", "transtee"), "estimators of effects")

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch=_WITH_TORCH)
