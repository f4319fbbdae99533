"""What came of explaining a set of series: all that a report shows and a file keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from concordant.explanations.judging import Judgement
    from concordant.explanations.series_set import SeriesSet


@dataclass(frozen=True, eq=False)
class LandmarkExamples:
    """Kinds of explanations, with the series that show each best.

    Attributes
    ----------
    rows
        Of each landmark the numbers of the series in the explained set whose explanations are nearest, nearest first,
        shape ``(n_landmarks, n_examples)``.
    cosines
        How near they are, shape of `rows`.
    n_near
        Of how many series in the set each landmark is the nearest, shape ``(n_landmarks,)``.
    """

    rows: NDArray[Any]
    cosines: NDArray[Any]
    n_near: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Explained:
    """Explanations of a set by one method or several.

    Attributes
    ----------
    model
        What the classifier is called.
    data
        The series that were explained.
    probabilities
        What the classifier says of them, shape ``(n, classes)``.
    attributions
        By method, each of the shape of the series; more is more important. The first is the one that was asked for.
    judged
        The methods compared, or None.
    landmarks
        By method, of those that have any.
    warnings
        What a reader must know before believing any of it, a sentence each.
    seconds
        By method, how long making (fitting included) and explaining took.
    settings
        What was asked, by name, as a reader needs it to do the same again, such as ``command`` and ``seed``.
    """

    model: str
    data: SeriesSet
    probabilities: NDArray[Any]
    attributions: dict[str, NDArray[Any]]
    judged: Judgement | None = None
    landmarks: dict[str, LandmarkExamples] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
