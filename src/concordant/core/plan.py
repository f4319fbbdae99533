"""Which questions a set of relations asks, each of them once, and the answers back in the places they were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from concordant.core.behaviours import Behaviours, align
from concordant.core.errors import ConfigError, nearest
from concordant.core.grading import Grader, default_grader, grader
from concordant.core.model import BatchModel, ConcurrentModel, Request
from concordant.core.passes import ASKED, Pass
from concordant.core.registry import lookup
from concordant.core.relation import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.relation import Relation


def adapted(value: Any) -> Model:
    """Return a model as it is, and any other object that has behaviour (a function, an estimator) as a model.

    Raises
    ------
    ModelError
        If the object has no behaviour; the adapter registered in ``concordant.adapters`` says what is allowed.
    """
    if isinstance(value, BatchModel | ConcurrentModel):
        return value
    model: Model = lookup("adapters", "model")(value)
    return model


Plan = dict[str, dict[str, Pass]]
"""The pass of each variant, by relation and variant; variants that ask the same share one."""


def plan(model: Model, items: Items, relations: Sequence[Relation], request: Request) -> Plan:
    """Expand the items by every relation and make the passes that are to be run."""
    planned: Plan = {}
    models: dict[int, Model] = {}
    asked: dict[tuple[int, int, Request, int], Pass] = {}
    for relation in relations:
        columns = {}
        for variant in _expanded(relation, items):
            given = model if variant.model is None else variant.model
            answering = models.setdefault(id(given), adapted(given))
            how = replace(request, rewritten=is_rewritten(variant.items, items), **variant.ask)
            same = (id(answering), id(variant.items), how, id(variant.episode))
            if same not in asked:  # digests cost time: items that many relations ask are digested once
                label = f"{relation.name}: {variant.name}"
                asked[same] = Pass.of(label, answering, variant.items, how, variant.episode)
            columns[variant.name] = asked[same]
        planned[relation.name] = columns
    return planned


def _expanded(relation: Relation, items: Items) -> list[Variant]:
    """Expand the items, or say what a relation of somebody's own gives instead of variants."""
    made: Any = relation.expand(items)
    variants = list(made) if isinstance(made, Iterable) and not isinstance(made, Mapping) else [made]
    strange = next((type(one).__name__ for one in variants if not isinstance(one, Variant)), None)
    if strange is not None or not variants:
        message = (
            f"relation {relation.name} must expand items into a list of Variant, got {strange or 'none'}"
        )
        raise ConfigError(message)
    known = [field.name for field in fields(Request)]
    for i, variant in enumerate(variants):
        if variant.name in [earlier.name for earlier in variants[:i]]:
            message = f"relation {relation.name} has two variants of the name {variant.name!r}"
            raise ConfigError(message)
        for name in variant.ask:
            if name not in known:
                message = f"relation {relation.name}: a request has no {name!r}; {nearest(name, known)}"
                raise ConfigError(message)
    return variants


def is_rewritten(asked: Items, items: Items) -> bool:
    """Tell whether a variant asks anything but the items as they are."""
    if asked is items:
        return False
    given = items.frame
    if len(asked) < len(items):
        given = given.filter(items.ids.is_in(asked.ids.implode()))
    shown = [column for column in ASKED if column in asked.frame.columns]
    return not given.select(c for c in shown if c in given.columns).equals(asked.frame.select(shown))


READS_MOST = ("choice", "number", "json", "label", "normalized", "exact")
"""The graders that suit by default, the one that reads the most out of an output first."""


def answers_of(
    columns: Mapping[str, Pass], recorded: Mapping[str, pl.DataFrame], items: Items, grade: Any
) -> dict[str, Behaviours]:
    """Grade what was recorded for each variant of a relation and align it with the items."""
    chosen = _grader(grade, columns, recorded)
    answers = {}
    for name, work in columns.items():
        classes = tuple(str(c) for c in getattr(work.model, "classes", None) or ())
        answers[name] = align(
            recorded[work.key], items, work.items, work.request.n, chosen, work.model.name, classes
        )
    return answers


def _grader(grade: Any, columns: Mapping[str, Pass], recorded: Mapping[str, pl.DataFrame]) -> Grader:
    """Return the grader asked for, or the one that suits the outputs: one for all variants that are compared.

    Where one log holds 17 and the other "It is 17.", the grader that reads the more out of an output suits both.
    """
    if grade is not None:
        return grader(grade)
    answered = [work for work in columns.values() if recorded[work.key]["output"].count()]
    works = answered or list(columns.values())[:1]
    suiting = [default_grader(work.items, recorded[work.key]["output"]) for work in works]
    rank = {name: place for place, name in enumerate(READS_MOST)}
    return min(suiting, key=lambda one: rank.get(one.name, len(READS_MOST)))
