"""A run folder as a recording: what a model did in an earlier run, after the model itself is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import DataError, nearest
from concordant.core.model import Request
from concordant.core.passes import asked_digest, pass_key
from concordant.core.store import RunFolder, read_description, read_items
from concordant.models.recorded import Recorded

if TYPE_CHECKING:
    from concordant.core.items import Items


def is_run_folder(source: str | Path) -> bool:
    """Whether a path, perhaps with ``#MODEL`` behind it, is the folder of a run."""
    return (Path(str(source).partition("#")[0]) / "run.json").is_file()


def load_recorded(source: str | Path, name: str | None = None) -> Recorded:
    """Load what ``log:SOURCE`` names: a run folder, or a file as `concordant.models.readers.read_records` reads it.

    Parameters
    ----------
    source
        ``FOLDER[#MODEL]``, or a path with options.
    name
        What people call it; by default the model that was asked for or that is named there.
    """
    if not is_run_folder(source):
        return Recorded.read(source, name)
    recorded = load_run(source)
    recorded.name = name or recorded.name
    return recorded


def load_run(source: str | Path) -> Recorded:
    """Read what a model answered in an earlier run, asked the items as they are.

    Parameters
    ----------
    source
        ``FOLDER`` or ``FOLDER#MODEL``. Without a name the model that was under test is meant.

    Raises
    ------
    StoreError
        If the folder holds no run that can be read.
    DataError
        If the run has no such model, or did not ask the items as they are.
    """
    path_text, _, name = str(source).partition("#")
    path = Path(path_text)
    description = read_description(path)
    items = read_items(path)
    plain = _plain_passes(description, items)
    if not plain:
        message = f"{path}: no model of this run was asked the items as they are, each in one plain answer"
        raise DataError(message)
    chosen = name or _under_test(description, plain, path)
    if chosen not in plain:
        message = f"{path}: no model {chosen!r} was asked the items as they are; {nearest(chosen, plain)}"
        raise DataError(message)
    behaviours = RunFolder(path).read(plain[chosen])
    if behaviours is None:
        message = f"{path}: nothing is recorded of {chosen!r} yet; go on with that run by --resume"
        raise DataError(message)
    asked = items.frame.rename({"id": "item"})
    clash = [column for column in behaviours.columns if column in asked.columns and column != "item"]
    records = behaviours.join(asked.drop(clash), on="item", how="inner", maintain_order="left")
    return Recorded(records, name=chosen)


def _plain_passes(description: dict[str, Any], items: Items) -> dict[str, str]:
    """Return the key of the pass that asked the items as they are, by the name of the model.

    The key of a pass is the digest of what was asked of whom, so that it says itself which passes these are.
    """
    asked = asked_digest(items)
    prints: dict[str, list[str]] = {}
    for name, fingerprint in description.get("models", {}).items():
        prints.setdefault(name, []).append(fingerprint)
    found: dict[str, tuple[bool, str]] = {}
    for key, work in description.get("passes", {}).items():
        fields = {name: value for name, value in work.items() if name not in ("label", "model")}
        request = Request(**{**fields, "stop": tuple(fields.get("stop", ()))})
        if not any(pass_key(p, asked, request) == key for p in prints.get(work["model"], ())):
            continue
        default = fields == description.get("request")
        if work["model"] not in found or (default and not found[work["model"]][0]):
            found[work["model"]] = (default, key)
    return {name: key for name, (_, key) in found.items()}


def _under_test(description: dict[str, Any], plain: dict[str, str], path: Path) -> str:
    suite = description.get("suite") or {}
    subject = suite.get("models", {}).get(suite.get("subject"), {}).get("name")
    if subject is not None:
        return str(subject)
    if len(plain) == 1:
        return next(iter(plain))
    message = f"{path} holds the answers of {len(plain)} models, {', '.join(plain)}; say which: {path}#NAME"
    raise DataError(message)
