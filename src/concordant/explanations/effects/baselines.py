"""The estimators that TransTEE is compared with, trained in the same way: a plain network, TARNet, DRNet and VCNet."""

from __future__ import annotations

from typing import Any

from concordant.core.errors import ConfigError
from concordant.explanations.effects.baseline_networks import HeadsNetwork, PlainNetwork
from concordant.explanations.effects.estimator import EffectEstimator
from concordant.explanations.effects.vcnet_network import VCNetNetwork


class PlainNet(EffectEstimator):
    """Estimate effects by a multilayer perceptron on covariates and treatment side by side.

    Parameters
    ----------
    hidden
        Widths between input and outcome.
    **options
        As for :class:`concordant.explanations.effects.estimator.EffectEstimator`.

    Examples
    --------
    >>> from concordant.explanations.effects.simulators import synthetic
    >>> train = synthetic(0, n_train=100, n_test=10).train
    >>> PlainNet(steps=5).fit(train.x, train.t, train.y).predict(train.x[:3], 0.5).shape
    (3,)
    """

    def __init__(self, *, hidden: tuple[int, ...] = (50, 50), **options: Any) -> None:
        super().__init__(**options)
        self.hidden = hidden

    def network(self, n_columns: int, n_treatments: int, *, dosed: bool, seed: int) -> PlainNetwork:
        """Return an untrained network."""
        return PlainNetwork(self.members, n_columns, n_treatments, dosed=dosed, hidden=self.hidden, seed=seed)


class TARNet(EffectEstimator):
    """Estimate effects by a head a treatment on a common trunk; doses are told apart by their stratum only.

    Parameters
    ----------
    width
        Of the layers.
    strata
        Parts of the range of doses, each with a head of its own.
    **options
        As for :class:`concordant.explanations.effects.estimator.EffectEstimator`.

    References
    ----------
    Shalit, Johansson, Sontag, "Estimating individual treatment effect: generalization bounds and algorithms", 2017.
    """

    sees_dose = False

    def __init__(self, *, width: int = 50, strata: int = 5, **options: Any) -> None:
        super().__init__(**options)
        if strata < 1:
            message = f"strata of {type(self).__name__} must be at least 1, got {strata}"
            raise ConfigError(message)
        self.width, self.strata = width, strata

    def network(self, n_columns: int, n_treatments: int, *, dosed: bool, seed: int) -> HeadsNetwork:
        """Return an untrained network."""
        return HeadsNetwork(
            self.members,
            n_columns,
            n_treatments,
            dosed=dosed,
            strata=self.strata,
            sees_dose=self.sees_dose,
            width=self.width,
            seed=seed,
        )


class DRNet(TARNet):
    """Estimate effects by a head a treatment and stratum of its dose, which sees the dose in every layer.

    Parameters
    ----------
    width, strata, **options
        As for :class:`TARNet`.

    References
    ----------
    Schwab et al., "Learning Counterfactual Representations for Estimating Individual Dose-Response Curves", 2020.
    """

    sees_dose = True


class VCNet(EffectEstimator):
    """Estimate effects of a dose by a network whose weights are splines of it, with targeted regularisation.

    Parameters
    ----------
    width
        Of the layers.
    targeted_weight
        Of the targeted regularisation; 0 leaves it out.
    **options
        As for :class:`concordant.explanations.effects.estimator.EffectEstimator`; only continuous treatments.

    Raises
    ------
    ConfigError
        If the treatment is of another kind.

    References
    ----------
    Nie, Ye, Liu, Nicolae, "VCNet and Functional Targeted Regularization For Learning Causal Effects of Continuous
    Treatments", 2021.
    """

    def __init__(self, *, width: int = 50, targeted_weight: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        if self.treatments.kind != "continuous":
            message = f"VCNet is for continuous treatments, got {self.treatments.kind!r}"
            raise ConfigError(message)
        self.width, self.targeted_weight = width, targeted_weight

    def network(self, n_columns: int, n_treatments: int, *, dosed: bool, seed: int) -> VCNetNetwork:
        """Return an untrained network."""
        del n_treatments, dosed  # one treatment with a dose, as was checked
        return VCNetNetwork(
            self.members, n_columns, width=self.width, targeted_weight=self.targeted_weight, seed=seed
        )
