"""Continual few-shot learning of classes and of specific instances: tuning set by set, with replay, and prototypes.

Data: handwritten digits, five of them to pretrain a body, five for the tasks. In the instance test each of twenty images of
one digit is a class of its own, shown in 1 to 20 sets; in the class test the five digits come one after another. Every arm
takes the same number of optimiser steps over a task, however many sets it is cut into. Baseline: tuning on each set in
turn. Method: the same, each batch interleaved with as many earlier rows as the set has. Controls: all at once, five times
as many earlier rows, prototypes on the body as it is, chance, squares and noise over the images.

At full scale CONCORDANT_CFSL_IMAGES names a file of images of your own, and the body is a convolutional network.
"""

from __future__ import annotations

import copy
import os
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from concordant.core.errors import ConfigError, DataError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from concordant.versions.continual import Task

IMAGES = "CONCORDANT_CFSL_IMAGES"
"""Names a file of :func:`numpy.savez` with ``images`` (n, height, width), real numbers from 0 to 1, ``labels`` (n,) and
``is_background`` (n,): images, their classes, and which of them are for pretraining."""

N_INSTANCES = 20
SETS = (1, 2, 4, 5, 10, 20)
"""Into how many sets the instances are cut."""

CORRUPTED_SETS = 4
OCCLUSIONS, NOISES = (0.1, 0.25, 0.5), (0.1, 0.2, 0.4)
EARLIER = {"tune": 0, "replay": 1, "replay5": 5}
"""Earlier rows in each batch, as a multiple of the rows of the current set."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained; chosen on seeds 1000 and above."""

    tasks: int = 4
    pretraining: int = 300
    steps: int = 480
    k_class: int = 20
    n_target: int = 50
    background: int = 5
    width: int = 64


SIZES = {
    Scale.smoke: Sizes(tasks=1, pretraining=20, steps=20, k_class=5, n_target=5),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(tasks=100, pretraining=5000, steps=1200, width=128),
}


@study(
    "cfsl-instances",
    claims=[
        Claim("replay-retains", "replay.earlier_accuracy@4", "tune.earlier_accuracy@4", "higher"),
        Claim(
            "many-small-sets-are-harder", "tune.instance_accuracy@1", "tune.instance_accuracy@10", "higher"
        ),
        Claim("harder-with-replay-too", "tune.instance_accuracy@1", "replay.instance_accuracy@10", "higher"),
        Claim(
            "corruption-hurts-instances",
            "replay.instance_accuracy@4",
            "replay.occluded_accuracy@0.25",
            "higher",
        ),
        Claim("noise-hurts-instances", "replay.instance_accuracy@4", "replay.noisy_accuracy@0.2", "higher"),
        Claim("replay-helps-instances-most", "instances.replay_gain", "classes.replay_gain", "higher"),
        Claim(
            "instances-like-classes-at-once",
            "tune.instance_accuracy@1",
            "tune.class_accuracy@1",
            "higher",
            margin=-0.05,
        ),
        Claim("prototypes-lead-on-classes", "prototypes.class_accuracy@5", "tune.class_accuracy@5", "higher"),
        Claim(
            "more-replay-retains-more", "replay5.earlier_accuracy@10", "replay.earlier_accuracy@10", "higher"
        ),
        Claim("above-chance", "replay.instance_accuracy@20", 1 / N_INSTANCES, "higher"),
    ],
    baseline="tuning on each set in turn, without replay",
)
def cfsl_instances(scale: Scale, seed: int) -> Measurements:
    """Measure what is known at the end of a stream of small sets, of classes and of the very images that were shown."""
    from concordant.learn.randomness import child_seeds

    n = SIZES[scale]
    body_seed, *task_seeds = child_seeds(seed, 1 + n.tasks)
    images, classes, is_background = _named_images() if scale is Scale.full else _digits(n, body_seed)
    body = _pretrained(images[is_background], classes[is_background], n, body_seed, conv=scale is Scale.full)
    new = images[~is_background], classes[~is_background]
    tasks = [_instances(body, *new, n, s) | _classes(body, *new, n, s) for s in task_seeds]
    measured = {name: float(np.mean([found[name] for found in tasks])) for name in tasks[0]}
    for kind, metric in (("instances", "instance_accuracy"), ("classes", "class_accuracy")):
        gain = measured[f"replay.{metric}@5"] - measured[f"tune.{metric}@5"]
        measured[f"{kind}.replay_gain"] = gain
    return measured


