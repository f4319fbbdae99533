"""A check file repaired: its items split, its update mended, its relations checked again, and all of it kept in a folder.

Everything is made beside the folder, under its name with ``.partial`` behind it, and renamed when it is whole. The same
command goes on with what is there.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ConfigError, StoreError, first_line
from concordant.core.items import Items
from concordant.core.model import digest
from concordant.report.repair_page import write_repair_page
from concordant.suite.loading import located
from concordant.versions.flips import Flips
from concordant.versions.repairing.flow import parts, repaired
from concordant.versions.repairing.measuring import Asked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from concordant.core.model import Model
    from concordant.core.results import Report
    from concordant.suite.suite import Suite
    from concordant.versions.repairing.result import Repair
    from concordant.versions.repairing.settings import Method, RepairSettings

PARTIAL, ASKED, DOCUMENT, PAGE = ".partial", "asked.json", "repair.json", "report.html"
WORKING = ("lessons-*", "training-*")
"""What is only needed to go on."""


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """A repair of a check file, before any model is loaded.

    Parameters
    ----------
    suite
        The check file.
    old
        Name of the model that ``versions.flips`` holds the update against.
    items, train
        The items of the check, and those to train on besides.
    methods, settings, seed
        As for `concordant.versions.repair`.
    """

    suite: Suite
    old: str
    items: Items
    train: Items | None
    methods: tuple[Method, ...]
    settings: RepairSettings
    seed: int

    def sizes(self) -> dict[str, int]:
        """Return how many items are learnt from, choose and judge."""
        *_, about = parts(self.items, self.train, self.settings, self.seed)
        return dict(about["items"])

    def run(
        self, folder: Path, *, fresh: bool = False, trust_pickle: bool = False, progress: bool = True
    ) -> Repair:
        """Repair, and keep the repaired model, the checks before and after, ``repair.json`` and ``report.html``.

        Parameters
        ----------
        folder
            Where; it must not be there yet.
        fresh
            Whether to begin anew where an earlier run was stopped.
        trust_pickle
            Whether models may be loaded from pickles.
        progress
            Whether to draw bars on a terminal.

        Raises
        ------
        StoreError
            If the folder is there, or an earlier run with other settings was stopped there.
        ConcordantError
            If the update cannot be repaired in this way.
        """
        if folder.exists():
            message = f"{folder} is there already: name another folder, or remove it"
            raise StoreError(message)
        work = folder.with_name(folder.name + PARTIAL)
        models = self.suite.load_models(trust_pickle=trust_pickle)
        self._begin(work, models, fresh=fresh)
        subject, request = self.suite.subject, self.suite.file.request.request(self.seed)

        def check_of(model: Model, items: Items, kept: Path | None) -> Report:
            return self.suite.run(
                models={**models, subject: model},
                items=items,
                seed=self.seed,
                folder=kept,
                resume=True,
                progress=progress,
            )

        asked = Asked(request, self.suite.grade, float(self.suite.file.level), self.seed, progress)
        found = repaired(
            check_of,
            models[self.old],
            models[subject],
            self.items,
            self.train,
            methods=self.methods,
            settings=self.settings,
            asked=asked,
            folder=work,
        )
        self._finish(found, work, folder)
        return found

    def _begin(self, work: Path, models: dict[str, Model], *, fresh: bool) -> None:
        asked = {
            "file": digest(self.suite.text),
            "items": self.items.digest(),
            "train": None if self.train is None else self.train.digest(),
            "models": {name: model.fingerprint for name, model in models.items()},
            "methods": list(self.methods),
            "settings": self.settings.to_dict(),
            "seed": self.seed,
        }
        if fresh and work.exists():
            shutil.rmtree(work)
        path = work / ASKED
        try:
            if path.exists():
                before = json.loads(path.read_text(encoding="utf-8"))
                changed = [name for name, value in asked.items() if before.get(name) != value]
                if changed:
                    message = (
                        f"{work} holds a repair that was stopped and had other {' and '.join(changed)}: begin anew with "
                        "--fresh, or name another folder"
                    )
                    raise StoreError(message)
            work.mkdir(parents=True, exist_ok=True)
            beside = work / f".{ASKED}"
            beside.write_text(json.dumps(asked, indent=2), encoding="utf-8")
            beside.replace(path)
        except (OSError, ValueError) as error:
            message = f"{work} cannot be used: {first_line(error)}"
            raise StoreError(message) from None

    def _finish(self, found: Repair, work: Path, folder: Path) -> None:
        kept = found.kept
        if kept is not None and kept.way.save is not None:
            kept.way.save(work, kept.chosen.strength)
        document = {
            **found.to_dict(),
            "models": {"old": self._spec(self.old), "new": self._spec(self.suite.subject)},
        }
        (work / DOCUMENT).write_text(json.dumps(document, indent=2, allow_nan=False), encoding="utf-8")
        write_repair_page(found, work / PAGE)
        for pattern in WORKING:
            for path in work.glob(pattern):
                shutil.rmtree(path)
        (work / ASKED).unlink()
        work.rename(folder)

    def _spec(self, name: str) -> dict[str, Any]:
        entry = self.suite.file.models[name]
        spec = located(entry.spec, self.suite.base.resolve())
        return {"spec": spec, **entry.options}


def plan_repair(
    suite: Suite,
    *,
    train: str | None = None,
    limit: int | None = None,
    methods: Sequence[Method],
    settings: RepairSettings,
    seed: int | None = None,
) -> RepairPlan:
    """Read the items of a check file and find which model its update is held against.

    Parameters
    ----------
    suite
        The check file; one of its checks is ``versions.flips`` with a gate.
    train
        A file of items to train on, with the columns that the items of the check have.
    limit
        Take the first items only.
    methods, settings, seed
        As for `concordant.versions.repair`; the seed is that of the file by default.

    Raises
    ------
    ConfigError
        If the file does not say what the update is held against, or what is too much.
    """
    held = [check for check in suite.checks if check.made is Flips]
    if not any(check.gates for check in held):
        message = (
            f"{suite.document.name} has no check of versions.flips with a gate, so there is nothing to repair: add one, "
            "such as gate: negative_flip_rate <= 0.02"
        )
        raise ConfigError(message)
    against = {name for check in held for name in check.models}
    if len(against) > 1:
        message = f"{suite.document.name} holds the update against {' and '.join(sorted(against))}: a repair needs one"
        raise ConfigError(message)
    entry = suite.file.items
    if entry is None:
        message = f"{suite.document.name} names no items, which a repair needs: add items: FILE"
        raise ConfigError(message)
    lessons = None if train is None else Items.read(train, limit=None, **entry.columns)
    return RepairPlan(
        suite,
        against.pop(),
        suite.read_items(limit=limit),
        lessons,
        tuple(methods),
        settings,
        suite.file.seed if seed is None else seed,
    )
