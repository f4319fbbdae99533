r"""Two versions as one, without training either: each question goes to the version that is expected to do better on it.

How much better the old version does, :math:`y_i = s^{old}_i - s^{new}_i` with scores (or right and wrong as 1 and 0), is
predicted from the question alone, by ridge regression on its words and pairs of words (or on its numbers, where inputs
are arrays). A share of the questions, those with the highest prediction, is answered by the old version. One model is
asked at each call; both must be kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError, StoreError, first_line
from concordant.core.model import digest
from concordant.core.prompts import holds_messages, prompts
from concordant.models.rows import inputs_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.core.items import Items
    from concordant.core.model import BatchModel, Request

WORD = r"\w+|[^\w\s]"
FOLDS, ALPHAS = 5, (1.0, 3.0, 10.0, 30.0)
"""Parts by which predictions for the items to train on are made by the others; and the penalties tried."""


@dataclass(frozen=True, slots=True)
class Router:
    """Predicts from a question how much better the old version does.

    Parameters
    ----------
    weights
        Of words and pairs of words, by the term; or of the numbers of an input, by their position as a text.
    scales
        Of the same: inverse document frequencies, or what numbers are divided by.
    intercept
        What is predicted of an empty question.
    predicted
        Predictions for the items it was fitted on, each made without its own fold; sorted.
    is_text
        Whether inputs are texts.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> asked = [f"{kind} number {i} ?" for i in range(20) for kind in ("sum", "fact")]
    >>> items = Items.from_records([{"input": text} for text in asked])
    >>> router = fitted(items, np.array([-1.0, 1.0] * 20), seed=0)
    >>> router.to_old(items, 0.5).tolist() == [False, True] * 20
    True
    """

    weights: dict[str, float]
    scales: dict[str, float]
    intercept: float
    predicted: tuple[float, ...]
    is_text: bool

    def advantage(self, items: Items) -> NDArray[np.float64]:
        """Return the predicted advantage of the old version on each item, shape ``(n,)``."""
        names = list(self.weights)
        vector = np.array([self.weights[name] for name in names])
        scales = np.array([self.scales[name] for name in names])
        if not self.is_text:
            x = _numbers(items)
            if x.shape[1] != len(names):
                message = f"the router takes inputs of {len(names)} numbers, got {x.shape[1]}"
                raise DataError(message)
            return np.asarray(x @ (vector / scales) + self.intercept)
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.preprocessing import normalize

        counts = CountVectorizer(ngram_range=(1, 2), token_pattern=WORD, vocabulary=names)
        found = normalize(counts.transform(_texts(items)).multiply(scales).tocsr())
        return np.asarray(found @ vector + self.intercept)

    def to_old(self, items: Items, share: float) -> NDArray[np.bool_]:
        """Return which items the old version answers, if it is to answer a share of those the router was fitted on."""
        at = np.quantile(np.array(self.predicted), 1 - share, method="lower")
        return self.advantage(items) > at if share < 1 else np.ones(len(items), dtype=bool)

    def to_dict(self) -> dict[str, Any]:
        """Return the router as plain JSON values."""
        return {
            "weights": self.weights,
            "scales": self.scales,
            "intercept": self.intercept,
            "predicted": list(self.predicted),
            "is_text": self.is_text,
        }


def fitted(items: Items, better: NDArray[np.float64], *, seed: int) -> Router:
    """Fit a router.

    Parameters
    ----------
    items
        Whose inputs are texts, conversations or arrays of numbers of one shape.
    better
        How much better the old version did, shape ``(n,)``, NaN where that is not known.
    seed
        Of the folds.

    Raises
    ------
    DataError
        If fewer than ten items are known, or inputs are neither texts nor numbers.
    """
    from sklearn.linear_model import RidgeCV

    predicted = expected_advantage(items, better, seed=seed)
    known = ~np.isnan(better)
    items, better = items.rows(known), better[known]
    is_text = _is_text(items)
    x, names, scales = _features(items, is_text=is_text)
    model = RidgeCV(ALPHAS).fit(x, better)
    intercept = float(model.intercept_)
    if not is_text:  # numbers are centred, too
        intercept -= float(model.coef_ @ (_numbers(items).mean(axis=0) / scales))
    return Router(
        dict(zip(names, model.coef_.tolist(), strict=True)),
        dict(zip(names, scales.tolist(), strict=True)),
        intercept,
        tuple(np.sort(predicted[known]).tolist()),
        is_text,
    )


def expected_advantage(items: Items, better: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """Return how much better the old version is expected to do on each item, by items of its kind and not by itself.

    Each prediction is made by the four fifths of the items that it does not belong to; see `fitted` for the arguments.
    It is NaN where `better` is.
    """
    from sklearn.linear_model import RidgeCV

    known = np.flatnonzero(~np.isnan(better))
    if len(known) < 2 * FOLDS:
        message = f"to tell kinds of questions at least {2 * FOLDS} graded items are needed, got {len(known)}"
        raise DataError(message)
    x, _, _ = _features(items.rows(known), is_text=_is_text(items))
    expected = np.full(len(items), np.nan)
    folds = np.random.default_rng(seed).permutation(len(known)) % FOLDS
    for fold in range(FOLDS):
        mine = folds == fold
        model = RidgeCV(ALPHAS).fit(x[~mine], better[known[~mine]])
        expected[known[mine]] = model.predict(x[mine])
    return expected


class Routed:
    """Two models as one batch model: a router says which of them answers an item.

    Parameters
    ----------
    old, new
        Batch models.
    router
        Says which.
    share
        How many of the items the router was fitted on the old one would answer, in [0, 1].
    name
        What reports call it.
    """

    def __init__(self, old: BatchModel, new: BatchModel, router: Router, share: float, *, name: str) -> None:
        for model in (old, new):
            if not hasattr(model, "respond"):
                message = (
                    f"routing needs two models that answer in batches, got {model.name!r}, which is a server"
                )
                raise ConfigError(message)
        self.name = name
        self.fingerprint = digest("routed", old.fingerprint, new.fingerprint, router.to_dict(), share)
        self.batch_size = min(old.batch_size, new.batch_size)
        self.classes = getattr(new, "classes", None)
        self._models, self._router, self._share = (new, old), router, share

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Answer all `items`; see `BatchModel.respond`."""
        to_old = self._router.to_old(items, self._share)
        frames, order = [], []
        for model, mine in zip(self._models, (~to_old, to_old), strict=True):
            if mine.any():
                frames.append(model.respond(items.rows(mine), request))
                order.append(np.repeat(np.flatnonzero(mine), request.n))
        frame = pl.concat(frames, how="diagonal_relaxed")
        return frame[np.argsort(np.concatenate(order), kind="stable")]


