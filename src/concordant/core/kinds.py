"""Kinds of relation: what must hold between the behaviour on an item and the behaviour on its rewriting.

==============  ====================================================================
`Equal`         the same answer
`Monotone`      the output must not fall (or rise) when the input rises
`Directional`   the output must change, perhaps in a given direction
`Equivariant`   the output changes as the input did
==============  ====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import polars as pl

from concordant.core.agreement import agreement
from concordant.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from concordant.core.behaviours import Behaviours


class Kind(Protocol):
    """How the behaviour on a rewriting is judged against the behaviour on the original."""

    def judge(self, base: Behaviours, other: Behaviours) -> NDArray[np.float64]:
        """Return agreement in [0, 1], shape ``(n_items,)``, NaN where either behaviour is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Equal:
    """The same answer.

    Parameters
    ----------
    agree
        Name of an agreement function (``exact``, ``normalized``, ``number``, ``total_variation``, ...) or a callable of two
        outputs. By default the graded answers must be equal.
    options
        Options of the agreement function, such as ``{"tolerance": 1e-6}``.
    """

    agree: str | Callable[[Any, Any], float] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def judge(self, base: Behaviours, other: Behaviours) -> NDArray[np.float64]:
        """Return how far the first samples agree."""
        return compare(base, other, self.agree, **self.options)


@dataclass(frozen=True, slots=True)
class Monotone:
    """The output must not fall when the input rises (or must not rise, with ``direction=-1``).

    Parameters
    ----------
    direction
        1 or -1.
    tolerance
        By how much the output may go the wrong way, in its own unit.
    of
        What is compared: None for the output itself, ``"score"``, ``"logprob"``, or the name of a class whose probability
        is meant.
    """

    direction: Literal[1, -1] = 1
    tolerance: float = 0.0
    of: str | None = None

    def judge(self, base: Behaviours, other: Behaviours) -> NDArray[np.float64]:
        """Return 1 where the order is kept, 0 where it is not."""
        rise = self.direction * (quantity(other, self.of) - quantity(base, self.of))
        return np.where(np.isnan(rise), np.nan, (rise >= -self.tolerance).astype(float))


@dataclass(frozen=True, slots=True)
class Directional:
    """The output must change.

    Parameters
    ----------
    direction
        ``"any"`` (the answer must differ), ``"up"`` or ``"down"``.
    margin
        For ``"up"`` and ``"down"``: by more than this, in the unit of the output.
    of
        As for `Monotone`.
    """

    direction: Literal["any", "up", "down"] = "any"
    margin: float = 0.0
    of: str | None = None

    def __post_init__(self) -> None:
        if self.direction not in ("any", "up", "down"):
            message = f"direction is {self.direction!r}; allowed: any, up, down"
            raise ConfigError(message)

    def judge(self, base: Behaviours, other: Behaviours) -> NDArray[np.float64]:
        """Return 1 where the output changed as it must, 0 where it did not."""
        if self.direction == "any":
            same = compare(base, other)
            return np.where(np.isnan(same), np.nan, (same < 1).astype(float))
        rise = quantity(other, self.of) - quantity(base, self.of)
        rise = rise if self.direction == "up" else -rise
        return np.where(np.isnan(rise), np.nan, (rise > self.margin).astype(float))


@dataclass(frozen=True, slots=True)
class Equivariant:
    """The output changes as the input did: ``model(rewrite(x))`` agrees with ``transform(model(x))``.

    Parameters
    ----------
    transform
        What the rewriting of the input does to the output, a function of one output.
    agree, options
        As for `Equal`.
    """

    transform: Callable[[Any], Any]
    agree: str | Callable[[Any, Any], float] = "exact"
    options: dict[str, Any] = field(default_factory=dict)

    def judge(self, base: Behaviours, other: Behaviours) -> NDArray[np.float64]:
        """Return how far the output on the rewriting agrees with the transformed output on the original."""
        given, got = first(base, "output").to_list(), first(other, "output")
        expected = [None if value is None else self.transform(value) for value in given]
        wanted = pl.Series("output", expected, got.dtype, strict=False)
        return agreement(self.agree, **self.options)(wanted, got)


def compare(
    base: Behaviours,
    other: Behaviours,
    agree: str | Callable[[Any, Any], float] | None = None,
    **options: Any,
) -> NDArray[np.float64]:
    """Return how far the first samples of two variants agree, shape ``(n_items,)``, NaN where either is missing.

    By default the comparable answers must be equal, and an output in which no answer is found disagrees with
    any answer; a named agreement function looks at the raw outputs, and ``total_variation`` and
    ``jensen_shannon`` at the probabilities.
    """
    if agree is None:
        a, b = first(base, "answer"), first(other, "answer")
        said_a, said_b = a.is_not_null().to_numpy(), b.is_not_null().to_numpy()
        evaded = (said_a & other.unparsed[:, 0]) | (base.unparsed[:, 0] & said_b)
        # One log may hold 4 where the other holds "4": their answers are then compared as labels.
        alike = a.dtype == b.dtype or pl.Null in (a.dtype, b.dtype)
        return np.where(evaded, 0.0, agreement("exact" if alike else "label", **options)(a, b))
    if agree in ("total_variation", "jensen_shannon"):
        column = "probabilities"
        if column not in base or column not in other:
            message = f"agreement {agree!r} compares probabilities, and the model {other.model!r} gives none"
            raise DataError(message)
    else:
        column = "output"
    return agreement(agree, **options)(first(base, column), first(other, column))


def first(behaviours: Behaviours, column: str) -> pl.Series:
    """Return the first sample of each item, null where there is no behaviour."""
    values = behaviours[column]
    values = values if behaviours.n == 1 else values.gather_every(behaviours.n)
    answered = behaviours.answered[:, 0]
    if answered.all():
        return values
    return pl.select(pl.when(pl.Series(answered)).then(values)).to_series().alias(column)


def quantity(behaviours: Behaviours, of: str | None) -> NDArray[np.float64]:
    """Return the number that is ordered, shape ``(n_items,)``: the output, a named column, or a class's probability."""
    column = "output" if of is None else of
    values = first(behaviours, column) if column in behaviours else _class_probability(behaviours, column)
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        what = f"{column} of the model {behaviours.model!r}"
        message = f"{what} is {values.dtype}, and only numbers have an order"
        raise DataError(message)
    return values.cast(pl.Float64).to_numpy()


def _class_probability(behaviours: Behaviours, label: str) -> pl.Series:
    if "probabilities" not in behaviours or not behaviours.classes:
        model = f"the model {behaviours.model!r}"
        message = f"{model} gives no {label!r}: neither a column nor class probabilities"
        raise DataError(message)
    if label not in behaviours.classes:
        hint = nearest(label, behaviours.classes)
        message = f"the model {behaviours.model!r} knows no class {label!r}; {hint}"
        raise DataError(message)
    return first(behaviours, "probabilities").arr.get(behaviours.classes.index(label))
