"""Repair: an update that breaks what used to work is mended, and judged again on items that the repair never saw.

The items are split. Some are learnt from, some choose how strong the repair is, and the rest judge it: the old version
against the update, the old version against the repaired one, and the two in pairs. Flips are never given without the
accuracy beside them, since a copy of the old version flips nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from concordant.core.check import check
from concordant.core.errors import ConcordantError, ConfigError, DataError
from concordant.core.gate import Gate
from concordant.core.model import Request
from concordant.models.load import load
from concordant.models.recorded import Recorded
from concordant.versions.flips import Flips
from concordant.versions.repairing.measuring import Asked, answered, measured
from concordant.versions.repairing.preparing import prepared
from concordant.versions.repairing.result import Candidate, Repair, Tried
from concordant.versions.repairing.settings import STRENGTHS, Method, RepairSettings, methods_of
from concordant.versions.repairing.split import split, without_shared
from concordant.versions.scores import Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from concordant.core.items import Items
    from concordant.core.model import Model
    from concordant.core.results import Report, Result

CheckOf: TypeAlias = "Callable[[Model, Items, Path | None], Report]"
"""A check of a model under test on items, kept in a folder, as ``concordant check`` would make it."""


def repair(
    old: Any,
    new: Any,
    items: Items,
    *,
    train: Items | None = None,
    gates: str | Gate | Iterable[str | Gate] = ("negative_flip_rate <= 0.02", "gain >= 0"),
    method: str | Sequence[str] = "route",
    settings: RepairSettings | None = None,
    grade: Any = None,
    request: Request | None = None,
    level: float = 0.95,
    seed: int = 0,
    slices: Sequence[str] | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Repair:
    """Repair an update so that it keeps what the old version did right, and judge it on items it never saw.

    Parameters
    ----------
    old, new
        The versions: causal language models of one tokenizer (``cc.load("hf:...")``), or modules of torch that
        classify arrays (as they are, or as `TorchClassifier` with named classes). What ``"route"`` needs is less: any
        two models that answer in batches.
    items
        What they are asked, with references.
    train
        Items to train on. All of `items` then judge; what shares an input or a group with them is left out of these.
        By default `items` are split.
    gates
        Bounds on findings of `versions.flips`, or of `versions.scores` where the grader gives scores.
    method
        ``"muscle"``, ``"route"``, ``"distil"``, ``"ensemble"``, ``"interpolation"``, several of them, or ``"all"``.
        The first is what is kept; the others stand beside it.
    settings
        How it is trained and how items are split.
    grade, request, level, slices
        As for `concordant.check`.
    seed
        Of the split, of the training and of whatever is sampled.
    folder
        Where answers and checkpoints are kept, so that the same call goes on where it was stopped.
    progress
        Whether to draw bars on a terminal.

    Returns
    -------
    Repair

    Raises
    ------
    ConcordantError
        If the models cannot be trained, an option is not allowed, or there are too few items.

    Examples
    --------
    >>> import numpy as np, torch
    >>> import concordant as cc
    >>> from concordant.learn import MLP
    >>> x = np.random.default_rng(0).standard_normal((400, 4)).astype(np.float32)
    >>> items = cc.Items.from_arrays(x, (x[:, 0] > 0).astype(int))
    >>> old, new = MLP(4, 2, hidden=(), seed=1), MLP(4, 2, hidden=(8,), seed=2)
    >>> mended = repair(old, new, items, method="ensemble", progress=False)
    >>> rates = [m.points["negative_flip_rate"].value for m in (mended.update, mended.kept.chosen.held_out)]
    >>> rates[0] > rates[1]
    True
    """
    settings = settings or RepairSettings()
    old, new = (_model(version) for version in (old, new))
    request = request or Request(seed=seed)
    listed = [gates] if isinstance(gates, str | Gate) else list(gates)
    bounds = [Gate.parse(gate) if isinstance(gate, str) else gate for gate in listed]
    of_scores = {measure.name for measure in Scores.measures} - {measure.name for measure in Flips.measures}
    relations = [Flips(old), *([Scores(old)] if any(gate.measure in of_scores for gate in bounds) else [])]
    by_relation: dict[str, list[Gate]] = {}
    for gate in bounds:
        by_relation.setdefault(relations[gate.measure in of_scores].name, []).append(gate)

    def checked(model: Model, asked: Items, kept: Path | None) -> Report:
        return check(
            model,
            asked,
            relations,
            gates=by_relation,
            grade=grade,
            request=request,
            level=level,
            seed=seed,
            slices=slices,
            folder=kept,
            resume=kept is not None,
            progress=progress,
        )

    asked = Asked(request, grade, level, seed, progress)
    where = None if folder is None else Path(folder)
    methods = methods_of(method)
    return repaired(
        checked, old, new, items, train, methods=methods, settings=settings, asked=asked, folder=where
    )


def repaired(
    check_of: CheckOf,
    old: Model,
    new: Model,
    items: Items,
    train: Items | None,
    *,
    methods: Sequence[Method],
    settings: RepairSettings,
    asked: Asked,
    folder: Path | None = None,
) -> Repair:
    """Repair an update that a check of any kind is about; see `repair`.

    Parameters
    ----------
    check_of
        Makes the check of a model; among its relations are `Flips` against `old`, and gates on it.
    old, new, items, train, methods, settings, asked, folder
        As for `repair`.
    """
    _no_recording(old, new)
    lessons, validation, held_out, about = parts(items, train, settings, asked.seed)
    before = check_of(new, held_out, _within(folder, "before"))
    flips = next((r for r in before.results.values() if isinstance(r.relation, Flips)), None)
    gates = [] if flips is None else [g.gate for g in before.gates if _is_about(before[g.finding.relation])]
    if flips is None or not gates:
        message = "a repair needs a gate on versions.flips: say what is too much, such as negative_flip_rate <= 0.02"
        raise ConfigError(message)
    was, now = flips.answers["old"], flips.answers["new"]
    asked = Asked(asked.request, now.grader, asked.level, asked.seed, asked.progress)
    update = measured(held_out, was, now, asked)
    about |= {"settings": settings.to_dict(), "seed": asked.seed, "methods": list(methods)}
    if all(g.state == "holds" for g in before.gates if _is_about(before[g.finding.relation])):
        return Repair(before, None, update, {}, {}, about)

    learnt = lessons.followed_by(validation)
    said = [
        answered(model, learnt, asked, _within(folder, f"lessons-{name}"))
        for name, model in (("old", old), ("new", new))
    ]
    first, last = np.arange(len(lessons)), np.arange(len(lessons), len(learnt))
    to_learn, to_choose = ([_rows(behaviours, rows) for behaviours in said] for rows in (first, last))
    candidates: dict[Method, Candidate] = {}
    inapplicable: dict[str, str] = {}
    for method in methods:
        checkpoint = _within(folder, f"training-{method}")
        try:
            way = prepared(
                method,
                (old, new),
                (to_learn[0], to_learn[1]),
                settings,
                cut_at=asked.request.max_tokens,
                seed=asked.seed,
                checkpoint=checkpoint,
                progress=asked.progress,
            )
        except ConcordantError as error:
            if method == methods[0]:
                raise
            inapplicable[method] = str(error)
            continue
        tried = []
        for strength in STRENGTHS[method]:
            model = way.at(strength)
            chose, judged = (
                measured(part, before_, answered(model, part, asked), asked)
                for part, before_ in ((validation, to_choose[0]), (held_out, was))
            )
            tried.append(Tried(strength, chose, judged))
        chosen = chosen_of(tried, gates, len(held_out), level=asked.level)
        candidates[method] = Candidate(
            method,
            way,
            chosen,
            tuple(tried),
            chosen.held_out.less(update, level=asked.level),
            chosen.held_out.decided(gates, level=asked.level),
        )
    after_folder = _within(folder, "after")
    if after_folder is not None and not after_folder.exists():
        shutil.copytree(folder / "before", after_folder)  # type: ignore[operator]  # the old version is not asked again
    after = check_of(candidates[methods[0]].model, held_out, after_folder)
    return Repair(before, after, update, candidates, inapplicable, about)


def chosen_of(tried: Sequence[Tried], gates: Sequence[Gate], n: int, *, level: float) -> Tried:
    """Return the weakest repair that, by the validation items, would pass on `n` items; or else the one nearest to it."""
    passing = [t for t in tried if t.validation.would_pass(gates, n, level=level)]
    return passing[0] if passing else min(tried, key=lambda t: t.validation.excess(gates))


def parts(
    items: Items, train: Items | None, settings: RepairSettings, seed: int
) -> tuple[Items, Items, Items, dict[str, Any]]:
    """Return the items to learn from, those that choose, those that judge, and how many they are.

    Parameters
    ----------
    items, train, settings, seed
        As for `repair`.

    Raises
    ------
    DataError
        If there are too few items.
    """
    if train is None:
        rest = 1 - settings.held_out
        shares = [rest * (1 - settings.validation), rest * settings.validation, settings.held_out]
        lessons, validation, held_out = split(items, shares, seed=seed)
        left_out = 0
    else:
        held_out, own = items, without_shared(train, items)
        left_out = len(train) - len(own)
        if not len(own):
            message = (
                f"all {len(train)} items to train on share an input or a group with the items of the check"
            )
            raise DataError(message)
        lessons, validation = split(own, [1 - settings.validation, settings.validation], seed=seed)
    about = {
        "items": {
            "lessons": len(lessons),
            "validation": len(validation),
            "held_out": len(held_out),
            "shared_and_left_out": left_out,
        }
    }
    columns = [column for column in lessons.frame.columns if column in validation.frame.columns]
    return (
        type(items)(lessons.frame.select(columns)),
        type(items)(validation.frame.select(columns)),
        held_out,
        about,
    )


def _model(version: Any) -> Model:
    from torch import nn

    from concordant.versions.repairing.classifier import TorchClassifier

    is_module = isinstance(version, nn.Module)
    return load(TorchClassifier(version) if is_module else version)


def _no_recording(old: Model, new: Model) -> None:
    for which, model in (("old", old), ("new", new)):
        if isinstance(model, Recorded):
            message = (
                f"the {which} version is the recording {model.name!r}, which can say nothing new: a repair needs the "
                "model itself, such as hf:FOLDER"
            )
            raise ConfigError(message)


def _is_about(result: Result) -> bool:
    return isinstance(result.relation, Flips | Scores)


def _rows(behaviours: Any, rows: Any) -> Any:
    n = behaviours.n
    index = (rows[:, None] * n + np.arange(n)).ravel()
    return replace(behaviours, items=behaviours.items.rows(rows), frame=behaviours.frame[index])


def _within(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name
