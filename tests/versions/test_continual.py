"""Streams, replay, corruption and prototypes: what they must be for any task, and cases worked by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.learn import MLP
from concordant.versions.continual import (
    Interleaved,
    Prototypes,
    Replay,
    ReplayBuffer,
    draw_task,
    learn_stream,
    noisy,
    occluded,
)
from concordant.versions.continual.learner import joined

CLASSES = np.repeat(np.arange(12), 40)[np.random.default_rng(0).permutation(480)]


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, object]:
    interval, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    instances = draw(st.booleans())
    return {
        "n_sets": interval * groups,
        "class_change_interval": interval,
        "n_way": draw(st.integers(1, 4)),
        "k_shot": draw(st.integers(1, 5)),
        "instances": instances,
        "overwrite": not instances and draw(st.booleans()),
        "n_target": draw(st.integers(1, 6)),
    }


@given(shapes(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_what_every_task_is(shape: dict, seed: int) -> None:
    task = draw_task(CLASSES, np.random.default_rng(seed), **shape)
    n_groups = shape["n_sets"] // shape["class_change_interval"]
    shown = np.concatenate([part.rows for part in task.sets])
    labels = np.concatenate([part.labels for part in task.sets])
    assert len(task.sets) == shape["n_sets"]
    assert all(len(part) == shape["n_way"] * shape["k_shot"] for part in task.sets)
    assert len(set(shown)) == len(shown)  # no row is shown twice
    assert sorted(set(labels)) == list(range(task.n_labels))
    if shape["instances"]:
        assert task.n_labels == len(shown)
        assert task.target.rows.tolist() == shown.tolist()
        assert task.target.labels.tolist() == labels.tolist() == list(range(len(shown)))
        assert task.target_sets.tolist() == np.repeat(np.arange(len(task.sets)), len(task.sets[0])).tolist()
    else:
        assert task.n_labels == shape["n_way"] * (1 if shape["overwrite"] else n_groups)
        assert not set(task.target.rows) & set(shown)  # unseen rows of the same classes
        assert set(CLASSES[task.target.rows]) == set(CLASSES[shown])
    groups = [set(CLASSES[part.rows]) for part in task.sets]
    for s, group in enumerate(groups):
        same = s // shape["class_change_interval"]
        assert len(group) == shape["n_way"]
        for t, other in enumerate(groups):
            assert (group == other) if t // shape["class_change_interval"] == same else not group & other
    if not shape["overwrite"] and not shape["instances"]:
        told = {
            (label, CLASSES[row])
            for part in (*task.sets, task.target)
            for label, row in zip(part.labels, part.rows, strict=True)
        }
        assert len(told) == task.n_labels  # a label is a class


def test_a_target_belongs_to_the_set_after_which_its_class_was_taught_in_full() -> None:
    task = draw_task(
        CLASSES, np.random.default_rng(1), n_sets=4, n_way=2, k_shot=3, class_change_interval=2, n_target=1
    )
    assert task.target_sets.tolist() == [1, 1, 3, 3]
    assert task.target.labels.tolist() == [0, 1, 2, 3]


def test_the_same_seed_draws_the_same_task() -> None:
    a, b, c = (draw_task(CLASSES, np.random.default_rng(s), n_sets=2, n_way=2, k_shot=2) for s in (5, 5, 6))
    assert a.target.rows.tolist() == b.target.rows.tolist() != c.target.rows.tolist()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"k_shot": 0}, ConfigError, "k_shot of a task must be at least 1, got 0"),
        ({"n_sets": 3, "class_change_interval": 2}, ConfigError, "must divide the 3 sets, got 2"),
        ({"overwrite": True, "instances": True}, ConfigError, "nothing to overwrite"),
        ({"n_way": 7}, DataError, r"needs 14 classes with 17 rows each, got 12 such of 12 classes"),
        ({"k_shot": 30}, DataError, r"needs 4 classes with 45 rows each, got 0 such of 12 classes"),
    ],
)
def test_tasks_that_cannot_be(change: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        draw_task(CLASSES, np.random.default_rng(0), **{"n_sets": 2, "n_way": 2, "k_shot": 2, **change})


# -- corruption --------------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_so_much_is_corrupted_and_the_rest_is_as_it_was(
    height: int, width: int, share: float, seed: int
) -> None:
    images = np.random.default_rng(0).uniform(2, 3, size=(4, height, width)).astype(np.float32)
    before = images.copy()
    side = min(round((share * height * width) ** 0.5), height, width)
    covered = occluded(images, share, np.random.default_rng(seed), fill=-1.0)
    assert ((covered == -1).sum(axis=(1, 2)) == side * side).all()
    assert (covered[covered != -1] == images[covered != -1]).all()
    disturbed = noisy(images, share, np.random.default_rng(seed))
    assert ((disturbed != images).sum(axis=(1, 2)) == round(share * height * width)).all()
    assert (images == before).all()
    assert covered.dtype == disturbed.dtype == np.float32


def test_squares_are_squares_at_places_of_their_own_and_cover_all_channels() -> None:
    images = np.ones((50, 8, 8, 3))
    covered = occluded(images, 0.25, np.random.default_rng(0))
    places = {tuple(np.argwhere(image[..., 0] == 0)[0]) for image in covered}
    for image in covered:
        down, across = np.nonzero(image[..., 0] == 0)
        assert (down.max() - down.min(), across.max() - across.min()) == (3, 3)
        assert (image[..., 0] == image[..., 2]).all()
    assert len(places) > 10
    disturbed = noisy(images, 0.5, np.random.default_rng(0), low=3, high=4)
    assert ((disturbed >= 3).all(axis=-1) | (disturbed == 1).all(axis=-1)).all()


def test_corruption_that_cannot_be() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="must be from 0 to 1, got 25"):
        occluded(np.ones((1, 2, 2)), 25, rng)
    with pytest.raises(ConfigError, match="needs low <= high, got 1 and 0"):
        noisy(np.ones((1, 2, 2)), 0.1, rng, low=1, high=0)
    with pytest.raises(DataError, match=r"real numbers of shape .* got int64 of shape \(2, 2\)"):
        noisy(np.ones((2, 2), int), 0.1, rng)


# -- prototypes --------------------------------------------------------------------------------------------------


def test_prototypes_are_means_whatever_the_order_of_the_sets() -> None:
    rng = np.random.default_rng(2)
    x, y, asked = rng.normal(size=(60, 5)), rng.integers(4, size=60), rng.normal(size=(30, 5))
    means = np.stack([x[y == label].mean(axis=0) for label in range(4)])
    expected = np.linalg.norm(asked[:, None] - means, axis=2).argmin(axis=1)
    for order in (np.arange(60), rng.permutation(60)):
        seen = Prototypes()
        for part in np.array_split(order, 7):
            seen.add(x[part], y[part])
        assert seen.predict(asked).tolist() == expected.tolist()


def test_prototypes_say_what_does_not_fit() -> None:
    seen = Prototypes()
    with pytest.raises(ModelError, match="after a support set was added"):
        seen.predict([[0.0]])
    seen.add([[0.0, 1.0]], [0])
    with pytest.raises(DataError, match=r"got \(1, 3\) and \(1,\)"):
        seen.add([[0.0, 1.0, 2.0]], [0])


# -- replay and the learner --------------------------------------------------------------------------------------


def test_the_buffer_keeps_the_last_sets() -> None:
    buffer = ReplayBuffer(n_sets=2)
    with pytest.raises(DataError, match="the replay buffer is empty"):
        buffer.rows()
    for value in range(3):
        buffer.add({"x": torch.full((2, 3), float(value)), "y": torch.tensor([10 * value, 10 * value + 1])})
    assert buffer.rows()["y"].tolist() == [10, 11, 20, 21]
    drawn = buffer.draw(3, torch.Generator().manual_seed(0))
    assert drawn["x"].shape == (3, 3)
    assert len(set(drawn["y"].tolist())) == 3
    assert drawn["x"][:, 0].tolist() == [y // 10 for y in drawn["y"].tolist()]
    assert sorted(buffer.draw(99, torch.Generator().manual_seed(0))["y"].tolist()) == [10, 11, 20, 21]


@pytest.mark.parametrize(("size", "n_rows", "widths"), [(None, 0, [5]), (2, 0, [2, 2, 1]), (2, 3, [5, 5, 4])])
def test_batches_hold_every_row_of_the_set_once_and_so_many_earlier_ones(size, n_rows, widths) -> None:
    buffer = ReplayBuffer()
    buffer.add(torch.arange(100, 110))
    batches = Interleaved(torch.arange(5), size=size, buffer=buffer, n_rows=n_rows)
    drawn = [batch.tolist() for batch in batches(torch.Generator().manual_seed(3))]
    assert [len(batch) for batch in drawn] == widths
    assert len(batches) == len(drawn)
    assert sorted(value for batch in drawn for value in batch if value < 100) == list(range(5))


def test_sets_of_different_forms_are_not_joined() -> None:
    with pytest.raises(DataError, match="must be of one form, got 1, 2 tensors"):
        joined(torch.ones(1), (torch.ones(1), torch.ones(1)))
    with pytest.raises(ConfigError, match="n_sets of Replay must be at least 1, got 0"):
        Replay(1, n_sets=0)


def nll(model, batch):
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])


def stream(**how):
    """Learn six patterns in three sets, and return which are right after each; the patterns overlap."""
    x, y = torch.eye(6) + 1, torch.arange(6)
    sets = [(x[i : i + 2], y[i : i + 2]) for i in (0, 2, 4)]
    options = {
        "steps": 150,
        "optimizer": partial(torch.optim.SGD, lr=0.3),
        "device": "cpu",
        "progress": False,
    }
    return learn_stream(
        MLP(6, 6, hidden=()),
        nll,
        sets,
        evaluate=lambda model: (model(x).argmax(1) == y).tolist(),
        **options | how,
    )


def test_a_stream_is_forgotten_without_replay_and_kept_with_it() -> None:
    assert [np.flatnonzero(right).tolist() for right in stream()] == [[0, 1], [2, 3], [4, 5]]
    assert stream(replay=Replay(4))[-1] == [True] * 6
    kept = np.flatnonzero(stream(replay=Replay(4, n_sets=1))[-1]).tolist()
    assert kept == [2, 3, 4, 5]  # the buffer has lost the first set


def test_the_same_seed_gives_the_same_stream_and_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    seen = []
    for seed in (1, 1, 2):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        weights = learn_stream(
            MLP(3, 2, hidden=()), nll, [(x[:4], torch.arange(4) % 2), (x[4:], torch.arange(4) % 2)], steps=5, size=2,
            replay=Replay(1), evaluate=lambda model: model.layers[0].weight.tolist(), seed=seed, device="cpu",
        )  # fmt: skip
        seen.append(weights)
    assert seen[0] == seen[1] != seen[2]
    assert torch.equal(before, torch.get_rng_state())


def test_evaluation_is_without_gradients_and_the_mode_is_kept() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), MLP(6, 6, hidden=()))
    modes = []
    learn_stream(
        model, nll, [(torch.eye(6), torch.arange(6))], steps=1, device="cpu",
        evaluate=lambda m: modes.append((m.training, torch.is_grad_enabled())),
    )  # fmt: skip
    assert modes == [(False, False)]
    assert model.training
    with pytest.raises(DataError, match="at least one set, got none"):
        learn_stream(model, nll, [], steps=1, evaluate=id)
