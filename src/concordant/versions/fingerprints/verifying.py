"""Verifying a fingerprint: the model answers the probes again, and is held against what it answered and what is claimed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError, DataError
from concordant.core.grading import GRADERS
from concordant.core.model import Request
from concordant.core.plan import adapted
from concordant.core.prompts import prompts
from concordant.versions.fingerprints.asking import FIRST, RECORDED, Asked, asked
from concordant.versions.fingerprints.changes import NEAR_TIE, changes_of, item_table, shown_checks
from concordant.versions.fingerprints.measures import outcomes
from concordant.versions.fingerprints.recording import (
    causal_of,
    environment,
    record,
)
from concordant.versions.fingerprints.verdicts import (
    FingerprintCheck,
    answers_check,
    calibration_checks,
    claim_check,
    recall_checks,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from concordant.core.items import Items
    from concordant.versions.fingerprints.claims import PerformanceClaim
    from concordant.versions.fingerprints.file import Fingerprint

LOSS_TOLERANCE = 1e-3
"""How much a loss may rise in any case: no two machines add up alike."""

CLAIM_TOLERANCE = 0.05

EXIT_CODES = {"pass": 0, "fail": 1, "cannot tell": 3}


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What became of a fingerprint.

    Parameters
    ----------
    checks
        Most telling first.
    items
        One row a probe: `item`, `recorded`, `now`, `changed`, `near_tie`, `was_right`, `is_right`, `negative_flip`,
        `positive_flip`, and for language models `token_kl`, `worst_token_kl`.
    tokens
        Divergences over all tokens (`forward_mean`, `forward_p95`, `forward_max`, the same `backward_...`), and
        `flip_auroc`; empty where there are none.
    about
        Both models, the digest of the probes, and which versions and hardware differ.
    """

    checks: tuple[FingerprintCheck, ...]
    items: pl.DataFrame
    tokens: dict[str, float] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Either "fail" if a check fails, or "cannot tell" if one cannot be told, or else "pass"."""
        states = {check.state for check in self.checks}
        return next((state for state in ("fail", "cannot tell") if state in states), "pass")

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 cannot tell."""
        return EXIT_CODES[self.state]

    def __getitem__(self, name: str) -> FingerprintCheck:
        """Return a check by name."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the items that did not change, as plain values."""
        changed = self.items.filter(pl.col("changed") | pl.col("near_tie"))
        return {
            "state": self.state,
            "checks": [check.to_dict() for check in self.checks],
            "tokens": self.tokens,
            "changed": changed.to_dicts(),
            **self.about,
        }


def verify(
    fingerprint: Fingerprint,
    model: Any,
    *,
    claims: Iterable[PerformanceClaim] = (),
    grade: Any = None,
    tolerance: float = 0.0,
    claim_tolerance: float = CLAIM_TOLERANCE,
    near_tie: float = NEAR_TIE,
    token_tolerance: float | None = None,
    alpha: float = 0.05,
    progress: bool = True,
) -> Verification:
    """Ask a model the probes of a fingerprint, and check that it is still the model that was recorded.

    Parameters
    ----------
    fingerprint
        As `record` made it, or `load_fingerprint` read it.
    model
        What `concordant.load` gives, or any object that it takes: the same model, or a copy of it.
    claims
        Further claims, beside those that were recorded.
    grade
        Needed again where the recording was graded by a grader of one's own.
    tolerance
        Share of answers that may change beyond the recorded noise, and by how much recall may fall.
    claim_tolerance
        How much worse than claimed a figure may be, in its own unit.
    near_tie
        Changed answers count apart where the two most probable classes were as near as this when recorded, or as near as
        twice the largest change that asking again made.
    token_tolerance
        Mean divergence of the tokens that is allowed, nats; by default divergences are shown and not judged.
    alpha
        Chance of a false alarm over all tests, by Holm's method.
    progress
        Whether to draw bars.

    Returns
    -------
    Verification
        With its checks and exit code.

    Raises
    ------
    ConfigError
        If an option is out of range, or the grader of the recording is not known by name and not given.
    ConcordantError
        If the model cannot be asked.

    Examples
    --------
    >>> import concordant as cc
    >>> from concordant.versions.fingerprints import record, verify
    >>> probes = cc.Items.from_records([{"input": t, "reference": t.upper()} for t in "abcdefghij"])
    >>> found = record(cc.load(str.upper), probes)
    >>> verify(found, cc.load(str.upper)).state
    'pass'
    >>> damaged = verify(found, cc.load(lambda text: text.upper() if text < "h" else text * 2))
    >>> damaged.state, damaged["answers changed"].now
    ('fail', 0.3)
    """
    _check_options(tolerance=tolerance, claim_tolerance=claim_tolerance, near_tie=near_tie)
    if not 0 < alpha < 1:
        message = f"alpha must lie between 0 and 1, got {alpha:g}"
        raise ConfigError(message)
    model = adapted(model)
    answers = asked(
        model,
        fingerprint.probes,
        Asked(recorded=fingerprint.model()),
        grade=_grader(fingerprint, grade),
        request=_request(fingerprint),
        progress=progress,
    )
    before, after = answers[RECORDED], answers[FIRST]
    if not (before.answered[:, 0] & after.answered[:, 0]).any():
        failed = after["error"].drop_nulls()
        message = "the model answered no probe that was recorded" + (f": {failed[0]}" if len(failed) else "")
        raise DataError(message)
    then, now = outcomes(before, tuple(fingerprint.about["classes"])), outcomes(after)
    changed, near = changes_of(fingerprint, before, after, then, near_tie)
    items = item_table(before, after, then, now, changed, near)
    tokens: dict[str, float] = {}
    token_checks: list[FingerprintCheck] = []
    if fingerprint.tokens is not None:
        items, tokens, token_checks = _with_tokens(
            fingerprint, model, items, token_tolerance, progress=progress
        )
    digest = fingerprint.about["probes"]["digest"]
    again = fingerprint.answers
    checks = [
        answers_check(
            changed,
            int(again["changed_again"].sum()),
            int(again["repeats"].sum()),
            tolerance,
            f"{near.sum()} near ties apart" if near.any() else "",
            deterministic=fingerprint.about["deterministic"],
        ),
        *(claim_check(claim, now, digest, claim_tolerance) for claim in (*fingerprint.claims, *claims)),
        *shown_checks(before, after, then, now),
        *recall_checks(then, now, tolerance),
        *calibration_checks(then, now, max(tolerance, LOSS_TOLERANCE)),
        *token_checks,
    ]
    about = {
        "recorded": fingerprint.about["model"],
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "probes": fingerprint.about["probes"],
        "differs": _differs(fingerprint.about, environment()),
    }
    return Verification(settled(checks, alpha), items, tokens, about)


