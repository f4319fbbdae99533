"""What every explainer can do, and the control that knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.series_model import Series


@runtime_checkable
class Explainer(Protocol):
    """Says of every number of a series how important it is for what the classifier does.

    Explainers that learn also have ``fit(x, y=None, *, validation=None)``, which returns themselves.
    """

    def explain(self, x: Series) -> NDArray[np.float32]:
        """Explain.

        Parameters
        ----------
        x
            Series, shape ``(n, time, channel)``.

        Returns
        -------
        array of the shape of `x`; more is more important
        """
        ...


class RandomExplanation:
    """Uniform random numbers: what an explainer must beat.

    Parameters
    ----------
    seed
        Decides the numbers; the same for the same shape, whatever was asked before.

    Examples
    --------
    >>> import numpy as np
    >>> control = RandomExplanation(seed=0)
    >>> control.explain(np.zeros((1, 2, 1))).ravel().round(3)
    array([0.637, 0.27 ], dtype=float32)
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def explain(self, x: Series) -> NDArray[np.float32]:
        """Return numbers in [0, 1) of the shape of `x`."""
        return np.random.default_rng(self.seed).random(tuple(x.shape)).astype(np.float32)
