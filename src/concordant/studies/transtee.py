"""TransTEE (Zhang et al., 2022): effects of treatments by attention, against networks made for each kind of treatment.

Data: worlds in which the outcome of every unit under every dose is known. Method: TransTEE, plain and with two kinds of
adversarial balance. Baselines, trained in the same way with as many steps and rates chosen alike: a plain network on
covariates and dose, TARNet, DRNet and VCNet. Control: TransTEE with one map for all columns, in which nothing tells
columns apart. Errors are over a grid of equally distant doses and over the doses of the test units; the whole is run
again with training doses that end below those of the test, and for a binary treatment and three treatments with doses.
Where the environment variable CONCORDANT_IHDP names the covariates of IHDP, that world is measured too; full scale
needs it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError
from concordant.studies.study import Claim, Measurements, Scale, study

if TYPE_CHECKING:
    from concordant.explanations.effects.estimator import EffectEstimator
    from concordant.explanations.effects.simulators import World

IHDP = "CONCORDANT_IHDP"
"""Names the CSV file of the covariates of IHDP: row number, treatment, 25 covariates a line."""

HIGH, TRAIN_HIGH = 2.0, 1.75
"""The largest dose, and that of training where test doses exceed it: the paper's setting for the synthetic world."""

IHDP_TRAIN_HIGH = 1.9

