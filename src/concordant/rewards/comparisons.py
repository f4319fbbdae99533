"""Comparisons by people: sets of pairs with the answers that one person each has given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from concordant.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Sets of comparisons, one set a person.

    Parameters
    ----------
    a, b
        The two things compared, as features: shape ``(people, n, features)``. With n = 0 nobody has answered yet.
    prefers_a
        Whether the first was preferred, shape ``(people, n)``: true and false, or 1 and 0.
    given
        Which of the answers were given, shape ``(people, n)``, for people who gave fewer than others; all by default.
        What stands in the other places does not matter.

    Raises
    ------
    DataError
        If the shapes do not fit, an answer is neither 0 nor 1, or a feature is not finite.

    Examples
    --------
    >>> answers = Comparisons([[[0.0], [1.0]]], [[[2.0], [3.0]]], [[1, 0]])
    >>> answers.n_people, answers.n, answers.n_features
    (1, 2, 1)
    >>> answers.swapped().a.tolist(), answers.swapped().prefers_a.tolist()
    ([[[2.0], [3.0]]], [[False, True]])
    """

    a: NDArray[np.float32]
    b: NDArray[np.float32]
    prefers_a: NDArray[np.bool_]
    given: NDArray[np.bool_]

    def __init__(
        self, a: ArrayLike, b: ArrayLike, prefers_a: ArrayLike, given: ArrayLike | None = None
    ) -> None:
        first, second = np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)
        answers = np.asarray(prefers_a)
        if first.ndim != 3 or first.shape != second.shape or answers.shape != first.shape[:2]:
            message = (
                "comparisons need a and b of one shape (people, n, features) and answers (people, n), "
                f"got {first.shape}, {second.shape} and {answers.shape}"
            )
            raise DataError(message)
        there = np.ones(answers.shape, dtype=bool) if given is None else np.asarray(given, dtype=bool)
        if there.shape != answers.shape:
            message = f"given must have the shape of the answers {answers.shape}, got {there.shape}"
            raise DataError(message)
        if not np.isin(answers[there], (0, 1)).all():
            wrong = answers[there][~np.isin(answers[there], (0, 1))][0]
            message = f"an answer must be 1 where a is preferred and 0 where b is, got {wrong}"
            raise DataError(message)
        if not (np.isfinite(first[there]).all() and np.isfinite(second[there]).all()):
            message = "the features of comparisons must be finite where an answer was given"
            raise DataError(message)
        hidden = ~there[..., None]
        object.__setattr__(self, "a", np.where(hidden, np.float32(0), first))
        object.__setattr__(self, "b", np.where(hidden, np.float32(0), second))
        object.__setattr__(self, "prefers_a", np.where(there, answers, 0).astype(bool))
        object.__setattr__(self, "given", there)

    @property
    def n_people(self) -> int:
        """How many people there are."""
        return len(self.a)

    @property
    def n(self) -> int:
        """How many comparisons there is place for in a set."""
        return int(self.a.shape[1])

    @property
    def n_features(self) -> int:
        """Features of each thing compared."""
        return int(self.a.shape[2])

    @property
    def preferred(self) -> NDArray[np.float32]:
        """What was preferred, shape ``(people, n, features)``."""
        return np.where(self.prefers_a[..., None], self.a, self.b)

    @property
    def other(self) -> NDArray[np.float32]:
        """What was not, shape ``(people, n, features)``."""
        return np.where(self.prefers_a[..., None], self.b, self.a)

    def __getitem__(self, people: object) -> Comparisons:
        """Return those of some people: a slice, numbers or a mask."""
        where: slice = people  # type: ignore[assignment]
        return Comparisons(self.a[where], self.b[where], self.prefers_a[where], self.given[where])

    def columns(self, where: slice) -> Comparisons:
        """Return the same comparisons of everybody, such as the first four: ``columns(slice(4))``."""
        return Comparisons(self.a[:, where], self.b[:, where], self.prefers_a[:, where], self.given[:, where])

    def swapped(self) -> Comparisons:
        """Return the same answers to the same pairs, the two sides of each exchanged."""
        return Comparisons(self.b, self.a, ~self.prefers_a, self.given)
