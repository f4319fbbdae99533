"""Models made of the weights of several: means, arcs, and sums of deltas on one base.

Functions take and give state dictionaries (names to tensors); `merge_folders` does the same with model folders that are
larger than memory. All need torch, which is not imported before one of the names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.versions.merging.masks import band_mask as band_mask
    from concordant.versions.merging.masks import top_mask as top_mask
    from concordant.versions.merging.plan import Parent as Parent
    from concordant.versions.merging.plan import Plan as Plan
    from concordant.versions.merging.record import Merge as Merge
    from concordant.versions.merging.sparse import breadcrumbs as breadcrumbs
    from concordant.versions.merging.sparse import dare as dare
    from concordant.versions.merging.sparse import task_arithmetic as task_arithmetic
    from concordant.versions.merging.sparse import ties as ties
    from concordant.versions.merging.spherical import depth_schedule as depth_schedule
    from concordant.versions.merging.spherical import slerp as slerp
    from concordant.versions.merging.spherical import slerp_branches as slerp_branches
    from concordant.versions.merging.stream import examine_folders as examine_folders
    from concordant.versions.merging.stream import merge_folders as merge_folders
    from concordant.versions.merging.weights import add_deltas as add_deltas
    from concordant.versions.merging.weights import cosine_of_deltas as cosine_of_deltas
    from concordant.versions.merging.weights import cosine_of_weights as cosine_of_weights
    from concordant.versions.merging.weights import deltas as deltas
    from concordant.versions.merging.weights import distance_to_base as distance_to_base
    from concordant.versions.merging.weights import linear as linear

_HOME = {
    "Merge": "record",
    "Parent": "plan",
    "Plan": "plan",
    "add_deltas": "weights",
    "band_mask": "masks",
    "breadcrumbs": "sparse",
    "cosine_of_deltas": "weights",
    "cosine_of_weights": "weights",
    "dare": "sparse",
    "deltas": "weights",
    "depth_schedule": "spherical",
    "distance_to_base": "weights",
    "examine_folders": "stream",
    "linear": "weights",
    "merge_folders": "stream",
    "slerp": "spherical",
    "slerp_branches": "spherical",
    "task_arithmetic": "sparse",
    "ties": "sparse",
    "top_mask": "masks",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch="merges of weights")
