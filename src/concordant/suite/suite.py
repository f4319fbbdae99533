"""A check file read, resolved and run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.check import check
from concordant.core.code import from_file, is_code
from concordant.core.errors import ConcordantError, ConfigError, DataError, nearest
from concordant.core.grading import grader
from concordant.core.items import Items
from concordant.core.relation import unique_names
from concordant.core.slices import slice_columns
from concordant.core.tables import read_text
from concordant.suite.document import CheckFile, validated
from concordant.suite.loading import check_spec, load_model
from concordant.suite.marked_yaml import Document, read_marked
from concordant.suite.relations import Planned, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from concordant.core.grading import Grader
    from concordant.core.model import Model
    from concordant.core.results import Report

_ADDRESS_SECRET = re.compile(r"(//)[^/@\s]+@")  # user and password in an address stay out of the record


@dataclass(frozen=True, slots=True)
class Suite:
    """A check file: what is asked of which model, resolved but not loaded.

    Parameters
    ----------
    document
        The file with its lines.
    text
        The file as it is written.
    base
        The folder that its relative paths start from.
    file
        What it says.
    checks
        Its relations.
    subject
        Name of the model under test.
    trust_code
        Whether it may take relations and models from Python files.
    """

    document: Document
    text: str
    base: Path
    file: CheckFile
    checks: tuple[Planned, ...]
    subject: str
    trust_code: bool = False

    @classmethod
    def read(cls, path: str | Path, *, trust_code: bool = False) -> Suite:
        """Read a check file and resolve everything that needs no model.

        Parameters
        ----------
        path
            The YAML (or JSON) file.
        trust_code
            Whether it may take relations and models from Python files.

        Raises
        ------
        ConcordantError
            If it cannot be read or understood; the message names the line and the nearest known name.
        """
        path = Path(path)
        return cls.parse(read_text(path), name=str(path), base=path.parent, trust_code=trust_code)

    @classmethod
    def parse(
        cls, text: str, *, name: str = "check.yaml", base: Path = Path(), trust_code: bool = False
    ) -> Suite:
        """Read a check file from its text; see `read`."""
        document = read_marked(text, name)
        file = validated(document)
        for model, entry in file.models.items():
            try:
                check_spec(entry.spec, entry.options)
            except ConfigError as error:
                raise document.error(("models", model), str(error)) from None
        if file.grade is not None:
            try:
                _grader(file.grade, base, trust_code=trust_code)
            except ConcordantError as error:
                raise document.error(("grade",), str(error)) from None
        checks = tuple(
            plan(entry, ("checks", i), document, file.models, base, trust_code=trust_code)
            for i, entry in enumerate(file.checks)
        )
        return cls(document, text, base, file, checks, _subject(file, checks, document), trust_code)

    @property
    def grade(self) -> Grader | None:
        """The grader that the file names, or None."""
        name = self.file.grade
        return None if name is None else _grader(name, self.base, trust_code=self.trust_code)

    def load_models(self, *, concurrency: int | None = None, trust_pickle: bool = False) -> dict[str, Model]:
        """Load the model under test and those that its checks name.

        Parameters
        ----------
        concurrency
            Prompts in flight at a server.
        trust_pickle
            Whether pickles may be loaded.
        """
        needed = dict.fromkeys([self.subject, *(name for planned in self.checks for name in planned.models)])
        models = {}
        for name in needed:
            entry = self.file.models[name]
            try:
                models[name] = load_model(
                    entry.spec,
                    entry.options,
                    base=self.base,
                    concurrency=concurrency,
                    trust_pickle=trust_pickle,
                    trust_code=self.trust_code,
                )
            except ConcordantError as error:
                message = f"{self.document.where(('models', name))}: {error}"
                raise type(error)(message) from error.__cause__
        return models

    def read_items(self, subject: Model | None = None, *, limit: int | None = None) -> Items:
        """Read the items: those of the file, or by default those that a recorded `subject` was asked."""
        entry = self.file.items
        limits = [n for n in (limit, None if entry is None else entry.limit) if n is not None]
        most = min(limits) if limits else None
        if entry is None:
            recorded = getattr(subject, "items", None)
            if not callable(recorded):
                raise self.document.error(
                    (), f"the key 'items' is missing, and {self.subject} is no recording that has some"
                )
            items: Items = recorded()
            return items if most is None else items.head(most)
        source = entry.source
        if not source.startswith("hf-dataset:"):
            source = str(self.base / source)
        try:
            return Items.read(source, limit=most, **entry.columns)
        except DataError as error:
            message = f"{self.document.where(('items',))}: {error}"
            raise DataError(message) from None

    def check_slices(self, items: Items) -> None:
        """Raise a `ConfigError` that names the line if the items lack a column to slice by."""
        try:
            slice_columns(items, self.file.slices or ())
        except DataError as error:
            raise self.document.error(("slices",), str(error)) from None

    def run(
        self,
        *,
        models: Mapping[str, Model] | None = None,
        items: Items | None = None,
        limit: int | None = None,
        seed: int | None = None,
        concurrency: int | None = None,
        trust_pickle: bool = False,
        folder: str | Path | None = None,
        until_decided: int | None = None,
        about: Mapping[str, Any] | None = None,
        **how: Any,
    ) -> Report:
        """Run the check.

        Parameters
        ----------
        models, items
            Instead of those that the file names.
        limit
            Take the first items only.
        seed
            Instead of the file's.
        concurrency, trust_pickle
            As for `load_models`.
        folder, until_decided
            As for `concordant.check`: where the run is kept, and whether to ask no more than the gates need.
        about
            Further things to put on record.
        how
            As for `concordant.check`: `resume`, `retry_errors`, `cache`, `progress`.

        Raises
        ------
        ConcordantError
            If it could not be run.
        """
        file = self.file
        seed = file.seed if seed is None else seed
        if models is None:
            models = self.load_models(concurrency=concurrency, trust_pickle=trust_pickle)
        subject = models[self.subject]
        items = self.read_items(subject, limit=limit) if items is None else items
        self.check_slices(items)
        relations = [planned.make(models, self.document) for planned in self.checks]
        gates: dict[str, list[Any]] = {}
        for planned, name in zip(self.checks, unique_names(r.name for r in relations), strict=True):
            gates[name] = list(planned.gates.values())
        asked = {"seed": seed, "limit": limit, "until_decided": until_decided}
        record = {**asked, **self._record(models, folder)}
        return check(
            subject,
            items,
            relations,
            gates=gates,
            grade=self.grade,
            slices=file.slices,
            request=file.request.request(seed),
            level=float(file.level),
            seed=seed,
            folder=folder,
            until_decided=until_decided,
            title=file.title,
            about={"suite": record, **(about or {})},
            **how,
        )

    def _record(self, models: Mapping[str, Model], folder: str | Path | None) -> dict[str, Any]:
        """Return what a later rendering of the run needs: the file, and what its models were."""
        return {
            "file": Path(self.document.name).name,
            "base": None if folder is None else os.path.relpath(self.base, folder),
            "text": _ADDRESS_SECRET.sub(r"\1***@", self.text),
            "subject": self.subject,
            "models": {
                name: {
                    "spec": self.file.models[name].spec,
                    "name": model.name,
                    "fingerprint": model.fingerprint,
                    "classes": [str(c) for c in getattr(model, "classes", None) or ()],
                }
                for name, model in models.items()
            },
        }


def _grader(name: str, base: Path, *, trust_code: bool) -> Grader:
    return grader(from_file(name, base, trust_code=trust_code) if is_code(name) else name)


def _subject(file: CheckFile, checks: tuple[Planned, ...], document: Document) -> str:
    if file.subject is not None:
        if file.subject not in file.models:
            raise document.error(
                ("subject",), f"there is no model {file.subject!r}; {nearest(file.subject, file.models)}"
            )
        return file.subject
    if "new" in file.models:
        return "new"
    named = {name for planned in checks for name in planned.models}
    free = [name for name in file.models if name not in named]
    if len(free) != 1:
        found = "each is named by a check" if not free else f"it could be {' or '.join(free)}"
        raise document.error(
            ("models",), f"which model is under test is not clear ({found}); say it: subject: NAME"
        )
    return free[0]
