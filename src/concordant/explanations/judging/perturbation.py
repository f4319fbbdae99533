r"""What a classifier does with parts of a series: some numbers are kept, and others stand in for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from concordant.core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.classifiers import Classifier

Absent: TypeAlias = Literal["mean", "rows", "moments", "zero"]
"""What stands in: the mean training series, another training series, normal numbers with the moments of all, or 0."""


class Behaviour(NamedTuple):
    """What a classifier does with n series.

    Attributes
    ----------
    probabilities
        Shape ``(n, classes)``.
    latents
        Shape ``(n, d)``, or None where there are none.
    """

    probabilities: NDArray[np.float64]
    latents: NDArray[np.float64] | None


def behaviour(classifier: Classifier, x: NDArray[Any]) -> Behaviour:
    """Return what a classifier does with series of shape ``(n, time, channel)``; one pass where it gives both at once."""
    passed = getattr(classifier, "behaviour", None)
    if passed is None:
        return Behaviour(classifier.probabilities(x), classifier.latents(x))
    logits, latents = passed(classifier.checked(x))  # type: ignore[attr-defined]
    latents = None if latents is None else latents.double().numpy(force=True)
    return Behaviour(logits.double().softmax(-1).numpy(force=True), latents)


@dataclass(frozen=True, eq=False)
class StandIns:
    """What stands in for numbers that are not kept: each draw is a row and normal noise about it.

    Attributes
    ----------
    rows
        One of them is drawn for each series, shape ``(n_rows, time, channel)``.
    std
        Of the noise by step and channel, shape ``(time, channel)``.
    """

    rows: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, training: NDArray[Any], absent: Absent = "mean") -> StandIns:
        """Return what stands in, after series of shape ``(n, time, channel)``; one series has no spread.

        Raises
        ------
        ConfigError
            If `absent` is unknown.

        Examples
        --------
        >>> import numpy as np
        >>> StandIns.of(np.array([[[1.0]], [[3.0]]]), "mean")
        StandIns(rows=array([[[2.]]]), std=array([[0.]]))
        """
        if absent not in get_args(Absent):
            message = f"absent must be one of {', '.join(get_args(Absent))}, got {absent!r}"
            raise ConfigError(message)
        none = np.zeros(training.shape[1:])
        if absent == "rows":
            return cls(training.astype(np.float64), none)
        mean = training.mean(0, dtype=np.float64)[None]
        spread = training.std(0, dtype=np.float64, ddof=1) if len(training) > 1 else none
        return cls(none[None] if absent == "zero" else mean, spread if absent == "moments" else none)

    @property
    def varies(self) -> bool:
        """Whether one draw differs from another."""
        return bool(self.std.any()) or len(self.rows) > 1

    def draw(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return n draws, shape ``(n, time, channel)``."""
        drawn = self.rows[generator.integers(len(self.rows), size=n)]
        if not self.std.any():
            return drawn
        noisy: NDArray[np.float64] = drawn + self.std * generator.standard_normal(drawn.shape)
        return noisy


def kept_and_removed(
    classifier: Classifier, x: NDArray[Any], first: NDArray[np.bool_], stand_in: NDArray[Any]
) -> tuple[Behaviour, NDArray[np.float64]]:
    r"""Return what the classifier does with the chosen numbers alone, and how probable classes are without them.

    .. math:: m \odot x + (1 - m) \odot b \quad\text{and}\quad (1 - m) \odot x + m \odot b

    Parameters
    ----------
    classifier
        Of series.
    x, first, stand_in
        Series, what is chosen in them, and what stands in, each of shape ``(n, time, channel)``.

    Returns
    -------
    behaviour with the chosen alone, probabilities of shape ``(n, classes)`` without them
    """
    both = np.concatenate([np.where(first, x, stand_in), np.where(first, stand_in, x)]).astype(x.dtype)
    probabilities, latents = behaviour(classifier, both)
    n = len(x)
    return Behaviour(probabilities[:n], None if latents is None else latents[:n]), probabilities[n:]
