"""What a merge did or would do, as it is told and kept beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concordant.versions.merging.ancestry import Ancestry
    from concordant.versions.merging.plan import Plan

RECORD = "merge.json"
"""The file of a merged model that says what it was made of."""

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge did, or would do.

    Parameters
    ----------
    plan
        The merge.
    n_weights, n_kept
        How many tensors are merged, and how many are taken from the first model as they are (buffers, integers).
    n_bytes
        Of the weights of the result.
    memory_bytes
        About how much memory the weights take while they are merged.
    n_readings
        How often the parents are read.
    ancestry
        How near the models are to each other.
    branches
        For slerp: how many weights are joined by the arc ("spherical") and by the line ("linear").
    digests
        Of the weights of each model; empty where nothing was written.
    forced
        What would have been refused.
    """

    plan: Plan
    n_weights: int
    n_kept: int
    n_bytes: int
    memory_bytes: int
    n_readings: int
    ancestry: Ancestry
    branches: dict[str, int]
    digests: tuple[str, ...] = ()
    forced: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data."""
        plan = self.plan
        models: list[dict[str, Any]] = [
            {"name": model.name, "folder": str(model.folder)} for model in plan.models
        ]
        for model, digest in zip(models, self.digests, strict=False):
            model["digest"] = digest
        has_base = plan.base is not None
        return {
            "schema": SCHEMA,
            "concordant": version("concordant"),
            "method": plan.method,
            "scope": plan.scope if plan.method in ("breadcrumbs", "ties") else None,
            "elect": plan.elect,
            "mean": plan.mean,
            "base": models[0] if has_base else None,
            "parents": models[1:] if has_base else models,
            "recipe": dict(plan.recipe),
            "n_weights": self.n_weights,
            "n_kept": self.n_kept,
            "n_bytes": self.n_bytes,
            "memory_bytes": self.memory_bytes,
            "n_readings": self.n_readings,
            "ancestry": {
                key: value
                for key, value in self.ancestry.to_dict().items()
                if has_base or key != "cosines_of_deltas"
            },
            "slerp_branches": self.branches or None,
            "forced": list(self.forced),
        }
