"""The parts of the study of breadcrumbs: tasks, parents, the choice of settings, merges of every method."""

from __future__ import annotations

import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.studies import breadcrumbs as study
from concordant.studies.many_tasks import SMALLEST_TASKS, Clouds, Labelled, body, class_nll, family, read
from concordant.studies.study import Scale


@pytest.fixture(scope="module")
def made():
    clouds = Clouds(SMALLEST_TASKS, 1000)
    return family(clouds, SMALLEST_TASKS, 1001), clouds.items(50)


def test_every_method_has_as_many_settings_and_no_two_alike():
    for grid in study.GRIDS.values():
        assert len(grid) == 36
        assert len({tuple(sorted(options.items())) for options in grid}) == 36


def test_items_lie_around_the_place_of_their_class():
    clouds = Clouds(SMALLEST_TASKS, 1000)
    x, y = clouds.items(4000)
    for task in (0, 3):
        for label in range(SMALLEST_TASKS.classes):
            mean = x[task][y[task] == label].mean(0)
            assert torch.allclose(mean, clouds.places[task, label], atol=0.15)


def test_features_and_heads_are_those_of_the_layers():
    weights = {
        "layers.0.weight": torch.tensor([[1.0, 0.0], [0.0, -1.0]]),
        "layers.0.bias": torch.tensor([0.0, 1.0]),
        "layers.1.weight": torch.eye(2),
        "layers.1.bias": torch.zeros(2),
    }
    features = body(weights, torch.tensor([[2.0, 3.0]]))
    assert features.tolist() == [[2.0, 0.0]]
    heads = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]]])
    assert read(heads, features[None]).tolist() == [[[2.5, -0.5]]]


def test_the_loss_is_a_sum_over_tasks_of_means_over_items():
    logits = torch.zeros(3, 5, 4)
    assert class_nll(logits, torch.zeros(3, 5, dtype=torch.long)).item() == pytest.approx(
        3 * torch.log(torch.tensor(4.0)).item()
    )


def test_parents_are_better_on_their_own_task_and_share_their_base(made):
    kin, items = made
    assert kin.own(items).mean() > kin.accuracy(kin.base, items, range(6)).mean()
    names = [f"layers.{layer}.{part}" for layer in (0, 1) for part in ("weight", "bias")]
    assert all(list(parent) == names for parent in kin.parents)
    for parent in kin.parents:
        moved = sum((parent[name] - kin.base[name]).square().sum() for name in names)
        assert 0 < moved < sum(kin.base[name].square().sum() for name in names)


def test_a_merge_of_one_parent_at_scale_one_is_that_parent(made):
    kin, _ = made
    whole = {
        "arithmetic": {"scale": 1.0},
        "breadcrumbs": {"scale": 1.0, "keep": 1.0, "remove": 0.0},
        "largest": {"scale": 1.0, "keep": 1.0, "remove": 0.0},
        "ties": {"scale": 1.0, "keep": 1.0},
        "random": {"scale": 1.0, "drop": 0.0},
    }
    for method, options in whole.items():
        merged = study.merge(method, kin.base, kin.parents[:1], 0, **options)
        for name, weight in kin.parents[0].items():
            assert torch.allclose(merged[name], weight, atol=1e-6)


def test_the_best_setting_is_the_first_of_the_best():
    asked = []

    def accuracy(weights, tasks, split):
        asked.append((split, tuple(tasks)))
        return torch.full((len(tasks),), 1.0 if weights["w"].item() > 0.5 else 0.0)

    base, parents = {"w": torch.tensor([0.0])}, [{"w": torch.tensor([1.0])}] * 4
    setting = study.Setting(base, parents, accuracy, lambda split: torch.ones(4))
    # four deltas of 1 at scale s give 4 s, which is above a half from s = 0.133 on, the fourth of the grid
    assert study.best(setting, "arithmetic", range(4), 0) == {"scale": round(4 / 30, 3)}
    assert set(asked) == {("validation", (0, 1, 2, 3))}


def test_normalised_accuracy_is_a_mean_of_quotients():
    setting = study.Setting(
        {}, [{}, {}], lambda weights, tasks, split: torch.tensor([0.4, 0.9])[list(tasks)],
        lambda split: torch.tensor([0.8, 0.9]),
    )  # fmt: skip
    assert setting.normalised({}, [0, 1], "test") == pytest.approx(0.75)
    assert setting.normalised({}, [1], "test") == pytest.approx(1.0)


def test_orders_begin_with_every_group_once():
    orders = study.groups(20)
    assert [order[:4] for order in orders] == [list(range(i, i + 4)) for i in range(0, 20, 4)]
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_an_accuracy_is_of_the_tasks_asked_for(made):
    kin, items = made
    whole = kin.accuracy(kin.base, items, range(6))
    assert kin.accuracy(kin.base, items, [4, 1]).tolist() == [whole[4].item(), whole[1].item()]
    assert isinstance(items, Labelled)


def test_full_scale_says_what_it_needs(monkeypatch):
    monkeypatch.delenv(study.BASE, raising=False)
    with pytest.raises(ConfigError, match="CONCORDANT_BREADCRUMBS_BASE"):
        study.breadcrumbs(Scale.full, 0)
