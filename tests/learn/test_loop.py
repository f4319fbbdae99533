"""The loop against steps written out by hand, against itself when stopped, and against what goes wrong."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from concordant.core.errors import ConfigError, DataError, ModelError, StoreError
from concordant.learn import MLP, Batches, TransformerEncoder, cosine, linear, load_weights, train

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(1))
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]])
SGD = partial(torch.optim.SGD, lr=0.05)


def squared_error(model, batch):
    x, y = batch
    return (model(x) - y).square().mean()


def model(seed=0):
    return MLP(3, 1, hidden=(8,), seed=seed)


def same(first, second):
    return all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_steps_are_those_written_out_by_hand():
    ours, theirs = model(), model()
    history = train(
        ours,
        squared_error,
        Batches((X, Y), 24, shuffle=False),
        steps=20,
        optimizer=SGD,
        clip=0.5,
        schedule="linear",
    )
    optimizer = SGD(theirs.parameters())
    for step in range(20):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 20)
        optimizer.zero_grad()
        loss = squared_error(theirs, (X, Y))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
        assert history.loss[step] == loss.item()
        assert history.parts["gradient_norm"][step] == norm.item()
        assert history.parts["learning_rate"][step] == 0.05 * (1 - step / 20)
    assert same(ours, theirs)


def test_accumulation_is_the_large_batch():
    small, large = model().double(), model().double()
    data = (X.double(), Y.double())
    batches = [tuple(part[i : i + 6] for part in data) for i in range(0, 24, 6)]
    first = train(small, squared_error, batches, epochs=5, accumulate=4, optimizer=SGD, clip=0.3)
    second = train(large, squared_error, [data], epochs=5, optimizer=SGD, clip=0.3)
    assert first.steps == second.steps == 5
    assert torch.allclose(torch.tensor(first.loss), torch.tensor(second.loss))
    for a, b in zip(small.parameters(), large.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12)


def test_the_last_step_takes_what_there_is():
    seen = []

    def loss(model, batch):
        seen.append(batch.item())
        return (model.weight * batch).sum()

    weight = nn.utils.skip_init(nn.Linear, 1, 1)
    weight.weight.data.zero_()
    history = train(
        weight,
        loss,
        list(torch.arange(5.0)),
        epochs=1,
        accumulate=2,
        optimizer=partial(torch.optim.SGD, lr=1),
    )
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert history.steps == 3
    means = [(seen[0] + seen[1]) / 2, (seen[2] + seen[3]) / 2, seen[4]]
    assert weight.weight.item() == pytest.approx(-sum(means))


def test_epochs_see_every_row_once_in_orders_from_the_seed():
    def seen(seed):
        rows = []

        def loss(model, batch):
            rows.append(batch["row"].tolist())
            return model(batch["x"]).mean()

        train(model(), loss, Batches({"x": X, "row": torch.arange(24)}, 7), epochs=2, seed=seed)
        return rows

    first = seen(0)
    assert [len(rows) for rows in first] == [7, 7, 7, 3] * 2
    flat = [row for rows in first for row in rows]
    assert sorted(flat[:24]) == sorted(flat[24:]) == list(range(24))
    assert flat[:24] != flat[24:]
    assert seen(0) == first
    assert seen(1) != first


def noisy_error(model, batch):
    """A loss with dropout in the model and noise of its own: both draw from the global generator."""
    x, y = batch
    hidden = model(x[:, None, :] + 0.1 * torch.randn(len(x), 1, 3))
    return {"loss": (hidden.mean(dim=(1, 2)) - y[:, 0]).square().mean(), "size": hidden.abs().mean()}


def encoder():
    return TransformerEncoder(3, width=8, heads=2, layers=1, dropout=0.2, seed=0)


OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, lr=1e-2),
    "sgd": partial(torch.optim.SGD, lr=1e-2, momentum=0.9),
    "rmsprop": partial(torch.optim.RMSprop, lr=1e-2),
    "amsgrad": partial(torch.optim.Adam, lr=1e-2, amsgrad=True),
}


class KilledError(Exception):
    pass


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("killed_at", [1, 9, 17])
def test_a_killed_run_goes_on_bit_for_bit(name, killed_at, tmp_path):
    options = {
        "steps": 20,
        "optimizer": OPTIMIZERS[name],
        "schedule": partial(cosine, warm_up=3),
        "accumulate": 2,
        "clip": 1.0,
        "validate": lambda m: noisy_error(m, (X, Y))["loss"],
        "validate_every": 3,
        "checkpoint_every": 4,
        "seed": 5,
    }
    batches = Batches((X, Y), 5)
    whole = encoder()
    expected = train(whole, noisy_error, batches, checkpoint=tmp_path / "whole", **options)

    calls = 0

    def killed(model, batch):
        nonlocal calls
        calls += 1
        if calls > 2 * killed_at:
            raise KilledError
        return noisy_error(model, batch)

    with pytest.raises(KilledError):
        train(encoder(), killed, batches, checkpoint=tmp_path / "run", **options)
    again = encoder()
    history = train(again, noisy_error, batches, checkpoint=tmp_path / "run", resume=True, **options)
    assert history == expected
    assert same(again, whole)
    for file in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
    ]


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, again = model(), model()
    run = partial(
        train, loss=squared_error, batches=Batches((X, Y), 8), steps=6, checkpoint=tmp_path, resume=True
    )
    assert run(first) == run(again)
    assert same(first, again)


def test_checkpoints_and_validation_do_not_change_the_training(tmp_path):
    plain, watched = encoder(), encoder()
    first = train(plain, noisy_error, Batches((X, Y), 8), steps=9)
    second = train(
        watched,
        noisy_error,
        Batches((X, Y), 8),
        steps=9,
        checkpoint=tmp_path,
        checkpoint_every=2,
        validate=lambda m: torch.rand(()),
        validate_every=1,
    )
    assert first.parts == second.parts
    assert same(plain, watched)


def test_best_weights_are_those_of_the_lowest_validation_loss(tmp_path):
    losses = iter([3.0, 1.0, math.nan, 1.0, 2.0])
    weights = []

    def validate(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        weights.append(model.layers[0].weight.clone())
        return next(losses)

    history = train(
        model(), squared_error, [(X, Y)], steps=10, validate=validate, validate_every=2, checkpoint=tmp_path
    )
    assert (history.best_step, history.best_loss) == (4, 1.0)
    best = model(seed=7)
    assert load_weights(tmp_path / "best.safetensors", best)["step"] == 4
    assert torch.equal(best.layers[0].weight, weights[1])
    table = history.frame()
    assert table["step"].to_list() == list(range(1, 11))
    assert table["validation_loss"][3] == 1.0
    assert table["validation_loss"].null_count() == 5


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    calls = 0

    def breaks(model, batch):
        nonlocal calls
        calls += 1
        return squared_error(model, batch) * (math.nan if calls == 8 else 1.0)

    trained, good = model(), model()
    with pytest.raises(
        ModelError,
        match=r"^training stopped at step 8 because the loss is nan: the last good checkpoint is step 6 in \S+$",
    ):
        train(trained, breaks, [(X, Y)], steps=20, optimizer=SGD, checkpoint=tmp_path, checkpoint_every=3)
    train(good, squared_error, [(X, Y)], steps=7, optimizer=SGD)
    assert same(trained, good)  # the weights after step 7, as finite as before
    train(good, squared_error, [(X, Y)], steps=6, optimizer=SGD, checkpoint=tmp_path, resume=True)
    assert all(torch.isfinite(parameter).all() for parameter in good.parameters())


def test_a_gradient_that_is_not_a_number_stops_before_the_step():
    trained = model()
    with pytest.raises(ModelError, match="at step 1 because the norm of the gradient is nan: the model"):
        train(trained, lambda m, b: (m(b) * 0).square().sum().sqrt(), [X], steps=3)
    assert same(trained, model())


def test_divergence_is_noticed():
    with pytest.raises(ModelError, match=r"at step \d+ because the (loss|norm of the gradient) is (inf|nan)"):
        train(model(), squared_error, [(X, Y)], steps=200, optimizer=partial(torch.optim.SGD, lr=1e6))


def test_modes_frozen_weights_and_a_given_optimizer():
    trained = model().eval()
    trained.layers[0].weight.requires_grad_(False)
    before = trained.layers[0].weight.clone()
    modes = []
    optimizer = torch.optim.SGD(
        [
            {"params": [trained.layers[0].bias], "lr": 0.1},
            {"params": trained.layers[1].parameters(), "lr": 0.2},
        ]
    )

    def loss(m, batch):
        modes.append(m.training)
        return squared_error(m, batch)

    history = train(trained, loss, [(X, Y)], steps=4, optimizer=optimizer, schedule=linear)
    assert modes == [True] * 4
    assert not trained.training
    assert torch.equal(trained.layers[0].weight, before)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]  # as it came
    assert history.parts["learning_rate"] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert trained.layers[1].weight.grad is None


def test_a_run_in_the_folder_is_not_overwritten(tmp_path):
    run = partial(train, loss=squared_error, batches=[(X, Y)], checkpoint=tmp_path)
    run(model(), steps=2)
    with pytest.raises(StoreError, match="already holds a run of 2 steps: pass resume=True"):
        run(model(), steps=4)
    with pytest.raises(ConfigError, match="was made with seed 0, got 1"):
        run(model(), steps=4, resume=True, seed=1)
    with pytest.raises(
        ModelError, match=r"weights of another model: layers\.0\.bias is \(8,\) there and \(9,\) here"
    ):
        run(MLP(3, 1, hidden=(9,)), steps=4, resume=True)
    other = model()
    two_groups = torch.optim.AdamW([{"params": [p]} for p in other.parameters()])
    with pytest.raises(ConfigError, match="holds the state of another optimiser"):
        run(other, steps=4, resume=True, optimizer=two_groups)
    (tmp_path / "last.safetensors").write_bytes(b"torn")
    with pytest.raises(StoreError, match="is not a checkpoint of this package"):
        run(model(), steps=4, resume=True)


BAD = {
    "neither": ({}, ConfigError, "one of steps and epochs, got neither"),
    "both": ({"steps": 1, "epochs": 1}, ConfigError, "one of steps and epochs, got both"),
    "no steps": ({"steps": 0}, ConfigError, "steps of train must be at least 1, got 0"),
    "accumulate": (
        {"steps": 1, "accumulate": 0},
        ConfigError,
        "accumulate of train must be at least 1, got 0",
    ),
    "clip": ({"steps": 1, "clip": -1.0}, ConfigError, r"clip of train must be greater than 0, got -1\.0"),
    "every": (
        {"steps": 1, "validate_every": 0},
        ConfigError,
        "validate_every of train must be at least 1, got 0",
    ),
    "device": ({"steps": 1, "device": "abacus"}, ConfigError, "a device that PyTorch has here, got 'abacus'"),
    "schedule": ({"steps": 1, "schedule": "cosin"}, ConfigError, "no schedule 'cosin': did you mean cosine"),
    "no batches": ({"epochs": 1, "batches": []}, DataError, "at least one batch, got none"),
    "empty epochs": (
        {"steps": 1, "batches": lambda generator: []},
        DataError,
        "at least one batch, got none",
    ),
    "no length": (
        {"epochs": 1, "batches": lambda generator: [(X, Y)]},
        DataError,
        "got a function: give steps",
    ),
    "no order": (
        {"steps": 1, "batches": iter([])},
        DataError,
        "sequence of batches or a function of a generator",
    ),
    "vector": (
        {"steps": 1, "loss": lambda m, b: m(b[0])},
        ModelError,
        r"scalar tensor, got \(24, 1\) for 'loss'",
    ),
    "number": ({"steps": 1, "loss": lambda m, b: 1.0}, ModelError, "scalar tensor, got float for 'loss'"),
    "unnamed": ({"steps": 1, "loss": lambda m, b: {"nll": m(b[0])}}, ModelError, "minimise 'loss', got nll"),
    "detached": (
        {"steps": 1, "loss": lambda m, b: m(b[0]).sum().detach()},
        ModelError,
        "does not depend on any",
    ),
    "nothing": ({"steps": 1, "model": nn.ReLU()}, ModelError, "the ReLU has no parameters to train"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    options, error, message = BAD[name]
    with pytest.raises(error, match=message):
        train(**{"model": model(), "loss": squared_error, "batches": [(X, Y)], **options})
