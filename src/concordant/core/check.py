"""Check: the whole flow, from items to a report."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from concordant.core.asking import Asking
from concordant.core.episode import Episode
from concordant.core.errors import ConfigError, DataError, nearest
from concordant.core.gate import Gate, GateResult, check_gate, decide
from concordant.core.items import Items
from concordant.core.judging import conclude, judge
from concordant.core.model import Request
from concordant.core.plan import adapted
from concordant.core.progress import progress_bars
from concordant.core.relation import Relation, unique_names
from concordant.core.results import Report, Result, commonest_reason
from concordant.core.rounds import ask_in_rounds
from concordant.core.slices import slice_columns
from concordant.core.store import MemoryStore, RunFolder, Store
from concordant.core.turns import EpisodeRelation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from concordant.core.grading import Grader
    from concordant.core.passes import Progress


def check(
    model: Any,
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
    until_decided: int | None = None,
    progress: bool | Progress = True,
    title: str | None = None,
    about: Mapping[str, Any] | None = None,
) -> Report:
    """Check how a model behaves.

    Parameters
    ----------
    model
        The model under test: what `concordant.load` gives, or any object that it takes (a function, an estimator).
    items
        What it is asked.
    relations
        What its behaviour must agree with. An episode stands for "all its turns agree".
    gates
        Bounds on findings, by relation: ``{"versions.flips": "negative_flip_rate <= 0.02"}``.
    grade
        How an output is found right or wrong: the name of a grader, or a function of output and item that
        returns true, false, a score in [0, 1] or None for "cannot be graded". By default the grader that
        suits references and outputs.
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
    until_decided
        Ask only as much as the gates need: items in random order, this many in the first round, until every gate is decided
        by an interval that allows for looking after every round. The report is then over the items asked.
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
    model = adapted(model)
    _check_items(items)
    relations = _named_once(relations)
    bounds = _parse_gates(gates or {}, relations)
    slices = slice_columns(items, slices)
    request = request or Request(seed=seed)
    clock = time.perf_counter()
    named = title or f"{model.name} on {len(items)} items"
    description = _description(named, items, relations, request, level, seed) | dict(about or {})
    with ExitStack() as stack:
        store: Store = MemoryStore()
        if folder is not None:
            store = stack.enter_context(RunFolder(folder, resume=resume).opened())
        tell = stack.enter_context(progress_bars()) if progress is True else progress or (lambda *_: None)
        asking = Asking(
            model, relations, request, items, grade, store, description, cache, tell, retry_errors
        )
        stack.callback(asking.close)
        if until_decided is None:
            answers = asking.ask(items)
            verdicts = {r.name: judge(r, items, answers[r.name], level=level, seed=seed) for r in relations}
        else:
            answers, verdicts, decided = ask_in_rounds(asking, bounds, until_decided, level, seed)
        results = {r.name: conclude(r, answers[r.name], verdicts[r.name], slices) for r in relations}
        if until_decided is None:
            decided = _decide(bounds, results, 1 - level)
        asked = next(iter(results.values())).items
        description["items_asked"] = len(asked)
        if title is None and len(asked) < len(items):
            description["title"] = f"{model.name} on {len(asked)} of {len(items)} items"
        graders = {b.grader.name for r in results.values() for b in r.answers.values() if b.grader}
        description["graders"] = sorted(graders)
        description["seconds"] = round(time.perf_counter() - clock, 3)
        report = Report(description["title"], asked, results, decided, description)
        if isinstance(store, RunFolder):
            description["set_aside"] = [path.name for path in store.set_aside]
            _keep(report, store)
    return report


def _description(
    title: str, items: Items, relations: Sequence[Relation], request: Request, level: float, seed: int
) -> dict[str, Any]:
    return {
        "title": title,
        "concordant": version("concordant"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "items": {"n": len(items), "digest": items.digest()},
        "relations": {relation.name: relation.settings() for relation in relations},
        "request": asdict(request),
        "seed": seed,
        "level": level,
    }


def _named_once(relations: Iterable[Any]) -> list[Relation]:
    given = [relations] if isinstance(relations, Relation | Episode) else relations
    listed = [EpisodeRelation(r) if isinstance(r, Episode) else r for r in given]
    for relation in listed:
        if not isinstance(relation, Relation):
            message = f"{relation!r} is not a relation; use a class of concordant.versions or .variants, or @relation"
            raise ConfigError(message)
        if not isinstance(getattr(relation, "name", None), str):
            message = f"the relation {type(relation).__name__} has no name: give its class an attribute name"
            raise ConfigError(message)
    if not listed:
        message = "there is no relation to check; name at least one"
        raise ConfigError(message)
    for i, name in enumerate(unique_names(relation.name for relation in listed)):
        if name != listed[i].name:  # the same relation twice, with other settings
            listed[i] = copy.copy(listed[i])
            listed[i].name = name
    return listed


def _check_items(items: Any) -> None:
    if not isinstance(items, Items):
        allowed = "Items, made by Items.read, Items.from_records, ..."
        message = f"the items are {type(items).__name__}; allowed are {allowed}"
        raise ConfigError(message)


def _parse_gates(gates: Any, relations: list[Relation]) -> dict[str, list[Gate]]:
    names = [relation.name for relation in relations]
    if not isinstance(gates, Mapping):
        example = f'{{"{names[0]}": "agreement_score >= 0.9"}}'
        message = (
            f"gates must map names of relations to bounds, such as {example}, got {type(gates).__name__}"
        )
        raise ConfigError(message)
    parsed = {}
    for name, given in gates.items():
        if name not in names:
            message = f"a gate names the relation {name!r}, which is not checked; {nearest(name, names)}"
            raise ConfigError(message)
        listed = [given] if isinstance(given, str | Gate) else given
        parsed[name] = [Gate.parse(gate) if isinstance(gate, str) else gate for gate in listed]
        for gate in parsed[name]:
            check_gate(gate, name, relations[names.index(name)].measures)
    return parsed


def _decide(
    bounds: Mapping[str, list[Gate]], results: Mapping[str, Result], alpha: float
) -> list[GateResult]:
    gated = [(gate, results[name]) for name, gates in bounds.items() for gate in gates]
    for gate, result in gated:
        if gate.measure not in result.findings:
            why = f"there is no {gate.measure}: it applies to none of the items that could be judged"
            why += commonest_reason([result])
            message = f"{result.name}: the gate '{gate}' cannot be decided, as {why}"
            raise DataError(message)
    return decide([(gate, result[gate.measure]) for gate, result in gated], alpha=alpha)


def _keep(report: Report, folder: RunFolder) -> None:
    for name, result in report.results.items():
        folder.write_table(f"verdicts/{name}", result.items.frame.select("id").hstack(result.verdicts))
    folder.write_table("findings", report.frame())
    folder.write_json("report", report.to_dict())
