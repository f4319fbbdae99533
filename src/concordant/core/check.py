"""Check: the whole flow, from items to a report."""

from __future__ import annotations

import asyncio
import math
import platform
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from concordant.core.behaviours import Behaviours, align
from concordant.core.cache import AnswerCache, default_cache_path
from concordant.core.episode import Episode
from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.finding import Finding
from concordant.core.gate import Gate, decide
from concordant.core.grading import Grader, default_grader, grader
from concordant.core.items import Items
from concordant.core.model import ConcurrentModel, Model, Request
from concordant.core.progress import progress_bars
from concordant.core.relation import Relation, Variant, Verdicts
from concordant.core.results import Report, Result
from concordant.core.run import Pass, Progress, run
from concordant.core.statistics import benjamini_hochberg
from concordant.core.store import MemoryStore, RunFolder, Store
from concordant.core.turns import EpisodeRelation

MAX_SLICE_VALUES = 30
MIN_SLICE_ITEMS = 2
T = TypeVar("T")


def check(
    model: Model,
    items: Items,
    relations: Iterable[Relation | Episode],
    *,
    gates: Mapping[str, Sequence[str | Gate] | str | Gate] | None = None,
    grade: str | Grader | Callable[[Any, Any], bool | float | None] | None = None,
    slices: Sequence[str] | None = None,
    request: Request | None = None,
    level: float = 0.95,
    seed: int = 0,
    folder: str | Path | None = None,
    resume: bool = False,
    retry_errors: bool = False,
    cache: bool | Path = False,
    progress: bool | Progress = True,
    title: str | None = None,
    about: Mapping[str, Any] | None = None,
) -> Report:
    """Check how a model behaves.

    Parameters
    ----------
    model
        The model under test.
    items
        What it is asked.
    relations
        What its behaviour must agree with. An episode stands for "all its turns agree".
    gates
        Bounds on findings, by relation: ``{"versions.flips": "negative_flip_rate <= 0.02"}``.
    grade
        How an output is found right or wrong: the name of a grader, or a function of output and item that returns true, false,
        a score in [0, 1] or None for "cannot be graded". By default the grader that suits references and outputs.
    slices
        Columns of the items to look into; by default all further columns of at most 30 values that are not fractions.
    request
        How models are asked; a relation may change it for its variants.
    level
        Level of the intervals; gates use the error rate ``1 - level``.
    seed
        Seed of whatever a summary resamples.
    folder, resume, retry_errors
        Where the run is kept; whether to go on with the one that is there, and to ask again where it holds errors.
    cache
        Whether deterministic answers of servers are kept over runs: true for the usual place, or a path.
    progress
        Whether to draw progress bars (on a terminal only), or a function to be told.
    title, about
        A line for the report, and further things to put on record.

    Returns
    -------
    Report
        Findings with their intervals, gates, and the behaviours themselves.

    Raises
    ------
    ConcordantError
        If it could not be run; what was recorded until then is kept.

    Examples
    --------
    >>> import concordant as cc
    >>> items = cc.Items.from_records([{"input": t, "reference": t.upper()} for t in ("a", "b", "c", "d")])
    >>> @cc.relation(variants=("plain", "spaced"))
    ... def spaced(item):
    ...     yield item.input
    ...     yield item.input + " "
    >>> report = check(cc.load(lambda text: text.strip().upper()), items, [spaced])
    >>> report["spaced"].agreement_score.value
    1.0
    """
    relations = _named_once(relations)
    slices = _slice_columns(items, slices)
    started, clock = datetime.now(UTC), time.perf_counter()
    request = request or Request(seed=seed)
    plan = _plan(model, items, relations, request)
    passes = [work for columns in plan.values() for work in columns.values()]
    description = {
        "title": title or f"{model.name} on {len(items)} items",
        "concordant": version("concordant"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "started": started.isoformat(timespec="seconds"),
        "models": {name: fingerprint for name, fingerprint in sorted({(p.model.name, p.model.fingerprint) for p in passes})},
        "items": {"n": len(items), "digest": items.digest()},
        "relations": {r.name: r.settings() for r in relations},
        "request": asdict(request),
        "seed": seed,
        "level": level,
        "passes": {p.key: {"label": p.label, "model": p.model.name, **asdict(p.request)} for p in passes},
        **(about or {}),
    }
    with ExitStack() as stack:
        store: Store = MemoryStore()
        if folder is not None:
            store = stack.enter_context(RunFolder(folder, resume=resume).opened())
            store.describe(description, items.frame)
        answers_cache = _open_cache(cache, passes, stack)
        tell = stack.enter_context(progress_bars()) if progress is True else progress or (lambda *_: None)
        recorded = _complete(run(passes, store, cache=answers_cache, progress=tell, retry_errors=retry_errors))
        results = {}
        for relation in relations:
            answers = _answers(plan[relation.name], recorded, items, grade)
            results[relation.name] = _result(relation, items, answers, slices, level, seed)
        description["seconds"] = round(time.perf_counter() - clock, 3)
        description["graders"] = sorted({_grader(grade, b.items, b["output"]).name for r in results.values() for b in r.answers.values()})
        report = Report(description["title"], items, results, _gates(gates or {}, results, 1 - level), description)
        if isinstance(store, RunFolder):
            description["set_aside"] = [path.name for path in store.set_aside]
            _keep(report, store)
    return report


def _named_once(relations: Iterable[Any]) -> list[Relation]:
    listed = [EpisodeRelation(r) if isinstance(r, Episode) else r for r in relations]
    for relation in listed:
        if not isinstance(relation, Relation):
            message = f"{relation!r} is not a relation; use a class of concordant.versions or .variants, or @relation"
            raise ConfigError(message)
    if not listed:
        message = "there is no relation to check; name at least one"
        raise ConfigError(message)
    seen: dict[str, int] = {}
    for relation in listed:  # the same relation twice, with other settings
        seen[relation.name] = seen.get(relation.name, 0) + 1
        if seen[relation.name] > 1:
            relation.name = f"{relation.name}#{seen[relation.name]}"
    return listed


def _slice_columns(items: Items, slices: Sequence[str] | None) -> list[str]:
    if slices is None:
        frame = items.frame
        plain = [c for c in items.slices if not (frame[c].dtype.is_float() or frame[c].dtype.is_nested())]
        return [c for c in plain if 2 <= frame[c].n_unique() <= MAX_SLICE_VALUES]
    for column in slices:
        if column not in items.frame.columns:
            message = f"there is no column {column!r} to slice by; {nearest(column, items.frame.columns)}"
            raise DataError(message)
    return list(slices)


def _plan(
    model: Model, items: Items, relations: list[Relation], request: Request
) -> dict[str, dict[str, Pass]]:
    plan: dict[str, dict[str, Pass]] = {}
    asked: dict[tuple[int, int, Request, int], Pass] = {}
    for relation in relations:
        columns = {}
        for variant in relation.expand(items):
            answering = variant.model or model
            how = replace(request, rewritten=_is_rewritten(variant.items, items), **variant.ask)
            same = (id(answering), id(variant.items), how, id(variant.episode))
            if same not in asked:  # digests cost time: the items themselves, asked by many relations, are digested once
                label = f"{relation.name}: {variant.name}"
                asked[same] = Pass.of(label, answering, variant.items, how, variant.episode)
            columns[variant.name] = asked[same]
        plan[relation.name] = columns
    return plan


def _is_rewritten(asked: Items, items: Items) -> bool:
    if asked is items:
        return False
    given = items.frame.filter(items.ids.is_in(asked.ids.implode())) if len(asked) < len(items) else items.frame
    shown = [column for column in ("id", "input", "choices") if column in asked.frame.columns]
    return not given.select(c for c in shown if c in given.columns).equals(asked.frame.select(shown))


def _answers(
    columns: Mapping[str, Pass], recorded: Mapping[str, pl.DataFrame], items: Items, grade: Any
) -> dict[str, Behaviours]:
    answers = {}
    for name, work in columns.items():
        frame = recorded[work.key]
        classes = tuple(str(c) for c in getattr(work.model, "classes", None) or ())
        chosen = _grader(grade, work.items, frame["output"])
        answers[name] = align(frame, items, work.items, work.request.n, chosen, work.model.name, classes)
    return answers


def _grader(grade: Any, items: Items, outputs: pl.Series) -> Grader:
    return default_grader(items, outputs) if grade is None else grader(grade)


def _result(
    relation: Relation, items: Items, answers: Mapping[str, Behaviours], slices: list[str], level: float, seed: int
) -> Result:
    frame = relation.judge(items, answers)
    if len(frame) != len(items) or "agreement" not in frame.columns:
        message = f"relation {relation.name} must judge {len(items)} items with a column agreement, got {frame.shape} {frame.columns}"
        raise ConfigError(message)
    failed = np.zeros(len(items), dtype=bool)
    for behaviours in answers.values():
        failed |= behaviours.failed.any(axis=1)
    verdicts = Verdicts(relation.name, items, frame.fill_nan(None), failed, level, seed)
    findings = {finding.measure: finding for finding in relation.summarize(verdicts)}
    return Result(relation, items, answers, verdicts.frame, findings, _sliced(relation, verdicts, slices))


def _sliced(relation: Relation, verdicts: Verdicts, slices: list[str]) -> list[Finding]:
    """Summarize on each slice; p values are adjusted over all slices of a measure (Benjamini-Hochberg)."""
    findings: list[Finding] = []
    for column in slices:
        values = verdicts.items.frame[column].cast(pl.String)
        for value in values.drop_nulls().unique().sort():
            mask = (values == value).fill_null(value=False).to_numpy()
            if mask.sum() < MIN_SLICE_ITEMS or mask.all():
                continue
            findings += [replace(f, slice=(column, value)) for f in relation.summarize(verdicts.where(mask))]
    by_measure: dict[str, list[int]] = {}
    for i, finding in enumerate(findings):
        if finding.p_value is not None:
            by_measure.setdefault(finding.measure, []).append(i)
    for index in by_measure.values():
        adjusted = benjamini_hochberg(np.array([findings[i].p_value for i in index], dtype=float))
        for i, p in zip(index, adjusted, strict=True):
            findings[i] = replace(findings[i], p_value=float(p), correction=f"Benjamini-Hochberg over {len(index)} slices")
    return sorted(findings, key=lambda f: math.inf if f.p_value is None or math.isnan(f.p_value) else f.p_value)


def _gates(gates: Mapping[str, Any], results: Mapping[str, Result], alpha: float) -> list[Any]:
    bounded = []
    for name, given in gates.items():
        if name not in results:
            message = f"a gate names the relation {name!r}, which is not checked; {nearest(name, results)}"
            raise ConfigError(message)
        for entry in [given] if isinstance(given, str | Gate) else given:
            gate = Gate.parse(entry) if isinstance(entry, str) else entry
            bounded.append((gate, results[name][gate.measure]))
    return decide(bounded, alpha=alpha)


def _open_cache(cache: bool | Path, passes: list[Pass], stack: ExitStack) -> AnswerCache | None:
    if cache is False or not any(isinstance(work.model, ConcurrentModel) for work in passes):
        return None
    opened = AnswerCache(default_cache_path() if cache is True else cache)
    stack.callback(opened.close)
    return opened


def _keep(report: Report, folder: RunFolder) -> None:
    for name, result in report.results.items():
        folder.write_table(f"verdicts/{name}", result.items.frame.select("id").hstack(result.verdicts))
    folder.write_table("findings", report.frame())
    folder.write_json("report", report.to_dict())


def _complete(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    outcome: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="concordant")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]
