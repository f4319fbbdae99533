"""Continual learning in small sets: streams, replay, corruption, prototypes, and what is retained of each item.

The parts of the benchmark of instances in continual few-shot learning: G. Kowadlo et al. (2022), Expanding continual
few-shot learning benchmarks to include recognition of specific instances, arXiv 2209.07863. What trains needs torch,
which is not imported before one of its names is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concordant.versions.continual.histories import STATES as STATES
    from concordant.versions.continual.histories import forgetting as forgetting
    from concordant.versions.continual.histories import item_states as item_states
    from concordant.versions.continual.histories import n_changes as n_changes
    from concordant.versions.continual.histories import retention_matrix as retention_matrix

_HOME = {
    "STATES": "histories",
    "forgetting": "histories",
    "item_states": "histories",
    "n_changes": "histories",
    "retention_matrix": "histories",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'concordant.versions.continual' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(f"concordant.versions.continual.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
