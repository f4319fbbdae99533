"""Fitted scikit-learn estimators from a file: skops safely, pickles only on the user's word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from concordant.core.errors import ModelError, described, require
from concordant.models.fingerprints import files_fingerprint
from concordant.models.predictors import PredictorModel

if TYPE_CHECKING:
    from collections.abc import Sequence

PICKLES = (".joblib", ".pkl", ".pickle")


def load_sklearn(
    path: str | Path,
    *,
    trusted: str | Sequence[str] = (),
    trust_pickle: bool = False,
    name: str | None = None,
    batch_size: int = 8192,
) -> PredictorModel:
    """Load a fitted estimator or pipeline.

    Parameters
    ----------
    path
        A ``.skops`` file, which holds no code; or a ``.joblib``, ``.pkl`` or ``.pickle`` file, which can
        run any code when it is loaded.
    trusted
        Names of the types that a ``.skops`` file may hold besides the known harmless ones: a sequence, or
        one text with commas.
    trust_pickle
        Whether pickles may be loaded.
    name
        What reports call it; the name of the file by default.
    batch_size
        Rows in one call.

    Raises
    ------
    ModelError
        If the file cannot be read, or holds what is not trusted.
    MissingExtraError
        If skops is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix != ".skops" and suffix not in PICKLES:
        message = f"{path}: allowed for a scikit-learn model are .skops, {', '.join(PICKLES)}, got {suffix!r}"
        raise ModelError(message)
    fingerprint = files_fingerprint([path])
    is_pickle = suffix in PICKLES
    estimator = _load_pickle(path, trust_pickle=trust_pickle) if is_pickle else _load_skops(path, trusted)
    if not callable(getattr(estimator, "predict", None)):
        message = f"{path} holds a {type(estimator).__name__}, which has no predict"
        raise ModelError(message)
    return PredictorModel(estimator, name=name or path.stem, batch_size=batch_size, fingerprint=fingerprint)


def _load_skops(path: Path, trusted: str | Sequence[str]) -> Any:
    io = require("skops.io", "sklearn", "scikit-learn models in skops files")
    allowed = [t.strip() for t in trusted.split(",")] if isinstance(trusted, str) else list(trusted)
    try:
        unknown = [kind for kind in io.get_untrusted_types(file=path) if kind not in allowed]
        if not unknown:
            return io.load(path, trusted=[kind for kind in allowed if kind])
    except Exception as error:
        message = f"{path} cannot be loaded by skops: {described(error)}"
        raise ModelError(message) from None
    kinds = ",".join(sorted(unknown))
    message = f"{path} holds types that are not known to be harmless: if you trust them, pass trusted={kinds}"
    raise ModelError(message)


def _load_pickle(path: Path, *, trust_pickle: bool) -> Any:
    if not trust_pickle:
        message = (
            f"{path} is a pickle, which can run any code when it is loaded: pass --trust-pickle "
            "(trust_pickle=True) if you trust its origin, or save the model with skops"
        )
        raise ModelError(message)
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:
        message = f"{path} cannot be unpickled: {described(error)}"
        raise ModelError(message) from None