RATES = {"transtee": 3e-3, "plain": 1e-2, "tarnet": 1e-3, "drnet": 1e-2, "vcnet": 1e-3}
"""Learning rates with the lowest AMSE on seeds 1000 and 1001, of 3e-4, 1e-3, 3e-3, 1e-2 and 3e-2."""


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and how long is trained."""

    n_train: int = 500
    n_test: int = 200
    n_dosed: int = 1000
    steps: int = 800
    members: int = 5


SIZES = {
    Scale.smoke: Sizes(60, 20, 60, 3, 2),
    Scale.pocket: Sizes(),
    Scale.full: Sizes(steps=6000, members=20),  # 1,500 epochs of 471 rows in batches of 128
}


@study(
    "transtee",
    claims=[
        Claim("lower-dose-response-error", "transtee.amse", "plain.amse", "lower"),
        Claim("beats-varying-coefficients", "transtee.amse", "vcnet.amse", "lower"),
        Claim("beats-dose-heads", "transtee.amse", "drnet.amse", "lower"),
        Claim("beats-treatment-heads", "transtee.amse", "tarnet.amse", "lower"),
        Claim("robust-to-dose-shift", "transtee.shift_rise_gap", "plain.shift_rise_gap", "lower"),
        Claim("lower-error-under-dose-shift", "transtee.shifted_amse", "vcnet.shifted_amse", "lower"),
        Claim("balance-lowers-error", "transtee_ptr.amse", "transtee.amse", "lower"),
        Claim("columns-need-names", "transtee.mise", "transtee_shared.mise", "lower"),
        Claim("lower-binary-error", "transtee.effect_error", "tarnet.effect_error", "lower"),
        Claim("lower-dosage-error", "transtee.dosage_mise", "drnet.dosage_mise", "lower"),
    ],
    baseline="a plain network on covariates and dose, TARNet, DRNet and VCNet",
)
def transtee(scale: Scale, seed: int) -> Measurements:
    """Compare errors of response curves and effects in worlds where the truth is known."""
    from concordant.explanations.effects.simulators import ihdp, synthetic

    n, path = SIZES[scale], os.environ.get(IHDP)
    if scale is Scale.full and not path:
        message = f"the study 'transtee' at full scale needs the covariates of IHDP: name the file in {IHDP}"
        raise ConfigError(message)
    whole, short = (
        synthetic(seed, n_train=n.n_train, n_test=n.n_test, train_h=h, test_h=HIGH)
        for h in (HIGH, TRAIN_HIGH)
    )
    found = _dose_response(whole, short, n, seed) | _binary(n, seed) | _dosage(n, seed)
    if path and scale is not Scale.smoke:
        whole, short = (ihdp(path, seed, train_h=h, test_h=HIGH) for h in (HIGH, IHDP_TRAIN_HIGH))
        found |= {f"ihdp_{name}": value for name, value in _dose_response(whole, short, n, seed).items()}
    return found


def _estimators(n: Sizes, seed: int, **options: Any) -> dict[str, EffectEstimator]:
    """Return untrained estimators by name, under one protocol."""
    from concordant.explanations.effects.baselines import DRNet, PlainNet, TARNet, VCNet
    from concordant.explanations.effects.transtee import TransTEE

    options = {"steps": n.steps, "seed": seed, **options}
    attention = {**options, "learning_rate": RATES["transtee"]}
    made = {
        "transtee": TransTEE(**attention),
        "transtee_tr": TransTEE(**attention, balance="tr"),
        "transtee_ptr": TransTEE(**attention, balance="ptr"),
        "transtee_shared": TransTEE(**attention, columns="shared"),
        "plain": PlainNet(**options, learning_rate=RATES["plain"]),
        "tarnet": TARNet(**options, learning_rate=RATES["tarnet"]),
        "drnet": DRNet(**options, learning_rate=RATES["drnet"]),
    }
    if options.get("kind", "continuous") == "continuous":
        made["vcnet"] = VCNet(**options, learning_rate=RATES["vcnet"])
    return made


def _dose_response(world: World, shifted: World, n: Sizes, seed: int) -> dict[str, float]:
    """Measure response curves, trained on doses of the whole range and on those that end before it."""
    found: dict[str, float] = {}
    for name, estimator in _estimators(n, seed).items():
        found |= {f"{name}.{metric}": value for metric, value in _curve_errors(estimator, world).items()}
        found[f"{name}.shifted_amse"] = _curve_errors(estimator, shifted)["amse"]
        found[f"{name}.shift_rise_gap"] = found[f"{name}.shifted_amse"] - found[f"{name}.amse"]
    many = _estimators(n, seed, members=n.members)["transtee"].fit(*_of(world))
    curve = many.response_curve(world.test.x, world.grid())
    found["transtee.coverage_rate"] = curve.coverage_rate(world.truth(world.test.x, world.grid()).mean(0))
    return found


def _curve_errors(estimator: EffectEstimator, world: World) -> dict[str, float]:
    """Train on a world and return its errors over equally distant doses, and over the doses of the test units."""
    from concordant.explanations.effects.curves import average_squared_error, integrated_squared_error

    estimator.fit(*_of(world))
    x = world.test.x
    even, own = world.grid(), world.test.t
    estimated, true = estimator.individual_curves(x, even), world.truth(x, even)
    return {
        "amse": average_squared_error(estimated, true),
        "mise": integrated_squared_error(estimated, true),
        "own_dose_amse": average_squared_error(estimator.individual_curves(x, own), world.truth(x, own)),
    }


def _binary(n: Sizes, seed: int) -> dict[str, float]:
    """Measure effects of a binary treatment."""
    import numpy as np

    from concordant.explanations.effects.curves import average_effect_error, effect_error
    from concordant.explanations.effects.simulators import binary

    world = binary(seed, n_train=n.n_train, n_test=n.n_test)
    x = world.test.x
    true = np.diff(world.truth(x, [0.0, 1.0]), axis=1)[:, 0]
    found: dict[str, float] = {}
    for name, estimator in _estimators(n, seed, kind="binary").items():
        if name in ("transtee", "plain", "tarnet"):
            effects = estimator.fit(*_of(world)).effect(x, 1, 0)
            found[f"{name}.effect_error"] = effect_error(effects, true)
            found[f"{name}.average_effect_error"] = average_effect_error(effects, true)
    return found


def _dosage(n: Sizes, seed: int) -> dict[str, float]:
    """Measure individual curves of three treatments with doses, the mean over treatments."""
    from concordant.explanations.effects.curves import integrated_squared_error
    from concordant.explanations.effects.simulators import dosed

    world = dosed(seed, n_train=n.n_dosed, n_test=n.n_test)
    x, grid = world.test.x, world.grid()
    found: dict[str, float] = {}
    for name, estimator in _estimators(n, seed, kind="dosage").items():
        if name in ("transtee", "plain", "drnet"):
            estimator.fit(*_of(world))
            errors = [
                integrated_squared_error(
                    estimator.individual_curves(x, grid, treatment=k), world.truth(x, grid, treatment=k)
                )
                for k in range(3)
            ]
            found[f"{name}.dosage_mise"] = sum(errors) / len(errors)
    return found


def _of(world: World) -> tuple[Any, Any, Any]:
    return world.train.x, world.train.t, world.train.y
