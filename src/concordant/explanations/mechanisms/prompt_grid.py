"""A language model over a grid of ways to prompt: every item under every strategy, as a table of right and wrong answers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.asking import completed
from concordant.core.errors import ConfigError, DataError, ModelError, nearest
from concordant.core.grading import default_grader
from concordant.core.grading import grader as named_grader
from concordant.core.items import Items
from concordant.core.model import Request
from concordant.core.passes import Pass
from concordant.core.progress import progress_bars
from concordant.core.run import run
from concordant.core.store import MemoryStore, RunFolder
from concordant.explanations.mechanisms.demonstrations import chosen_demonstrations, flux_of, tfidf
from concordant.explanations.mechanisms.strategies import Strategy, Wording
from concordant.models.load import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.core.passes import Progress
    from concordant.core.store import Store
    from concordant.explanations.mechanisms.demonstrations import Embed

LABEL = "answers"


def strategy_grid(
    model: Any,
    items: Items,
    strategies: Sequence[Strategy],
    *,
    demonstrations: Items | None = None,
    descriptors: Sequence[str] = (),
    wording: Wording | None = None,
    embed: Embed = tfidf,
    within: str | None = None,
    grader: Any = None,
    temperature: float = 1.0,
    max_tokens: int = 256,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool = True,
) -> pl.DataFrame:
    """Ask a model every item under every strategy.

    Parameters
    ----------
    model
        What `concordant.load` takes.
    items
        Questions: texts, with a reference each.
    strategies
        Ways to prompt; see `all_strategies`.
    demonstrations
        Items to show, with a column ``solution`` where steps are written. One that has the text of the question is not
        shown with it. Not needed where no strategy shows any.
    descriptors
        Columns of the items that say how hard they are, or what they are; kept in the table.
    wording
        How prompts are written; by default "Question: ... Answer: ...".
    embed
        Of the texts, for the flux; see `flux_of`.
    within
        A column that a demonstration must share with its question, such as a subject.
    grader
        As for `concordant.check`; by default what suits the references.
    temperature
        Where answers vote; default 1. One answer alone is the most probable.
    max_tokens
        Of an answer.
    seed
        Of random demonstrations and of samples.
    folder
        Where answers are kept as they come: the same call goes on where it was stopped, and one with more strategies
        asks only those that are new.
    progress
        Whether to draw a bar on a terminal.

    Returns
    -------
    pl.DataFrame
        One row an item and strategy: ``item``, ``strategy``, ``reasoning``, ``k``, ``choice``, ``samples``, ``flux`` (the
        sum over the demonstrations), the descriptors, ``tokens`` (of all samples; null where the model does not say) and
        ``right``. Items that were not answered are left out. `cells_of` makes cells of it.

    Raises
    ------
    ConfigError
        If there are no strategies, or one comes twice.
    DataError
        If a column is missing, or there are too few demonstrations.
    ModelError
        If a strategy got no answer at all.

    Examples
    --------
    >>> items = Items.from_records([{"input": "2 + 2", "reference": "4"}, {"input": "2 + 3", "reference": "5"}])
    >>> shown = Items.from_records([{"input": "1 + 1", "reference": "2"}, {"input": "2 + 1", "reference": "3"}])
    >>> def needs_help(prompt):
    ...     return "4" if "2 + 1" in prompt else "1"
    >>> grid = [Strategy(), Strategy(k=1, choice="nearest")]
    >>> rows = strategy_grid(needs_help, items, grid, demonstrations=shown)
    >>> rows.select("strategy", "item", "right").rows()[2:]
    [('direct, 1 nearest', '...', True), ('direct, 1 nearest', '...', False)]
    """
    wording = wording or Wording()
    _check(items, strategies, demonstrations, descriptors, within)
    flux, allowed = _flux(items, demonstrations, embed, within, shown=any(one.k for one in strategies))
    loaded = load(model)
    questions = items.frame.to_dicts()
    pool = [] if demonstrations is None else demonstrations.frame.to_dicts()
    passes, brought = [], []
    for one in strategies:
        taken = chosen_demonstrations(flux, one.k, one.choice, allowed=allowed, seed=seed)
        brought.append(np.take_along_axis(flux, taken, 1).sum(1))
        prompts = [
            wording.prompt(one.reasoning, question, [pool[i] for i in rows])
            for question, rows in zip(questions, taken.tolist(), strict=True)
        ]
        asked = Items(pl.DataFrame({"id": items.ids, "input": prompts}))
        request = Request(
            n=one.samples,
            temperature=temperature if one.samples > 1 else 0.0,
            max_tokens=max_tokens,
            seed=seed,
            stop=wording.stop,
        )
        passes.append(Pass.of(one.name, loaded, asked, request))
    with ExitStack() as stack:
        tell: Progress = stack.enter_context(progress_bars()) if progress else lambda *_: None
        store: Store = MemoryStore()
        if folder is not None:
            store = stack.enter_context(RunFolder(folder, resume=True).opened())
        recorded = completed(run(passes, store, progress=_one_bar(tell, len(passes) * len(items))))
    parts = []
    for one, work, total in zip(strategies, passes, brought, strict=True):
        about = {"strategy": one.name, "reasoning": one.reasoning, "k": one.k, "choice": one.choice}
        columns = [pl.lit(value).alias(name) for name, value in {**about, "samples": one.samples}.items()]
        answered = _graded(recorded[work.key], items, grader, f"{loaded.name!r} under {one.name!r}")
        kept = items.frame.select(pl.col("id").alias("item"), *descriptors)
        parts.append(kept.with_columns(*columns, pl.Series("flux", total)).join(answered, on="item"))
    order = [
        "item",
        "strategy",
        "reasoning",
        "k",
        "choice",
        "samples",
        "flux",
        *descriptors,
        "tokens",
        "right",
    ]
    return pl.concat(parts).select(order)


def _check(
    items: Items,
    strategies: Sequence[Strategy],
    demonstrations: Items | None,
    descriptors: Sequence[str],
    within: str | None,
) -> None:
    if len(set(strategies)) != len(strategies) or not strategies:
        message = (
            f"a grid needs strategies, each once, got {', '.join(one.name for one in strategies) or 'none'}"
        )
        raise ConfigError(message)
    wanted = ["reference", *descriptors, *([within] if within else [])]
    needed = {"items": (items, wanted)}
    if any(one.k for one in strategies):
        if demonstrations is None:
            message = "a strategy shows demonstrations, but none were given"
            raise DataError(message)
        solutions = ["solution"] if any(one.k and one.reasoning == "steps" for one in strategies) else []
        needed["demonstrations"] = (demonstrations, ["reference", *solutions, *([within] if within else [])])
    for name, (given, columns) in needed.items():
        if given.inputs.dtype != pl.String:
            message = f"the inputs of the {name} must be texts, got {given.inputs.dtype}"
            raise DataError(message)
        if missing := next((column for column in columns if column not in given.frame.columns), None):
            message = f"the {name} have no column {missing!r}; {nearest(missing, given.frame.columns)}"
            raise DataError(message)


def _flux(
    items: Items, demonstrations: Items | None, embed: Embed, within: str | None, *, shown: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the flux of each demonstration for each item, and whether it may be shown with it."""
    if demonstrations is None or not shown:
        return np.zeros((len(items), 0)), np.zeros((len(items), 0), bool)
    asked, pool = items.inputs.to_list(), demonstrations.inputs.to_list()
    allowed = np.array(asked, object)[:, None] != np.array(pool, object)
    if within is not None:
        of_items, of_pool = (each.frame[within].to_numpy() for each in (items, demonstrations))
        allowed &= of_items[:, None] == of_pool
    return flux_of(asked, pool, embed), allowed


