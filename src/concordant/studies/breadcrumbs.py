"""Breadcrumbs: merges with both tails of each delta cut off, and whether their settings hold for more tasks.

Every method has the same number of settings to choose from. They are chosen by the mean normalised accuracy on the
validation items of four tasks, frozen, and then used for merges of more and more tasks: accuracy on test items over that
of the task's own parent. This is done from each group of four tasks in turn, and averaged, as one choice is much luck.
Rivals: task arithmetic, TIES, the largest entries alone, a random mask. Controls: settings chosen anew on all tasks,
shares of tensors in place of rows, and parents of another ancestor.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    Weights = Mapping[str, Tensor]

BASE, TASKS = "CONCORDANT_BREADCRUMBS_BASE", "CONCORDANT_BREADCRUMBS_TASKS"
"""Environment variables of full scale: a causal language model, and a folder with one folder a task that holds the
fine-tuned ``model``, ``validation.jsonl`` and ``test.jsonl``."""

TUNED = 4
"""On how many tasks the settings are chosen."""

BANDS = ((0.68, 0.02), (0.5, 0.01), (0.14, 0.01))
"""Shares of entries that are kept, and of larger ones that are not; the last is about that of the paper."""

SCALES = tuple(round(0.1 * i, 1) for i in range(1, 13))

GRIDS: dict[str, list[dict[str, Any]]] = {
    "arithmetic": [{"scale": round(i / 30, 3)} for i in range(1, 37)],
    "breadcrumbs": [{"scale": s, "keep": k, "remove": r} for s, (k, r) in product(SCALES, BANDS)],
    "ties": [{"scale": 3 * s, "keep": k} for s, (k, _) in product(SCALES, BANDS)],
    "largest": [{"scale": s, "keep": k, "remove": 0.0} for s, (k, _) in product(SCALES, BANDS)],
    "random": [{"scale": s, "drop": 1 - k} for s, (k, _) in product(SCALES, BANDS)],
}
"""The settings of each method, 36 for each; TIES takes a mean of parents where the others take a sum."""

ACCURACY = "normalised_accuracy"


@dataclass(frozen=True)
class Setting:
    """What is merged, and how a merge is judged.

    Parameters
    ----------
    base, parents
        Weights by name.
    accuracy
        ``accuracy(weights, tasks, split)``: on some tasks, "validation" or "test", shape ``(len(tasks),)``.
    own
        ``own(split)``: that of each parent on its own task, shape ``(n_tasks,)``.
    """

    base: Weights
    parents: Sequence[Weights]
    accuracy: Callable[[Weights, Sequence[int], str], Tensor]
    own: Callable[[str], Tensor]

    def score(self, method: str, tasks: Sequence[int], split: str, seed: int, **options: Any) -> float:
        """Merge the parents of some tasks; return the accuracy on them over that of their own parents, the mean."""
        parents = [self.parents[task] for task in tasks]
        return self.normalised(merge(method, self.base, parents, seed, **options), tasks, split)

    def normalised(self, weights: Weights, tasks: Sequence[int], split: str) -> float:
        """Return the accuracy on some tasks over that of their own parents, the mean."""
        return float((self.accuracy(weights, tasks, split) / self.own(split)[list(tasks)]).mean())


@study(
    "breadcrumbs",
    claims=[
        Claim("beats-task-arithmetic", f"breadcrumbs.{ACCURACY}@4", f"arithmetic.{ACCURACY}@4", "higher"),
        Claim("frozen-settings-hold", f"breadcrumbs.{ACCURACY}@20", f"arithmetic.{ACCURACY}@20", "higher"),
        Claim("frozen-beats-ties", f"breadcrumbs.{ACCURACY}@20", f"ties.{ACCURACY}@20", "higher"),
        Claim("both-tails-matter", f"breadcrumbs.{ACCURACY}@20", f"largest.{ACCURACY}@20", "higher"),
        Claim("better-than-a-random-mask", f"breadcrumbs.{ACCURACY}@20", f"random.{ACCURACY}@20", "higher"),
        Claim(
            "no-higher-ceiling",
            f"arithmetic-retuned.{ACCURACY}@20",
            f"breadcrumbs-retuned.{ACCURACY}@20",
            "higher",
            margin=-0.01,
        ),
        Claim(
            "needs-one-ancestor", f"breadcrumbs.{ACCURACY}@4", f"unrelated.{ACCURACY}@4", "higher", margin=0.1
        ),
    ],
    baseline="task arithmetic, its scale chosen among as many settings on the same four tasks",
)
def breadcrumbs(scale: Scale, seed: int) -> Measurements:
    """Measure normalised accuracies of merges whose settings were chosen on four tasks and then frozen."""
    from concordant.versions.merging import cosine_of_deltas, distance_to_base

    setting, strangers = _setting(scale, seed)
    total = len(setting.parents)
    orders = groups(total)
    every = range(total)
    found: dict[str, list[float]] = {}

    def measured(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for order in orders:
        chosen = {name: best(setting, name, order[:TUNED], seed) for name in GRIDS}
        ways = {
            **{name: (name, options) for name, options in chosen.items()},
            "tensor-scope": ("breadcrumbs", chosen["breadcrumbs"] | {"scope": "tensor"}),
        }
        for name, (method, options) in ways.items():
            for n in steps(total):
                score = setting.score(method, order[:n], "test", seed, **options)
                measured(f"{name}.{ACCURACY}@{_label(n, total)}", score)
        for name, options in chosen.items():
            for option, value in options.items():
                measured(f"{name}.{option}", value)
        score = half_strange(setting, strangers, order[:TUNED], seed, **chosen["breadcrumbs"])
        measured(f"unrelated.{ACCURACY}@4", score)
    for name in ("arithmetic", "breadcrumbs"):
        again = best(setting, name, every, seed)
        measured(f"{name}-retuned.{ACCURACY}@20", setting.score(name, every, "test", seed, **again))
        measured(f"{name}-retuned.scale", again["scale"])
    measured(f"base.{ACCURACY}@20", setting.normalised(setting.base, every, "test"))
    first, second = setting.parents[:2]
    measured("parents.cosine_of_deltas", cosine_of_deltas(first, second, setting.base))
    measured("parents.distance_to_base", distance_to_base(first, setting.base))
    return {name: sum(values) / len(values) for name, values in found.items()}


def merge(
    method: str, base: Weights, parents: Sequence[Weights], seed: int, **options: Any
) -> dict[str, Tensor]:
    """Return the merge of parents by a method of `GRIDS`; the seed decides what a random mask drops."""
    from concordant.versions import merging

    if method == "arithmetic":
        return merging.task_arithmetic(base, parents, **options)
    if method == "ties":
        return merging.ties(base, parents, scope="row", **options)
    if method == "random":
        return merging.dare(base, parents, seed=seed, **options)
    return merging.breadcrumbs(base, parents, **options)


def half_strange(
    setting: Setting, strangers: Setting, tasks: Sequence[int], seed: int, **options: Any
) -> float:
    """Merge parents of which every second one comes from another base; return the mean normalised accuracy."""
    sides = [(setting, tasks[::2]), (strangers, tasks[1::2])]
    parents = [side.parents[task] for side, chosen in sides for task in chosen]
    merged = merge("breadcrumbs", setting.base, parents, seed, **options)
    return sum(side.normalised(merged, chosen, "test") for side, chosen in sides) / len(sides)


def best(setting: Setting, method: str, tasks: Sequence[int], seed: int) -> dict[str, Any]:
    """Return the settings of a method that are best on validation items of some tasks; of equals the first."""
    return max(GRIDS[method], key=lambda options: setting.score(method, tasks, "validation", seed, **options))


def groups(total: int) -> list[list[int]]:
    """Return orders of the tasks, each beginning with another four; settings are chosen on those of each in turn.

    Examples
    --------
    >>> groups(9)
    [[0, 1, 2, 3, 4, 5, 6, 7, 8], [4, 5, 6, 7, 8, 0, 1, 2, 3]]
    """
    starts = range(0, total - TUNED + 1, TUNED)
    return [[(start + i) % total for i in range(total)] for start in starts]


def steps(tasks: int) -> list[int]:
    """Return numbers of tasks from those that settings are chosen on to all.

    Examples
    --------
    >>> steps(20), steps(6)
    ([4, 8, 12, 16, 20], [4, 6])
    """
    return [*range(TUNED, tasks, 4), tasks]


def _label(n: int, tasks: int) -> int:
    """Return what a number of tasks is called: all of them are the twenty of the claim."""
    return 20 if n == tasks else n


def _setting(scale: Scale, seed: int) -> tuple[Setting, Setting]:
    """Return what is merged, and as much of another ancestor."""
    if scale is Scale.full:
        return _your_tasks()
    from concordant.learn.randomness import child_seeds
    from concordant.studies.many_tasks import SMALLEST_TASKS, Clouds, Family, TaskSizes, family

    n = SMALLEST_TASKS if scale is Scale.smoke else TaskSizes()
    place_seed, first_seed, second_seed = child_seeds(seed, 3)
    clouds = Clouds(n, place_seed)
    items = {"validation": clouds.items(n.validation), "test": clouds.items(n.test)}

    def of(kin: Family) -> Setting:
        own = {split: kin.own(drawn) for split, drawn in items.items()}
        accuracy = lambda weights, tasks, split: kin.accuracy(weights, items[split], tasks)  # noqa: E731
        return Setting(kin.base, kin.parents, accuracy, own.__getitem__)

    return of(family(clouds, n, first_seed)), of(family(clouds, n, second_seed))


def _your_tasks() -> tuple[Setting, Setting]:
    """Return language models of yours, each judged by the items of its task, and the same in other coordinates."""
    import torch

    from concordant.studies.relabelled import relabelled
    from concordant.studies.small_language import with_weights
    from concordant.studies.your_models import accuracy, named, your_items, your_model

    places = named("breadcrumbs", {BASE: "a base model", TASKS: "a folder of tasks"})
    folders = sorted(path for path in Path(places[TASKS]).glob("*") if (path / "model").is_dir())
    if len(folders) <= TUNED:
        message = (
            f"{TASKS} must name a folder with more than {TUNED} tasks, folders with a model and items in them; "
            f"{places[TASKS]} has {len(folders)}"
        )
        raise ConfigError(message)
    base = your_model(places[BASE])
    items = {
        split: [your_items(folder / f"{split}.jsonl") for folder in folders]
        for split in ("validation", "test")
    }
    parents = [your_model(str(folder / "model")).model.state_dict() for folder in folders]

    def right(weights: Weights, tasks: Sequence[int], split: str) -> Tensor:
        model = with_weights(base, dict(weights))
        return torch.tensor([accuracy(model, items[split][task]) for task in tasks])

    own = {
        split: torch.cat([right(parent, [task], split) for task, parent in enumerate(parents)])
        for split in items
    }
    if worst := [folder.name for i, folder in enumerate(folders) if not all(one[i] for one in own.values())]:
        message = (
            f"the model of the task {worst[0]!r} answers none of its items rightly: there is nothing to keep"
        )
        raise DataError(message)
    state = base.model.state_dict()
    strange = [relabelled(weights, seed=0) for weights in (state, *parents)]
    return (
        Setting(state, parents, right, own.__getitem__),
        Setting(strange[0], strange[1:], right, own.__getitem__),
    )
