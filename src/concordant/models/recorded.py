"""Recorded behaviour as a model: it answers what it was recorded on, and says so where it was not.

Two recordings of the same items are compared without running anything; `align` finds the items they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from concordant.core.content import content_ids, frame_digest
from concordant.core.errors import DataError, nearest
from concordant.core.items import Items
from concordant.core.model import digest
from concordant.models.readers import read_records
from concordant.models.readers.source import parse_source

if TYPE_CHECKING:
    from concordant.core.model import Request

ANSWERED = (
    *("output", "correct", "score", "probabilities", "logprob", "choice_logprobs"),
    *("tokens", "latency_s", "error"),
)
"""The columns of records that are the behaviour; they are what `Recorded.respond` gives back."""

ABOUT_THE_RUN = ("sample", "model", "filter", "answer", "response", "limit")
"""Columns of records that describe a behaviour further, and no item."""

NOT_RECORDED = "not recorded"


class Recorded:
    """A batch model that answers from records.

    Parameters
    ----------
    records
        A table as `concordant.models.readers.read_records` gives it: `item`, `sample`, `output` and whatever
        else is known, one row a sample of an item. Samples are numbered anew from 0, in their order.
    name
        What people call it.
    match
        What an item must share with the recording to be answered: its ``"id"``; the text of its ``"input"``,
        up to case and white space; or ``"either"``, the id where the recording has it and else the input.
        Items that a relation rewrote (``request.rewritten``) are always answered by the text of their input, and by
        their choices where they have any: the recorded answer to the original is no answer to its rewriting.

    Attributes
    ----------
    fingerprint
        Digest of what was recorded.

    Raises
    ------
    DataError
        If a column is missing, or a sample of an item occurs twice.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> from concordant.core.model import Request
    >>> records = pl.DataFrame({"item": ["a", "a"], "sample": [0, 1], "output": ["4", "5"]})
    >>> items = Items.from_records([{"id": "a", "input": "2 + 2?"}, {"id": "b", "input": "7 + 5?"}])
    >>> Recorded(records, name="old").respond(items, Request())["output", "error"].rows()
    [('4', None), (None, 'not recorded')]
    """

    batch_size = 1_000_000

    def __init__(
        self,
        records: pl.DataFrame,
        name: str = "recorded",
        match: Literal["id", "input", "either"] = "either",
    ) -> None:
        for column in ("item", "sample", "output"):
            if column not in records.columns:
                message = f"records have no column {column!r}; {nearest(column, records.columns)}"
                raise DataError(message)
        records = records.with_columns(pl.col("item").cast(pl.String), pl.col("sample").cast(pl.Int64))
        rows = records.select("item", "sample")
        if rows.n_unique() < len(rows):
            item, sample = rows.row(int(rows.is_duplicated().arg_true()[0]))
            message = f"sample {sample} of item {item!r} is recorded more than once"
            raise DataError(message)
        numbers = pl.col("sample").rank("ordinal").over("item").cast(pl.Int64) - 1
        self.records = records.with_columns(numbers.alias("sample"))
        self.name = name
        self.match = match
        known = [c for c in ("item", "sample", "input", *ANSWERED) if c in records.columns]
        self.fingerprint = digest(frame_digest(self.records.select(known)), match)

    @classmethod
    def read(cls, source: str | Path, name: str | None = None) -> Recorded:
        """Read a recording.

        Parameters
        ----------
        source
            As `concordant.models.readers.read_records` takes it: a path, with options.
        name
            What people call it; by default the model that was asked for or that the file names, else the
            name of the file.
        """
        records = read_records(source)
        meant = parse_source(str(source))
        models = records["model"].unique().drop_nulls().to_list() if "model" in records.columns else []
        named = meant.model or (models[0] if len(models) == 1 else None)
        return cls(records, name=name or named or Path(meant.path.name.removesuffix(".gz")).stem)

    @cached_property
    def held(self) -> pl.DataFrame:
        """One row an item: `item`, the normalised `text` of its input, and how many `samples` there are."""
        texts = pl.Series("text", [None] * len(self.records), dtype=pl.String)
        if "input" in self.records.columns:
            texts = normalised(self.records["input"])
        frame = self.records.select("item").with_columns(texts.alias("text"))
        grouped = frame.group_by("item", maintain_order=True)
        return grouped.agg(pl.col("text").first(), pl.len().cast(pl.Int64).alias("samples"))

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Give back what was recorded on `items`.

        The first `request.n` samples of each item are given, in their order; asking again
        (``request.repeat``) gives the next ones. Where there is nothing, `error` says why.
        """
        first = request.n * request.repeat
        numbers = pl.DataFrame({"sample": pl.int_range(first, first + request.n, dtype=pl.Int64, eager=True)})
        known = [column for column in ANSWERED if column in self.records.columns]
        answers = self.records.select("item", "sample", *known)
        found = self._found(items, rewritten=request.rewritten)
        asked = found.join(numbers, how="cross", maintain_order="left_right")
        rows = asked.join(answers, on=["item", "sample"], how="left", maintain_order="left")
        plural = pl.when(pl.col("samples") == 1).then(pl.lit("sample")).otherwise(pl.lit("samples"))
        error = (
            pl.when(pl.col("item").is_null())
            .then(pl.lit(NOT_RECORDED))
            .when(pl.col("sample") >= pl.col("samples"))
            .then(pl.format("only {} {} recorded", "samples", plural))
            .otherwise(pl.col("error") if "error" in known else pl.lit(None, dtype=pl.String))
        )
        return rows.select(*(column for column in known if column != "error"), error.alias("error"))

    def items(self) -> Items:
        """Return the items that were recorded.

        They have the `input` of the recording (the id where it is not known) and its `reference`, `choices`
        and `group`. A further column becomes a slice if it holds plain values and does not differ between
        the samples of an item.
        """
        firsts = self.records.unique("item", keep="first", maintain_order=True)
        ids = firsts["item"].alias("id")
        inputs = ids
        if "input" in firsts.columns:
            inputs = firsts["input"]
            if inputs.dtype in (pl.String, pl.Null):
                inputs = inputs.cast(pl.String).fill_null(ids)
        roles = [name for name in ("reference", "choices", "group") if name in firsts.columns]
        further = (firsts[name] for name in (*roles, *self._slices()))
        return Items(pl.DataFrame([ids, inputs.alias("input"), *further]))

    def _slices(self) -> list[str]:
        no_slices = {*ANSWERED, *ABOUT_THE_RUN, "item", "id", "input", "reference", "choices", "group"}
        names = [
            name
            for name, dtype in self.records.schema.items()
            if name not in no_slices
            and not name.startswith("metric.")
            and not dtype.is_nested()
            and dtype != pl.Null
        ]
        if len(self.held) == len(self.records):
            return names
        return [name for name in names if self.records.select("item", name).n_unique() == len(self.held)]

    def _found(self, items: Items, *, rewritten: bool) -> pl.DataFrame:
        """Give each item the recorded `item` that answers it and its number of `samples`; null where none."""
        match = "input" if rewritten else self.match
        asked = items.frame.select("id")
        if match == "input":
            asked = asked.with_columns(item=pl.lit(None, dtype=pl.String))
        else:
            held = self.held.select("item", known=pl.lit(value=True))
            asked = asked.join(held, left_on="id", right_on="item", how="left", maintain_order="left")
            asked = asked.select("id", pl.when("known").then("id").alias("item"))
        if match != "id" and asked["item"].null_count():
            asked = asked.with_columns(normalised(items.inputs).alias("text"))
            texts = _by_text(self.held).rename({"item": "same"})
            asked = asked.join(texts, on="text", how="left", maintain_order="left")
            asked = asked.with_columns(pl.coalesce("item", "same").alias("item"))
        if rewritten and items.choices is not None:
            same = self._same_choices(asked["item"], items.choices)
            asked = asked.with_columns(pl.when(same).then("item").alias("item"))
        counts = self.held.select("item", "samples")
        return asked.select("item").join(counts, on="item", how="left", maintain_order="left")

    def _same_choices(self, found: pl.Series, choices: pl.Series) -> pl.Series:
        if "choices" not in self.records.columns:
            return pl.Series([False] * len(found))
        firsts = self.records.unique("item", keep="first").select("item", "choices")
        recorded = found.to_frame("item").join(firsts, on="item", how="left", maintain_order="left")
        return recorded["choices"].list.join("\x1f").eq_missing(choices.list.join("\x1f"))


