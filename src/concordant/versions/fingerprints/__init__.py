"""Fingerprints: what a model answered and what is claimed of it, as checks that any copy must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

if TYPE_CHECKING:
    from concordant.versions.fingerprints.claims import PerformanceClaim as PerformanceClaim
    from concordant.versions.fingerprints.claims import read_claims as read_claims
    from concordant.versions.fingerprints.file import Fingerprint as Fingerprint
    from concordant.versions.fingerprints.file import TokenRecord as TokenRecord
    from concordant.versions.fingerprints.file import load_fingerprint as load_fingerprint
    from concordant.versions.fingerprints.recording import record as record
    from concordant.versions.fingerprints.verdicts import FingerprintCheck as FingerprintCheck
    from concordant.versions.fingerprints.verifying import Verification as Verification
    from concordant.versions.fingerprints.verifying import compare_models as compare_models
    from concordant.versions.fingerprints.verifying import verify as verify

_HOME = {
    "Fingerprint": "file",
    "FingerprintCheck": "verdicts",
    "PerformanceClaim": "claims",
    "TokenRecord": "file",
    "Verification": "verifying",
    "compare_models": "verifying",
    "load_fingerprint": "file",
    "read_claims": "claims",
    "record": "recording",
    "verify": "verifying",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME)
