"""Studies of merges and residuals with models of one's own, here tiny random ones: all that the claims need is measured."""

from __future__ import annotations

import json

import pytest

from concordant.core.errors import ConfigError, DataError
from concordant.studies import breadcrumbs, domain_merging, instruction_residuals
from concordant.studies.study import Scale
from concordant.studies.your_models import accuracy, named, outcomes, your_items, your_model
from tiny_models import save_llama


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of models that differ, and files of items."""
    folder = tmp_path_factory.mktemp("yours")
    models = [save_llama(folder / f"model-{seed}", seed=seed, chat=True) for seed in range(4)]
    rows = [{"id": letter, "input": f"{letter} ?", "reference": letter} for letter in "ab"]
    items = []
    for name in ("first", "second"):
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        items.append(str(path))
    return models, items


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    monkeypatch.setattr("concordant.studies.your_models.MAX_TOKENS", 2)


def test_a_model_is_asked_and_graded(places):
    models, items = places
    model, asked = your_model(models[0]), your_items(items[0])
    assert model.chat
    right = outcomes(model, asked)
    assert right.shape == (2,)
    assert accuracy(model, asked) == right.mean()


def test_what_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FIRST", "x")
    monkeypatch.delenv("SECOND", raising=False)
    with pytest.raises(ConfigError, match="a that in SECOND; there is no SECOND"):
        named("x", {"FIRST": "a this", "SECOND": "a that"})
    path = tmp_path / "items.jsonl"
    path.write_text('{"input": "a"}')
    with pytest.raises(ConfigError, match="need a reference"):
        your_items(path)


def test_instruction_residuals(places, monkeypatch):
    models, items = places
    for variable, value in zip(instruction_residuals.VARIABLES, [*models, *items], strict=True):
        monkeypatch.setenv(variable, value)
    measured = instruction_residuals.instruction_residuals(Scale.full, 0)
    assert measured["instruct.negative_flip_rate"] == 0.0
    assert "residual.recovery" in measured


def test_domain_merging(places, monkeypatch):
    models, items = places
    chosen = [models[i] for i in (0, 1, 2, 0, 1, 2)]
    for variable, value in zip(domain_merging.VARIABLES, [*chosen, *items], strict=True):
        monkeypatch.setenv(variable, value)
    measured = domain_merging.domain_merging(Scale.full, 0)
    assert measured["slerp-wide.composed_accuracy"] == measured["slerp-narrow.composed_accuracy"]


def test_breadcrumbs(places, monkeypatch, tmp_path):
    models, items = places
    for task in range(5):
        folder = tmp_path / f"task-{task}"
        folder.mkdir()
        (folder / "model").symlink_to(models[task % 4])
        for split in ("validation", "test"):
            (folder / f"{split}.jsonl").symlink_to(items[0])
    monkeypatch.setenv(breadcrumbs.BASE, models[0])
    monkeypatch.setenv(breadcrumbs.TASKS, str(tmp_path))
    grids = {name: grid[:2] for name, grid in breadcrumbs.GRIDS.items()}
    monkeypatch.setattr(breadcrumbs, "GRIDS", grids)
    monkeypatch.setattr("concordant.studies.your_models.accuracy", lambda model, items: 0.5)
    measured = breadcrumbs.breadcrumbs(Scale.full, 0)
    assert measured["breadcrumbs.normalised_accuracy@20"] == 1.0
    monkeypatch.setattr("concordant.studies.your_models.accuracy", lambda model, items: 0.0)
    with pytest.raises(DataError, match="task-0"):
        breadcrumbs._your_tasks()
    monkeypatch.setenv(breadcrumbs.TASKS, str(tmp_path / "task-0"))
    with pytest.raises(ConfigError, match="more than 4 tasks"):
        breadcrumbs._your_tasks()
