"""Check, repair, check: an update that breaks what used to work is mended, and judged on items that the repair never saw."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'concordant.versions.repairing' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(f"concordant.versions.repairing.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
