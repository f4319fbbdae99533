"""Compatible updates: masks and losses by hand, what is left alone, and what a mask that never fires does."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from concordant import versions
from concordant.core.errors import ConfigError, DataError
from concordant.learn import MLP, Batches, masked_kl
from concordant.versions.muscle import (
    Predictions,
    compatibility_loss,
    compatible_update,
    distilled,
    old_teacher_mask,
)

torch.set_num_threads(1)
STILL = partial(torch.optim.SGD, lr=0.0)


def logits(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


#        the current model is:  right              wrong             wrong
CURRENT = logits([2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0])
OLD = logits([0.0, 4.0, 0.0], [5.0, 0.0, 0.0], [0.0, 1.0, 0.0])
NEW = logits([1.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 2.0, 0.0])
RIGHT = torch.tensor([0, 0, 0])


# -- masks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "mask"),
    [
        ("current_wrong", [False, True, True]),
        ("all", [True, True, True]),
        ("old_right", [False, True, False]),
        # old likelihoods of class 0: 1/(2 + e^4), e^5/(e^5 + 2), 1/(2 + e); new: e/(e + 2), e^6/(e^6 + 2), 1/(2 + e^2)
        ("old_more_likely", [False, False, True]),
    ],
)
def test_masks_by_hand(rule: str, mask: list[bool]) -> None:
    assert old_teacher_mask(CURRENT, OLD, NEW, RIGHT, rule).tolist() == mask


def test_a_mask_of_ones_own() -> None:
    def doubtful(current: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        return 1 - current.softmax(-1).max(-1).values

    current = CURRENT.clone().requires_grad_()
    mask = old_teacher_mask(current, OLD, NEW, RIGHT, doubtful)
    assert not mask.requires_grad
    assert mask[0].item() == pytest.approx(1 - math.exp(2) / (math.exp(2) + 2))
    parts = compatibility_loss(Predictions(current, OLD, NEW, RIGHT), rule=doubtful)
    assert parts["masked"].item() == pytest.approx(float(mask.sum()))


def test_tokens_as_well_as_items() -> None:
    pair = [torch.stack([part, part.flip(0)]) for part in (CURRENT, OLD, NEW, RIGHT)]
    assert old_teacher_mask(*pair).tolist() == [[False, True, True], [True, True, False]]


# -- the loss ----------------------------------------------------------------------------------------------------


def test_loss_by_hand() -> None:
    # two classes: KL between (a, 1 - a) and (b, 1 - b); the first item is right and keeps the new model, the second not
    def kl(a: float, b: float) -> float:
        return a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))

    current, old, new = (
        torch.tensor(p).log() for p in ([[0.6, 0.4]] * 2, [[0.9, 0.1]] * 2, [[0.3, 0.7]] * 2)
    )
    parts = compatibility_loss(Predictions(current, old, new, torch.tensor([0, 1])), cross_entropy_weight=0.5)
    assert parts["distillation"].item() == pytest.approx((kl(0.3, 0.6) + kl(0.9, 0.6)) / 2, rel=1e-5)
    assert parts["cross_entropy"].item() == pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2, rel=1e-5)
    assert parts["loss"].item() == pytest.approx(
        parts["distillation"].item() + parts["cross_entropy"].item() / 2
    )
    assert (parts["masked"].item(), parts["tokens"].item()) == (1, 2)


def test_rules_at_the_ends_are_distillation_from_one_version() -> None:
    said = Predictions(CURRENT, OLD, NEW, RIGHT)
    everywhere = compatibility_loss(said, rule="all")["loss"]
    nowhere = compatibility_loss(said, rule=lambda *_: torch.zeros(3))["loss"]
    assert torch.equal(everywhere, masked_kl(OLD, CURRENT))
    assert torch.equal(nowhere, masked_kl(NEW, CURRENT))


def test_only_what_counts_is_counted() -> None:
    said = Predictions(CURRENT, OLD, NEW, torch.tensor([0, -100, 0]), torch.tensor([True, False, True]))
    kept = Predictions(CURRENT[[0, 2]], OLD[[0, 2]], NEW[[0, 2]], RIGHT[[0, 2]])
    some = compatibility_loss(said, cross_entropy_weight=2.0)
    only = compatibility_loss(kept, cross_entropy_weight=2.0)
    for name, value in only.items():
        assert some[name].item() == pytest.approx(value.item()), name
    nothing = compatibility_loss(
        said._replace(counts=torch.zeros(3, dtype=torch.bool)), cross_entropy_weight=1
    )
    assert all(value.item() == 0 for value in nothing.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["current_wrong", "all", "old_more_likely", "old_right"]))
def test_gradient_runs_into_the_model_in_training_alone(seed: int, rule: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    current, old, new = (
        torch.randn(4, 5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)
    )
    targets = torch.randint(5, (4,), generator=generator)
    parts = compatibility_loss(Predictions(current, old, new, targets), rule=rule, cross_entropy_weight=0.3)
    parts["loss"].backward()
    assert old.grad is new.grad is None
    # by hand: the gradient of KL(p || q) in the logits of q is q - p, that of the cross-entropy q - y
    mask = old_teacher_mask(current, old, new, targets, rule).double()[:, None]
    p = (mask * old.softmax(-1) + (1 - mask) * new.softmax(-1)).detach()
    q, y = current.softmax(-1).detach(), torch.eye(5, dtype=torch.float64)[targets]
    assert current.grad is not None
    assert torch.allclose(current.grad, ((q - p) + 0.3 * (q - y)) / 4)


# -- the update --------------------------------------------------------------------------------------------------


def task(n: int = 48, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return x, (x @ torch.randn(4, 3, generator=generator)).argmax(-1)


def test_versions_are_left_as_they_were() -> None:
    x, y = task()
    old, new = MLP(4, 3, hidden=(), seed=1).train(), MLP(4, 3, hidden=(8,), seed=2).eval()
    before = [{k: v.clone() for k, v in model.state_dict().items()} for model in (old, new)]
    update = compatible_update(old, new, Batches((x, y), 16), epochs=2, progress=False, device="cpu")
    for model, weights in zip((old, new), before, strict=True):
        assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
    assert old.training
    assert not new.training
    assert not torch.equal(update.model(x), new(x))


def test_masked_rates_by_epoch() -> None:
    # nothing is learnt, so that the rate of every epoch is the error of the new model on the data
    x, y = task()
    old, new = MLP(4, 3, hidden=(), seed=1), MLP(4, 3, hidden=(8,), seed=2)
    error = float((new(x).argmax(-1) != y).float().mean())
    run = partial(compatible_update, old, new, Batches((x, y), 10), optimizer=STILL, progress=False)
    for options in ({"epochs": 3}, {"steps": 15}, {"epochs": 3, "accumulate": 5}):
        update = run(**options)
        assert update.masked_rates == pytest.approx([error] * 3), options
    assert sum(run(epochs=3).history.parts["masked"]) == pytest.approx(3 * 48 * error)
    assert len(run(steps=7).masked_rates) == 2
    whole = compatible_update(
        old, new, lambda generator: iter([(x, y)]), steps=4, optimizer=STILL, progress=False
    )
    assert whole.masked_rates == pytest.approx([error])  # of batches whose number is not known, one for all


def test_a_training_set_known_by_heart_changes_nothing() -> None:
    x, y = task()
    old, new = MLP(4, 3, hidden=(), seed=1), MLP(4, 3, hidden=(8,), seed=2)
    y = new(x).argmax(-1)
    descent = partial(torch.optim.SGD, lr=0.5)  # Adam would blow rounding errors up to steps
    update = compatible_update(old, new, Batches((x, y), 16), epochs=3, optimizer=descent, progress=False)
    assert update.masked_rates == (0, 0, 0)
    assert max(map(abs, update.history.loss)) < 1e-6
    assert torch.allclose(update.model(x), new(x), atol=1e-5)


def test_distillation_everywhere_ends_at_the_old_model() -> None:
    x, y = task()
    old, new = MLP(4, 3, hidden=(), seed=1), MLP(4, 3, hidden=(), seed=2)
    adam = partial(torch.optim.Adam, lr=0.05)
    update = compatible_update(
        old, new, Batches((x, y), 48), rule="all", steps=300, optimizer=adam, progress=False
    )
    assert torch.allclose(update.model(x).softmax(-1), old(x).softmax(-1), atol=1e-3)


def test_a_heavy_cross_entropy_is_plain_training() -> None:
    x, y = task()
    old, new = MLP(4, 3, hidden=(), seed=1), MLP(4, 3, hidden=(8,), seed=2)
    adam = partial(torch.optim.Adam, lr=0.02)
    update = compatible_update(
        old,
        new,
        Batches((x, y), 48),
        cross_entropy_weight=1000.0,
        steps=100,
        optimizer=adam,
        progress=False,
    )
    assert cross_entropy(update.model(x), y) < 0.2 < 1.0 < cross_entropy(new(x), y)
    assert update.masked_rates[-1] == 0


def test_a_seed_decides_all() -> None:
    x, y = task()
    old, new = MLP(4, 3, hidden=(), seed=1), MLP(4, 3, hidden=(8,), seed=2)
    run = partial(compatible_update, old, new, Batches((x, y), 16), epochs=2, progress=False)
    before = torch.get_rng_state()
    first, again, other = run(seed=3), run(seed=3), run(seed=4)
    assert torch.equal(before, torch.get_rng_state())
    assert first.history.parts == again.history.parts
    assert first.history.loss != other.history.loss


def test_names_of_the_package() -> None:
    assert versions.compatible_update is compatible_update
    with pytest.raises(AttributeError, match="has no attribute 'compatible'"):
        versions.compatible  # noqa: B018


# -- bad input ---------------------------------------------------------------------------------------------------


def test_what_is_refused() -> None:
    x, y = task()
    old, new = MLP(4, 3, seed=1), MLP(4, 3, seed=2)
    batches = Batches((x, y), 16)
    with pytest.raises(ConfigError, match=r"no mask rule 'old_rihgt': did you mean old_right\?"):
        compatible_update(old, new, batches, rule="old_rihgt", steps=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cross_entropy_weight must be at least 0, got -1"):
        compatible_update(old, new, batches, cross_entropy_weight=-1, steps=1)
    with pytest.raises(ConfigError, match="cross_entropy_weight must be at least 0, got nan"):
        distilled(new, lambda model, batch: Predictions(*[x] * 4), batches, cross_entropy_weight=math.nan)
    with pytest.raises(
        DataError, match=r"versions of one vocabulary, .* got logits old \(16, 4\) and new \(16, 3\)"
    ):
        compatible_update(MLP(4, 4, seed=1), new, batches, steps=1, progress=False)
    with pytest.raises(DataError, match=r"one value a token, shape \(3,\), got \(2,\)"):
        old_teacher_mask(CURRENT, OLD, NEW, RIGHT[:2])
