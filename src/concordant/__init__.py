"""Record, compare and check how models behave.

Does a model still behave the way it should?

`concordant` records what a model does, judges whether that agrees with what it must agree with, and says with an
interval how far it does. The names below are the public face; nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concordant.core.check import check as check
    from concordant.core.episode import Answer as Answer
    from concordant.core.episode import episode as episode
    from concordant.core.errors import ConcordantError as ConcordantError
    from concordant.core.finding import Finding as Finding
    from concordant.core.finding import Measure as Measure
    from concordant.core.gate import Gate as Gate
    from concordant.core.items import Items as Items
    from concordant.core.kinds import Directional as Directional
    from concordant.core.kinds import Equal as Equal
    from concordant.core.kinds import Equivariant as Equivariant
    from concordant.core.kinds import Monotone as Monotone
    from concordant.core.model import Completion as Completion
    from concordant.core.model import Request as Request
    from concordant.core.model import assistant as assistant
    from concordant.core.model import system as system
    from concordant.core.model import user as user
    from concordant.core.relation import Relation as Relation
    from concordant.core.relation import Variant as Variant
    from concordant.core.relation import Verdicts as Verdicts
    from concordant.core.results import Report as Report
    from concordant.core.results import Result as Result
    from concordant.core.rewrites import relation as relation
    from concordant.models.load import load as load
    from concordant.versions.compare import compare as compare

_HOME = {
    "Answer": "core.episode",
    "Completion": "core.model",
    "ConcordantError": "core.errors",
    "Directional": "core.kinds",
    "Equal": "core.kinds",
    "Equivariant": "core.kinds",
    "Finding": "core.finding",
    "Gate": "core.gate",
    "Items": "core.items",
    "Measure": "core.finding",
    "Monotone": "core.kinds",
    "Relation": "core.relation",
    "Report": "core.results",
    "Request": "core.model",
    "Result": "core.results",
    "Variant": "core.relation",
    "Verdicts": "core.relation",
    "assistant": "core.model",
    "check": "core.check",
    "compare": "versions.compare",
    "episode": "core.episode",
    "load": "models.load",
    "relation": "core.rewrites",
    "system": "core.model",
    "user": "core.model",
}
_PACKAGES = (
    "core", "explanations", "learn", "models", "pocket", "report", "rewards", "studies", "variants", "versions",
)  # fmt: skip

__all__ = sorted([*_HOME, *_PACKAGES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"concordant.{_HOME[name]}"), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"concordant.{name}")
    elif name == "__version__":
        value = importlib.import_module("importlib.metadata").version("concordant")
    else:
        message = f"module 'concordant' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
