"""Reworded: the same answer to the same question in other words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.kinds import Equal
from concordant.core.relation import Relation, Variant
from concordant.core.rewrites import BASE, REWRITE_MEASURES, judge_rewrites, rewritten
from concordant.variants.wording import fields_of, fill, reword, wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from concordant.core.behaviours import Behaviours
    from concordant.core.items import Items


class Reworded(Relation):
    """The same answer to the same question in other words.

    Use it wherever the wording is not what is asked about: prompts of users, instructions, translations of
    one question. The rewordings come from exactly one source. In a conversation the last turn of the user
    is reworded.

    Each rewording is held against the item as it is given. ``agreement_score`` is the mean agreement over
    the rewordings of an item, ``violation_rate`` the share of items that some rewording gives another
    answer, ``robust_accuracy`` the share answered rightly in every wording; further measures are those of
    `concordant.core.rewrites.REWRITE_MEASURES`. An item may have any number of rewordings: one without any
    is not judged.

    Parameters
    ----------
    column
        Column of the items that holds the rewordings: a text, or a list of texts.
    templates
        Texts with the fields ``{input}`` (required) and any other column: ``"Please answer briefly:
        {input}"``.
    rewrite
        A function that is given an item (one attribute a column) and returns its rewordings.
    agree, options
        When two answers count as the same; as for `concordant.core.kinds.Equal`. By default the graded
        answers must be equal.

    Raises
    ------
    ConfigError
        If there is not exactly one source, or a template or column cannot be understood.

    References
    ----------
    M. T. Ribeiro, T. Wu, C. Guestrin, S. Singh (2020), Beyond accuracy: behavioral testing of NLP models
    with CheckList, ACL (invariance tests).

    Examples
    --------
    A model that goes by the first word takes a polite question for another one:

    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": f"add 2 and {n}", "reference": n + 2} for n in (1, 2)])
    >>> def model(text):
    ...     words = text.split()
    ...     return str(int(words[1]) + int(words[3])) if words[0] == "add" else "I do not know"
    >>> polite = Reworded(templates=["please {input}", "{input} "])
    >>> report = cc.check(cc.load(model), items, [polite], progress=False)
    >>> report["variants.reworded"].agreement_score.value
    0.5
    """

    name = "variants.reworded"
    measures = REWRITE_MEASURES

    def __init__(
        self,
        *,
        column: str | None = None,
        templates: Sequence[str] | str | None = None,
        rewrite: Callable[[Any], Iterable[str | None] | str | None] | None = None,
        agree: str | Callable[[Any, Any], float] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        given = {"column": column, "templates": templates, "rewrite": rewrite}
        sources = [name for name, value in given.items() if value]
        if len(sources) != 1:
            got = " and ".join(sources) or "none"
            message = f"{self.name} needs exactly one of column, templates and rewrite, got {got}"
            raise ConfigError(message)
        self.column = column
        self.templates = [templates] if isinstance(templates, str) else list(templates or [])
        self.rewrite = rewrite
        self.kind = Equal(agree, dict(options or {}))
        for template in self.templates:
            if "{input" not in template:
                message = f"{self.name}: the template {template!r} must have the field {{input}}"
                raise ConfigError(message)

    def expand(self, items: Items) -> list[Variant]:
        """Make the items as given and one variant for each rewording."""
        wording(items, self.name)  # says what is wrong before anything is asked
        columns = self._templated(items) if self.templates else self._ragged(items)
        if not columns:
            message = f"{self.name}: no item has a rewording"
            raise DataError(message)
        made = [rewritten(name, items, reword(items, texts)) for name, texts in columns.items()]
        return [Variant(BASE, items), *made]

    def judge(self, items: Items, answers: Mapping[str, Behaviours]) -> pl.DataFrame:
        """Judge every rewording against the item as given."""
        return judge_rewrites(answers, self.kind)

    def _templated(self, items: Items) -> dict[str, list[str]]:
        known = {**dict.fromkeys(items.frame.columns, ()), "input": ()}
        used = set().union(*(fields_of(t, known, f"{self.name}: the template") for t in self.templates))
        columns = {name: items.frame[name].to_list() for name in used}
        columns["input"] = wording(items, self.name).to_list()
        names = (f"template {i}" for i in range(1, len(self.templates) + 1))
        return {
            name: fill(t, columns, f"{self.name}: the template")
            for name, t in zip(names, self.templates, strict=True)
        }

    def _ragged(self, items: Items) -> dict[str, pl.Series]:
        """Return the rewordings as columns: null where an item has fewer."""
        lists = self._from_column(items) if self.column is not None else self._called(items)
        lists = lists.list.drop_nulls()
        most = lists.list.len().max() or 0
        assert isinstance(most, int)
        return {f"rewording {i + 1}": lists.list.get(i, null_on_oob=True) for i in range(most)}

    def _from_column(self, items: Items) -> pl.Series:
        assert self.column is not None
        if self.column not in items.frame.columns:
            known = nearest(self.column, items.frame.columns)
            message = f"{self.name}: there is no column {self.column!r}; {known}"
            raise DataError(message)
        values = items.frame[self.column]
        if values.dtype == pl.String:
            return values.to_frame().select(pl.concat_list(self.column)).to_series()
        if isinstance(values.dtype, pl.Array):
            values = values.arr.to_list()
        if values.dtype not in (pl.List(pl.String), pl.List(pl.Null)):
            what = f"the column {self.column!r} must hold texts or lists of texts"
            message = f"{self.name}: {what}, and is {values.dtype}"
            raise DataError(message)
        return values.cast(pl.List(pl.String))

    def _called(self, items: Items) -> pl.Series:
        assert self.rewrite is not None
        lists = []
        for item in items:
            made = self.rewrite(item)
            texts = [made] if isinstance(made, str) else list(made or ())
            if not all(text is None or isinstance(text, str) for text in texts):
                message = (
                    f"{self.name}: rewrite must return texts, and for item {item.id!r} it returned {texts!r}"
                )
                raise DataError(message)
            lists.append(texts)
        return pl.Series(lists, dtype=pl.List(pl.String))