def read_router(path: Path) -> Router:
    """Read what `Router.to_dict` gave from a JSON file.

    Raises
    ------
    StoreError
        If it is not there, or holds something else.
    """
    try:
        return Router(**{**(found := json.loads(path.read_text())), "predicted": tuple(found["predicted"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{path} holds no router: {first_line(error)}"
        raise StoreError(message) from None


def _features(items: Items, *, is_text: bool) -> tuple[Any, list[str], NDArray[np.float64]]:
    """Return features with their names, and what they were multiplied or divided by."""
    if not is_text:
        x = _numbers(items)
        scales = np.where((spread := x.std(axis=0)) > 0, spread, 1.0)
        return (x - x.mean(axis=0)) / scales, [str(i) for i in range(x.shape[1])], scales
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = _texts(items)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, min_df=min(2, len(texts)))
    try:
        x = vectorizer.fit_transform(texts)
    except ValueError:
        message = f"routing needs questions that share words, and no word is in two of the {len(texts)} items"
        raise DataError(message) from None
    return x, vectorizer.get_feature_names_out().tolist(), vectorizer.idf_


def _is_text(items: Items) -> bool:
    return items.inputs.dtype == pl.String or holds_messages(items.inputs.dtype)


def _texts(items: Items) -> list[str]:
    asked = prompts(items)
    return [p if isinstance(p, str) else "\n".join(turn["content"] for turn in p) for p in asked]


def _numbers(items: Items) -> NDArray[np.float64]:
    x: Any = inputs_of(items)
    if isinstance(x, pl.DataFrame):
        x = x.to_numpy()
    array = np.asarray(x)
    if array.dtype.kind not in "iufb":
        message = f"routing needs inputs that are texts or numbers, got {items.inputs.dtype}"
        raise DataError(message)
    return array.reshape(len(array), -1).astype(np.float64)
