"""Batches, schedules and checkpoints by themselves."""

from __future__ import annotations

from collections import namedtuple
from functools import partial

import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError, StoreError
from concordant.learn import Batches, constant, cosine, linear, load_weights, save_weights
from concordant.learn.batches import Stream, mapped
from concordant.learn.checkpoint import optimizer_parts


@pytest.mark.parametrize("schedule", [constant, linear, cosine])
def test_schedules_rise_over_the_warm_up_and_start_from_one(schedule):
    factors = [schedule(step, 10, warm_up=4) for step in range(10)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0
    assert schedule(0, 10) == 1.0
    assert schedule(2, 3, warm_up=5) == pytest.approx(0.6)  # shorter than its warm-up


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_schedules_fall_to_the_final_factor(schedule):
    with_final = partial(schedule, final=0.1)
    assert with_final(10, 10) == pytest.approx(0.1)
    assert with_final(5, 10) == pytest.approx(0.55)
    factors = [with_final(step, 10) for step in range(10)]
    assert factors == sorted(factors, reverse=True)


def test_cosine_is_that_of_torch():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.2)
    for step in range(20):
        assert cosine(step, 20, final=0.2) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_batches_keep_rows_together_and_forms():
    batches = Batches({"x": torch.arange(7), "y": torch.arange(7) * 2}, 3, drop_last=True)
    drawn = list(batches(torch.Generator().manual_seed(0)))
    assert len(drawn) == len(batches) == 2
    assert all(torch.equal(batch["y"], batch["x"] * 2) for batch in drawn)
    (only,) = Batches(torch.arange(4), 10, shuffle=False)(torch.Generator())
    assert only.tolist() == [0, 1, 2, 3]


def test_mapped_goes_through_all_forms():
    pair = namedtuple("pair", "x y")
    batch = {"a": [torch.ones(1), "text"], "b": pair(torch.zeros(1), (torch.ones(1), None))}
    doubled = mapped(batch, lambda tensor: tensor + 1)
    assert doubled == {
        "a": [torch.full((1,), 2.0), "text"],
        "b": pair(torch.ones(1), (torch.full((1,), 2.0), None)),
    }
    assert type(doubled["b"]) is pair


@pytest.mark.parametrize("taken", range(8))
def test_a_stream_goes_back_to_any_position(taken):
    def lazy(generator):
        for _ in range(3):
            yield torch.rand((), generator=generator).item()
        torch.rand((), generator=generator)  # even what is drawn after the last batch

    stream = Stream(lazy, torch.Generator().manual_seed(0))
    for _ in range(taken):
        next(stream)
    position = stream.start.clone(), stream.taken
    rest = [next(stream) for _ in range(7)]
    again = Stream(lazy, torch.Generator().manual_seed(99))
    again.go_to(*position)
    assert [next(again) for _ in range(7)] == rest


def test_weights_there_and_back_with_tied_ones(tmp_path):
    class Tied(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.first = nn.Parameter(torch.full((2, 2), value))
            self.second = self.first

    save_weights(tmp_path / "new folder" / "w.safetensors", Tied(3.0), epoch=2)
    loaded = Tied(0.0)
    assert load_weights(tmp_path / "new folder" / "w.safetensors", loaded) == {"format": 1, "epoch": 2}
    assert loaded.second is loaded.first
    assert (loaded.first == 3).all()


def test_bad_input(tmp_path):
    with pytest.raises(DataError, match="equally many rows and at least one, got 2 and 3 rows"):
        Batches((torch.zeros(2), torch.zeros(3)), 1)
    with pytest.raises(DataError, match="got 0 rows"):
        Batches(torch.zeros(0), 1)
    with pytest.raises(DataError, match="got no rows"):
        Batches((), 1)
    with pytest.raises(ConfigError, match="size of a batch must be at least 1, got 0"):
        Batches(torch.zeros(2), 0)
    with pytest.raises(StoreError, match="there is no checkpoint"):
        load_weights(tmp_path / "none.safetensors", nn.ReLU())
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: (Not a directory|File exists)"):
        save_weights(tmp_path / "file" / "w.safetensors", nn.ReLU())
    odd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    odd.state[odd.param_groups[0]["params"][0]]["what"] = {1, 2}
    with pytest.raises(ConfigError, match="SGD keeps what a checkpoint cannot hold"):
        optimizer_parts(odd)
