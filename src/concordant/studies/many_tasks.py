"""Many small tasks on one body: what a study of merging needs, at a size that is trained in seconds.

A task is to tell classes apart, each a cloud around a place of its own. One body, two layers of features, is trained on
a few items of all tasks together, with a linear head a task. Then the heads are frozen, and each task gets a copy of the
body that is trained on it alone: the parents of a merge, all of one ancestor. What a head reads is what the merge changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy, relu

from concordant.learn import MLP, Batches, Ensemble, train
from concordant.learn.randomness import child_seeds, generator_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

SPREAD = 0.75
"""Standard deviation of the places of classes; that of items around them is 1."""


@dataclass(frozen=True)
class TaskSizes:
    """How much is drawn and how long is trained; the set-up of pocket scale by default."""

    tasks: int = 20
    classes: int = 10
    features: int = 48
    width: int = 128
    base_items: int = 60
    base_steps: int = 300
    items: int = 2000
    steps: int = 200
    validation: int = 500
    test: int = 500


SMALLEST_TASKS = TaskSizes(6, 3, 8, 16, 30, 30, 120, 20, 40, 40)


class Labelled(NamedTuple):
    """Items of all tasks: ``x`` of shape ``(n_tasks, n, features)``, their classes ``y`` ``(n_tasks, n)``."""

    x: Tensor
    y: Tensor


class Clouds:
    """The tasks: where their classes are.

    Parameters
    ----------
    n
        How much there is of everything.
    seed
        Decides the places.
    """

    def __init__(self, n: TaskSizes, seed: int) -> None:
        self.generator = generator_of(seed)
        self.places = SPREAD * torch.randn(n.tasks, n.classes, n.features, generator=self.generator)

    def items(self, n: int) -> Labelled:
        """Draw n items of each task."""
        tasks, classes, features = self.places.shape
        y = torch.randint(classes, (tasks, n), generator=self.generator)
        noise = torch.randn(tasks, n, features, generator=self.generator)
        return Labelled(self.places[torch.arange(tasks)[:, None], y] + noise, y)


class Family(NamedTuple):
    """A base and the parents that come from it.

    Parameters
    ----------
    base
        Weights of the body by name, as in a state dict.
    parents
        The same of each task.
    heads
        Frozen, shape ``(n_tasks, width + 1, classes)``; the last row is the bias.
    """

    base: dict[str, Tensor]
    parents: list[dict[str, Tensor]]
    heads: Tensor

    def accuracy(self, weights: Mapping[str, Tensor], items: Labelled, tasks: Sequence[int]) -> Tensor:
        """Return the accuracy of weights on each of some tasks, with the head of each, shape ``(len(tasks),)``."""
        chosen = list(tasks)
        with torch.no_grad():
            logits = read(self.heads[chosen], body(weights, items.x[chosen]))
        return (logits.argmax(-1) == items.y[chosen]).double().mean(1)

    def own(self, items: Labelled) -> Tensor:
        """Return the accuracy of each parent on its own task, shape ``(n_tasks,)``."""
        return torch.cat([self.accuracy(parent, items, [i]) for i, parent in enumerate(self.parents)])


def family(clouds: Clouds, n: TaskSizes, seed: int) -> Family:
    """Train a base on all tasks, and a parent from it on each.

    Parameters
    ----------
    clouds
        The tasks.
    n
        How much is drawn, how long is trained.
    seed
        Decides the first weights and the order of the items; the items are drawn from the tasks.
    """
    start_seed, head_seed, base_seed, parent_seed = child_seeds(seed, 4)
    joint = Joint(n, start_seed, head_seed)
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    adam = partial(torch.optim.Adam, lr=3e-3)
    train(
        joint,
        joint_loss,
        _batches(clouds.items(n.base_items), 30),
        steps=n.base_steps,
        seed=base_seed,
        optimizer=adam,
        **options,
    )
    heads = joint.heads.detach().clone()
    copies = Ensemble.of([joint.body] * n.tasks)

    def loss(model: Any, batch: Labelled) -> Tensor:
        x, y = (part.transpose(0, 1) for part in batch)
        return class_nll(read(heads, relu(model(x))), y)

    train(
        copies,
        loss,
        _batches(clouds.items(n.items), 64),
        steps=n.steps,
        seed=parent_seed,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        **options,
    )
    parents = [_weights(copies.member(task)) for task in range(n.tasks)]
    return Family(_weights(joint.body), parents, heads)


class Joint(torch.nn.Module):
    """A body with a head for each task, as it is trained on all tasks together."""

    def __init__(self, n: TaskSizes, body_seed: int, head_seed: int) -> None:
        super().__init__()
        self.body = MLP(n.features, n.width, hidden=(n.width,), activation=relu, seed=body_seed)
        first = torch.randn(n.tasks, n.width + 1, n.classes, generator=generator_of(head_seed))
        self.heads = torch.nn.Parameter(first / n.width**0.5)


def joint_loss(model: Any, batch: Labelled) -> Tensor:
    """Return the loss of a `Joint` on all tasks together, the mean over tasks."""
    x, y = (part.transpose(0, 1) for part in batch)
    return class_nll(read(model.heads, relu(model.body(x))), y) / len(y)


def class_nll(logits: Tensor, y: Tensor) -> Tensor:
    """Return the negative log-likelihood of classes, nats, the mean over items summed over tasks."""
    return cross_entropy(logits.flatten(0, 1), y.flatten()) * len(y)


def body(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the features that a body of these weights sees in items, ``(..., width)``."""
    for layer in range(len(weights) // 2):
        x = relu(x @ weights[f"layers.{layer}.weight"].T + weights[f"layers.{layer}.bias"])
    return x


def read(heads: Tensor, features: Tensor) -> Tensor:
    """Return logits ``(n_tasks, n, classes)`` of features ``(n_tasks, n, width)``."""
    return torch.baddbmm(heads[:, -1:], features, heads[:, :-1])


def _batches(items: Labelled, size: int) -> Batches:
    return Batches(tuple(part.transpose(0, 1).contiguous() for part in items), size)


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in module.state_dict().items()}
