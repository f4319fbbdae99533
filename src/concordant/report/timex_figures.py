"""The figures of the study of TimeX beside those of the paper, as a table in Markdown."""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from concordant.report.figures import UNKNOWN, number
from concordant.studies.timex_setting import FULL, PAPER

if TYPE_CHECKING:
    from collections.abc import Mapping

METRICS = ("auprc", "aup", "aur")
SETS = {
    "freq-shapes": "FreqShapes",
    "seq-comb-uv": "SeqComb-UV",
    "seq-comb-mv": "SeqComb-MV",
    "low-var-detect": "LowVarDetect",
}
METHODS = {
    "timex": "TimeX",
    "small_masks": "TimeX, smaller masks (ours)",
    "without_consistency": "TimeX without consistency of behaviour",
    "integrated_gradients": "integrated gradients",
    "absolute_integrated_gradients": "integrated gradients, absolute",
    "dynamask": "Dynamask (ours: some series)",
    "random": "random",
}


def timex_figures(document: Mapping[str, Any]) -> str:
    """Return one row a set and method: AUPRC, AUP and AUR here, and in the paper.

    Parameters
    ----------
    document
        A result of the study ``timex``, as ``StudyResult.to_dict`` gives it. Means over its seeds, and the standard
        deviation between them.
    """
    lines = [
        "| set | method | AUPRC | AUP | AUR | AUPRC, AUP, AUR in the paper |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for setting in FULL:
        for method, words in METHODS.items():
            some = "_of_some" if method == "dynamask" else ""
            ours = [_ours(document, f"{method}.{setting.prefix}{metric}{some}") for metric in METRICS]
            theirs = PAPER[setting.data].get(method)
            if ours == [UNKNOWN] * len(METRICS):
                continue
            paper = UNKNOWN if theirs is None else ", ".join(number(value) for value in theirs)
            lines.append(f"| {SETS[setting.data]} | {words} | {' | '.join(ours)} | {paper} |")
    return "\n".join(lines)


def _ours(document: Mapping[str, Any], name: str) -> str:
    values = [measured[name] for measured in document["measurements"].values() if name in measured]
    if not values:
        return UNKNOWN
    spread = f" ± {number(stdev(values))}" if len(values) > 1 else ""
    return number(mean(values)) + spread
