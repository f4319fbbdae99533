"""Attributions against the definition of Shapley values, agreement by hand, and training towards known shares."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from concordant.core.errors import ConfigError, DataError, ModelError
from concordant.explanations import factors
from concordant.explanations.factors import (
    Importance,
    agreed,
    agreement,
    agreement_matrix,
    compared,
    deletion_check,
    gradient_attribution,
    gradient_shares,
    importance,
    knowledge_loss,
    linear_attribution,
    mutual_loss,
    permutation_attribution,
    ranked_shares,
    reversed_shares,
    tree_attribution,
    uniform_shares,
    with_knowledge,
)
from concordant.explanations.factors.shares import MEASURES, kl_divergence
from concordant.explanations.shapley import shapley_plan
from concordant.learn import MLP, Batches, train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).round(1)  # rounded, so that rows and thresholds meet
Y = X[:, 0] * X[:, 1] + np.abs(X[:, 2]) + RNG.normal(size=120) / 10
ROWS, BACKGROUND = X[:7], X[7:16]


def by_definition(predict, x, background):
    """Return exact Shapley values of a function by all sets of factors."""
    plan = shapley_plan(x.shape[1])
    mixed = np.where(plan.coalitions[:, None, None], x[:, None], background)  # (sets, n, n_background, m)
    values = predict(mixed.reshape(-1, x.shape[1])).reshape(mixed.shape[:3]).mean(2)
    return plan.shapley(values.T)


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeRegressor(random_state=0),
        DecisionTreeRegressor(max_leaf_nodes=2, random_state=0),
        RandomForestRegressor(5, max_depth=4, random_state=0),
        ExtraTreesRegressor(5, max_depth=4, random_state=0),
        GradientBoostingRegressor(n_estimators=10, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_values_of_trees_are_those_of_the_definition(model) -> None:
    model.fit(X, Y)
    phi = tree_attribution(model, ROWS, BACKGROUND)
    assert phi == pytest.approx(by_definition(model.predict, ROWS, BACKGROUND), abs=1e-9)
    assert phi.sum(1) == pytest.approx(model.predict(ROWS) - model.predict(BACKGROUND).mean())


def test_rows_are_explained_alike_in_blocks(monkeypatch) -> None:
    from concordant.explanations.factors import attributions

    model = RandomForestRegressor(3, random_state=0).fit(X, Y)
    whole = tree_attribution(model, ROWS, BACKGROUND)
    monkeypatch.setattr(attributions, "BLOCK", 1)
    assert tree_attribution(model, ROWS, BACKGROUND) == pytest.approx(whole, abs=1e-12)


def test_a_tree_that_never_splits_has_nothing_to_share_out() -> None:
    model = DecisionTreeRegressor(random_state=0).fit(X, np.ones(len(X)))
    assert tree_attribution(model, ROWS, BACKGROUND).tolist() == [[0.0] * 4] * 7


def test_values_of_linear_models_are_those_of_the_definition() -> None:
    model = Ridge().fit(X, Y)
    phi = linear_attribution(model, ROWS, BACKGROUND)
    assert phi == pytest.approx(by_definition(model.predict, ROWS, BACKGROUND), abs=1e-9)


def test_sampled_values_near_the_exact_ones_and_add_up() -> None:
    model = GradientBoostingRegressor(n_estimators=10, random_state=0).fit(X, Y)
    exact = tree_attribution(model, ROWS, BACKGROUND)
    sampled = permutation_attribution(model.predict, ROWS, BACKGROUND, pairs=400, seed=1)
    assert sampled == pytest.approx(exact, abs=0.1)
    one = permutation_attribution(model.predict, ROWS, BACKGROUND[:1], pairs=1)
    assert one.sum(1) == pytest.approx(model.predict(ROWS) - model.predict(BACKGROUND[:1]))


def test_gradient_times_input_is_exact_for_linear_networks_from_zero() -> None:
    model = MLP(4, 1, hidden=(), seed=0)
    weights = model.layers[0].weight.detach().numpy()[0]
    phi = gradient_attribution(model, ROWS)
    assert phi == pytest.approx(ROWS * weights, abs=1e-6)


def test_models_and_rows_that_cannot_be_explained_are_refused() -> None:
    forest = RandomForestClassifier(2, random_state=0).fit(X, Y > 0)
    with pytest.raises(ModelError, match="a RandomForestClassifier is no tree regressor"):
        tree_attribution(forest, ROWS, BACKGROUND)
    with pytest.raises(ModelError, match="a Ridge is no tree regressor"):
        tree_attribution(Ridge().fit(X, Y), ROWS, BACKGROUND)
    with pytest.raises(ModelError, match="has no coefficient for each of 4 factors"):
        linear_attribution(forest, ROWS, BACKGROUND)
    with pytest.raises(DataError, match="tables of the same factors"):
        linear_attribution(Ridge(), ROWS, BACKGROUND[:, :2])
    with pytest.raises(DataError, match="must be finite"):
        permutation_attribution(lambda x: x[:, 0], ROWS * np.nan, BACKGROUND)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        permutation_attribution(lambda x: x[:, 0], ROWS, BACKGROUND, pairs=0)
    with pytest.raises(ConfigError, match="at most 62 factors, got 70"):
        tree_attribution(Ridge(), np.zeros((1, 70)), np.zeros((1, 70)))


# -- importance and agreement -------------------------------------------------------------------------------


def of(*shares, directions=None):
    return Importance(tuple("abcdef"[: len(shares)]), shares, directions or [0] * len(shares))


def test_importance_is_the_share_of_mean_sizes() -> None:
    found = importance([[1.0, -2.0], [-3.0, 2.0]], ["a", "b"], [[1.0, 1.0], [-1.0, 0.0]])
    assert found.shares.tolist() == [0.5, 0.5]
    assert found.directions.tolist() == [1.0, -1.0]
    assert found.primary(1) == ("a",)


def test_divergences_by_hand() -> None:
    found = compared(of(0.5, 0.5), of(0.75, 0.25))
    assert found["kl_gap"] == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    back = compared(of(0.75, 0.25), of(0.5, 0.5))
    assert found["kl_gap"] != pytest.approx(back["kl_gap"])
    assert found["js_gap"] == pytest.approx(back["js_gap"])
    apart = compared(of(1.0, 0.0), of(0.0, 1.0))
    assert apart["kl_gap"] == pytest.approx(
        (1 - 2e-4) * math.log(1e4), rel=1e-3
    )  # finite, by the least share
    assert apart["js_gap"] == pytest.approx(math.log(2), rel=2e-3)
    assert kl_divergence([0.3, 0.7], [0.3, 0.7]) == 0


def test_orders_and_directions_by_hand() -> None:
    first = of(0.4, 0.3, 0.2, 0.1, directions=[1, 1, -1, 0])
    second = of(0.4, 0.3, 0.1, 0.2, directions=[1, -1, -1, 1])
    found = compared(first, second, k=3)
    assert found["top_k_score"] == 2 / 4
    assert found["tau_score"] == pytest.approx(4 / 6)
    assert found["order_score"] == pytest.approx(5 / 6)
    assert found["direction_score"] == pytest.approx(2 / 3)
    assert math.isnan(compared(first, of(0.25, 0.25, 0.25, 0.25))["direction_score"])


def test_a_pool_is_compared_both_ways_and_as_a_matrix() -> None:
    pool = {"old": of(0.5, 0.3, 0.2), "new": of(0.2, 0.3, 0.5), "again": of(0.5, 0.3, 0.2)}
    table = agreement(pool, k=1)
    assert len(table) == 6
    assert table.columns == ["first", "second", *MEASURES]
    matrix = agreement_matrix(pool, "top_k_score", k=1)
    assert matrix.rows() == [("old", 1.0, 0.0, 1.0), ("new", 0.0, 1.0, 0.0), ("again", 1.0, 0.0, 1.0)]
    gaps = agreement_matrix({"p": of(0.5, 0.5), "q": of(0.75, 0.25)}, "kl_gap")
    assert gaps.row(0)[2] == pytest.approx(compared(of(0.5, 0.5), of(0.75, 0.25))["kl_gap"])  # row to column
    with pytest.raises(ConfigError, match="no measure 'kl_gaps'; did you mean kl_gap"):
        agreement_matrix(pool, "kl_gaps")
    with pytest.raises(DataError, match="between at least two models, got old"):
        agreement({"old": pool["old"]})
    with pytest.raises(DataError, match="over the same factors"):
        compared(of(0.5, 0.5), of(0.5, 0.3, 0.2))


def test_knowledge_and_its_controls() -> None:
    known = agreed([of(0.6, 0.3, 0.1, directions=[1, 1, 1]), of(0.4, 0.3, 0.3, directions=[1, -1, 1])])
    assert known.shares == pytest.approx([0.5, 0.3, 0.2])
    assert known.directions.tolist() == [1, 0, 1]
    assert uniform_shares(known).shares == pytest.approx([1 / 3] * 3)
    assert reversed_shares(known).shares == pytest.approx([0.2, 0.3, 0.5])
    assert reversed_shares(of(0.2, 0.5, 0.3)).shares == pytest.approx([0.5, 0.2, 0.3])
    assert ranked_shares(["b", "a", "c"]).shares == pytest.approx(np.array([6, 3, 2]) / 11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of(0.5, 0.6), "with sum 1"),
        (lambda: of(1.5, -0.5), "at least 0"),
        (lambda: Importance(("a",), [0.5, 0.5], [0, 0]), "a share and a direction for each of 1 factors"),
        (lambda: importance([[1.0, 2.0]], ["a"]), "a column for each of 1 factors"),
        (lambda: importance([[0.0, 0.0]], ["a", "b"]), "no factor has a finite importance"),
        (lambda: importance([[1.0, 2.0]], ["a", "b"], [[1.0]]), "must have one shape"),
        (lambda: ranked_shares(["a", "a"]), "each once, got a, a"),
        (lambda: agreed([]), "over the same factors"),
    ],
)
def test_what_is_no_distribution_is_refused(make, message) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_shuffling_what_a_model_goes_by_costs_it_most() -> None:
    x = np.random.default_rng(1).normal(size=(2000, 3))

    def loss(rows):
        return float(((2 * rows[:, 0] + rows[:, 1] - 2 * x[:, 0] - x[:, 1]) ** 2).mean())

    found = deletion_check(loss, x, of(0.7, 0.3, 0.0), k=1, repeats=3)
    # a shuffled factor of weight w costs 2 w^2
    assert found["primary_gap"] == pytest.approx(8, rel=0.1)
    assert found["secondary_gap"] == 0
    assert found["any_gap"] == pytest.approx((8 + 2 + 0) / 3, rel=0.1)
    with pytest.raises(ConfigError, match="from 1 to 2, got 3"):
        deletion_check(loss, x, of(0.7, 0.3, 0.0), k=3)


# -- training with knowledge --------------------------------------------------------------------------------


def network(seed=0):
    return MLP(3, 1, hidden=(8,), activation=torch.tanh, seed=seed)


def test_shares_of_a_network_are_those_of_its_attribution() -> None:
    model, x = network(), torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    phi = gradient_attribution(model, x.numpy())
    assert gradient_shares(model, x).detach().numpy() == pytest.approx(
        importance(phi, "abc").shares, abs=1e-6
    )
    assert not x.requires_grad  # rows are left as they are
    with torch.no_grad():  # as in a validation
        assert gradient_shares(model, x).sum().item() == pytest.approx(1)


def test_the_penalty_is_the_divergence_and_can_be_trained() -> None:
    model, x = network(), torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    known = torch.tensor([0.7, 0.2, 0.1])
    penalty = knowledge_loss(model, x, known)
    assert penalty.item() == pytest.approx(
        kl_divergence(known.numpy(), gradient_shares(model, x).detach().numpy()), abs=1e-5
    )
    assert knowledge_loss(model, x, gradient_shares(model, x).detach()).item() == pytest.approx(0, abs=1e-6)
    gradient = torch.autograd.grad(penalty, list(model.parameters()), allow_unused=True)
    assert all(torch.isfinite(g).all() for g in gradient if g is not None)
    assert any(g is not None and g.abs().sum() > 0 for g in gradient)


def test_training_with_knowledge_brings_a_network_to_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    y = x[:, 0] + torch.randn(60, generator=generator)

    def squared(model, batch):
        return (model(batch[0])[:, 0] - batch[1]).square().mean()

    known = of(0.8, 0.1, 0.1)
    gaps = {}
    for weight in (0.0, 3.0):
        model = network(1)
        adam = partial(torch.optim.Adam, lr=0.02)
        loss = with_knowledge(squared, known, weight)
        train(model, loss, Batches((x, y), 60), steps=60, optimizer=adam, device="cpu", progress=False)
        gaps[weight] = knowledge_loss(model, x, torch.tensor([0.8, 0.1, 0.1])).item()
    assert gaps[3.0] < 0.02 < gaps[0.0]


def test_parts_of_a_loss_are_kept_and_bad_knowledge_refused() -> None:
    def parts(model, batch):
        return {"loss": model(batch).mean(), "other": torch.ones(())}

    found = with_knowledge(parts, of(0.5, 0.3, 0.2), 2.0)(network(), torch.ones(4, 3))
    assert found["loss"].item() == pytest.approx(
        found["task_loss"].item() + 2 * found["knowledge_loss"].item()
    )
    assert found["other"].item() == 1
    with pytest.raises(ConfigError, match="at least 0, got -1"):
        with_knowledge(parts, of(0.5, 0.5), -1)
    with pytest.raises(DataError, match="knowledge of 2 factors needs rows of as many columns"):
        with_knowledge(parts, of(0.5, 0.5), 1)(network(), torch.ones(4, 3))


def test_networks_that_agree_have_no_mutual_loss() -> None:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    models = [network(seed) for seed in (0, 1, 2)]
    shares = [gradient_shares(model, x).detach().numpy() for model in models]
    expected = sum(kl_divergence(p, q) for p in shares for q in shares)
    assert mutual_loss(models, x).item() == pytest.approx(expected, abs=1e-5)
    assert mutual_loss([models[0], models[0]], x).item() == pytest.approx(0, abs=1e-6)


def test_public_names() -> None:
    assert factors.__all__ == sorted(factors.__all__)
    assert all(hasattr(factors, name) for name in factors.__all__)
    with pytest.raises(AttributeError, match="no attribute 'agre'"):
        factors.agre  # noqa: B018