def _digits(n: Sizes, seed: int) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.bool_]]:
    """Return the digits of scikit-learn, and which of them are for pretraining."""
    state = random.getstate()
    from sklearn.datasets import load_digits

    random.setstate(state)  # the import draws from the global generator
    found = load_digits()
    background = np.random.default_rng(seed).permutation(10)[: n.background]
    images = (found.images / 16).astype(np.float32)
    return images, found.target.astype(np.intp), np.isin(found.target, background)


def _pretrained(
    images: NDArray[np.float32], classes: NDArray[np.intp], n: Sizes, seed: int, *, conv: bool
) -> nn.Module:
    """Return a body that has learnt to tell the background classes apart."""
    import torch

    from concordant.learn import Batches, train

    body = _body(images.shape[1:], n.width, seed, conv=conv)
    labels = np.unique(classes, return_inverse=True)[1]
    model = _with_head(body, n.width, int(labels.max()) + 1, seed)
    batches = Batches((torch.from_numpy(images), torch.from_numpy(labels)), 64)
    adam = partial(torch.optim.AdamW, lr=1e-3)
    train(model, _nll, batches, steps=n.pretraining, optimizer=adam, seed=seed, device="cpu", progress=False)
    trained: nn.Module = model[0]
    return trained


def _body(shape: tuple[int, ...], width: int, seed: int, *, conv: bool) -> nn.Module:
    """Return a network from images to features: a perceptron, or for large images three stages of two convolutions."""
    from torch import nn
    from torch.nn.functional import relu

    from concordant.learn.loop import own_generator
    from concordant.learn.networks import MLP

    if not conv:
        return nn.Sequential(
            nn.Flatten(), MLP(int(np.prod(shape)), width, hidden=(2 * width,), activation=relu, seed=seed)
        )
    import torch

    with own_generator(torch.device("cpu"), seed):  # layers draw from the global generator
        stages: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
        for stage in range(3):
            for block in range(2):
                stages += [
                    nn.Conv2d(1 if stage == block == 0 else width, width, 3, padding=1),
                    nn.GroupNorm(8, width),
                    nn.ReLU(),
                ]
            stages.append(nn.MaxPool2d(2))
        return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _with_head(body: nn.Module, width: int, n_labels: int, seed: int) -> Any:
    """Return a copy of a body with a new linear head."""
    from torch import nn

    from concordant.learn.networks import MLP

    return nn.Sequential(copy.deepcopy(body), nn.ReLU(), MLP(width, n_labels, hidden=(), seed=seed))


def _nll(model: nn.Module, batch: Any) -> Any:
    from torch.nn.functional import cross_entropy

    return cross_entropy(model(batch[0]), batch[1])


def _instances(
    body: nn.Module, images: NDArray[np.float32], classes: NDArray[np.intp], n: Sizes, seed: int
) -> dict[str, float]:
    """Measure the instance test: twenty images of one class, in 1 to 20 sets."""
    from concordant.versions.continual import draw_task, noisy, occluded

    found: dict[str, float] = {}
    rng = np.random.default_rng([seed, 1])
    shares: dict[tuple[str, float], Any] = {("occluded", s): occluded for s in OCCLUSIONS} | {
        ("noisy", s): noisy for s in NOISES
    }
    for n_sets in SETS:
        # One draw for all: the same twenty images, cut into other sets.
        task = draw_task(
            classes,
            np.random.default_rng([seed, 0]),
            n_sets=n_sets,
            n_way=1,
            k_shot=N_INSTANCES // n_sets,
            class_change_interval=n_sets,
            instances=True,
        )
        asked = {("clean", 0.0): images[task.target.rows]}
        if n_sets == CORRUPTED_SETS:
            asked |= {key: damage(asked["clean", 0.0], key[1], rng) for key, damage in shares.items()}
        answers = {
            arm: _answers(body, task, images, asked, n, seed, arm)
            for arm in EARLIER
            if n_sets > 1 or arm == "tune"
        }
        if n_sets == CORRUPTED_SETS:  # they are the same in any other number of sets
            answers["prototypes"] = _prototype_answers(body, task, images, asked)
        for arm, said in answers.items():
            found |= _figures(arm, said, task, n_sets, "instance")
    return found


def _classes(
    body: nn.Module, images: NDArray[np.float32], classes: NDArray[np.intp], n: Sizes, seed: int
) -> dict[str, float]:
    """Measure the class test: five classes one after another, and all at once."""
    from concordant.versions.continual import draw_task

    found: dict[str, float] = {}
    n_classes = 5
    for n_sets in (1, n_classes):
        task = draw_task(
            classes,
            np.random.default_rng([seed, 2]),
            n_sets=n_sets,
            n_way=n_classes // n_sets,
            k_shot=n.k_class,
            n_target=n.n_target,
        )
        asked = {("clean", 0.0): images[task.target.rows]}
        answers = {
            arm: _answers(body, task, images, asked, n, seed, arm)
            for arm in EARLIER
            if n_sets > 1 or arm == "tune"
        }
        if n_sets > 1:
            answers["prototypes"] = _prototype_answers(body, task, images, asked)
        for arm, said in answers.items():
            found |= _figures(arm, said, task, n_sets, "class")
    return found