@dataclass(frozen=True, slots=True)
class Alignment:
    """What two recordings share.

    Parameters
    ----------
    items
        The shared items. Both recordings answer all of them.
    n_both
        How many there are.
    only_old, only_new
        Ids of the items that only one of the recordings has.
    by
        What they were recognised by: their ``"id"``, or the text of their ``"input"``.
    """

    items: Items
    n_both: int
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    by: Literal["id", "input"]


def align(old: Recorded, new: Recorded) -> Alignment:
    """Find the items that two recordings share.

    Items are the same if their ids are. Where no ids meet, or most of those that do belong to different texts
    while the texts themselves do meet (row numbers of two files in different order), items are the same if
    their inputs are, up to case and white space; of equal inputs within one recording the first counts.

    Raises
    ------
    DataError
        If the recordings share nothing.

    Examples
    --------
    >>> old = Recorded(pl.DataFrame({"item": ["a", "b"], "sample": [0, 0], "output": ["1", "2"]}))
    >>> new = Recorded(pl.DataFrame({"item": ["b", "c"], "sample": [0, 0], "output": ["2", "3"]}))
    >>> both = align(old, new)
    >>> both.items.ids.to_list(), both.only_old, both.only_new, both.by
    (['b'], ('a',), ('c',), 'id')
    """
    ids = old.held.join(new.held, on="item", how="inner", suffix="_new", maintain_order="left")
    texts = _by_text(old.held).join(
        _by_text(new.held), on="text", how="inner", suffix="_new", maintain_order="left"
    )
    if ids.is_empty() and texts.is_empty():
        raise DataError(_nothing_shared(old, new))
    agree = int((ids["text"] == ids["text_new"]).sum())
    differ = int((ids["text"] != ids["text_new"]).sum())
    reordered = differ > agree and len(texts) > agree
    by: Literal["id", "input"] = "input" if ids.is_empty() or reordered else "id"
    in_old = ids["item"] if by == "id" else texts["item"]
    in_new = ids["item"] if by == "id" else texts["item_new"]
    items = _merged(old, new, in_old, in_new)
    if by == "input":
        # Ids of their own, so that neither recording mistakes one for an id that it gave to something else.
        items = items.replace(id=content_ids(texts["text"]))
    only_old = old.held["item"].filter(~old.held["item"].is_in(in_old.implode()))
    only_new = new.held["item"].filter(~new.held["item"].is_in(in_new.implode()))
    return Alignment(items, len(items), tuple(only_old), tuple(only_new), by)


