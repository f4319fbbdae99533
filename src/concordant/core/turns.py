"""The relation that an episode alone stands for: all its turns agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from concordant.core.finding import Measure
from concordant.core.relation import AGREEMENT, Relation, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from concordant.core.behaviours import Behaviours
    from concordant.core.episode import Episode
    from concordant.core.items import Items


class EpisodeRelation(Relation):
    """Plays an episode over every item and judges whether all its turns say the same.

    Parameters
    ----------
    episode
        The conversation.
    """

    measures = (
        AGREEMENT,
        Measure("accuracy", "right", "higher", "episodes whose last answer is right"),
    )

    def __init__(self, episode: Episode) -> None:
        self.name = episode.name
        self._episode = episode

    def expand(self, items: Items) -> list[Variant]:
        """Make the one variant: the items, played."""
        return [Variant("played", items, episode=self._episode)]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge an item 1 where all turns agree after white space is evened out, 0 where not, null where it failed."""
        played = answers["played"]
        texts = pl.col("turns").cast(pl.List(pl.String))  # of no type where every episode failed
        turns = texts.list.eval(pl.element().str.strip_chars().str.replace_all(r"\s+", " "))
        agreement = played.frame.select((turns.list.n_unique() == 1).cast(pl.Float64)).to_series()
        right = pl.Series(played.right[:, 0]).cast(pl.Float64)
        graded = pl.Series(played.graded[:, 0])
        return pl.DataFrame({"agreement": agreement, "right": right}).with_columns(
            right=pl.when(graded).then(pl.col("right")).otherwise(None)
        )
