"""What is claimed of a model: read from a file of claims, or from the metadata of a model card.

A file of claims is YAML or JSON::

    claims:
      - {metric: accuracy, value: 0.93, n: 1000, digest: 41ab..., where: the test split of 2025}

A model card is ``README.md`` (or a folder that holds one) with a ``model-index`` in its front matter, as model hubs keep
it. Two claims of one accuracy may be about different data: `digest` says which data a claim is about.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from concordant.core.errors import ConfigError, DataError

METRIC_NAMES = {
    "accuracy": ("accuracy", "acc", "exact_match", "em", "top1", "top1_accuracy"),
    "error_rate": ("error_rate", "error"),
    "recall": ("recall", "recall_macro", "macro_recall", "balanced_accuracy"),
    "precision": ("precision", "precision_macro", "macro_precision"),
    "f1": ("f1", "f1_macro", "macro_f1"),
    "log_loss": ("log_loss", "cross_entropy", "nll"),
    "brier_loss": ("brier_loss", "brier", "brier_score"),
    "calibration_error": ("calibration_error", "ece", "expected_calibration_error"),
}
"""The metrics that can be checked, with the names they go by. Recall, precision and F1 are means over classes."""

SHARES = ("accuracy", "error_rate", "recall", "precision", "f1", "calibration_error")


@dataclass(frozen=True, slots=True)
class PerformanceClaim:
    """One figure that is claimed of a model.

    Parameters
    ----------
    metric
        A name in `METRIC_NAMES`, or any other: then it cannot be checked, and is shown as such.
    value
        The figure; shares lie between 0 and 1.
    n
        How many items it was measured on, where known: then the error of a claimed accuracy or error rate counts too.
    digest
        Digest of the items it was measured on (`Items.digest`), where known.
    where
        What it is about, in words: data set, split.
    """

    metric: str
    value: float
    n: int | None = None
    digest: str | None = None
    where: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.value, int | float) and math.isfinite(self.value)):
            message = f"the claim of {self.metric} must have a number as its value, got {self.value!r}"
            raise ConfigError(message)
        if self.metric in SHARES and not 0 <= self.value <= 1:
            message = f"the claim of {self.metric} must lie between 0 and 1, got {self.value:g}"
            raise ConfigError(message)
        if self.n is not None and (not isinstance(self.n, int) or self.n < 1):
            message = f"n in the claim of {self.metric} must be a whole number of at least 1, got {self.n!r}"
            raise ConfigError(message)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def canonical(metric: str) -> str:
    """Return the name in `METRIC_NAMES` of a metric, or the name as it is.

    Examples
    --------
    >>> canonical("Exact-Match"), canonical("rouge1")
    ('accuracy', 'rouge1')
    """
    plain = metric.strip().lower().replace("-", "_").replace(" ", "_")
    return next((name for name, others in METRIC_NAMES.items() if plain in others), plain)


def read_claims(source: str | Path) -> tuple[PerformanceClaim, ...]:
    """Read claims from a file of claims, a model card, or a folder with one.

    Parameters
    ----------
    source
        ``.yaml``, ``.yml`` or ``.json``; ``.md`` with a ``model-index`` in its front matter; or a folder with ``README.md``.
        Shares above 1 in a model card are per cent.

    Raises
    ------
    DataError
        If there is no such file, or it holds no claims.
    ConfigError
        If a claim is not understood.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> card = pathlib.Path(tempfile.mkdtemp()) / "README.md"
    >>> _ = card.write_text('''---
    ... model-index:
    ... - name: mine
    ...   results:
    ...   - dataset: {name: digits, split: test}
    ...     metrics: [{type: accuracy, value: 93.3}]
    ... ---
    ... ''')
    >>> read_claims(card)[0].value, read_claims(card)[0].where
    (0.933, 'digits, test')
    """
    path = Path(source)
    path = path / "README.md" if path.is_dir() else path
    if not path.is_file():
        message = f"there is no file of claims {path}"
        raise DataError(message)
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".md":
            found = _of_card(yaml.safe_load(_front_matter(text)) or {})
        else:
            found = _of_file(yaml.safe_load(text), path)  # JSON is YAML
    except yaml.YAMLError as error:
        message = f"{path} cannot be read as YAML: {' '.join(str(error).split())}"
        raise DataError(message) from None
    if not found:
        hint = "a model-index in its front matter" if path.suffix == ".md" else "a list under claims:"
        message = f"{path} holds no claims that can be read: it must have {hint}"
        raise DataError(message)
    return tuple(found)


def _front_matter(text: str) -> str:
    if not text.startswith("---"):
        return ""
    return text[3:].partition("\n---")[0]


def _of_file(document: Any, path: Path) -> list[PerformanceClaim]:
    rows = document.get("claims") if isinstance(document, dict) else document
    claims = []
    for number, row in enumerate(rows or [], 1):
        if not isinstance(row, dict) or not {"metric", "value"} <= row.keys():
            message = f"{path}: claim {number} must have a metric and a value, got {row!r:.80}"
            raise ConfigError(message)
        unknown = sorted(row.keys() - {"metric", "value", "n", "digest", "where"})
        if unknown:
            message = (
                f"{path}: claim {number} has {unknown[0]!r}; allowed are metric, value, n, digest, where"
            )
            raise ConfigError(message)
        claims.append(PerformanceClaim(**{**row, "metric": canonical(str(row["metric"]))}))
    return claims


def _of_card(document: dict[str, Any]) -> list[PerformanceClaim]:
    claims = []
    for model in document.get("model-index") or []:
        for result in model.get("results") or []:
            data = result.get("dataset") or {}
            where = ", ".join(str(data[key]) for key in ("name", "config", "split") if data.get(key))
            for metric in result.get("metrics") or []:
                name, value = canonical(str(metric.get("type", ""))), metric.get("value")
                if not isinstance(value, int | float) or isinstance(value, bool):
                    continue  # cards hold texts and tables too, which are no figures
                share = value / 100 if name in SHARES and 1 < value <= 100 else value
                claims.append(PerformanceClaim(name, round(float(share), 12), where=where))
    return claims
