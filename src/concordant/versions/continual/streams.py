"""Streams of small support sets: tasks of continual few-shot learning, of classes or of specific instances.

A task shows support sets one after another. Every `class_change_interval` sets a new group of classes is drawn. A learner
is tested at the end on targets of all sets: unseen rows of the same classes, or, where every row is a class of its own, the
very rows that were shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class SupportSet:
    """What is shown at once.

    Parameters
    ----------
    rows
        Numbers of the rows of the data, shape ``(n,)``.
    labels
        What they are called in this task, whole numbers from 0, shape ``(n,)``.
    """

    rows: NDArray[np.intp]
    labels: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Task:
    """A stream of support sets, and what is asked at its end.

    Parameters
    ----------
    sets
        The support sets, in order.
    target
        What is asked.
    target_sets
        Number of the set after which each target had been taught in full, shape ``(len(target),)``.
    n_labels
        How many labels there are.
    """

    sets: tuple[SupportSet, ...]
    target: SupportSet
    target_sets: NDArray[np.intp]
    n_labels: int


def draw_task(
    classes: ArrayLike,
    rng: np.random.Generator,
    *,
    n_sets: int,
    n_way: int,
    k_shot: int,
    class_change_interval: int = 1,
    overwrite: bool = False,
    instances: bool = False,
    n_target: int = 15,
) -> Task:
    """Draw a task.

    Parameters
    ----------
    classes
        Class of each row of the data, shape ``(n_rows,)``.
    rng
        Decides everything.
    n_sets
        Support sets (NSS), at least 1.
    n_way, k_shot
        Classes in each set, and rows of each class in it. No row is shown twice.
    class_change_interval
        After how many sets new classes are drawn (CCI); it divides `n_sets`. Default 1.
    overwrite
        Whether a new group of classes takes over the labels of the group before. By default each has labels of its own.
    instances
        Whether every row is a class of its own. Then the targets are the rows that were shown, and there are
        ``n_sets * n_way * k_shot`` labels; ``n_way=1`` draws them all from one class, so that they look alike.
    n_target
        Targets a class; of no use with `instances`.

    Returns
    -------
    Task

    Raises
    ------
    ConfigError
        If a number is below 1, the interval does not divide `n_sets`, or instances would overwrite labels.
    DataError
        If there are too few classes, or too few rows of one.

    Examples
    --------
    >>> classes = np.repeat(np.arange(6), 30)
    >>> task = draw_task(classes, np.random.default_rng(0), n_sets=3, n_way=2, k_shot=5, n_target=4)
    >>> [len(part) for part in task.sets], task.n_labels, len(task.target), task.target_sets.tolist()[::4]
    ([10, 10, 10], 6, 24, [0, 0, 1, 1, 2, 2])
    >>> task = draw_task(
    ...     classes, np.random.default_rng(0), n_sets=4, n_way=1, k_shot=5, class_change_interval=4, instances=True
    ... )
    >>> task.n_labels, task.target.labels.tolist() == list(range(20)), len(set(classes[task.target.rows]))
    (20, True, 1)
    """
    _check(n_sets, n_way, k_shot, class_change_interval, n_target, overwrite=overwrite, instances=instances)
    classes = np.asarray(classes)
    n_groups = n_sets // class_change_interval
    n_shown = class_change_interval * k_shot
    n_needed = n_shown + (0 if instances else n_target)
    known, counts = np.unique(classes, return_counts=True)
    usable = known[counts >= n_needed]
    if len(usable) < n_groups * n_way:
        message = (
            f"a task needs {n_groups * n_way} classes with {n_needed} rows each, "
            f"got {len(usable)} such of {len(known)} classes"
        )
        raise DataError(message)
    chosen = rng.permutation(usable)[: n_groups * n_way].reshape(n_groups, n_way)
    drawn = np.stack(
        [[rng.permutation(np.flatnonzero(classes == c))[:n_needed] for c in group] for group in chosen]
    )
    # (groups, ways, rows): of a class the first rows are shown, set by set, and the others asked.
    by_set = drawn[:, :, :n_shown].reshape(n_groups, n_way, class_change_interval, k_shot).swapaxes(1, 2)
    shown = by_set.reshape(n_sets, n_way * k_shot)
    if instances:
        labels = np.arange(shown.size).reshape(shown.shape)
        target = SupportSet(shown.reshape(-1), labels.reshape(-1))
        target_sets = np.repeat(np.arange(n_sets), n_way * k_shot)
    else:
        of_group = np.zeros(n_groups, int) if overwrite else np.arange(n_groups) * n_way
        names = of_group[:, None] + np.arange(n_way)
        labels = np.repeat(np.repeat(names, class_change_interval, axis=0), k_shot, axis=1)
        target = SupportSet(drawn[:, :, n_shown:].reshape(-1), np.repeat(names.reshape(-1), n_target))
        last = (np.arange(n_groups) + 1) * class_change_interval - 1
        target_sets = np.repeat(last, n_way * n_target)
    sets = tuple(SupportSet(rows, named) for rows, named in zip(shown, labels, strict=True))
    return Task(sets, target, target_sets, int(labels.max()) + 1)


def _check(
    n_sets: int, n_way: int, k_shot: int, interval: int, n_target: int, *, overwrite: bool, instances: bool
) -> None:
    named = {
        "n_sets": n_sets,
        "n_way": n_way,
        "k_shot": k_shot,
        "class_change_interval": interval,
        "n_target": n_target,
    }
    for name, number in named.items():
        if number < 1:
            message = f"{name} of a task must be at least 1, got {number}"
            raise ConfigError(message)
    if n_sets % interval:
        message = f"class_change_interval must divide the {n_sets} sets, got {interval}"
        raise ConfigError(message)
    if overwrite and instances:
        message = "instances have a label each, so there is nothing to overwrite: choose one of overwrite and instances"
        raise ConfigError(message)
