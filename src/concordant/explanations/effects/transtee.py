r"""TransTEE: one attention network for the effects of binary, continuous and dosed treatments.

Each covariate becomes a token, and tokens attend to each other; the treatment becomes a token that attends to them, and
what it gathers tells the outcome. The loss is the squared error on what was observed; an adversary may be added from
which the representation of the covariates hides the treatment:

.. math:: \min_f \max_D\; \mathrm{mean}\,(y - f(x, t))^2 - \alpha\,L_D(x, t)

Covariates are ``(n, columns)``, treatments ``(n,)``, or ``(n, 2)`` with a dose. Where this departs from the code
published with the paper: each column has a map of its own to its token (an option; with a shared one columns can be
exchanged), layers normalise over the width and not over a batch, self-attention of a lone treatment token, which is a
linear map, is left out, and network and adversary take their steps together.

References
----------
Zhang, Zhang, Lipton, Li, Xing, "Exploring Transformer Backbones for Heterogeneous Treatment Effect Estimation", 2022.
"""

from __future__ import annotations

from typing import Any, get_args

from concordant.core.errors import ConfigError, nearest
from concordant.explanations.effects.balance import Balance
from concordant.explanations.effects.estimator import EffectEstimator
from concordant.explanations.effects.transtee_network import Columns, TransTEENetwork


class TransTEE(EffectEstimator):
    """Estimate effects by attention from the treatment to covariates.

    Parameters
    ----------
    width, heads, feedforward, layers, dropout
        Of the attention blocks: width of a token, a multiple of the heads; blocks one after the other over covariates,
        and as many for the treatment.
    columns
        ``"own"``: each column has a map of its own to its token; ``"shared"``: one for all, as published.
    balance
        None, or an adversary that guesses the treatment from the covariates' tokens: ``"tr"`` its value, ``"ptr"`` mean
        and variance of its dose.
    balance_weight
        How much the tokens are moved against the adversary, at least 0.
    **options
        As for :class:`concordant.explanations.effects.estimator.EffectEstimator`.

    Raises
    ------
    ConfigError
        If an option is outside its range.

    Examples
    --------
    >>> from concordant.explanations.effects.simulators import synthetic
    >>> world = synthetic(0, n_train=200, n_test=50)
    >>> model = TransTEE(steps=100, members=3).fit(world.train.x, world.train.t, world.train.y)
    >>> curve = model.response_curve(world.test.x, world.grid(5))
    >>> curve.mean.shape, bool((curve.low < curve.high).all())
    ((5,), True)
    """

    def __init__(
        self,
        *,
        width: int = 10,
        heads: int = 2,
        feedforward: int = 20,
        layers: int = 1,
        dropout: float = 0.0,
        columns: Columns = "own",
        balance: Balance | None = None,
        balance_weight: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name, number in (("width", width), ("heads", heads), ("layers", layers)):
            if number < 1:
                message = f"{name} of TransTEE must be at least 1, got {number}"
                raise ConfigError(message)
        if width % heads:
            message = f"width of TransTEE must be a multiple of its {heads} heads, got {width}"
            raise ConfigError(message)
        if not 0 <= dropout < 1:
            message = f"dropout of TransTEE must be from 0 to below 1, got {dropout}"
            raise ConfigError(message)
        if balance_weight < 0:
            message = f"balance_weight of TransTEE must be at least 0, got {balance_weight}"
            raise ConfigError(message)
        for name, given, allowed in (
            ("columns", columns, get_args(Columns)),
            ("balance", balance or "tr", get_args(Balance)),
        ):
            if given not in allowed:
                message = f"{name} of TransTEE cannot be {given!r}; {nearest(given, allowed)}"
                raise ConfigError(message)
        self.architecture: dict[str, Any] = {
            "width": width,
            "heads": heads,
            "feedforward": feedforward,
            "layers": layers,
            "dropout": dropout,
            "columns": columns,
            "balance": balance,
            "balance_weight": balance_weight,
        }

    def network(self, n_columns: int, n_treatments: int, *, dosed: bool, seed: int) -> TransTEENetwork:
        """Return an untrained network."""
        return TransTEENetwork(
            self.members, n_columns, n_treatments, dosed=dosed, seed=seed, **self.architecture
        )
