"""Check, repair, check: an update that breaks what used to work is mended, and judged on items that the repair never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.versions.repairing.classifier import TorchClassifier as TorchClassifier
    from concordant.versions.repairing.flow import repair as repair
    from concordant.versions.repairing.result import Repair as Repair
    from concordant.versions.repairing.settings import RepairSettings as RepairSettings

_HOME = {
    "Repair": "result",
    "RepairSettings": "settings",
    "TorchClassifier": "classifier",
    "repair": "flow",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME)