def _answers(
    body: nn.Module,
    task: Task,
    images: NDArray[np.float32],
    asked: dict[tuple[str, float], NDArray[np.float32]],
    n: Sizes,
    seed: int,
    arm: str,
) -> dict[tuple[str, float], NDArray[np.bool_]]:
    """Tune a copy of the body on a task and return which targets are right after each set, shape (targets, sets)."""
    import torch

    from concordant.versions.continual import Replay, learn_stream

    targets = {key: torch.from_numpy(pictures) for key, pictures in asked.items()}
    right = torch.from_numpy(task.target.labels)
    sets = [(torch.from_numpy(images[part.rows]), torch.from_numpy(part.labels)) for part in task.sets]
    n_earlier = EARLIER[arm] * len(task.sets[0])
    after = learn_stream(
        _with_head(body, n.width, task.n_labels, seed),
        _nll,
        sets,
        steps=n.steps // len(sets),
        evaluate=lambda model: {key: (model(x).argmax(1) == right).numpy() for key, x in targets.items()},
        replay=Replay(n_earlier) if n_earlier else None,
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        device="cpu",
        seed=seed,
        progress=False,
    )
    return {key: np.stack([each[key] for each in after], axis=1) for key in asked}


def _prototype_answers(
    body: nn.Module,
    task: Task,
    images: NDArray[np.float32],
    asked: dict[tuple[str, float], NDArray[np.float32]],
) -> dict[tuple[str, float], NDArray[np.bool_]]:
    """Return the same of the nearest mean on the body as it is."""
    import torch

    from concordant.versions.continual import Prototypes

    def features(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            found: NDArray[np.float32] = body.eval()(torch.from_numpy(pictures)).numpy()
            return found

    known, after = Prototypes(), []
    embedded = {key: features(pictures) for key, pictures in asked.items()}
    for part in task.sets:
        known.add(features(images[part.rows]), part.labels)
        after.append({key: known.predict(x) == task.target.labels for key, x in embedded.items()})
    return {key: np.stack([each[key] for each in after], axis=1) for key in asked}


def _figures(
    arm: str, answers: dict[tuple[str, float], NDArray[np.bool_]], task: Task, n_sets: int, kind: str
) -> dict[str, float]:
    """Return accuracy at the end, that on what was shown before the last set, and what was forgotten on the way."""
    from concordant.versions.continual import STATES, forgetting, item_states, retention_matrix

    right = answers["clean", 0.0]
    found = {f"{arm}.{kind}_accuracy@{n_sets}": float(right[:, -1].mean())}
    if kind == "instance":
        for (damage, share), after in answers.items():
            if damage != "clean":
                found[f"{arm}.{damage}_accuracy@{share}"] = float(after[:, -1].mean())
        if n_sets > 1:
            earlier = task.target_sets < n_sets - 1
            lost = forgetting(retention_matrix(right, task.target_sets))[:-1]
            states = item_states(right)
            found[f"{arm}.earlier_accuracy@{n_sets}"] = float(right[earlier, -1].mean())
            found[f"{arm}.forgetting_gap@{n_sets}"] = float(lost.mean())
            found[f"{arm}.forgotten_rate@{n_sets}"] = float((states == STATES.index("forgotten")).mean())
    return found


def _named_images() -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.bool_]]:
    """Return the images that the environment names."""
    name = os.environ.get(IMAGES)
    if not name or not Path(name).is_file():
        message = f"the study cfsl-instances at full scale needs a file of images that {IMAGES} names, got {name or 'none'}"
        raise ConfigError(message)
    with np.load(name) as file:
        missing = {"images", "labels", "is_background"} - set(file.files)
        if missing:
            message = f"the file {name} of {IMAGES} must have images, labels and is_background, got no {sorted(missing)[0]}"
            raise DataError(message)
        images, labels, is_background = file["images"], file["labels"], file["is_background"].astype(bool)
    if images.ndim != 3 or not len(images) == len(labels) == len(is_background):
        message = f"the images of {name} must have the shape (n, height, width) with a label each, got {images.shape}"
        raise DataError(message)
    return images.astype(np.float32), labels.astype(np.intp), is_background
