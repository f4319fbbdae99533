"""Gaussian concepts: a task of classes, and pre-trained bases of two sizes that it can be taught to.

Each of 20 classes is a concept, a point of 64 independent standard normal numbers, seen under noise of three standard
deviations a number: with what is known of the concepts about three items in four can be told. A base is a network
with one hidden layer that was trained to tell 32 binary attributes (on which side of a random plane a concept lies)
of concepts that are not those of the task. An update of the base is a larger one, trained for longer on more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from concordant.learn import MLP, Batches, train
from concordant.learn.randomness import child_seeds

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDTH, N_CLASSES, N_ATTRIBUTES, NOISE = 64, 20, 32, 3.0
BATCH = 256
ADAM = partial(torch.optim.AdamW, lr=1e-3)
OPTIONS: dict[str, Any] = {"optimizer": ADAM, "device": "cpu", "progress": False}


@dataclass
class Concepts:
    """The world of one seed.

    Parameters
    ----------
    seed
        Decides the concepts, the attributes and everything drawn later.
    """

    seed: int
    generator: torch.Generator = field(init=False)
    concepts: Tensor = field(init=False)
    planes: Tensor = field(init=False)

    def __post_init__(self) -> None:
        (drawn,) = child_seeds(self.seed, 1)
        self.generator = torch.Generator().manual_seed(drawn)
        self.concepts = self._normal(N_CLASSES, WIDTH)
        self.planes = self._normal(N_ATTRIBUTES, WIDTH)

    def items(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw `n` items of the task: what is seen, shape ``(n, 64)``, and the classes, shape ``(n,)``."""
        classes = torch.randint(N_CLASSES, (n,), generator=self.generator)
        return self.concepts[classes] + NOISE * self._normal(n, WIDTH), classes

    def base(self, width: int, n_items: int, steps: int, *, seed: int) -> MLP:
        """Pre-train a base with a hidden layer of `width` on the attributes of `n_items` concepts."""
        concepts = self._normal(n_items, WIDTH)
        attributes = (concepts @ self.planes.T > 0).float()
        batches = Batches((concepts + NOISE * self._normal(n_items, WIDTH), attributes), BATCH)
        model = MLP(WIDTH, N_ATTRIBUTES, hidden=(width,), seed=seed)
        train(model, _attribute_loss, batches, steps=steps, seed=seed, **OPTIONS)
        return model

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)


def taught(base: MLP, batches: Batches, steps: int, *, seed: int) -> MLP:
    """Teach a base the task: the same recipe for every base. The last layer is new; all layers are trained."""
    model = MLP(WIDTH, N_CLASSES, hidden=base.widths[1:-1], seed=seed)
    for layer, pretrained in list(zip(model.maps(), base.maps(), strict=True))[:-1]:
        layer.load_state_dict(pretrained.state_dict())
    train(model, class_loss, batches, steps=steps, seed=seed, **OPTIONS)
    return model


def class_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the cross-entropy of a batch of the task, nats an item."""
    items, classes = batch
    return cross_entropy(model(items), classes)


def _attribute_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    items, attributes = batch
    return binary_cross_entropy_with_logits(model(items), attributes)
