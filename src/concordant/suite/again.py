"""A run rendered again from its folder: the recorded answers are judged anew, and no model is asked."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.errors import StoreError
from concordant.core.finding import Finding
from concordant.core.gate import Gate, GateResult
from concordant.core.relation import Relation
from concordant.core.results import Report, Result
from concordant.core.statistics import Estimate
from concordant.core.store import read_description, read_items
from concordant.suite.absent import Absent
from concordant.suite.suite import Suite

if TYPE_CHECKING:
    from concordant.core.items import Items
    from concordant.core.model import Model

KEPT = ("concordant", "python", "machine", "started", "title")
"""What the record says of when and where the run was made, which rendering it does not change."""


def judged_again(run: str | Path, *, trust_code: bool = False) -> Report:
    """Make the report of a run again from what its folder holds.

    A run of a check file is judged again by the file that it keeps, whose relations may meanwhile say more.
    Of a run made in Python the relations are not known; its report holds the findings and gates as they were
    stored, without the behaviours.

    Parameters
    ----------
    run
        The folder.
    trust_code
        Whether relations may be taken from the Python files that the check file names.

    Raises
    ------
    StoreError
        If the folder holds no run, or one that was not finished.
    ConcordantError
        If its check file can no longer be understood.
    """
    folder = Path(run)
    description = read_description(folder)
    suite = description.get("suite")
    return _stored(folder) if suite is None else _judged(folder, description, suite, trust_code=trust_code)


def _judged(folder: Path, description: dict[str, Any], record: dict[str, Any], *, trust_code: bool) -> Report:
    base = folder / (record["base"] or "")
    suite = Suite.parse(record["text"], name=record["file"], base=base, trust_code=trust_code)
    why = f"{folder} holds a run that was not finished: go on with it by concordant check --resume"
    models: dict[str, Model] = {
        name: Absent(m["name"], m["fingerprint"], tuple(m["classes"]), why)
        for name, m in record["models"].items()
    }
    items = read_items(folder)
    about = {name: description[name] for name in KEPT if name in description}
    with tempfile.TemporaryDirectory() as name:
        view = Path(name)  # the run itself is not touched: it may be read-only, or somebody's archive
        (view / "behaviours").mkdir()
        for segment in (folder / "behaviours").glob("*.parquet"):
            (view / "behaviours" / segment.name).symlink_to(segment.resolve())
        report = suite.run(
            models=models,
            items=items,
            seed=record["seed"],
            until_decided=record["until_decided"],
            folder=view,
            about=about | {"suite": record},
            progress=False,
        )
    with contextlib.suppress(OSError, ValueError, KeyError):  # how long it took is known once it was finished
        report.about["seconds"] = json.loads((folder / "report.json").read_bytes())["about"]["seconds"]
    return report


class _Stored(Relation):
    """Stands for a relation of which only the findings are stored."""

    def __init__(self, name: str) -> None:
        self.name = name

    def expand(self, items: Items) -> list[Any]:
        raise NotImplementedError

    def judge(self, items: Items, answers: Any) -> pl.DataFrame:
        raise NotImplementedError


def _stored(folder: Path) -> Report:
    try:
        stored = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = "a run without a check file that was not finished or cannot be read"
        message = f"{folder} holds {what}: {error}"
        raise StoreError(message) from None
    items = read_items(folder)
    results: dict[str, Result] = {}
    for row in (*stored["findings"], *stored["slices"]):
        finding = _finding(row)
        if finding.relation not in results:
            frame = pl.DataFrame({"agreement": []})
            verdicts = folder / "verdicts" / f"{finding.relation}.parquet"
            if verdicts.is_file():
                frame = pl.read_parquet(verdicts, glob=False).drop("id")
            results[finding.relation] = Result(_Stored(finding.relation), items, {}, frame, {}, [])
        result = results[finding.relation]
        if finding.slice is None:
            result.findings[finding.measure] = finding
        else:
            result.slices.append(finding)
    gates = [
        GateResult(
            Gate.parse(row["gate"]),
            results[row["relation"]].findings[row["gate"].split()[0]],
            row["state"],
            row["p_holds"],
            row["p_fails"],
            row["needed_n"],
        )
        for row in stored["gates"]
    ]
    return Report(stored["title"], items, results, gates, stored["about"])


def _finding(row: dict[str, Any]) -> Finding:
    def number(name: str) -> float:
        return float("nan") if row[name] is None else float(row[name])

    low, high = number("low"), number("high")
    estimate = Estimate(
        number("value"),
        low,
        high,
        row["level"],
        row["n"],
        row["n_clusters"],
        number("stderr"),
        row["method"],
        lambda _: (low, high),
    )
    return Finding(
        row["relation"],
        row["measure"],
        estimate,
        better=row["better"],
        about=row["about"],
        unit=row["unit"],
        slice=None if row["slice"] is None else (row["slice"], row["slice_value"]),
        p_value=row["p_value"],
        test=row["test"],
        correction=row["correction"],
        n_error=row["n_error"],
        n_ungraded=row["n_ungraded"],
        note=row["note"],
    )