def _one_bar(tell: Progress, total: int) -> Progress:
    """Return what tells of all passes together."""
    done: dict[str, int] = {}

    def told(label: str, now: int, _: int) -> None:
        done[label] = now
        tell(LABEL, sum(done.values()), total)

    return told


def _graded(rows: pl.DataFrame, items: Items, grader: Any, who: str) -> pl.DataFrame:
    """Return which items were answered rightly, by the answer that most samples give, the first of those that tie."""
    answered = rows.filter(pl.col("output").is_not_null())
    if answered.is_empty():
        why = next(iter(rows["error"].drop_nulls()), "no answer") if "error" in rows.columns else "no answer"
        message = f"model {who} answered nothing: {why}"
        raise ModelError(message)
    place = pl.DataFrame({"item": items.ids, "row": np.arange(len(items))})
    answered = answered.join(place, on="item")
    outputs, at = answered["output"], answered["row"].to_numpy()
    each = Items(items.frame[at].with_columns(id=pl.int_range(pl.len()).cast(pl.String)))
    grading = default_grader(items, outputs) if grader is None else named_grader(grader)
    read = answered.select("row").with_columns(
        answer=grading.answers(outputs, each), at=pl.int_range(pl.len())
    )
    voted = (
        read.filter(pl.col("answer").is_not_null())
        .group_by("row", "answer")
        .agg(pl.len().alias("votes"), pl.col("at").min())
        .sort("votes", "at", descending=[True, False])
        .unique("row", keep="first", maintain_order=True)
    )
    tokens = pl.col("tokens").sum() if "tokens" in answered.columns else pl.lit(None, pl.Int64).first()
    spent = answered.group_by("row").agg(tokens.alias("tokens"), pl.col("item").first())
    table = spent.join(voted.select("row", "answer"), on="row", how="left").sort("row")
    right = grading.correct(table["answer"], items.rows(table["row"].to_numpy()))
    return table.select("item", "tokens").with_columns(right=right).filter(pl.col("right").is_not_null())
