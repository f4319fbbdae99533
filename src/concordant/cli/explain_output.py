"""What ``explain`` leaves behind: a folder of attributions, figures and a report, and what is printed."""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from concordant.explanations.attribution_file import AttributionFile
    from concordant.explanations.explained import Explained

ATTRIBUTIONS, DOCUMENT, REPORT = "attributions.npz", "explained.json", "report.html"
MEASURES = ("measures.parquet", "measures.csv")


@dataclass(frozen=True)
class Asked:
    """What was asked, for the document.

    Attributes
    ----------
    model, data, train
        As they were named.
    rows
        Numbers in the file of the series that were explained.
    options
        Of the methods.
    left_out
        Which methods do not fit the classifier, and why, a sentence each.
    """

    model: str
    data: str
    train: str | None
    rows: NDArray[Any]
    options: dict[str, dict[str, Any]]
    left_out: Sequence[str]


def own_folder(folder: Path, names: Sequence[str], what: str) -> None:
    """Refuse a folder that holds something else.

    Raises
    ------
    StoreError
        If it does, or is a file.
    """
    from concordant.core.errors import StoreError

    if folder.is_file():
        message = f"{folder} is a file: name a folder for {what}"
        raise StoreError(message)
    others = [path.name for path in folder.iterdir() if path.name not in names] if folder.is_dir() else []
    others = [name for name in sorted(others) if not name.startswith(".")]
    if others:
        message = f"{folder} holds {others[0]!r}, which is no part of {what}: name another folder"
        raise StoreError(message)


def open_folder(folder: Path, rows: NDArray[Any]) -> AttributionFile:
    """Return the file of attributions in a folder, which must hold nothing but an explanation."""
    from concordant.explanations.attribution_file import AttributionFile
    from concordant.explanations.one_method import AGAIN

    own_folder(folder, (ATTRIBUTIONS, AGAIN, DOCUMENT, REPORT, *MEASURES), "an explanation")
    return AttributionFile(folder / ATTRIBUTIONS, rows)


def deliver(explained: Explained, asked: Asked, folder: Path | None, *, json: bool) -> int:
    """Write the folder, print what was found, and return the exit code."""
    from concordant.cli.output import clean_stdout, print_json, stdout_console

    document = _document(explained, asked)
    if folder is not None:
        with clean_stdout():
            _write(explained, document, folder)
    if json:
        print_json(document)
        return 0
    from concordant.report.explained_terminal import print_explained

    print_explained(explained, stdout_console())
    for reason in asked.left_out:
        typer.echo(f"left out: {reason}")
    if folder is not None:
        typer.echo(f"report: {folder / REPORT}")
    return 0


def _write(explained: Explained, document: dict[str, Any], folder: Path) -> None:
    import io

    from concordant.core.errors import StoreError
    from concordant.core.whole_files import write_whole
    from concordant.report.explained import render

    files = {
        DOCUMENT: f"{json_module.dumps(document, indent=2)}\n".encode(),
        REPORT: render(explained).encode(),
    }
    if explained.judged is not None:
        parquet, csv = io.BytesIO(), io.BytesIO()
        explained.judged.measures.write_parquet(parquet)
        explained.judged.measures.write_csv(csv)
        files |= dict(zip(MEASURES, (parquet.getvalue(), csv.getvalue()), strict=True))
    try:
        for name, data in files.items():
            write_whole(folder / name, data)
    except OSError as error:
        message = f"the explanation cannot be written to {folder}: {error.strerror or error}"
        raise StoreError(message) from None


def _document(explained: Explained, asked: Asked) -> dict[str, Any]:
    from concordant.explanations.accuracy import accuracy
    from concordant.models.fingerprints import fingerprint
    from concordant.report.documents import finite

    data, judged = explained.data, explained.judged
    right = None if data.labels is None else accuracy(explained.probabilities, data.labels)
    document: dict[str, Any] = finite(
        {
            "model": {
                "source": asked.model,
                "name": explained.model,
                "fingerprint": explained.settings["classifier"],
                "classes": data.classes,
                "accuracy": None
                if right is None
                else {"value": right.value, "low": right.low, "high": right.high, "n": right.n},
            },
            "data": {
                "file": asked.data,
                "train": asked.train,
                "digest": fingerprint(data.x),
                "n": len(data.x),
                "rows": asked.rows,
                "steps": data.x.shape[1],
                "channels": data.channels,
                "is_table": data.is_table,
                "has_truth": data.truth is not None,
            },
            "methods": {
                name: {"seconds": explained.seconds[name], "options": asked.options.get(name, {})}
                for name in explained.attributions
            },
            "judged": None if judged is None else judged.to_dict(),
            "landmarks": {
                name: {"rows": asked.rows[found.rows], "cosines": found.cosines, "n_near": found.n_near}
                for name, found in explained.landmarks.items()
            },
            "warnings": explained.warnings,
            "left_out": asked.left_out,
            "settings": explained.settings,
            "versions": _versions(),
        }
    )
    return document


def _versions() -> dict[str, str]:
    import platform
    import sys
    from importlib.metadata import version

    names = [name for name in ("torch", "sklearn", "onnxruntime", "captum") if name in sys.modules]
    found = {name: str(getattr(sys.modules[name], "__version__", "")) for name in ("numpy", "polars", *names)}
    return {"concordant": version("concordant"), "python": platform.python_version(), **found}