def _merged(old: Recorded, new: Recorded, in_old: pl.Series, in_new: pl.Series) -> Items:
    """Return the shared items as `old` has them, with the further columns that only `new` knows."""
    pairs = pl.DataFrame({"id": in_old, "in_new": in_new})
    frame = pairs.join(old.items().frame, on="id", how="left", maintain_order="left")
    more = new.items().frame.rename({"id": "in_new"})
    more = more.select(name for name in more.columns if name == "in_new" or name not in frame.columns)
    return Items(frame.join(more, on="in_new", how="left", maintain_order="left").drop("in_new"))


def _nothing_shared(old: Recorded, new: Recorded) -> str:
    examples = (f"{model.name} has {', '.join(model.held['item'].head(2))}" for model in (old, new))
    return f"the recordings share no items, neither by id nor by input: {', '.join(examples)}"


def _by_text(held: pl.DataFrame) -> pl.DataFrame:
    """Return `text` and `item` of items that have a text, of equal texts the first."""
    return held.select("text", "item").drop_nulls("text").unique("text", keep="first", maintain_order=True)


def normalised(inputs: pl.Series) -> pl.Series:
    """Bring inputs into the form in which texts are compared: lower case, single spaces; null if no text.

    The text of a conversation is that of its turns, so that a question equals the same question asked as a
    user's turn.

    Examples
    --------
    >>> normalised(pl.Series([" What  is 2 + 2? "])).to_list()
    ['what is 2 + 2?']
    >>> normalised(pl.Series([[{"role": "user", "content": "What is 2 + 2?"}]])).to_list()
    ['what is 2 + 2?']
    """
    if _is_conversation(inputs.dtype):
        content = pl.element().struct.field("content").cast(pl.String)
        inputs = inputs.list.eval(content).list.join("\n")
    if inputs.dtype != pl.String:
        return pl.Series(inputs.name, [None] * len(inputs), dtype=pl.String)
    return inputs.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def _is_conversation(dtype: pl.DataType) -> bool:
    turn = dtype.inner if isinstance(dtype, pl.List) else None
    return isinstance(turn, pl.Struct) and any(field.name == "content" for field in turn.fields)