def compare_models(
    old: Any,
    new: Any,
    probes: Items,
    *,
    claims: Iterable[PerformanceClaim] = (),
    grade: Any = None,
    **options: Any,
) -> Verification:
    """Record one model and verify another, without a file between them: a compressed copy beside its original.

    Parameters
    ----------
    old, new
        The models.
    probes
        What they are asked.
    claims, grade
        As in `record`; the grader is used for both.
    options
        Of `verify`.
    """
    recorded = record(old, probes, claims=claims, grade=grade, progress=options.get("progress", True))
    return verify(recorded, new, grade=grade, **options)


def _check_options(**shares: float) -> None:
    for name, value in shares.items():
        if not value >= 0:
            message = f"{name} must be at least 0, got {value:g}"
            raise ConfigError(message)


def _grader(fingerprint: Fingerprint, given: Any) -> Any:
    name = fingerprint.about["grader"]
    if given is not None or name is None:
        return given
    if name not in GRADERS:
        message = f"the answers were graded by {name!r}, which is none of the graders by name: give it again (grade=)"
        raise ConfigError(message)
    return name


def _request(fingerprint: Fingerprint) -> Request:
    stored = dict(fingerprint.about["request"])
    return Request(**{**stored, "stop": tuple(stored["stop"])})


def _with_tokens(
    fingerprint: Fingerprint,
    model: Any,
    items: pl.DataFrame,
    tolerance: float | None,
    *,
    progress: bool,
) -> tuple[pl.DataFrame, dict[str, float], list[FingerprintCheck]]:
    """Add the divergence of tokens to the items, sum it up, and judge its mean where a tolerance is given."""
    causal = causal_of(model)
    if causal is None or fingerprint.tokens is None:
        note = "not measured: the model gives no probabilities of all tokens"
        return items, {}, [FingerprintCheck("token divergence", None, None, note=note)]
    from concordant.core.statistics import estimate_mean
    from concordant.versions.token_divergence import divergence_from, flip_auroc

    answers = fingerprint.answers["output"].fill_null("").to_list()
    found = divergence_from(
        fingerprint.tokens, causal, prompts(fingerprint.probes), answers, progress=progress
    )
    each = found.of_rows()
    items = items.with_columns(
        pl.Series("token_kl", each), pl.Series("worst_token_kl", found.of_rows(worst=True))
    ).with_columns(pl.col("token_kl", "worst_token_kl").fill_nan(None))
    summary = found.summary()
    if not summary:
        return items, {}, []
    auroc = flip_auroc(each, items["changed"].to_numpy())
    if not np.isnan(auroc):
        summary["flip_auroc"] = auroc
    known = each[~np.isnan(each)]
    check = FingerprintCheck("token divergence (nats)", None, summary["forward_mean"], n=len(known))
    if tolerance is None:
        return items, summary, [check]
    mean = estimate_mean(known, method="t")
    check = FingerprintCheck(
        check.name,
        None,
        mean.value,
        mean,
        f"at most {tolerance:g}",
        "pass" if mean.value <= tolerance else "cannot tell",
        mean.p_value(tolerance, "greater"),
        len(known),
        "mean over answers",
    )
    return items, summary, [check]


def _differs(then: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what of the place is another than when it was recorded: (then, now) by name."""
    flat = [{"python": place["python"], **place["libraries"], **place["hardware"]} for place in (then, now)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    return {
        name: [part.get(name) for part in flat] for name in names if flat[0].get(name) != flat[1].get(name)
    }
