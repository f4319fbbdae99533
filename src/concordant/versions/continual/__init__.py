"""Continual learning in small sets: streams, replay, corruption, prototypes, and what is retained of each item.

The parts of the benchmark of instances in continual few-shot learning: G. Kowadlo et al. (2022), Expanding continual
few-shot learning benchmarks to include recognition of specific instances, arXiv 2209.07863. What trains needs torch,
which is not imported before one of its names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.versions.continual.corruptions import noisy as noisy
    from concordant.versions.continual.corruptions import occluded as occluded
    from concordant.versions.continual.histories import STATES as STATES
    from concordant.versions.continual.histories import forgetting as forgetting
    from concordant.versions.continual.histories import item_states as item_states
    from concordant.versions.continual.histories import n_changes as n_changes
    from concordant.versions.continual.histories import retention_matrix as retention_matrix
    from concordant.versions.continual.learner import Interleaved as Interleaved
    from concordant.versions.continual.learner import Replay as Replay
    from concordant.versions.continual.learner import ReplayBuffer as ReplayBuffer
    from concordant.versions.continual.learner import learn_stream as learn_stream
    from concordant.versions.continual.prototypes import Prototypes as Prototypes
    from concordant.versions.continual.streams import SupportSet as SupportSet
    from concordant.versions.continual.streams import Task as Task
    from concordant.versions.continual.streams import draw_task as draw_task

_HOME = {
    "Interleaved": "learner",
    "Prototypes": "prototypes",
    "Replay": "learner",
    "ReplayBuffer": "learner",
    "STATES": "histories",
    "SupportSet": "streams",
    "Task": "streams",
    "draw_task": "streams",
    "forgetting": "histories",
    "item_states": "histories",
    "learn_stream": "learner",
    "n_changes": "histories",
    "noisy": "corruptions",
    "occluded": "corruptions",
    "retention_matrix": "histories",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch={"learner": "learners of streams"})
