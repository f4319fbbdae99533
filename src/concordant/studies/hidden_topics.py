"""A language in which each text has a topic that no word gives away: who remembers more words predicts the next better.

Words of a text are drawn one by one from its topic, a mixture of the uniform distribution and one of few words. The best
prediction weighs the topics by all words so far, so the loss that no model can beat is known exactly, and so is that of
a model that remembers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONCENTRATION = 0.3
"""Of the Dirichlet distribution that words of a topic are drawn from: a few words have most of it."""


@dataclass(frozen=True)
class Topics:
    """Distributions of words: `probabilities` of shape ``(topics, words)``; all topics are equally likely."""

    probabilities: NDArray[np.float64]

    @classmethod
    def drawn(cls, topics: int, words: int, *, sharpness: float, seed: int) -> Topics:
        """Draw a language.

        Parameters
        ----------
        topics, words
            How many.
        sharpness
            Share of a topic's own words in (0, 1]; the rest is uniform.
        seed
            Decides the topics.
        """
        own = np.random.default_rng(seed).dirichlet(np.full(words, CONCENTRATION), topics)
        return cls((1 - sharpness) / words + sharpness * own)

    def texts(self, n: int, length: int, *, seed: int) -> NDArray[np.int64]:
        """Draw texts, shape ``(n, length)``."""
        rng = np.random.default_rng(seed)
        topic = rng.integers(len(self.probabilities), size=n)
        until = self.probabilities.cumsum(1)[topic]
        places = (rng.random((n, length))[:, :, None] >= until[:, None, :-1]).sum(2)
        return np.asarray(places)

    def least_loss(self, texts: NDArray[np.int64]) -> float:
        """Return the loss of the best prediction of each word but the first from those before it, nats a word."""
        each = np.log(self.probabilities[:, texts])
        after = logsumexp(each.cumsum(-1), axis=0)
        return float((after[:, 0] - after[:, -1]).mean() / (texts.shape[1] - 1))

    def memoryless_loss(self, texts: NDArray[np.int64]) -> float:
        """Return the loss of the best prediction from no word at all, nats a word, on the same words."""
        return float(-np.log(self.probabilities.mean(0)[texts[:, 1:]]).mean())
